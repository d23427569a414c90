/**
 * Hostile RDP peers for fuzzing: PDUs damaged at the layer of choice with the lengths around
 * them put right, so that the damage gets as deep as it can, and sequences of PDUs that are cut,
 * repeated, out of order or of another stage.
 *
 * `npm test` runs a fixed number of seeds. With FUZZ_SECONDS=n in the environment each run goes
 * on for n seconds, from FUZZ_SEED (by default the time) on, and prints what it did.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import {
  decodeConferenceCreateRequest,
  decodeConferenceCreateResponse,
  encodeConferenceCreateRequest,
  encodeConferenceCreateResponse,
} from '../../gateway/rdp/pdu/gcc.ts';
import * as mcs from '../../gateway/rdp/pdu/mcs.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { dataReader, TpduCode, tpduCode, withData } from '../../gateway/rdp/pdu/x224.ts';
import { damaged, noise, pick, type Random, randomFrom } from './random.ts';

/** A layer of a PDU: what it holds, and the PDU around something else in its place. */
interface Layer {
  readonly content: Uint8Array;
  around(content: Uint8Array): Uint8Array;
}

const TPKT = 3;
const DER_SEQUENCE = 0x30;

/** The layers of a PDU, the whole of it first. */
function layersOf(pdu: Uint8Array): Layer[] {
  const layers: Layer[] = [{ content: pdu, around: (content) => content }];
  if (pdu[0] === DER_SEQUENCE) return [...layers, derLayer(pdu)];
  if (pdu[0] !== TPKT) return ((pdu[0] ?? 0) & 3) === 0 ? [...layers, fastPathLayer(pdu)] : layers;
  layers.push({
    content: pdu.subarray(4),
    around: (content) => {
      const head = Buffer.from([TPKT, 0, 0, 0]);
      head.writeUInt16BE(Math.min(0xffff, content.length + 4), 2);
      return Buffer.concat([head, content]);
    },
  });
  if (tpduCode(pdu) !== TpduCode.data) {
    // The length indicator of a connection request or confirm.
    layers.push({
      content: pdu.subarray(5),
      around: (content) => {
        const head = Buffer.from([TPKT, 0, 0, 0, Math.min(254, content.length)]);
        head.writeUInt16BE(Math.min(0xffff, content.length + 5), 2);
        return Buffer.concat([head, content]);
      },
    });
    return layers;
  }
  const data = readSendData(pdu);
  if (data !== undefined) {
    const head = pdu.subarray(7, 13);
    const content = pdu.subarray(data.dataOffset);
    const around = (inner: Uint8Array): Uint8Array =>
      withData((writer) =>
        writer
          .bytes(head)
          .u16be(0x8000 | (inner.length & 0x7fff))
          .bytes(inner),
      );
    layers.push({ content, around });
    const [low = 0, high = 0] = content;
    if ((low | (high << 8)) !== content.length) return layers;
    // A share control header and, as most have it, a share data header.
    for (const bytes of [6, 18])
      if (content.length > bytes)
        layers.push({
          content: content.subarray(bytes),
          around: (inner) => {
            const share = Buffer.concat([content.subarray(0, bytes), inner]);
            share.writeUInt16LE(share.length & 0x7fff);
            return around(share);
          },
        });
    return layers;
  }
  return [...layers, ...connectLayers(pdu)];
}

/** Of Connect Initial and Connect Response: the GCC conference and the blocks in it. */
function connectLayers(pdu: Uint8Array): Layer[] {
  const inner = (write: (writer: Writer) => void): Uint8Array => {
    const writer = new Writer();
    write(writer);
    return writer.done();
  };
  if (pdu[7] !== 0x7f) return [];
  if (pdu[8] === 0x65) {
    const initial = mcs.decodeConnectInitial(dataReader(pdu));
    const around = (userData: Uint8Array): Uint8Array =>
      withData((writer) => mcs.encodeConnectInitial(writer, { ...initial, userData }));
    const blocks = decodeConferenceCreateRequest(new Reader(initial.userData)).rest();
    return [
      { content: initial.userData, around },
      {
        content: blocks,
        around: (content) => around(inner((writer) => encodeConferenceCreateRequest(writer, content))),
      },
    ];
  }
  const response = mcs.decodeConnectResponse(dataReader(pdu));
  const around = (userData: Uint8Array): Uint8Array =>
    withData((writer) => mcs.encodeConnectResponse(writer, { ...response, userData }));
  const blocks = decodeConferenceCreateResponse(new Reader(response.userData)).rest();
  return [
    { content: response.userData, around },
    {
      content: blocks,
      around: (content) => around(inner((writer) => encodeConferenceCreateResponse(writer, content))),
    },
  ];
}

function fastPathLayer(pdu: Uint8Array): Layer {
  const header = ((pdu[1] ?? 0) & 0x80) === 0 ? 2 : 3;
  return {
    content: pdu.subarray(header),
    around: (content) => {
      const head = Buffer.from([pdu[0] ?? 0, 0, 0]);
      head.writeUInt16BE(0x8000 | ((content.length + 3) & 0x7fff), 1);
      return Buffer.concat([head, content]);
    },
  };
}

function derLayer(pdu: Uint8Array): Layer {
  const first = pdu[1] ?? 0;
  return {
    content: pdu.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f)),
    around: (content) => {
      const head = Buffer.from([DER_SEQUENCE, 0x82, 0, 0]);
      head.writeUInt16BE(content.length & 0xffff, 2);
      return Buffer.concat([head, content]);
    },
  };
}

