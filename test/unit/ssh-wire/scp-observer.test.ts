import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseScpCommand } from '../../../gateway/ssh/wire/scp-command.ts';
import { ScpObserver, ScpProtocolError } from '../../../gateway/ssh/wire/scp-observer.ts';
import { seeded } from '../../support/random.ts';
import { collector, readTranscript, replay, sha256, sha256Of } from '../../support/replay.ts';

const CONTENT = Uint8Array.from({ length: 33000 }, (_, i) => (i * 7 + Math.floor(i / 256)) % 256);
const file = (operation: string, path: string, content: Uint8Array | string) => ({
  operation,
  path,
  bytes: Buffer.byteLength(content),
  sha256: sha256Of(content),
});

/** Real transfers (OpenSSH 9.2, `scp -O`) and what they did. */
const TRANSFERS: readonly [string, readonly object[]][] = [
  ['scp-upload-one', [{ ...file('upload', '/srv/demo/d/new.bin', CONTENT), to: 'a.bin' }]],
  [
    'scp-upload-recursive',
    [
      { operation: 'mkdir', path: '/srv/demo/d/dir' },
      file('upload', '/srv/demo/d/dir/one', '1'),
      { operation: 'mkdir', path: '/srv/demo/d/dir/sub' },
      file('upload', '/srv/demo/d/dir/sub/ü n.txt', 'umlaut\n'),
      file('upload', '/srv/demo/d/b.txt', 'hello\n'),
    ],
  ],
  [
    'scp-download-recursive',
    [
      file('download', '/srv/demo/local/up/a.bin', CONTENT),
      file('download', '/srv/demo/local/up/b.txt', 'hello\n'),
      file('download', '/srv/demo/local/up/dir/one', '1'),
      file('download', '/srv/demo/local/up/dir/sub/ü n.txt', 'umlaut\n'),
      file('download', '/srv/demo/local/up/empty', ''),
    ],
  ],
  [
    'scp-refused',
    [{ operation: 'upload', path: '/srv/demo/none/', error: '/srv/demo/none/: No such file or directory' }],
  ],
  [
    'scp-file-refused',
    [
      {
        operation: 'upload',
        path: '/srv/demo/d/b.txt',
        bytes: 0,
        error: '/srv/demo/d//b.txt: Is a directory',
      },
      file('upload', '/srv/demo/d/empty', ''),
    ],
  ],
  [
    'scp-missing',
    [{ operation: 'download', path: '/srv/demo/nope', error: '/srv/demo/nope: No such file or directory' }],
  ],
];

function observe(command: string) {
  const parsed = parseScpCommand(command);
  assert.ok(parsed);
  const sink = collector();
  return { observer: new ScpObserver(parsed, sink, sha256), operations: sink.operations };
}

for (const [name, expected] of TRANSFERS) {
  test(`a real transfer, whatever the chunking: ${name}`, () => {
    const { command, chunks } = readTranscript(name);
    const random = seeded(2);
    for (const size of [() => 1 << 20, () => 1, () => 1 + Math.floor(random() * 900)]) {
      const { observer, operations } = observe(command);
      replay(observer, chunks, size);
      observer.end();
      assert.deepEqual(operations, expected);
    }
  });
}

test('a sender that does not wait for answers is followed too', () => {
  const { observer, operations } = observe('scp -t /d/');
  observer.fromClient(Buffer.from('C0644 3 a\nabc\0C0600 0 b\n\0'));
  observer.fromTarget(Buffer.from('\0\0\0\0\0'));
  assert.deepEqual(operations, [file('upload', '/d/a', 'abc'), file('upload', '/d/b', '')]);
});

test('an error behind the content belongs to its file', () => {
  const { observer, operations } = observe('scp -t /d/');
  observer.fromTarget(Buffer.from('\0'));
  observer.fromClient(Buffer.from('C0644 3 a\n'));
  observer.fromTarget(Buffer.from('\0'));
  observer.fromClient(Buffer.from('abc\0'));
  observer.fromTarget(Buffer.from('\x01scp: /d/a: No space left on device\n'));
  assert.deepEqual(operations, [
    { ...file('upload', '/d/a', 'abc'), error: '/d/a: No space left on device' },
  ]);
});

