import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { SessionRecord } from '../../../gateway/ssh/record.ts';
import { EventKind, type Recording } from '../../../recorder/index.ts';

/** A record, the raw events that it wrote as `kind text`, and the digests that it told. */
function record(keystrokes: boolean, execLimit: number | 'full' = 1_000) {
  const written: string[] = [];
  const noted: EventKind[] = [];
  const digests: object[] = [];
  const recording: Recording = {
    write: (kind, _channel, payload) => void written.push(`${kind} ${Buffer.from(payload).toString()}`),
    note(kind, _channel, value) {
      noted.push(kind);
      if (kind === EventKind.digest) digests.push(value);
    },
    hashStream() {
      const hash = createHash('sha256');
      return { update: (bytes) => void hash.update(bytes), digest: (then) => then(hash.digest('hex')) };
    },
    paused: false,
    seal: () => Promise.reject(new Error('is not sealed here')),
  };
  const session = new SessionRecord({ sessionId: 's', recording, keystrokes, execLimit });
  return { written, noted, digests, channel: session.openChannel({ type: 'session', openedBy: 'client' }) };
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

test('what passes before a program is started is recorded', () => {
  const { written, channel } = record(true);
  channel.input(Buffer.from('early'));
  channel.output(Buffer.from('greeting'));
  channel.start('exec', 'cat', 'stream', () => {});
  channel.input(Buffer.from('late'));
  assert.deepEqual(written, [
    `${EventKind.input} early`,
    `${EventKind.output} greeting`,
    `${EventKind.input} late`,
  ]);
});

test('what is typed on a terminal stays out of the recording where policy does not log keys', () => {
  const { written, channel } = record(false);
  channel.terminal({ term: 'xterm', columns: 80, rows: 24 });
  channel.start('shell', undefined, 'stream', () => {});
  channel.input(Buffer.from('typed'));
  channel.output(Buffer.from('shown'));
  assert.deepEqual(written, [`${EventKind.output} shown`]);
});

test('a program that the target refused leaves nothing behind for the next one', () => {
  const { written, channel } = record(true);
  channel.start('subsystem', 'sftp', 'sftp', () => assert.fail('the stream is no sftp any more'));
  channel.start('exec', 'echo', 'stream', () => {});
  channel.output(Buffer.from('no sftp packet at all, only text that is long enough to be taken for one'));
  assert.equal(written.length, 1);
});

test('what is typed on a terminal before its program is started is recorded, too', () => {
  const { written, channel } = record(true);
  channel.terminal({ term: 'xterm', columns: 80, rows: 24 });
  channel.input(Buffer.from('early'));
  channel.start('shell', undefined, 'stream', () => {});
  channel.output(Buffer.from('early'));
  channel.close();
  assert.deepEqual(written, [`${EventKind.output} early`, `${EventKind.input} early`]);
});

test('where the target refused the terminal, input is recorded as a stream', () => {
  const { written, channel } = record(true);
  channel.terminal({ term: 'xterm', columns: 80, rows: 24 });
  channel.input(Buffer.from('early'));
  channel.terminalRefused();
  channel.start('exec', 'cat', 'stream', () => {});
  channel.input(Buffer.from('late'));
  channel.output(Buffer.from('shown'));
  channel.close();
  // What came before the answer was typed at a terminal that showed nothing.
  assert.deepEqual(written, [
    `${EventKind.input} ********`,
    `${EventKind.input} late`,
    `${EventKind.output} shown`,
  ]);
});

test('of each stream of a command the limit is recorded, all of it is counted and hashed', () => {
  const { written, noted, digests, channel } = record(true, 4);
  channel.start('exec', 'cat', 'stream', () => {});
  // Much output, then an error, takes nothing of the room of what the person sends.
  for (const part of ['abc', 'def', 'ghi']) channel.output(Buffer.from(part));
  channel.errorOutput(Buffer.from('error'));
  channel.input(Buffer.from('1234'));
  channel.input(Buffer.from('5'));
  channel.close();
  assert.deepEqual(written, [
    `${EventKind.output} abc`,
    `${EventKind.output} d`,
    `${EventKind.errorOutput} erro`,
    `${EventKind.input} 1234`,
  ]);
  assert.deepEqual(digests, [
    { stream: 'output', bytes: 9, recorded: 4, sha256: sha256('abcdefghi') },
    { stream: 'errorOutput', bytes: 5, recorded: 4, sha256: sha256('error') },
    { stream: 'input', bytes: 5, recorded: 4, sha256: sha256('12345') },
  ]);
  assert.equal(noted.at(-1), EventKind.channelClose);
});

test('a shell without a terminal is recorded whole', () => {
  const { written, digests, channel } = record(true, 4);
  channel.start('shell', undefined, 'stream', () => {});
  channel.input(Buffer.from('head -c 17000000 /dev/zero\n'));
  channel.output(Buffer.from('a flood'));
  channel.errorOutput(Buffer.from('of bytes'));
  channel.input(Buffer.from('what comes after it\n'));
  channel.close();
  assert.deepEqual(written, [
    `${EventKind.input} head -c 17000000 /dev/zero\n`,
    `${EventKind.output} a flood`,
    `${EventKind.errorOutput} of bytes`,
    `${EventKind.input} what comes after it\n`,
  ]);
  assert.deepEqual(digests, []);
});

test('what a refused program was sent takes no room of the next one', () => {
  const { written, digests, channel } = record(true, 4);
  channel.input(Buffer.from('before'));
  channel.start('exec', 'refused', 'stream', () => {});
  channel.input(Buffer.from('flood'));
  channel.start('shell', undefined, 'stream', () => {});
  channel.input(Buffer.from('in full'));
  // The target refused that, too: a command is held to the limit again.
  channel.start('exec', 'cat', 'stream', () => {});
  channel.input(Buffer.from('again'));
  channel.close();
  assert.deepEqual(
    written,
    ['befo', 'floo', 'in full', 'agai'].map((text) => `${EventKind.input} ${text}`),
  );
  assert.deepEqual(digests, [
    { stream: 'input', bytes: 6, recorded: 4, sha256: sha256('before') },
    { stream: 'input', bytes: 5, recorded: 4, sha256: sha256('flood') },
    { stream: 'input', bytes: 5, recorded: 4, sha256: sha256('again') },
  ]);
});

test('with `execLimit: full` a command is recorded whole, too', () => {
  const { written, digests, channel } = record(true, 'full');
  channel.start('exec', 'cat', 'stream', () => {});
  channel.output(Buffer.from('all of it'));
  channel.close();
  assert.deepEqual([written, digests], [[`${EventKind.output} all of it`], []]);
});
