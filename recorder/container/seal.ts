/** Ends recordings whose writer is gone, and compacts ended ones. Neither takes a recording's key. */
import { hash, type KeyObject } from 'node:crypto';
import { type Archive, ArchiveError, type ArchiveReader, isMissing, openIfThere } from '../archive/port.ts';
import { decodeManifest } from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import { FRAME_HEADER_BYTES } from '../format/frame.ts';
import { manifestFrame } from './chain.ts';
import { endOf, type Frame, FrameSource } from './frame-source.ts';
import { keyIdOf } from './keys.ts';
import { type Walked, walk } from './walk.ts';

export interface Sealing {
  /** Name of the node that seals. */
  readonly node: string;
  /** Ed25519, private: the key of that node. */
  readonly signingKey: KeyObject;
  /** For the manifest: why the recording ends. */
  readonly reason: string;
  /** Lower-case hex head hash that the store has for the recording. */
  readonly knownHead: string | undefined;
}

export interface SealedRecording {
  readonly segments: number;
  /** Of the whole recording. */
  readonly bytes: number;
  /** Lower-case hex hash of the manifest's frame. */
  readonly head: string;
  /** Node whose manifest it is; undefined: the recording's own writer had sealed it. */
  readonly recoveredBy: string | undefined;
  /** Bytes behind the last whole frame, which no archive had acknowledged. */
  readonly givenUp: number;
  /** The store knows of segments that the archive does not have: its end was cut. */
  readonly cut: boolean;
  /** What is wrong with copies that were altered, while another is whole. */
  readonly damaged: readonly string[];
}

/** What one place of an archive holds of a recording. */
interface Copy {
  readonly archive: Archive;
  readonly walked: Walked;
  readonly size: number;
}

/** It holds nothing of it (`recording-missing`), or something else. */
interface NoCopy {
  readonly archive: Archive;
  readonly error: ArchiveError | ContainerError;
}

/**
 * Seals a recording behind its last whole frame, in every place of the archive: what one lacks comes from
 * another. One that is sealed stays as it is. However many do so at once, all get the same. Rejects with
 * {@link ArchiveError}, also while one place is away, and with {@link ContainerError} where the recording is
 * damaged and no copy has all that the store knows of: it is then left as it is.
 */
export async function sealRecording(
  archive: Archive,
  sessionId: string,
  sealing: Sealing,
): Promise<SealedRecording> {
  const copies = await copiesOf(archive, sessionId, sealing.knownHead);
  const best = bestOf(copies);
  const { walked, size } = best;
  const sealed = isSealed(best);
  // A damaged length looks like a torn end: nothing of what the store knows of may be given up.
  if (!walked.headSeen && walked.end < size && !sealed) {
    throw new ContainerError(
      'torn',
      `segment ${walked.segments + 1}: it was altered, and the store knows of more behind it`,
      walked.end,
    );
  }
  const won = await sealAll(archive, copies, best, walked.manifest?.bytes ?? manifestOf(walked, sealing));
  const damaged = copies.flatMap((copy) => (isDamaged(copy) ? [wordsOf(copy)] : []));
  return { ...factsOf(won), givenUp: sealed ? 0 : size - walked.end, cut: !walked.headSeen, damaged };
}

/**
 * Compacts a sealed recording. Rejects as {@link sealRecording} does, also where the result is another
 * recording, and with `recording-unsealed` where no copy is sealed.
 */
export async function compactRecording(archive: Archive, sessionId: string): Promise<void> {
  if (!(await allEndSealed(archive, sessionId))) {
    const copies = await copiesOf(archive, sessionId);
    const best = bestOf(copies);
    const { manifest } = best.walked;
    if (manifest === undefined) {
      throw new ArchiveError(
        'recording-unsealed',
        `the recording of session ${sessionId} is not sealed yet, so that it cannot be compacted`,
      );
    }
    await sealAll(archive, copies, best, manifest.bytes);
  }
  const { walked, size } = await walkIn(await archive.open(sessionId), sessionId);
  const before = headOf(walked.manifest);
  await archive.compact(sessionId, walked.header.startedAt, async (compacted) => {
    const after = await walk(new FrameSource(compacted), sessionId);
    if (before === undefined || headOf(after.manifest) !== before || compacted.size !== size)
      throw new ContainerError('broken-chain', 'what was compacted is not the recording: nothing is deleted');
  });
}

/** Whether a manifest stands at the end of each copy that there is: a look at the end, not a proof. */
async function allEndSealed(archive: Archive, sessionId: string): Promise<boolean> {
  for (const copy of archive.copies) {
    const reader = await openIfThere(copy, sessionId);
    try {
      if (reader !== undefined && (await new FrameSource(reader).closingManifest()) === undefined)
        return false;
    } finally {
      await reader?.close();
    }
  }
  return true;
}

