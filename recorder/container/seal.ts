/** Ends recordings whose writer is gone, and compacts ended ones. Neither takes a recording's key. */
import { hash, type KeyObject } from 'node:crypto';
import type { Archive, ArchiveReader } from '../archive/port.ts';
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
}

/**
 * Seals a recording behind its last whole frame; one that is sealed stays as it is. However many do so
 * at once, all get the same. Rejects with {@link ArchiveError}, and with {@link ContainerError} where the
 * recording is damaged: it is then left as it is.
 */
export async function sealRecording(
  archive: Archive,
  sessionId: string,
  sealing: Sealing,
): Promise<SealedRecording> {
  const { walked, size } = await walkIn(await archive.open(sessionId), sessionId, sealing.knownHead);
  const { end, header, headSeen, manifest } = walked;
  if (manifest !== undefined && endOf(manifest.offset, manifest.header) === size)
    return { ...factsOf(manifest.bytes), givenUp: 0, cut: !headSeen };
  // A damaged length looks like a torn end: nothing of what the store knows of may be given up.
  if (!headSeen && end < size) {
    throw new ContainerError(
      'torn',
      `segment ${walked.segments + 1}: it was altered, and the store knows of more behind it`,
      end,
    );
  }
  const own = manifest?.bytes ?? manifestOf(walked, sealing);
  const won = await archive.seal(sessionId, header.startedAt, end, own);
  return { ...factsOf(won), givenUp: size - end, cut: !headSeen };
}

/** Compacts a sealed recording. Rejects as {@link sealRecording} does, also where the result is another recording. */
export async function compactRecording(archive: Archive, sessionId: string): Promise<void> {
  const { walked, size } = await walkIn(await archive.open(sessionId), sessionId);
  const before = headOf(walked.manifest);
  if (before === undefined)
    throw new ContainerError('torn', 'the recording is not sealed, so that it cannot be compacted');
  await archive.compact(sessionId, walked.header.startedAt, async (compacted) => {
    const after = await walk(new FrameSource(compacted), sessionId);
    if (headOf(after.manifest) !== before || compacted.size !== size)
      throw new ContainerError('broken-chain', 'what was compacted is not the recording: nothing is deleted');
  });
}

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
