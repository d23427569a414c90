import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Capability } from '../../../gateway/policy/capability.ts';
import type { ServedChannel } from '../../../gateway/ssh/desk.ts';
import type { Leg } from '../../../gateway/ssh/leg.ts';
import { SessionRecord } from '../../../gateway/ssh/record.ts';
import { Relay } from '../../../gateway/ssh/relay.ts';
import { encodeMessage, Message, OpenFailure, STDERR } from '../../../gateway/ssh/wire/connection.ts';
import { EventKind, type Recording } from '../../../recorder/index.ts';

/** A leg that keeps what it was given to send, addressed as the peer gets it. */
class FakeLeg {
  onMessage: (message: Uint8Array) => void = () => {};
  onCongestion: (congested: boolean) => void = () => {};
  #sent: Uint8Array[] = [];
  send(message: Uint8Array, recipient?: number): void {
    const copy = new Uint8Array(message);
    if (recipient !== undefined) new DataView(copy.buffer).setUint32(1, recipient);
    this.#sent.push(copy);
  }
  pause(): void {}
  resume(): void {}
  /** What was sent since the last call. */
  take(): Uint8Array[] {
    return this.#sent.splice(0);
  }
}

/** The number that the desk gave the client's channel 3, and the target's number for it. */
const DESK = 77;
const TARGET = 9;
const PTY = ['pty-req', true, 'xterm', 80, 24, 0, 0, ''] as const;

const SERVED: ServedChannel = {
  clientNumber: 3,
  clientWindow: 1_000,
  clientMaxPacket: 500,
  address: DESK,
  believed: 2_000,
  requests: [
    encodeMessage(Message.channelRequest, DESK, ...PTY),
    encodeMessage(Message.channelRequest, DESK, 'shell', true),
  ],
};

/** A relay that takes `channel` over from a desk, and `held` with it. */
function relay(
  channel: ServedChannel | undefined,
  held: readonly Uint8Array[] = [],
  allow: readonly Capability[] = ['shell'],
) {
  const [front, back] = [new FakeLeg(), new FakeLeg()];
  const failures: string[] = [];
  const errors: unknown[] = [];
  const written: string[] = [];
  const recording: Recording = {
    write: (kind, _channel, payload) => void written.push(`${kind} ${Buffer.from(payload).toString()}`),
    note() {},
    hashStream: () => ({ update() {}, digest: (then) => then('') }),
    paused: false,
    seal: () => Promise.reject(new Error('is not sealed here')),
  };
  const subject = new Relay({
    front: front as unknown as Leg,
    back: back as unknown as Leg,
    record: new SessionRecord({ sessionId: 's', recording, keystrokes: false, execLimit: 1_000 }),
    policy: 'ops',
    allow,
    maxChannels: 4,
    onRefusal() {},
    onProtocolError: (_fault, error) => errors.push(error),
    onFault: (error) => errors.push(error),
  });
  subject.start({ channel, release: () => held, fail: (text) => failures.push(text) });
  return { subject, front, back, failures, errors, written };
}

test('a channel that the desk answered is opened at the target, its requests are made again', () => {
  const typed = encodeMessage(Message.channelData, DESK, 'id\r');
  const { front, back, errors } = relay(SERVED, [typed]);
  assert.deepEqual(back.take(), [encodeMessage(Message.channelOpen, 'session', 3, 1_000, 500)]);
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  assert.deepEqual(back.take(), [
    encodeMessage(Message.channelRequest, TARGET, ...PTY),
    encodeMessage(Message.channelRequest, TARGET, 'shell', true),
    encodeMessage(Message.channelData, TARGET, 'id\r'),
  ]);
  // The desk has answered both requests: the client must not hear of them again.
  back.onMessage(encodeMessage(Message.channelSuccess, 3));
  back.onMessage(encodeMessage(Message.channelSuccess, 3));
  assert.deepEqual(front.take(), []);
  back.onMessage(encodeMessage(Message.channelData, 3, 'uid=0'));
  assert.deepEqual(front.take(), [encodeMessage(Message.channelData, 3, 'uid=0')]);
  assert.deepEqual(errors, []);
  // Closed by both, it is gone under the desk's number, too.
  front.onMessage(encodeMessage(Message.channelClose, DESK));
  back.onMessage(encodeMessage(Message.channelClose, 3));
  assert.deepEqual(errors, []);
  front.onMessage(typed);
  assert.match(String(errors), /names channel 77, which is not open/);
});

test('a target that opens no channel is named to the client of the desk', () => {
  const { front, back, failures, errors } = relay(SERVED);
  back.onMessage(encodeMessage(Message.channelOpenFailure, 3, OpenFailure.resourceShortage, 'no more', ''));
  assert.deepEqual(failures, ['the target refused a session: no more']);
  assert.deepEqual([front.take(), errors], [[], []]);
});

