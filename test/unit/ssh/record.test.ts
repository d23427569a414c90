import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionRecord } from '../../../gateway/ssh/record.ts';
import { EventKind, type Recording } from '../../../recorder/index.ts';

/** A record, and the raw events that it wrote as `kind text`. */
function record(keystrokes: boolean) {
  const written: string[] = [];
  const recording: Recording = {
    write: (kind, _channel, payload) => void written.push(`${kind} ${Buffer.from(payload).toString()}`),
    note() {},
    hashStream: () => ({ update() {}, digest() {} }),
    paused: false,
    seal: () => Promise.reject(new Error('is not sealed here')),
  };
  const session = new SessionRecord({ sessionId: 's', recording, keystrokes, execLimit: 1_000 });
  return { written, channel: session.openChannel({ type: 'session', openedBy: 'client' }) };
}

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