/** A PDU that is damaged at one of its layers, with the lengths around it put right. */
export function damagedPdu(random: Random, pdu: Uint8Array): Uint8Array {
  const layer = pick(random, layersOf(pdu));
  try {
    return layer.around(damaged(random, layer.content));
  } catch {
    // It became longer than its own framing can say.
    return damaged(random, pdu);
  }
}

/** A header that announces the longest PDU there is, with less behind it. */
function overlong(random: Random): Buffer {
  const body = noise(random, random(200));
  if (random(3) === 0)
    return Buffer.concat([Buffer.from([DER_SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), body]);
  return Buffer.concat([Buffer.from(random(2) === 0 ? [TPKT, 0, 0xff, 0xff] : [0, 0xff, 0xff]), body]);
}

/** What a hostile peer sends that behaves until `stage`: the right PDUs before it, then something wrong. */
export function hostile(random: Random, script: readonly Uint8Array[], stage: number): Uint8Array[] {
  const right = script.slice(0, stage);
  const pdu = script[stage] ?? assert.fail('no such stage');
  const rest = script.slice(stage + 1);
  switch (random(16)) {
    case 0:
      // Cut in the middle, and nothing more.
      return [...right, pdu.subarray(0, random(pdu.length))];
    case 1:
      return [...right, pdu, ...Array.from({ length: 1 + random(100) }, () => pdu), ...rest];
    case 2:
      return [...right, ...rest];
    case 3:
      return [...right, ...rest.slice(0, 1), pdu, ...rest.slice(1)];
    case 4:
      return [...right, pick(random, script), pdu, ...rest];
    case 5: {
      const mixed = [pdu, ...rest];
      for (let at = mixed.length - 1; at > 0; at -= 1) {
        const other = random(at + 1);
        const one = mixed[at];
        const two = mixed[other];
        if (one !== undefined && two !== undefined) [mixed[at], mixed[other]] = [two, one];
      }
      return [...right, ...mixed];
    }
    case 6:
      return [...right, overlong(random), ...rest];
    case 7:
      return [...right, noise(random, 1 + random(300)), ...rest];
    default:
      return [...right, damagedPdu(random, pdu), ...rest];
  }
}

/** The bytes in pieces as a network may deliver them: PDU by PDU, all at once, or cut anywhere. */
export function pieces(random: Random, pdus: readonly Uint8Array[]): Uint8Array[] {
  const kind = random(4);
  if (kind > 1) return [...pdus];
  const all = Buffer.concat(pdus);
  if (kind === 0) return [all];
  const found: Uint8Array[] = [];
  for (let at = 0; at < all.length; ) {
    const size = 1 + random(random(8) === 0 ? 8 : 900);
    found.push(all.subarray(at, at + size));
    at += size;
  }
  return found;
}

/** What one input did: where the damage was, and how it ended. */
export interface FuzzOutcome {
  readonly stage: string;
  readonly ending: string;
}

/** What a failing input was made of; it is written down to become a fixture. */
export interface FuzzCase {
  readonly random: Random;
  readonly seed: number;
  /** To be filled before it is sent. */
  sent: readonly Uint8Array[];
}

/** Longest time that one input may take; an ordinary one takes milliseconds, but a long run may have to stand back. */
const HANG_MS = 120_000;
/** How much more may be in use at the end of a run than after its first inputs. */
const GROWTH_BYTES = 32 * 1024 ** 2;
const WARM_UP = 30;

/**
 * Runs `one` for each seed.
 * @returns how often each stage was damaged and each ending seen
 */
export async function fuzz(
  t: TestContext,
  seeds: number,
  one: (input: FuzzCase) => Promise<FuzzOutcome>,
): Promise<{ readonly stages: ReadonlyMap<string, number>; readonly endings: ReadonlyMap<string, number> }> {
  const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
  const first = seconds > 0 ? Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31) : 0;
  const stages = new Map<string, number>();
  const endings = new Map<string, number>();
  const started = performance.now();
  let [count, longest, slowest, usedBefore] = [0, 0, 0, 0];
  const more = (): boolean => (seconds > 0 ? performance.now() - started < seconds * 1000 : count < seeds);
  for (; more(); count += 1) {
    if (count === WARM_UP) usedBefore = usedMemory();
    const seed = first + count;
    const input: FuzzCase = { random: randomFrom(seed), seed, sent: [] };
    const begun = performance.now();
    const { stage, ending } = await inTime(one(input)).catch((error: unknown) => {
      throw new Error(`seed ${seed}: ${String(error)}; what was sent is in ${keep(input)}`, { cause: error });
    });
    const took = performance.now() - begun;
    if (took > longest) [longest, slowest] = [took, seed];
    stages.set(stage, (stages.get(stage) ?? 0) + 1);
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  const growth = count > WARM_UP ? usedMemory() - usedBefore : 0;
  t.diagnostic(
    `${count} inputs from seed ${first} in ${Math.round((performance.now() - started) / 1000)} s, ` +
      `longest ${Math.round(longest)} ms (seed ${slowest}), memory ${(growth / 1024 ** 2).toFixed(1)} MiB more; ` +
      `${words(stages)}; ${words(endings)}`,
  );
  assert.ok(growth < GROWTH_BYTES, `${growth} bytes more in use after ${count} inputs`);
  return { stages, endings };
}

function words(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${what} ${count}`).join(', ');
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('it hangs')), HANG_MS);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Not removed with the test: it is to become a fixture. */
function keep({ seed, sent }: FuzzCase): string {
  const file = join(mkdtempSync(join(tmpdir(), 'sallyport-crasher-')), `${seed}.json`);
  writeFileSync(file, JSON.stringify(sent.map((bytes) => Buffer.from(bytes).toString('base64'))));
  return file;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function usedMemory(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
