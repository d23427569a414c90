import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WaitingRoom } from '../../../gateway/ssh/wire/file-content.ts';
import { SftpObserver, SftpProtocolError } from '../../../gateway/ssh/wire/sftp-observer.ts';
import { SftpType } from '../../../gateway/ssh/wire/sftp-packets.ts';
import { seeded } from '../../support/random.ts';
import { collector, readTranscript, replay, sha256, sha256Of } from '../../support/replay.ts';

const CONTENT = Uint8Array.from({ length: 33000 }, (_, i) => (i * 7 + Math.floor(i / 256)) % 256);
const at = (path: string) => `/srv/demo/e${path}`;
const upload = (path: string, content: Uint8Array | string) => ({
  operation: 'upload',
  path: at(path),
  bytes: Buffer.byteLength(content),
  sha256: sha256Of(content),
});
const download = (path: string, content: Uint8Array | string) => ({
  ...upload(path, content),
  operation: 'download',
});

/** What the batch in the fixture did (OpenSSH 9.2's sftp against its sftp-server). */
const BATCH = [
  { operation: 'mkdir', path: at('') },
  upload('/a.bin', CONTENT),
  { operation: 'setstat', path: at('/b.txt'), to: 'perm=0644' },
  upload('/b.txt', 'hello\n'),
  upload('/empty', ''),
  { operation: 'mkdir', path: at('/dir') },
  upload('/dir/one', '1'),
  { operation: 'mkdir', path: at('/dir/sub') },
  upload('/dir/sub/ü n.txt', 'umlaut\n'),
  { operation: 'setstat', path: at('/dir/sub'), to: 'perm=0755' },
  { operation: 'setstat', path: at('/dir'), to: 'perm=0755' },
  { operation: 'rename', path: at('/b.txt'), to: at('/c.txt') },
  { operation: 'symlink', path: at('/soft'), to: 'c.txt' },
  { operation: 'hardlink', path: at('/hard'), to: at('/c.txt') },
  { operation: 'setstat', path: at('/c.txt'), to: 'perm=0600' },
  { operation: 'setstat', path: at('/c.txt'), to: 'owner=0:0' },
  download('/a.bin', CONTENT),
  { operation: 'list', path: at('/dir') },
  download('/dir/one', '1'),
  { operation: 'list', path: at('/dir/sub') },
  download('/dir/sub/ü n.txt', 'umlaut\n'),
  { operation: 'remove', path: '/srv/demo/nothere', error: 'no such file' },
  { operation: 'copy', path: at('/c.txt'), to: at('/copied') },
  { operation: 'list', path: at('/') },
  { operation: 'remove', path: at('/c.txt') },
  { operation: 'rmdir', path: at(''), error: 'failure' },
];

test('a real session tells every operation, whatever the chunking', () => {
  const { chunks } = readTranscript('sftp-batch');
  const random = seeded(1);
  for (const size of [() => 1 << 20, () => 1, () => 7, () => 1 + Math.floor(random() * 5000)]) {
    const sink = collector();
    const observer = new SftpObserver(sink, sha256, new WaitingRoom());
    replay(observer, chunks, size);
    observer.end();
    assert.deepEqual(sink.operations, BATCH);
  }
});