test('a transfer cut off is told without a hash', () => {
  const { observer, operations } = observe('scp -t /d/');
  observer.fromTarget(Buffer.from('\0'));
  observer.fromClient(Buffer.from('C0644 9 a\n'));
  observer.fromTarget(Buffer.from('\0'));
  observer.fromClient(Buffer.from('abc'));
  observer.end();
  assert.deepEqual(operations, [{ operation: 'upload', path: '/d/a', bytes: 3, error: 'not finished' }]);
});

test('a receiver that refuses what the sender has gone on with could hide a file: that is no transfer', () => {
  for (const ahead of [
    // To a receiver that refuses the first, its content is the next record, and \0 the end of a file.
    'C0644 20 refused\nC0644 4 hidden\nevil\0',
    'C0644 0 refused\n\0',
    'D0755 0 refused\nC0644 4 hidden\n',
    'D0755 0 refused\nE\n',
  ]) {
    const { observer } = observe('scp -r -t /d/');
    observer.fromTarget(Buffer.from('\0'));
    observer.fromClient(Buffer.from(ahead));
    assert.throws(
      () => observer.fromTarget(Buffer.from('\x01scp: refused: Is a directory\n')),
      (error) => error instanceof ScpProtocolError && /gone on with, unasked/.test(error.message),
      ahead,
    );
  }
  // Who waits goes on with what comes next.
  const { observer, operations } = observe('scp -r -t /d/');
  observer.fromTarget(Buffer.from('\0'));
  observer.fromClient(Buffer.from('D0755 0 refused\n'));
  observer.fromTarget(Buffer.from('\x01scp: refused: Not a directory\n'));
  observer.fromClient(Buffer.from('C0644 3 a\n'));
  observer.fromTarget(Buffer.from('\0'));
  observer.fromClient(Buffer.from('abc\0'));
  observer.fromTarget(Buffer.from('\0'));
  assert.deepEqual(operations, [
    { operation: 'mkdir', path: '/d/refused', error: 'refused: Not a directory' },
    file('upload', '/d/a', 'abc'),
  ]);
});

const sender = (text: string) => (observer: ScpObserver) => observer.fromClient(Buffer.from(text, 'latin1'));
const receiver = (text: string) => (observer: ScpObserver) =>
  observer.fromTarget(Buffer.from(text, 'latin1'));
const MALFORMED: readonly [string, RegExp, (observer: ScpObserver) => void][] = [
  ['a shell', /this is not the scp protocol/, sender('id\n')],
  ['a shell that begins like a record', /mode, size and name/, sender('Complete; bash\n')],
  ['a shell that answers', /status of the receiver: byte 36/, receiver('$ ')],
  ['a path for a name', /plain name/, sender('C0644 1 a/b\n')],
  ['the parent for a name', /plain name/, sender('D0755 0 ..\n')],
  ['content longer than announced', /status of the sender/, sender('C0644 1 a\nabc')],
  ['an end too many', /no directory is open/, sender('E\n')],
  ['times that are none', /four numbers/, sender('Tomorrow\n')],
  ['a size beyond any file', /beyond any file/, sender('C0644 9999999999999999 a\n')],
  ['an endless line', /longer than 8192/, sender(`C0644 1 ${'x'.repeat(9000)}`)],
  ['an endless error', /longer than 8192/, receiver(`\x01${'x'.repeat(9000)}`)],
  ['consents to nothing', /answers nothing/, receiver('\0\0')],
  ['records without answers', /more than 1024 unanswered/, sender('T1 0 1 0\n'.repeat(1100))],
  ['a covert stream of errors', /more than 10000/, sender('\x01x\n'.repeat(10_001))],
];
for (const [name, reason, feed] of MALFORMED) {
  test(`malformed: ${name}`, () => {
    const { observer } = observe('scp -r -t /d');
    assert.throws(
      () => feed(observer),
      (error) => error instanceof ScpProtocolError && reason.test(error.message),
    );
  });
}

test('a directory without -r is refused', () => {
  const { observer } = observe('scp -t /d');
  assert.throws(() => sender('D0755 0 a\n')(observer), /not recursive/);
});
