/** Walks a recording from its header to its end without its key: order and hash chain are checked, contents are not. */
import { hash } from 'node:crypto';
import type { IndexEntry, RecordingHeader } from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import { FrameType } from '../format/frame.ts';
import { SegmentIndex } from './chain.ts';
import { endOf, type Frame, type FrameSource } from './frame-source.ts';
import { readHeader } from './reader.ts';

export interface Walked {
  readonly header: RecordingHeader;
  readonly segments: number;
  /** µs from the recording's start to its last event. */
  readonly duration: number;
  /** Bytes of header and segments. */
  readonly end: number;
  /** Lower-case hex hash of the last frame, the manifest aside. */
  readonly head: string;
  /** Of the segments, as a manifest lists them. */
  readonly index: readonly IndexEntry[];
  /** The manifest's frame, where there is one. */
  readonly manifest: Frame | undefined;
  /** Whether a frame has the hash that was asked for; true when none was. */
  readonly headSeen: boolean;
}

/**
 * Walks over all whole frames; a torn one ends the recording, as a writer leaves it that dies.
 * `knownHead`: lower-case hex. Throws {@link ContainerError} where a frame was altered, moved or removed.
 */
export async function walk(source: FrameSource, sessionId: string, knownHead?: string): Promise<Walked> {
  const first = await source.frame(0);
  if (first === undefined) throw new ContainerError('torn', 'the recording is empty', 0);
  const header = readHeader(first, sessionId);
  const index = new SegmentIndex();
  let previous = { end: endOf(0, first.header), digest: digestOf(first) };
  let [segments, duration, headSeen] = [0, 0, knownHead === undefined || knownHead === hexOf(previous)];
  for (;;) {
    const { end, digest } = previous;
    const frame = await wholeFrame(source, end);
    const manifest = frame?.header.type === FrameType.manifest ? frame : undefined;
    if (frame !== undefined) requireNext(frame, segments + 1, digest);
    const own = frame && { end: endOf(end, frame.header), digest: digestOf(frame) };
    headSeen ||= own !== undefined && knownHead === hexOf(own);
    if (own === undefined || frame === undefined || manifest !== undefined) {
      const head = hexOf(previous);
      return { header, segments, duration, end, head, index: index.entries, manifest, headSeen };
    }
    segments += 1;
    duration = frame.header.lastAt;
    index.add([segments, end, frame.header.firstAt, duration]);
    previous = own;
  }
}

/** The frame at `offset`; undefined where the recording ends, in the middle of a frame too. */
async function wholeFrame(source: FrameSource, offset: number): Promise<Frame | undefined> {
  try {
    return await source.frame(offset);
  } catch (error) {
    if (error instanceof ContainerError && error.code === 'torn') return undefined;
    throw error;
  }
}

function requireNext({ header, offset }: Frame, sequence: number, previous: Buffer): void {
  if (header.sequence !== sequence || header.type === FrameType.header) {
    throw new ContainerError(
      'out-of-sequence',
      `segment ${sequence}: another frame stands in its place`,
      offset,
    );
  }
  if (!previous.equals(header.previousHash)) {
    throw new ContainerError(
      'broken-chain',
      `segment ${sequence}: it or the frame before it was altered`,
      offset,
    );
  }
}

const digestOf = (frame: Frame): Buffer => hash('sha256', frame.bytes, 'buffer');
const hexOf = ({ digest }: { readonly digest: Buffer }): string => digest.toString('hex');
