import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askLine, pickTarget } from '../../../gateway/ssh/ask.ts';
import { Desk } from '../../../gateway/ssh/desk.ts';
import type { Leg } from '../../../gateway/ssh/leg.ts';
import { encodeMessage, Message } from '../../../gateway/ssh/wire/connection.ts';

const DESK_CHANNEL = 0x5a11_0000;

/** A leg that keeps what it was given to send and what it was ended with. */
class FakeLeg {
  onMessage: (message: Uint8Array) => void = () => {};
  onCongestion: (congested: boolean) => void = () => {};
  onClose: (error: Error | undefined) => void = () => {};
  readonly sent: number[] = [];
  pauses = 0;
  ended: string | undefined;
  send(message: Uint8Array): void {
    this.sent.push(message[0] ?? 0);
  }
  disconnect(_reason: number, text: string): void {
    this.ended = text;
  }
  pause(why: number): void {
    this.pauses |= why;
  }
  resume(why: number): void {
    this.pauses &= ~why;
  }
}

function desk() {
  const leg = new FakeLeg();
  return { leg, desk: new Desk(leg as unknown as Leg) };
}

test('a client that opens no channel is not waited for without end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { leg, desk: subject } = desk();
  const program = subject.serve();
  t.mock.timers.tick(10_000);
  assert.equal(await program, undefined);
  subject.fail('no target is named');
  t.mock.timers.tick(2_000);
  assert.equal(leg.ended, 'no target is named');
});

test('a client that asks for a program gets it, whatever the time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { leg, desk: subject } = desk();
  const program = subject.serve();
  leg.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000, 1_000));
  t.mock.timers.tick(9_000);
  leg.onMessage(encodeMessage(Message.channelRequest, DESK_CHANNEL, 'exec', true, 'id'));
  assert.equal((await program)?.request, 'exec');
  assert.deepEqual(leg.sent, [Message.channelOpenConfirmation, Message.channelSuccess]);
});

test('a client with no room that types on and on is stopped, not kept for', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { leg, desk: subject } = desk();
  let error: Error | undefined;
  subject.onProtocolError = (caught) => {
    error ??= caught;
  };
  void subject.serve();
  leg.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 0, 1_000));
  subject.onInput = () => subject.write('x'.repeat(100));
  for (let count = 0; count < 20_000 && error === undefined; count += 1)
    leg.onMessage(encodeMessage(Message.channelData, DESK_CHANNEL, 'k'));
  assert.match(error?.message ?? '', /messages .*wait on the channel/);
});

const keepalive = encodeMessage(Message.globalRequest, 'keepalive@openssh.com', true);

/** A desk that serves a terminal whose person has still to answer. */
function serving() {
  const { leg, desk: subject } = desk();
  const errors: Error[] = [];
  subject.onProtocolError = (error) => errors.push(error);
  const program = subject.serve();
  leg.onMessage(encodeMessage(Message.channelOpen, 'session', 3, 1_000_000, 1_000));
  const terminal = ['xterm', 80, 24, 0, 0, ''] as const;
  leg.onMessage(encodeMessage(Message.channelRequest, DESK_CHANNEL, 'pty-req', false, ...terminal));
  leg.onMessage(encodeMessage(Message.channelRequest, DESK_CHANNEL, 'shell', false));
  leg.sent.length = 0;
  return { leg, desk: subject, program, errors };
}

test('keepalives are answered while a person thinks and while the target is dialled', () => {
  const { leg, desk: subject } = serving();
  leg.onMessage(keepalive);
  // Other programs' keepalives are requests that nobody knows; both kinds have had their answer.
  leg.onMessage(encodeMessage(Message.globalRequest, 'keepalive@libssh2.org', true));
  leg.onMessage(encodeMessage(Message.channelRequest, DESK_CHANNEL, 'keepalive@openssh.com', true));
  leg.onMessage(encodeMessage(Message.globalRequest, 'keepalive@openssh.com', false));
  subject.hold();
  leg.onMessage(keepalive);
  assert.deepEqual(leg.sent, [
    Message.requestFailure,
    Message.requestFailure,
    Message.channelFailure,
    Message.requestFailure,
  ]);
  assert.deepEqual(subject.release(), []);
  assert.equal(subject.channel?.requests.length, 2, 'the terminal and the shell');
});

test('a keepalive is not answered before a request that the target must answer', () => {
  const { leg, desk: subject } = serving();
  const forward = encodeMessage(Message.globalRequest, 'tcpip-forward', true, '', 8080);
  leg.onMessage(forward);
  leg.onMessage(keepalive);
  subject.hold();
  leg.onMessage(keepalive);
  assert.deepEqual(leg.sent, [Message.ignore, Message.ignore]);
  assert.deepEqual(subject.release(), [forward, keepalive, keepalive]);
  leg.onMessage(keepalive);
  assert.equal(leg.sent.at(-1), Message.requestFailure);
});

test('a failure answers all that was held, each once and in order', () => {
  const { leg, desk: subject } = serving();
  leg.onMessage(encodeMessage(Message.globalRequest, 'tcpip-forward', true, '', 8080));
  leg.onMessage(keepalive);
  leg.sent.length = 0;
  subject.fail('no');
  assert.deepEqual(
    leg.sent.filter((number) => number < Message.channelOpen),
    [Message.requestFailure, Message.requestFailure],
  );
});

test('of sizes that come while a person thinks only the last is kept', () => {
  const { leg, desk: subject, errors } = serving();
  const resize = (columns: number): Uint8Array =>
    encodeMessage(Message.channelRequest, DESK_CHANNEL, 'window-change', false, columns, 24, 0, 0);
  const seen: number[] = [];
  subject.onResize = (size) => seen.push(size.columns);
  for (let columns = 1; columns <= 2_000; columns += 1) leg.onMessage(resize(columns));
  assert.deepEqual(errors, []);
  assert.equal(seen.length, 2_000);
  assert.deepEqual(subject.channel?.requests.slice(2), [resize(2_000)]);
});

test('a client that does not read what it is answered is not read either, until it is relayed', () => {
  const { leg, desk: subject } = serving();
  leg.onCongestion(true);
  assert.notEqual(leg.pauses, 0);
  leg.onCongestion(false);
  assert.equal(leg.pauses, 0);
  leg.onCongestion(true);
  subject.release();
  assert.equal(leg.pauses, 0);
});

const TERMINAL = { term: 'xterm', columns: 80, rows: 24 };
const CHOICE = { account: 'a', system: 's', protocol: 'ssh', policy: 'p', reasonRequired: false } as const;

for (const [where, asks] of [
  ['before it opens a channel', (subject: Desk) => subject.serve()],
  ['at the list of targets', (subject: Desk) => pickTarget(subject, TERMINAL, [CHOICE, CHOICE])],
  ['when it is asked for a reason', (subject: Desk) => askLine(subject, 'Reason: ')],
] as const)
  test(`a client that leaves ${where} is not waited for`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { leg, desk: subject } = desk();
    const answer = asks(subject);
    leg.onClose(undefined);
    const turn = new Promise((resolve) => setImmediate(resolve, 'still waits'));
    assert.equal(await Promise.race([answer, turn]), undefined);
  });
