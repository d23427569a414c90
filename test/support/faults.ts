/**
 * What every fault test asks afterwards: how much of what people were shown is in the recording, whether what
 * is there proves itself, and whether anything of it stayed on the node.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { signingKeysByNode } from '../../gateway/bootstrap/keys.ts';
import { IO_CHANNEL } from '../../gateway/rdp/front/accept.ts';
import { PduError } from '../../gateway/rdp/pdu/cursor.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { DataType, readShareControl, readShareData, ShareType } from '../../gateway/rdp/pdu/share.ts';
import { openStoreAt } from '../../gateway/store/open.ts';
import type { SessionRow } from '../../gateway/store/port.ts';
import {
  EventKind,
  loadIdentities,
  openArchives,
  openRecording,
  verifyRecording,
} from '../../recorder/index.ts';
import type { Gateway } from './gateway.ts';
import type { Sightings } from './sightings.ts';

export const MIB = 1024 ** 2;
/** `archive.window.ms`, as it is where a configuration says nothing. */
const WINDOW_MS = 1_000;

export interface FaultRow {
  readonly fault: string;
  readonly sink: string;
  /** What the person did: output, typing, desktop … */
  readonly what: string;
  /** Bytes that may be lost. */
  readonly declared: number;
  /** Bytes that a person was shown and the recording does not hold. */
  readonly lost: number;
  /** Bytes that the recording does hold. */
  readonly recorded: number;
  /** The same of time, where something may be lost. */
  readonly age?: LostAge;
}

/** How old the oldest is of what a person was shown and the recording does not hold. */
export interface LostAge {
  /** Milliseconds up to the fault, at least. */
  readonly lostMs: number;
  /** How many that may be: the window, and what this machine was late with at that moment. */
  readonly allowedMs: number;
  /** Bytes that had been shown longer before the fault than that. */
  readonly due: number;
}

const rows: FaultRow[] = [];
/** Of all rows of a file, bytes that had to be recorded for their age: where it is nothing, it proves nothing. */
export const dueInAll = (what: string): number =>
  rows.filter((row) => row.what === what).reduce((sum, { age }) => sum + (age?.due ?? 0), 0);
const lineOf = ({ fault, sink, what, declared, lost, recorded, age }: FaultRow, times: number): string => {
  const declaredMs = age === undefined ? 0 : WINDOW_MS;
  const lostMs = Math.round(age?.lostMs ?? 0);
  return [fault, sink, what, times, declared, lost, declaredMs, lostMs, recorded].join(' | ');
};

after(() => {
  if (rows.length === 0) return;
  const kinds = Map.groupBy(rows, ({ fault, sink, what }) => [fault, sink, what].join());
  const lines = [...kinds.values()].flatMap((same) => {
    const [first] = same;
    const lost = Math.max(...same.map((row) => row.lost));
    const recorded = same.reduce((sum, row) => sum + row.recorded, 0);
    const oldest = same.toSorted((one, other) => (other.age?.lostMs ?? 0) - (one.age?.lostMs ?? 0))[0]?.age;
    const age = oldest === undefined ? {} : { age: oldest };
    return first === undefined ? [] : [lineOf({ ...first, lost, recorded, ...age }, same.length)];
  });
  const head =
    'fault | sink | what | times | declared bytes | lost at most | declared ms | lost at most | recorded in all';
  process.stdout.write(`\n${[head, ...lines].join('\n')}\n\n`);
});

/** Tells of a fault's figures, and again in the table at the end of the file; fails when more is lost than declared. */
export function reportFault(context: TestContext, row: FaultRow): void {
  rows.push(row);
  context.diagnostic(lineOf(row, 1));
  assert.ok(row.lost <= row.declared, `more is lost than declared: ${lineOf(row, 1)}`);
  const { lostMs = 0, allowedMs = 0 } = row.age ?? {};
  assert.ok(lostMs <= allowedMs, `what is lost is older than ${allowedMs} ms: ${lineOf(row, 1)}`);
}

/** A fault, as it was when it came. */
export interface Fault {
  /** By the test's clock: until then everybody was at work. */
  readonly begun: number;
  /** Until then something may have been shown. */
  readonly at: number;
}

/**
 * Of what somebody was shown until a fault the first `kept` bytes are recorded. What a gateway says of its archive
 * is not asked: while that is behind for longer than the window nothing more is shown, and so nothing grows older.
 */
export function lostAge(seen: Sightings, kept: number, { begun, at }: Fault): LostAge {
  const allowedMs = Math.round(WINDOW_MS + seen.unevenMs(begun) + seen.lateMs(at));
  return { lostMs: seen.lostMs(kept, at), allowedMs, due: seen.dueAt(at, allowedMs) };
}

/** What a recording of the archive holds, as far as it can be read. */
export interface Recorded {
  /** Of output and updates together. */
  readonly bytes: number;
  /** Of all channels, what the target sent to the screen or standard output. */
  readonly output: Buffer;
  /** Of a desktop, what {@link updateOf} gives of each PDU that draws. */
  readonly updates: readonly Buffer[];
  readonly segments: number;
  /** Why it ended, where it is sealed. */
  readonly reason: string | undefined;
  /** Milliseconds since the epoch, by the clock of the machine that recorded it. */
  readonly startedAt: number;
}

