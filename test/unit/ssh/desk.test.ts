import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Desk } from '../../../gateway/ssh/desk.ts';
import type { Leg } from '../../../gateway/ssh/leg.ts';
import { encodeMessage, Message } from '../../../gateway/ssh/wire/connection.ts';

/** A leg that keeps what it was given to send and what it was ended with. */
class FakeLeg {
  onMessage: (message: Uint8Array) => void = () => {};
  readonly sent: number[] = [];
  ended: string | undefined;
  send(message: Uint8Array): void {
    this.sent.push(message[0] ?? 0);
  }
  disconnect(_reason: number, text: string): void {
    this.ended = text;
  }
  pause(): void {}
  resume(): void {}
}

function desk() {
  const leg = new FakeLeg();
  return { leg, desk: new Desk(leg as unknown as Leg) };
}

test('a client that opens no channel is not waited for without end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { leg, desk: subject } = desk();
  const program = subject.serve();
  t.mock.timers.tick(30_000);
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
  t.mock.timers.tick(29_000);
  leg.onMessage(encodeMessage(Message.channelRequest, 0x5a11_0000, 'exec', true, 'id'));
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
    leg.onMessage(encodeMessage(Message.channelData, 0x5a11_0000, 'k'));
  assert.match(error?.message ?? '', /messages .*wait on the channel/);
});