/** Walks through all copies; rejects where it cannot be known what one holds. */
async function copiesOf(
  archive: Archive,
  sessionId: string,
  knownHead?: string,
): Promise<readonly (Copy | NoCopy)[]> {
  return await Promise.all(
    archive.copies.map(async (copy) => {
      try {
        return { archive: copy, ...(await walkIn(await copy.open(sessionId), sessionId, knownHead)) };
      } catch (error) {
        if (error instanceof ContainerError || isMissing(error)) return { archive: copy, error };
        throw error;
      }
    }),
  );
}

/**
 * The copy that the others are to be like: one that is sealed, else the one that goes furthest. Throws where
 * there is none, and where a damaged one may hold what it lacks.
 */
function bestOf(copies: readonly (Copy | NoCopy)[]): Copy {
  const whole = copies.filter((copy) => 'walked' in copy);
  const best =
    whole.find((copy) => isSealed(copy)) ?? whole.toSorted((a, b) => b.walked.end - a.walked.end)[0];
  const damaged = copies.find(isDamaged);
  if (best !== undefined && (damaged === undefined || best.walked.headSeen)) return best;
  if (damaged?.error instanceof ContainerError && copies.length > 1)
    throw new ContainerError(damaged.error.code, wordsOf(damaged), undefined, damaged.error);
  throw damaged?.error ?? copies.find((copy) => 'error' in copy)?.error;
}

/** Makes all copies like `best`, with `manifest` at their end; resolves with the manifest that they have then. */
async function sealAll(
  archive: Archive,
  copies: readonly (Copy | NoCopy)[],
  best: Copy,
  manifest: Uint8Array,
): Promise<Uint8Array> {
  const { end, header } = best.walked;
  const { sessionId, startedAt } = header;
  const done = (copy: Copy | NoCopy): boolean =>
    'walked' in copy ? isSealed(copy, manifest) : isDamaged(copy);
  if (copies.every(done)) return manifest;
  for (const copy of copies) {
    if (!('walked' in copy) || isSealed(copy) || copy.walked.head === best.walked.head) continue;
    const from = await agreesUpTo(copy, best);
    // What is torn or other here comes whole from the best copy.
    if (from < copy.size) await (await copy.archive.resume(sessionId, startedAt, from)).close();
  }
  return await archive.seal(sessionId, startedAt, end, manifest);
}

/**
 * Where `copy` is to be gone on with to become like `best`. Its last frame may have its length and other bytes,
 * where the disk of a machine that lost its power made a file longer before it had what belongs there.
 */
async function agreesUpTo({ walked: { head, end, index } }: Copy, best: Copy): Promise<number> {
  const { sessionId } = best.walked.header;
  const { walked } = await walkIn(await best.archive.open(sessionId), sessionId, head);
  return walked.headSeen ? end : (index[0]?.[1] ?? end);
}

/** Whether a manifest, or the one that is given, ends it. */
function isSealed({ walked: { manifest }, size }: Copy, own = manifest?.bytes): boolean {
  if (manifest === undefined || own === undefined) return false;
  return endOf(manifest.offset, manifest.header) === size && Buffer.compare(manifest.bytes, own) === 0;
}

const isDamaged = (copy: Copy | NoCopy): copy is NoCopy =>
  'error' in copy && copy.error instanceof ContainerError;

const wordsOf = ({ archive, error }: NoCopy): string => `${archive.description}: ${error.message}`;

async function walkIn(
  reader: ArchiveReader,
  sessionId: string,
  knownHead?: string,
): Promise<{ readonly walked: Walked; readonly size: number }> {
  try {
    return { walked: await walk(new FrameSource(reader), sessionId, knownHead), size: reader.size };
  } finally {
    await reader.close();
  }
}

function manifestOf(walked: Walked, { node, signingKey, reason }: Sealing): Uint8Array {
  const { header, segments, duration, end, head, index } = walked;
  const sealedAt = Date.now();
  const { sessionId } = header;
  const recovered = { node };
  return manifestFrame(
    { sessionId, sealedAt, reason, segments, duration, bytes: end, head, index, recovered },
    { key: signingKey, keyId: keyIdOf(signingKey) },
  );
}

const manifestIn = (frame: Uint8Array) => decodeManifest(frame.subarray(FRAME_HEADER_BYTES)).manifest;

const headOf = (frame: Frame | undefined): string | undefined =>
  frame === undefined ? undefined : hash('sha256', frame.bytes);

function factsOf(frame: Uint8Array): Pick<SealedRecording, 'segments' | 'bytes' | 'head' | 'recoveredBy'> {
  const { segments, bytes, recovered } = manifestIn(frame);
  return {
    segments,
    bytes: bytes + frame.length,
    head: hash('sha256', frame),
    recoveredBy: recovered?.node,
  };
}