/** Where a gateway's recordings are, and what opens them. */
export interface ArchiveOf {
  readonly gateway: Gateway;
  readonly urls: readonly string[];
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Reads a recording from the archive alone, with the recipient's identity. */
export async function readRecorded({ gateway, urls, credentials }: ArchiveOf, id: string): Promise<Recorded> {
  const identities = await loadIdentities(`file:${join(gateway.dataDir, 'keys/archive.identity')}`);
  const reader = await openRecording(openArchives({ urls, credentials }), id, identities);
  try {
    const output: Uint8Array[] = [];
    const updates: Buffer[] = [];
    for await (const { kind, payload } of reader.events()) {
      if (kind === EventKind.output) output.push(new Uint8Array(payload));
      if (kind === EventKind.fastPathOutput || kind === EventKind.slowPathOutput)
        updates.push(Buffer.from(payload));
    }
    const manifest = reader.manifest();
    const bytes = [...output, ...updates].reduce((sum, { length }) => sum + length, 0);
    const segments = manifest?.segments ?? reader.truncatedAt ?? assert.fail('neither sealed nor truncated');
    return {
      bytes,
      output: Buffer.concat(output),
      updates,
      segments,
      reason: manifest?.reason,
      startedAt: reader.header().startedAt,
    };
  } finally {
    await reader.close();
  }
}

/**
 * What is in the archive of a sealed recording proves itself, signed by a node of the gateway's store, and goes at least as
 * far as the store knows: what the archive acknowledged is there.
 *
 * @param told the session as the store had it before anybody sealed the recording in its writer's place: that puts
 *   into the store what it finds, so that only what was told before says what must be there
 */
export async function assertProved(
  archive: ArchiveOf,
  session: SessionRow,
  told?: SessionRow,
): Promise<void> {
  const { urls, credentials, gateway } = archive;
  const keys = join(gateway.dataDir, 'keys');
  if (told !== undefined) assert.equal(told.sealed, false, 'what who sealed it told says nothing');
  const expectedHead = told?.headHash ?? session.headHash ?? assert.fail(`no head of ${session.id} is known`);
  const report = await verifyRecording(openArchives({ urls, credentials }), session.id, {
    identities: await loadIdentities(`file:${join(keys, 'archive.identity')}`),
    publicKeys: await publicKeysOf(gateway),
    expectedHead,
  });
  const said = `${session.id}: ${report.problem ?? report.proved.join('; ')}`;
  assert.ok(report.ok, said);
  // A recording with a head that was told has everything that was told of.
  for (const proof of ['signature', 'head', 'contents'])
    assert.ok(
      report.proved.some((line) => line.startsWith(`${proof}: `)),
      said,
    );
  assert.equal(report.segments, session.segments, said);
  assert.ok(report.segments >= (told?.segments ?? 0), `${said}: ${told?.segments} were acknowledged`);
}

/** Of all nodes: any may have sealed a recording whose own was gone. */
async function publicKeysOf({ dataDir }: Gateway): Promise<ReadonlyMap<string, KeyObject>> {
  const store = await openStoreAt(`sqlite:${join(dataDir, 'sallyport.db')}`);
  try {
    return new Map([...(await signingKeysByNode(store)).values()].flatMap((each) => [...each]));
  } finally {
    await store.close();
  }
}

/** Of what a person was sent, the bytes that are not in the recording; what both have must be the same. */
export function lostOf(shown: Buffer, recorded: Buffer): number {
  const both = Math.min(shown.length, recorded.length);
  assert.ok(shown.subarray(0, both).equals(recorded.subarray(0, both)), 'the recording holds something else');
  return shown.length - both;
}

/** The same of PDUs. */
export function lostUpdates(shown: readonly Buffer[], recorded: readonly Buffer[]): number {
  let lost = 0;
  for (const [index, update] of shown.entries()) {
    const kept = recorded[index];
    if (kept === undefined) lost += update.length;
    else assert.ok(kept.equals(update), `the recording holds something else as update ${index}`);
  }
  return lost;
}

/** What is recorded of a PDU that a client was sent; undefined where nothing is drawn with it. */
export function updateOf(pdu: Uint8Array): Buffer | undefined {
  const [action = 3, length = 0] = pdu;
  if ((action & 3) === 0) return Buffer.from(pdu.subarray((length & 0x80) === 0 ? 2 : 3));
  try {
    const data = readSendData(pdu);
    if (data?.channelId !== IO_CHANNEL) return undefined;
    const control = readShareControl(pdu, data.dataOffset);
    if (control.type !== ShareType.data) return undefined;
    const { type, dataOffset } = readShareData(pdu, control);
    return type === DataType.update || type === DataType.pointer
      ? Buffer.from(pdu.subarray(dataOffset - TYPE_BYTES, control.end))
      : undefined;
  } catch (error) {
    // What comes before the desktop has other headers.
    if (error instanceof PduError) return undefined;
    throw error;
  }
}
/** From `pduType2` to the end of a share data header. */
const TYPE_BYTES = 4;

/** How a recording begins: the magic of its first frame and the version. */
const RECORDING = Buffer.from('SLYR\x01');

/** No file below the folders holds one of these bytes, a frame of a recording, or is called like one. */
export function assertNothingLeft(folders: readonly string[], needles: readonly (string | Buffer)[]): void {
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      // Not in this process: closing a file of its own would end SQLite's locks on a database that it has open.
      const bytes = execFileSync('cat', [file], { maxBuffer: 2 ** 30 });
      for (const needle of [RECORDING, ...needles])
        assert.ok(!bytes.includes(needle), `${file} holds ${JSON.stringify(needle.toString('latin1'))}`);
      assert.doesNotMatch(entry.name, /\.(slr|part|index|seal)$/, file);
    }
  }
}

/** Bytes of an update that stand nowhere else: 256 of its middle, of several values. */
export function markOf(updates: readonly Buffer[]): Buffer | undefined {
  for (const update of [...updates].reverse()) {
    const mark = update.subarray(update.length / 2, update.length / 2 + 256);
    if (new Set(mark).size >= 8) return mark;
  }
  return undefined;
}
