/**
 * What every fault test asks afterwards: how much of what people were shown is in the recording, whether what
 * is there proves itself, and whether anything of it stayed on the node.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { IO_CHANNEL } from '../../gateway/rdp/front/accept.ts';
import { PduError } from '../../gateway/rdp/pdu/cursor.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { DataType, readShareControl, readShareData, ShareType } from '../../gateway/rdp/pdu/share.ts';
import type { SessionRow } from '../../gateway/store/port.ts';
import {
  EventKind,
  loadIdentities,
  openArchives,
  openRecording,
  verifyRecording,
} from '../../recorder/index.ts';
import type { Gateway } from './gateway.ts';

export const MIB = 1024 ** 2;

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
}

const rows: FaultRow[] = [];
/** What was recorded in all of a file's rows: where it is nothing, the figures say nothing. */
export const recordedInAll = (what: string): number =>
  rows.filter((row) => row.what === what).reduce((sum, { recorded }) => sum + recorded, 0);
const lineOf = (row: FaultRow, times: number): string =>
  [row.fault, row.sink, row.what, times, row.declared, row.lost, row.recorded].join(' | ');

after(() => {
  if (rows.length === 0) return;
  const kinds = Map.groupBy(rows, ({ fault, sink, what }) => [fault, sink, what].join());
  const lines = [...kinds.values()].flatMap((same) => {
    const [first] = same;
    const lost = Math.max(...same.map((row) => row.lost));
    const recorded = same.reduce((sum, row) => sum + row.recorded, 0);
    return first === undefined ? [] : [lineOf({ ...first, lost, recorded }, same.length)];
  });
  const head = 'fault | sink | what | times | declared | lost at most | recorded in all';
  process.stdout.write(`\n${[head, ...lines].join('\n')}\n\n`);
});

/** Tells of a fault's figures, and again in the table at the end of the file; fails when more is lost than declared. */
export function reportFault(context: TestContext, row: FaultRow): void {
  rows.push(row);
  context.diagnostic(lineOf(row, 1));
  assert.ok(row.lost <= row.declared, `more is lost than declared: ${lineOf(row, 1)}`);
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
    return { bytes, output: Buffer.concat(output), updates, segments, reason: manifest?.reason };
  } finally {
    await reader.close();
  }
}

/**
 * What is in the archive proves itself as far as it goes, which is at least as far as the store knows: what
 * the archive acknowledged is there.
 */
export async function assertProved(archive: ArchiveOf, session: SessionRow): Promise<void> {
  const { urls, credentials, gateway } = archive;
  const identities = await loadIdentities(`file:${join(gateway.dataDir, 'keys/archive.identity')}`);
  const report = await verifyRecording(openArchives({ urls, credentials }), session.id, {
    identities,
    ...(session.sealed && session.headHash !== undefined ? { expectedHead: session.headHash } : {}),
  });
  const said = `${session.id}: ${report.problem ?? ''}`;
  if (session.sealed) assert.ok(report.ok, said);
  else assert.ok(report.ok || report.code === 'unsealed', said);
  assert.ok(report.segments >= (session.segments ?? 0), `${said}: ${report.segments} of ${session.segments}`);
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