test('a program that the target refuses after the desk promised it ends with the reason', () => {
  const { front, back, errors } = relay(SERVED);
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  back.onMessage(encodeMessage(Message.channelSuccess, 3));
  back.onMessage(encodeMessage(Message.channelFailure, 3));
  assert.deepEqual(front.take(), [
    encodeMessage(Message.channelData, 3, 'sallyport: the target refused the shell request\r\n'),
    encodeMessage(Message.channelRequest, 3, 'exit-status', false, 1),
    encodeMessage(Message.channelEof, 3),
    encodeMessage(Message.channelClose, 3),
  ]);
  assert.deepEqual(errors, []);
});

test('X11 that the desk promised is taken back in words, by policy or by the target', () => {
  const x11 = encodeMessage(Message.channelRequest, DESK, 'x11-req', true, false, 'MIT', 'cookie', 0);
  const served = { ...SERVED, requests: [x11, ...SERVED.requests] };
  const shown = (words: string): Uint8Array =>
    encodeMessage(Message.channelExtendedData, 3, STDERR, `sallyport: ${words}\r\n`);
  const refused = relay(served);
  refused.back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  assert.deepEqual(refused.front.take(), [shown('policy ops does not allow x11')]);
  const passed = relay(served, [], ['shell', 'x11']);
  passed.back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  passed.back.onMessage(encodeMessage(Message.channelFailure, 3));
  // It is a terminal by then, asked for behind it.
  assert.deepEqual(passed.front.take(), [
    encodeMessage(Message.channelData, 3, 'sallyport: the target refused the x11-req request\r\n'),
  ]);
  assert.deepEqual([refused.errors, passed.errors], [[], []]);
});

test('answers of the gateway wait for those of the target that were asked for before', () => {
  const { front, back, errors } = relay(undefined);
  front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000, 500));
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  front.take();
  back.take();
  front.onMessage(encodeMessage(Message.channelRequest, TARGET, ...PTY));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET, ...PTY));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET, 'tun', true));
  assert.deepEqual(back.take(), [encodeMessage(Message.channelRequest, TARGET, ...PTY)], 'one terminal only');
  assert.deepEqual(front.take(), []);
  back.onMessage(encodeMessage(Message.channelSuccess, 3));
  assert.deepEqual(front.take(), [
    encodeMessage(Message.channelSuccess, 3),
    encodeMessage(Message.channelFailure, 3),
    encodeMessage(Message.channelFailure, 3),
  ]);
  // Whether there is a terminal must be known, even if the client does not ask.
  front.onMessage(encodeMessage(Message.channelOpen, 'session', 4, 1_000, 500));
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 4, TARGET + 1, 2_000, 400));
  back.take();
  front.onMessage(
    encodeMessage(Message.channelRequest, TARGET + 1, 'pty-req', false, 'xterm', 80, 24, 0, 0, ''),
  );
  assert.deepEqual(back.take(), [encodeMessage(Message.channelRequest, TARGET + 1, ...PTY)]);
  assert.deepEqual(errors, []);
});

/** A relay with one session that the client opened as 3, with a window of `window`; nothing is left to be taken. */
function withSession(window: number) {
  const one = relay(undefined);
  one.front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, window, 500));
  one.back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  one.front.onMessage(encodeMessage(Message.channelRequest, TARGET, 'shell', false));
  one.front.take();
  one.back.take();
  return one;
}

const EXIT = encodeMessage(Message.channelRequest, 3, 'exit-status', false, 7);
const EOF = encodeMessage(Message.channelEof, 3);
const CLOSE = encodeMessage(Message.channelClose, 3);

/** Whether a promise is resolved by now. */
const resolved = (promise: Promise<void>): Promise<boolean> =>
  Promise.race([promise.then(() => true), new Promise<boolean>((then) => setImmediate(() => then(false)))]);

test('a target that leaves once it has closed its channel leaves the client to read on', async () => {
  const { subject, front, back, errors } = withSession(10);
  subject.show('1234567890');
  front.take();
  const output = encodeMessage(Message.channelData, 3, 'output');
  for (const message of [output, EXIT, EOF, CLOSE]) back.onMessage(message);
  assert.deepEqual(front.take(), [], 'the text of the gateway has filled the window');
  assert.equal(subject.targetLeft(), true);
  front.onMessage(encodeMessage(Message.channelOpen, 'session', 4, 1_000, 500));
  front.onMessage(encodeMessage(Message.channelWindowAdjust, TARGET, 10));
  assert.deepEqual(front.take(), [output, EXIT, EOF, CLOSE]);
  assert.equal(await resolved(subject.dismissed), false);
  front.onMessage(encodeMessage(Message.channelClose, TARGET));
  assert.equal(await resolved(subject.dismissed), true);
  assert.equal(subject.abort('gone'), false, 'nobody is left to tell');
  assert.deepEqual([front.take(), errors], [[], []]);
});

