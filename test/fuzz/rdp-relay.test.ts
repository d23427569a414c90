/**
 * Hostile peers of a relayed session: captured connections through the relay, one side of which is
 * wrong from some PDU on. A session goes on or ends with the fault of that side; never with a fault
 * of the gateway's own, and nothing is kept without bound.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Side } from '../../gateway/rdp/channels/policy.ts';
import { IO_CHANNEL } from '../../gateway/rdp/front/accept.ts';
import { Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { encodeEnhancedRedirection, RedirectionFlag } from '../../gateway/rdp/pdu/redirection.ts';
import { encodeShareControl, ShareType } from '../../gateway/rdp/pdu/share.ts';
import { pick, randomFrom } from '../support/random.ts';
import { type FuzzCase, type FuzzOutcome, fuzz, hostile } from '../support/rdp-fuzz.ts';
import {
  CLIPBOARD,
  fromTarget,
  realBlocks,
  relayed,
  sessionOf,
  settled,
  TARGET_CLIPBOARD,
  TARGET_IO,
} from '../unit/rdp/legs.ts';

/** Messages of the session proper, with the numbers of these legs; of the channels, the clipboard's. */
function sessionPdus(name: string): readonly { from: 'client' | 'target'; bytes: Buffer }[] {
  const { messages, demand } = sessionOf(name);
  const index = (realBlocks(name).channels ?? []).findIndex((channel) => channel.name === 'cliprdr');
  const clipboard = IO_CHANNEL + 1 + index;
  return messages.slice(demand, demand + 60).flatMap((message) => {
    const bytes = Buffer.from(message.bytes);
    const from = message.from === 'client' ? 'client' : 'target';
    if (bytes.length > 8000) return [];
    if (bytes[0] === 3 && bytes.length > 12 && (bytes[7] ?? 0) >= 0x64) {
      const channel = bytes.readUInt16BE(10);
      if (channel !== IO_CHANNEL && (index < 0 || channel !== clipboard)) return [];
      const numbers = from === 'client' ? [IO_CHANNEL, CLIPBOARD.id] : [TARGET_IO, TARGET_CLIPBOARD];
      bytes.writeUInt16BE(numbers[channel === IO_CHANNEL ? 0 : 1] ?? 0, 10);
    }
    return [{ from, bytes }];
  });
}

/** Sends the session on to another host. */
const REDIRECTION = (() => {
  const writer = new Writer();
  encodeShareControl(writer, ShareType.serverRedirection, 1002, (body) =>
    encodeEnhancedRedirection(body, {
      sessionId: 5,
      flags: RedirectionFlag.targetFqdn,
      targetFqdn: 'host.example',
    }),
  );
  return fromTarget(TARGET_IO, writer.done());
})();

function stageOf(pdu: Uint8Array): string {
  if (pdu[0] !== 3) return 'fast path';
  return (pdu[7] ?? 0) < 0x64 ? 'good-bye' : 'slow path';
}

/** Without rdesktop: what it was sent has drawing orders, which through the gateway are not negotiated. */
const SESSIONS = ['xrdp-16', 'xrdp-24', 'shadow-tls-16', 'xrdp-clipboard', 'xrdp-resize'].map(sessionPdus);

/** One side of a captured session is hostile from some PDU on. */
async function hostileSession(input: FuzzCase): Promise<FuzzOutcome> {
  const { random, seed } = input;
  const pdus = pick(random, SESSIONS);
  const side = pick(random, ['client', 'target'] as const);
  const right = pdus.filter(({ from }) => from === side).map(({ bytes }) => bytes);
  if (side === 'target' && random(8) === 0) right.splice(random(right.length), 0, Buffer.from(REDIRECTION));
  const at = random(3) === 0 ? random(Math.min(6, right.length)) : random(right.length);
  const wrong = hostile(random, right, at);
  input.sent = wrong;
  const session = relayed();
  const over = (): string[] => session.log.filter((line) => !line.startsWith('refused'));
  const queue = [...wrong];
  let sent = 0;
  const write = (from: Side, bytes: Uint8Array): void => {
    sent += bytes.length;
    // The relay patches PDUs in place.
    (from === 'client' ? session.front : session.back).peer.write(Buffer.from(bytes));
  };
  for (const { from, bytes } of pdus) {
    // Both legs in step: what answers what does not matter to the relay, what overtakes does.
    const next = from === side ? queue.shift() : bytes;
    if (next !== undefined) write(from, next);
    if (random(6) === 0) await settled();
    if (random(40) === 0) session.relay.lock('Locked.');
    if (random(40) === 0) session.relay.unlock();
    if (random(40) === 0) session.relay.notify('A message.');
    if (over().length > 0) break;
  }
  for (const bytes of queue) write(side, bytes);
  await settled();
  session.relay.unlock();
  await settled();
  const what = `seed ${seed}, ${side}: ${session.log.join()}`;
  assert.ok(over().length <= 1, what);
  assert.ok(
    over().every(
      (line) =>
        line.startsWith(`${side} broke: `) ||
        line === `${side} left` ||
        (side === 'target' && line.startsWith('sent on')),
    ),
    what,
  );
  // Throws where half a PDU or none was sent.
  const [there, back] = [session.front.received(), session.back.received()];
  const out = [...there, ...back].reduce((sum, pdu) => sum + pdu.length, 0);
  // What locks and messages paint is the gateway's own.
  assert.ok(out <= sent * 2 + 1024 ** 2, `${what}: ${out} bytes for ${sent}`);
  session.relay.abort(1);
  session.front.peer.destroy();
  session.back.peer.destroy();
  const ending = over()[0]?.replace(/:.*| to .*/, '') ?? 'went on';
  return { stage: `${side}'s ${stageOf(right[at] ?? assert.fail())}`, ending };
}

test('hostile sessions go on, or end with the fault of the hostile side', async (t) => {
  const { stages, endings } = await fuzz(t, 140, hostileSession);
  assert.ok(stages.size >= 4, [...stages.keys()].join());
  for (const ending of ['client broke', 'target broke', 'went on'])
    assert.ok((endings.get(ending) ?? 0) > 10, ending);
});

test('noise on a leg ends the session with the fault of that leg', async () => {
  for (let seed = 0; seed < 120; seed += 1) {
    const random = randomFrom(seed);
    const side = seed % 2 === 0 ? 'client' : 'target';
    const session = relayed();
    const noise = Buffer.from(Array.from({ length: 4 + random(300) }, () => random(256)));
    // Framing that holds reaches further in.
    if (seed % 4 > 1) {
      noise[0] = 3;
      noise.writeUInt16BE(Math.max(7, noise.length), 2);
      if (noise.length > 12) noise.set([2, 0xf0, 0x80, side === 'client' ? 0x64 : 0x68], 4);
    }
    (side === 'client' ? session.front : session.back).peer.write(noise);
    await settled();
    assert.ok(
      session.log.every((line) => line.startsWith(`${side} broke: `) || line === `${side} left`),
      `seed ${seed}: ${session.log.join()}`,
    );
  }
});