const u32 = (value: number) => [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
const string = (text: string) => [...u32(Buffer.byteLength(text)), ...Buffer.from(text)];
const offset = (value: number) => [...u32(0), ...u32(value)];
const packet = (type: number, ...body: number[][]) =>
  Uint8Array.from([...u32(1 + body.flat().length), type, ...body.flat()]);
const OK = [...u32(0), ...string(''), ...string('')];

/** An observer with both greetings behind it and one open file `/f` under handle `h`. */
function opened(flags: number) {
  const sink = collector();
  const observer = new SftpObserver(sink, sha256, new WaitingRoom());
  observer.fromClient(packet(SftpType.init, u32(3)));
  observer.fromTarget(packet(SftpType.version, u32(3)));
  observer.fromClient(packet(SftpType.open, u32(1), string('/f'), u32(flags), u32(0)));
  observer.fromTarget(packet(SftpType.handle, u32(1), string('h')));
  let id = 1;
  return {
    sink,
    observer,
    write(place: number, text: string, answer = OK) {
      observer.fromClient(packet(SftpType.write, u32(++id), string('h'), offset(place), string(text)));
      observer.fromTarget(packet(SftpType.status, u32(id), answer));
    },
    read(place: number, text: string) {
      observer.fromClient(packet(SftpType.read, u32(++id), string('h'), offset(place), u32(100)));
      observer.fromTarget(packet(SftpType.data, u32(id), string(text)));
    },
    close() {
      observer.fromClient(packet(SftpType.close, u32(++id), string('h')));
      observer.fromTarget(packet(SftpType.status, u32(id), OK));
      return sink.operations;
    },
  };
}

test('answers out of order and the rest of short ones end up in one hash', () => {
  const { observer, sink, read, close } = opened(0x01);
  // Two are asked for at once; the first answer is short, and its rest is asked for behind the second.
  observer.fromClient(packet(SftpType.read, u32(10), string('h'), offset(0), u32(4)));
  observer.fromClient(packet(SftpType.read, u32(11), string('h'), offset(4), u32(4)));
  observer.fromTarget(packet(SftpType.data, u32(10), string('ab')));
  const second = packet(SftpType.data, u32(11), string('efgh'));
  observer.fromTarget(second.subarray(0, second.length - 2));
  observer.fromTarget(second.subarray(second.length - 2));
  read(2, 'cd');
  read(8, 'i');
  close();
  assert.deepEqual(sink.operations, [
    { operation: 'download', path: '/f', bytes: 9, sha256: sha256Of('abcdefghi') },
  ]);
});

test('an upload sent in parallel has its hash, whatever the order of its pieces', () => {
  const random = seeded(7);
  const pieces = Array.from({ length: 64 }, (_, i) => ({ place: i * 10, text: `piece ${i}`.padEnd(10) }));
  const { write, close } = opened(0x1a);
  for (const { place, text } of pieces.toSorted(() => random() - 0.5)) write(place, text);
  const sha = sha256Of(pieces.map(({ text }) => text).join(''));
  assert.deepEqual(close(), [{ operation: 'upload', path: '/f', bytes: 640, sha256: sha }]);
});

test('content with gaps, from the middle on, twice or appended is counted, and the reason told', () => {
  const gap = opened(0x1a);
  gap.write(0, 'abc');
  gap.write(4, 'e');
  const random = { operation: 'upload', path: '/f', bytes: 4, unhashed: 'random access' };
  assert.deepEqual(gap.close(), [random]);

  const twice = opened(0x1a);
  twice.write(0, 'abc');
  twice.write(2, 'c');
  assert.deepEqual(twice.close(), [random]);

  const twiceAhead = opened(0x1a);
  for (const text of ['b', 'c']) twiceAhead.write(1, text);
  twiceAhead.write(0, 'ab');
  assert.deepEqual(twiceAhead.close(), [random]);

  const append = opened(0x0e);
  append.write(0, 'abc');
  assert.deepEqual(append.close(), [{ operation: 'upload', path: '/f', bytes: 3, unhashed: 'appended' }]);

  const resumed = opened(0x01);
  resumed.read(10, 'abc');
  assert.deepEqual(resumed.close(), [{ operation: 'download', path: '/f', bytes: 3, unhashed: 'resumed' }]);
});

test('a file read and written is one line', () => {
  const both = opened(0x03);
  both.read(0, 'abc');
  both.write(0, 'de');
  assert.deepEqual(both.close(), [
    { operation: 'read+write', path: '/f', bytes: 5, unhashed: 'read and written' },
  ]);
});

test('a failed write is told with the words of the target and no hash', () => {
  const full = opened(0x1a);
  full.write(0, 'abc', [...u32(4), ...string('No space left'), ...string('')]);
  assert.deepEqual(full.close(), [
    { operation: 'upload', path: '/f', bytes: 3, unhashed: 'write failed', error: 'failure: No space left' },
  ]);
});

test('what is open at the end of the channel is told with what had passed', () => {
  const cut = opened(0x1a);
  cut.write(0, 'abc');
  const half = packet(SftpType.write, u32(9), string('h'), offset(3), string('defgh'));
  cut.observer.fromClient(half.subarray(0, half.length - 3));
  cut.observer.end();
  assert.deepEqual(cut.sink.operations, [
    { operation: 'upload', path: '/f', bytes: 5, unhashed: 'cut off', error: 'not closed' },
  ]);
});

test('nothing passes by a handle that the target has not given, or that is closed', () => {
  const guesses = [
    packet(SftpType.write, u32(8), string('g'), offset(0), string('abc')),
    packet(SftpType.fsetstat, u32(8), string('g'), u32(4), u32(0o777)),
    packet(
      SftpType.extended,
      u32(8),
      string('copy-data'),
      string('h'),
      offset(0),
      offset(0),
      string('g'),
      offset(0),
    ),
  ];
  for (const guess of guesses) {
    const { observer } = opened(0x1a);
    observer.fromClient(packet(SftpType.open, u32(7), string('/etc/shadow'), u32(0x03), u32(0)));
    assert.throws(
      () => observer.fromClient(guess),
      (error) => error instanceof SftpProtocolError && /handle.*is not open/.test(error.message),
    );
  }
  // Paramiko asks on behind its close, and is refused; content in answer would be on no file's record.
  const { observer, sink } = opened(0x01);
  observer.fromClient(packet(SftpType.close, u32(7), string('h')));
  for (const id of [8, 9])
    observer.fromClient(packet(SftpType.read, u32(id), string('h'), offset(0), u32(100)));
  observer.fromTarget(packet(SftpType.status, u32(7), OK));
  observer.fromTarget(packet(SftpType.status, u32(8), [...u32(4), ...string('Failure'), ...string('')]));
  assert.equal(sink.operations.length, 1);
  assert.throws(
    () => observer.fromTarget(packet(SftpType.data, u32(9), string('content'))),
    (error) => error instanceof SftpProtocolError && /data of a file that is not open/.test(error.message),
  );
});

test('a handle that is given again belongs to the new file from its close on', () => {
  const { observer, sink, read, close } = opened(0x01);
  observer.fromClient(packet(SftpType.read, u32(20), string('h'), offset(0), u32(100)));
  observer.fromClient(packet(SftpType.close, u32(21), string('h')));
  observer.fromClient(packet(SftpType.open, u32(22), string('/g'), u32(0x01), u32(0)));
  observer.fromTarget(packet(SftpType.data, u32(20), string('first')));
  // Answers may come in any order (§3).
  observer.fromTarget(packet(SftpType.handle, u32(22), string('h')));
  observer.fromTarget(packet(SftpType.status, u32(21), OK));
  read(0, 'second');
  close();
  assert.deepEqual(sink.operations, [
    { operation: 'download', path: '/f', bytes: 5, sha256: sha256Of('first') },
    { operation: 'download', path: '/g', bytes: 6, sha256: sha256Of('second') },
  ]);
  const cut = opened(0x01);
  cut.read(0, 'abc');
  cut.observer.fromClient(packet(SftpType.close, u32(30), string('h')));
  cut.observer.end();
  assert.deepEqual(cut.sink.operations, [
    { operation: 'download', path: '/f', bytes: 3, sha256: sha256Of('abc'), error: 'not closed' },
  ]);
});

test('an over-long name is kept cut', () => {
  const { observer, sink } = opened(0x01);
  observer.fromClient(packet(SftpType.remove, u32(7), string('x'.repeat(60_000))));
  observer.fromTarget(packet(SftpType.status, u32(7), OK));
  assert.equal(sink.operations[0]?.path, `${'x'.repeat(4096)}…`);
});

const greeted = (observer: SftpObserver) => {
  observer.fromClient(packet(SftpType.init, u32(3)));
  observer.fromTarget(packet(SftpType.version, u32(3)));
};
const MALFORMED: readonly [string, RegExp, (observer: SftpObserver) => void][] = [
  ['a shell', /packet length from the client at offset 5/, (o) => o.fromClient(Buffer.from('bash -i\n'))],
  ['a shell answering', /packet length from the target/, (o) => o.fromTarget(Buffer.from('$ ls -la'))],
  ['length 0', /packet length/, (o) => o.fromClient(Uint8Array.of(0, 0, 0, 0, 1))],
  ['request before init', /before init/, (o) => o.fromClient(packet(SftpType.remove, u32(1), string('x')))],
  [
    'write before init',
    /before init/,
    (o) => o.fromClient(packet(SftpType.write, u32(1), string('h'), offset(0), string('x'))),
  ],
  ['two inits', /second/, (o) => [1, 2].forEach(() => void o.fromClient(packet(SftpType.init, u32(3))))],
  [
    'version 6',
    /is 6; only version 3/,
    (o) => {
      o.fromClient(packet(SftpType.init, u32(6)));
      o.fromTarget(packet(SftpType.version, u32(6)));
    },
  ],
  [
    'unknown request',
    /no request of version 3/,
    (o) => {
      greeted(o);
      o.fromClient(packet(42, u32(1)));
    },
  ],
  [
    'answer to nothing',
    /answers no request/,
    (o) => {
      greeted(o);
      o.fromTarget(packet(SftpType.status, u32(5), OK));
    },
  ],
  [
    'path longer than its packet',
    /filename of type 13 .* 99 bytes where 1 are left/,
    (o) => {
      greeted(o);
      o.fromClient(packet(SftpType.remove, u32(1), u32(99), [65]));
    },
  ],
  [
    'id used twice',
    /still unanswered/,
    (o) => {
      greeted(o);
      for (let i = 0; i < 2; i++) o.fromClient(packet(SftpType.stat, u32(1), string('x')));
    },
  ],
  [
    'too many unanswered',
    /more than 131072/,
    (o) => {
      greeted(o);
      for (let i = 0; i < 131_073; i++) o.fromClient(packet(SftpType.stat, u32(i), string('x')));
    },
  ],
  [
    'too many handles',
    /more than 1024/,
    (o) => {
      greeted(o);
      for (let i = 0; i < 1025; i++) {
        o.fromClient(packet(SftpType.opendir, u32(i), string('x')));
        o.fromTarget(packet(SftpType.handle, u32(i), string(`h${i}`)));
      }
    },
  ],
  [
    'data that outgrows its packet',
    /data length/,
    (o) => {
      greeted(o);
      o.fromClient(packet(SftpType.open, u32(1), string('/f'), u32(0x1a), u32(0)));
      o.fromTarget(packet(SftpType.handle, u32(1), string('h')));
      o.fromClient(packet(SftpType.write, u32(2), string('h'), offset(0), u32(9), [1]));
    },
  ],
  [
    'data for a stat',
    /data in answer to quiet/,
    (o) => {
      greeted(o);
      o.fromClient(packet(SftpType.stat, u32(1), string('x')));
      o.fromTarget(packet(SftpType.data, u32(1), string('x')));
    },
  ],
];

for (const [name, reason, feed] of MALFORMED) {
  test(`malformed: ${name}`, () => {
    const observer = new SftpObserver(collector(), sha256, new WaitingRoom());
    assert.throws(
      () => feed(observer),
      (error) => error instanceof SftpProtocolError && reason.test(error.message),
    );
  });
}
