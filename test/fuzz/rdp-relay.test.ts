/**
 * Hostile peers of a relayed session: captured connections, damaged, through the relay from both
 * sides and through both handshakes. A session goes on or ends with the fault of the side that
 * was damaged; never with a fault of the gateway's own, and nothing is kept without bound.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptClient, IO_CHANNEL, RefusedClientError } from '../../gateway/rdp/accept.ts';
import { PduError } from '../../gateway/rdp/pdu/cursor.ts';
import { TpduCode, tpduCode } from '../../gateway/rdp/pdu/x224.ts';
import { StreamClosedError } from '../../gateway/rdp/stream.ts';
import type { TraceMessage } from '../support/rdp-traces.ts';
import { seeded } from '../support/replay.ts';
import {
  CLIPBOARD,
  leg,
  realBlocks,
  relayed,
  sessionOf,
  settled,
  TARGET_CLIPBOARD,
  TARGET_IO,
} from '../unit/rdp/legs.ts';

type Random = (below: number) => number;

function randomOf(seed: number): Random {
  const next = seeded(seed);
  return (below) => Math.floor(next() * below);
}

/** Damages a PDU; mostly its length still holds, so that the damage gets past the framing. */
function mutate(random: Random, pdu: Uint8Array): Buffer {
  const out = Buffer.from(pdu);
  // The first kilobyte holds all headers; the rest is pixels.
  const reach = Math.min(out.length, 1024);
  for (let n = 1 + random(3); n > 0; n -= 1) {
    const at =
      random(16) === 0 ? random(reach) : Math.min(4, out.length - 1) + random(Math.max(1, reach - 4));
    const value = [0, 1, 0x7f, 0x80, 0xff, random(256)][random(6)] ?? 0;
    if (at < out.length) out.writeUInt8(value, at);
  }
  if (random(4) > 0) return out;
  const cut = Buffer.from(out.subarray(0, 1 + random(out.length)));
  // A shorter PDU that says so.
  if (cut.length >= 7 && cut[0] === 3) cut.writeUInt16BE(cut.length, 2);
  return cut;
}

/** Messages of the session proper, with the numbers of these legs; of the channels, the clipboard's. */
function sessionPdus(name: string): readonly { from: 'client' | 'target'; bytes: Buffer }[] {
  const { messages, demand } = sessionOf(name);
  const index = (realBlocks(name).channels ?? []).findIndex((channel) => channel.name === 'cliprdr');
  const clipboard = IO_CHANNEL + 1 + index;
  return messages.slice(demand, demand + 90).flatMap((message) => {
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

test('damaged sessions go on, or end with the fault of the damaged side', async () => {
  const sessions = ['xrdp-16', 'rdesktop-xrdp-16', 'shadow-tls-16', 'xrdp-clipboard'].map(sessionPdus);
  let [ended, crossed] = [0, 0];
  for (let seed = 0; seed < 160; seed += 1) {
    const random = randomOf(seed);
    const pdus = sessions[seed % sessions.length] ?? [];
    const side = random(2) === 0 ? 'client' : 'target';
    const session = relayed();
    if (random(8) === 0) session.relay.locked = true;
    let sent = 0;
    for (const { from, bytes } of pdus) {
      const damaged = from === side && random(4) === 0;
      const pdu = damaged ? mutate(random, bytes) : Buffer.from(bytes);
      (from === 'client' ? session.front : session.back).peer.write(pdu);
      sent += pdu.length;
      // Both legs in step: what answers what does not matter to the relay, what overtakes does.
      if (random(4) === 0) await settled();
      if (session.log.some((line) => !line.startsWith('refused'))) break;
    }
    await settled();
    session.relay.locked = false;
    await settled();
    const what = `seed ${seed}, ${side}: ${session.log.join()}`;
    const over = session.log.filter((line) => !line.startsWith('refused'));
    assert.ok(over.length <= 1, what);
    assert.ok(
      over.every((line) => line.startsWith(`${side} broke: `) || line === `${side} left`),
      what,
    );
    if (over.length > 0) ended += 1;
    // Throws where half a PDU or none was sent.
    const [there, back] = [session.front.received(), session.back.received()];
    crossed += there.length + back.length;
    const out = [...there, ...back].reduce((sum, pdu) => sum + pdu.length, 0);
    assert.ok(out <= sent * 2 + 4096, `${what}: ${out} bytes for ${sent}`);
    session.front.peer.destroy();
    session.back.peer.destroy();
  }
  assert.ok(ended > 30, `${ended} ended`);
  assert.ok(crossed > 1000, `${crossed} PDUs crossed`);
});

test('noise on a leg ends the session with the fault of that leg', async () => {
  for (let seed = 0; seed < 120; seed += 1) {
    const random = randomOf(seed);
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

test('a damaged first PDU is refused, or taken for what it is', async () => {
  const { messages } = sessionOf('xrdp-16');
  const [request] = messages as [TraceMessage];
  assert.equal(tpduCode(request.bytes), TpduCode.connectionRequest);
  const context = (await import('node:tls')).createSecureContext();
  let [refused, broke] = [0, 0];
  for (let seed = 0; seed < 240; seed += 1) {
    const random = randomOf(seed);
    const { stream, peer } = leg();
    const outcome = acceptClient(stream, { tls: context }).then(
      () => assert.fail('nobody has logged on'),
      (error: unknown) => error,
    );
    peer.write(
      seed % 3 === 0
        ? Buffer.from(Array.from({ length: random(64) }, () => random(256)))
        : mutate(random, request.bytes),
    );
    await settled();
    peer.destroy();
    await settled();
    stream.destroy();
    const error = await outcome;
    const known =
      error instanceof PduError || error instanceof StreamClosedError || error instanceof RefusedClientError;
    assert.ok(known, `seed ${seed}: ${String(error)}`);
    if (error instanceof PduError) broke += 1;
    if (error instanceof RefusedClientError) refused += 1;
  }
  assert.ok(broke > 50 && refused > 0, `${broke} broke the protocol, ${refused} were refused`);
});