test('a target that leaves without a close once its program has ended has its channel closed', async () => {
  const { subject, front, back, errors } = withSession(1_000);
  for (const message of [EXIT, EOF]) back.onMessage(message);
  assert.equal(subject.targetLeft(), true);
  assert.deepEqual(front.take(), [EXIT, EOF, CLOSE]);
  assert.equal(await resolved(subject.dismissed), false);
  front.onMessage(encodeMessage(Message.channelClose, TARGET));
  assert.equal(await resolved(subject.dismissed), true);
  assert.deepEqual(errors, []);
});

test('nothing is added to a channel that is closed to the client, and a program cut off is told', async () => {
  const { subject, front, back, errors } = withSession(1_000);
  front.onMessage(encodeMessage(Message.channelOpen, 'session', 4, 1_000, 500));
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 4, TARGET + 1, 2_000, 400));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET + 1, 'shell', false));
  for (const message of [EXIT, EOF, CLOSE]) back.onMessage(message);
  front.take();
  assert.equal(subject.targetLeft(), false);
  assert.equal(subject.abort('gone'), true);
  assert.deepEqual(front.take(), [
    encodeMessage(Message.channelExtendedData, 4, 1, 'gone'),
    encodeMessage(Message.channelRequest, 4, 'exit-status', false, 1),
    encodeMessage(Message.channelEof, 4),
    encodeMessage(Message.channelClose, 4),
  ]);
  // Its leg is closed now, which says nothing of what the client has read.
  assert.equal(subject.targetLeft(), false);
  assert.equal(await resolved(subject.dismissed), false, 'nothing has been read yet');
  front.onMessage(encodeMessage(Message.channelClose, TARGET + 1));
  assert.equal(await resolved(subject.dismissed), false, 'the other channel is still being read');
  front.onMessage(encodeMessage(Message.channelClose, TARGET));
  assert.equal(await resolved(subject.dismissed), true);
  assert.deepEqual(errors, []);
});

test('what a target does not take for input neither passes nor is recorded, and costs the client no window', () => {
  const { front, back, written, errors } = relay(undefined, [], ['exec']);
  front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000, 500));
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET, 'exec', false, 'cat'));
  const eof = encodeMessage(Message.channelEof, TARGET);
  for (const leg of [back, front]) leg.take();
  front.onMessage(encodeMessage(Message.channelExtendedData, TARGET, STDERR, 'aside'));
  front.onMessage(encodeMessage(Message.channelData, TARGET, 'input'));
  front.onMessage(eof);
  front.onMessage(encodeMessage(Message.channelData, TARGET, 'behind the end'));
  assert.deepEqual(back.take(), [encodeMessage(Message.channelData, TARGET, 'input'), eof]);
  assert.deepEqual(written, [`${EventKind.input} input`]);
  assert.deepEqual(front.take(), [
    encodeMessage(Message.channelWindowAdjust, 3, 5),
    encodeMessage(Message.channelWindowAdjust, 3, 14),
  ]);
  assert.deepEqual(errors, []);
});

test('a client that overruns the window of its target is stopped', () => {
  const { front, back, errors } = relay(undefined, [], ['exec']);
  front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000, 500));
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 10, 400));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET, 'exec', false, 'cat'));
  back.take();
  front.onMessage(encodeMessage(Message.channelData, TARGET, '0123456789a'));
  assert.deepEqual(back.take(), []);
  assert.match(String(errors), /11 bytes of data overrun the window of the channel/);
});

test('the target of a long stream is lent window, one of a terminal or behind a close is not', () => {
  const MIB = 1024 ** 2;
  const chunk = encodeMessage(Message.channelData, 3, '.'.repeat(32_000));
  /** Sends `bytes` and more; returns what the target was told meanwhile. */
  const stream = ({ front, back }: ReturnType<typeof relay>, bytes: number): Uint8Array[] => {
    for (let sent = 0; sent < bytes; sent += 32_000) back.onMessage(chunk);
    front.take();
    return back.take();
  };
  const opened = (...requests: (readonly [string, ...(string | number | boolean)[]])[]) => {
    const one = relay(undefined, [], ['shell', 'exec']);
    one.front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 16 * MIB, 32_768));
    one.back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
    for (const request of requests) {
      one.front.onMessage(encodeMessage(Message.channelRequest, TARGET, ...request));
      if (request[1] === true) one.back.onMessage(encodeMessage(Message.channelSuccess, 3));
    }
    for (const leg of [one.front, one.back]) leg.take();
    return one;
  };
  const command = opened(['exec', false, 'cat big']);
  assert.deepEqual(stream(command, 3 * MIB), []);
  assert.deepEqual(stream(command, 2 * MIB), [
    encodeMessage(Message.channelWindowAdjust, TARGET, 256 * 1024),
  ]);
  assert.deepEqual(stream(command, 4 * MIB), [], 'once');
  const terminal = opened(PTY, ['shell', false]);
  assert.deepEqual(stream(terminal, 9 * MIB), []);
  const closed = opened(['exec', false, 'cat big']);
  assert.deepEqual(stream(closed, 3 * MIB), []);
  closed.front.onMessage(encodeMessage(Message.channelClose, TARGET));
  assert.deepEqual(stream(closed, 2 * MIB), [encodeMessage(Message.channelClose, TARGET)]);
  for (const { errors } of [command, terminal, closed]) assert.deepEqual(errors, []);
});

test('SFTP and SCP on a terminal are commands like others', () => {
  for (const program of [
    ['subsystem', true, 'sftp'],
    ['exec', true, 'scp -t /tmp'],
  ] as const) {
    const { front, back, errors } = relay(undefined, [], ['sftp', 'scp']);
    front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000, 500));
    back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
    front.onMessage(encodeMessage(Message.channelRequest, TARGET, ...PTY));
    back.onMessage(encodeMessage(Message.channelSuccess, 3));
    for (const leg of [back, front]) leg.take();
    front.onMessage(encodeMessage(Message.channelRequest, TARGET, ...program));
    assert.deepEqual(back.take(), [encodeMessage(Message.channelClose, TARGET)]);
    assert.match(Buffer.concat(front.take()).toString(), /sallyport: policy ops does not allow exec/);
    assert.deepEqual(errors, []);
  }
});

test('a lock holds what is no terminal, and lets no terminal begin', () => {
  const { subject, front, back, errors } = relay(undefined, [], ['shell']);
  front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000, 500));
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET, ...PTY));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET, 'shell', true));
  subject.lock('locked');
  // The target refuses the terminal: what was a terminal's input is a stream's.
  back.onMessage(encodeMessage(Message.channelFailure, 3));
  back.take();
  front.onMessage(encodeMessage(Message.channelData, TARGET, 'rm -rf /'));
  assert.deepEqual(back.take(), []);
  subject.unlock('unlocked');
  assert.deepEqual(back.take(), [encodeMessage(Message.channelData, TARGET, 'rm -rf /')]);

  const other = relay(undefined, [], ['shell']);
  other.front.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000, 500));
  other.back.onMessage(encodeMessage(Message.channelOpenConfirmation, 3, TARGET, 2_000, 400));
  other.subject.lock('locked');
  for (const leg of [other.front, other.back]) leg.take();
  other.front.onMessage(encodeMessage(Message.channelData, TARGET, 'early'));
  other.front.onMessage(encodeMessage(Message.channelRequest, TARGET, ...PTY));
  assert.deepEqual(other.back.take(), []);
  assert.deepEqual(other.front.take(), [encodeMessage(Message.channelFailure, 3)]);
  assert.deepEqual([errors, other.errors], [[], []]);
});

test('what clients do by themselves does not count against the idle limit, what people do does', () => {
  const { subject, front, back, errors } = withSession(1_000);
  const request = (...fields: [string, ...(string | number | boolean)[]]): Uint8Array =>
    encodeMessage(Message.channelRequest, TARGET, ...fields);
  subject.takeActive();
  for (const [what, message] of [
    ['PuTTY’s window probe', request('winadj@putty.projects.tartarus.org', true)],
    ['the keepalive of Dropbear’s client', request('keepalive@openssh.com', true)],
    ['OpenSSH’s', encodeMessage(Message.globalRequest, 'keepalive@openssh.com', true)],
    ['room for output', encodeMessage(Message.channelWindowAdjust, TARGET, 100)],
    ['a channel of no known type', encodeMessage(Message.channelOpen, 'probe', 8, 1_000, 500)],
  ] as const) {
    front.onMessage(message);
    assert.equal(subject.takeActive(), false, what);
  }
  for (const [what, message] of [
    ['input', encodeMessage(Message.channelData, TARGET, 'x')],
    ['a signal', request('signal', false, 'INT')],
    ['a new size', request('window-change', false, 80, 25, 0, 0)],
    ['a channel', encodeMessage(Message.channelOpen, 'session', 9, 1_000, 500)],
  ] as const) {
    front.onMessage(message);
    assert.equal(subject.takeActive(), true, what);
  }
  back.onMessage(encodeMessage(Message.channelOpenConfirmation, 9, TARGET + 1, 2_000, 400));
  front.onMessage(encodeMessage(Message.channelRequest, TARGET + 1, 'exec', true, 'id'));
  assert.equal(subject.takeActive(), true, 'a program, though policy refuses it');
  assert.deepEqual(errors, []);
});
