/** Reads a recording back as events, a segment at a time. */
import { hash } from 'node:crypto';
import type { Archive, ArchiveReader, Side } from '../archive/port.ts';
import {
  decodeHeader,
  decodeManifest,
  type RecordingHeader,
  type RecordingManifest,
} from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import type { RecordingEvent } from '../format/event.ts';
import { decodeEvents } from '../format/event-codec.ts';
import { FRAME_HEADER_BYTES, type FrameHeader, FrameType } from '../format/frame.ts';
import { endOf, type Frame, FrameSource } from './frame-source.ts';
import { encodeIndex, type KeyFrame, KeyFrameIndex, type SegmentPlace } from './key-frames.ts';
import { unwrapKey } from './keys.ts';
import { openBody } from './segment-body.ts';
import type { OpenedSide } from './side-file.ts';

export interface RecordingReader {
  header(): RecordingHeader;
  /** Undefined: never sealed. Its signature is for {@link verifyRecording} to check. */
  manifest(): RecordingManifest | undefined;
  /** Lower-case hex hash of the manifest's frame, as the store keeps it; undefined: never sealed. */
  readonly head: string | undefined;
  /** Number of the last whole segment of a recording that its own node did not seal; undefined when that did. */
  readonly truncatedAt: number | undefined;
  /**
   * Events at or after `from` (µs since the start), in order; ends where a truncated
   * recording ends. Throws {@link ContainerError} at the first segment that was altered.
   */
  events(from?: number): AsyncGenerator<RecordingEvent, void, void>;
  /** The segments from a place on, by default all, as {@link events} reads them. */
  segments(place?: SegmentPlace): AsyncGenerator<Segment, void, void>;
  /**
   * The last key frame at or before `at` (µs since the start) that the index holds. Undefined also
   * where there is no index, or none that is of this recording and unaltered: a replay then begins at
   * the start, and shows the same.
   */
  keyFrame(at: number): Promise<KeyFrame | undefined>;
  /**
   * Makes the index anew, of key frames in the order of their times. Rejects with {@link ArchiveError},
   * with {@link ContainerError} where the recording has no manifest, and with what `keyFrames` does.
   */
  putIndex(keyFrames: AsyncIterable<KeyFrame>): Promise<void>;
  /** What stands beside the recording; undefined: nothing, or the recording was never sealed. */
  openSide(side: Side): Promise<OpenedSide | undefined>;
  /** Puts there what `encode` makes, bound to the recording as it was sealed. Rejects as {@link putIndex} does. */
  putSide(
    side: Side,
    encode: (key: Uint8Array, manifest: RecordingManifest) => AsyncIterable<Uint8Array>,
  ): Promise<void>;
  close(): Promise<void>;
}

export interface Segment {
  readonly events: Iterable<RecordingEvent>;
  /** µs since the start of its last event. */
  readonly lastAt: number;
  /** Length of its frame. */
  readonly bytes: number;
  /** What to go on with behind it. */
  readonly next: SegmentPlace;
}

/** What opens a recording: age identity texts, or the recording's own key, which its recorder knows. */
export type Opener = readonly string[] | { readonly key: Uint8Array };

/**
 * Opens the recording of a session. Header and manifest can be read without an opener
 * (no identities); events need one that opens it. Rejects with
 * {@link ArchiveError} or {@link ContainerError}.
 */
export async function openRecording(
  archive: Archive,
  sessionId: string,
  opener: Opener,
): Promise<RecordingReader> {
  const bytes = await archive.open(sessionId);
  try {
    const source = new FrameSource(bytes);
    const first = await source.frame(0);
    if (first === undefined)
      throw new ContainerError('torn', 'the recording is empty: not even its header is there', 0);
    const header = readHeader(first, sessionId);
    const closing = await source.closingManifest();
    const ending =
      closing === undefined ? await findEnding(source) : endingOf(closing.frame, closing.manifest);
    return new ContainerReader({ archive, bytes, first, header, opener, ...ending });
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** The header document of a recording's first frame. Throws {@link ContainerError} when it is none of this session. */
export function readHeader(first: Frame, sessionId: string): RecordingHeader {
  if (first.header.type !== FrameType.header || first.header.sequence !== 0) {
    throw new ContainerError('out-of-sequence', 'the recording does not begin with its header', 0);
  }
  const header = decodeHeader(first.bytes.subarray(FRAME_HEADER_BYTES));
  if (header.sessionId !== sessionId) {
    throw new ContainerError('wrong-recording', `this is the recording of session ${header.sessionId}`, 0);
  }
  return header;
}

/** The events of a segment's frame. Throws {@link ContainerError}. */
export function* readSegment(key: Uint8Array, frame: Frame): Generator<RecordingEvent, void, void> {
  const { header, bytes, offset } = frame;
  const plain = openBody(key, header, bytes, offset);
  let last = header.firstAt;
  for (const event of decodeEvents(plain, header.firstAt)) {
    last = event.at;
    yield event;
  }
  if (last !== header.lastAt) {
    throw new ContainerError(
      'bad-event',
      `segment ${header.sequence}: its times are not those of its events`,
      offset,
    );
  }
}

interface Ending {
  readonly manifest: RecordingManifest | undefined;
  readonly head: string | undefined;
  readonly truncatedAt: number | undefined;
}

function endingOf(frame: Frame, manifest: RecordingManifest): Ending {
  const truncatedAt = manifest.recovered === undefined ? undefined : manifest.segments;
  return { manifest, head: hashOf(frame).toString('hex'), truncatedAt };
}

/** Walks a recording that does not end with a manifest to its last whole frame. */
async function findEnding(source: FrameSource): Promise<Ending> {
  let segments = 0;
  try {
    for (let offset = 0; ; ) {
      const header = await source.header(offset);
      if (header === undefined) break;
      const end = endOf(offset, header);
      if (end > source.size) break;
      if (header.type === FrameType.manifest) {
        const frame = await source.frame(offset);
        if (frame === undefined) break;
        return endingOf(frame, decodeManifest(frame.bytes.subarray(FRAME_HEADER_BYTES)).manifest);
      }
      if (header.type === FrameType.segment) segments = header.sequence;
      offset = end;
    }
  } catch (error) {
    // What comes here is no frame: the recording ends before it.
    if (!(error instanceof ContainerError)) throw error;
  }
  return { manifest: undefined, head: undefined, truncatedAt: segments };
}

/** Where to begin reading; without the hash of the frame before, the first is taken as it is. */
type Start = Omit<SegmentPlace, 'previousHash'> & { readonly previousHash: Uint8Array | undefined };

interface ReaderParts extends Ending {
  readonly archive: Archive;
  readonly bytes: ArchiveReader;
  readonly first: Frame;
  readonly header: RecordingHeader;
  readonly opener: Opener;
}

class ContainerReader implements RecordingReader {
  readonly #parts: ReaderParts;
  #key: Promise<Uint8Array> | undefined;
  #index: Promise<KeyFrameIndex | undefined> | undefined;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  get head(): string | undefined {
    return this.#parts.head;
  }

  get truncatedAt(): number | undefined {
    return this.#parts.truncatedAt;
  }

  header(): RecordingHeader {
    return this.#parts.header;
  }

  manifest(): RecordingManifest | undefined {
    return this.#parts.manifest;
  }

  async *events(from = 0): AsyncGenerator<RecordingEvent, void, void> {
    const key = await this.#openKey();
    for await (const [frame] of this.#frames(this.#seek(from), from)) {
      for (const event of readSegment(key, frame)) {
        if (event.at >= from) yield event;
      }
    }
  }

  async *segments(place: Start = this.#seek(0)): AsyncGenerator<Segment, void, void> {
    const key = await this.#openKey();
    for await (const [frame, next] of this.#frames(place, 0)) {
      const { lastAt } = frame.header;
      yield { events: readSegment(key, frame), lastAt, bytes: frame.bytes.length, next };
    }
  }

  async keyFrame(at: number): Promise<KeyFrame | undefined> {
    try {
      this.#index ??= this.#openIndex();
      return await (await this.#index)?.before(at);
    } catch (error) {
      if (error instanceof ContainerError && error.code === 'bad-index') return undefined;
      throw error;
    }
  }

  async putIndex(keyFrames: AsyncIterable<KeyFrame>): Promise<void> {
    await this.putSide('index', (key, manifest) => encodeIndex(key, manifest, keyFrames));
  }

  async openSide(side: Side): Promise<OpenedSide | undefined> {
    const { archive, header, manifest } = this.#parts;
    if (manifest === undefined) return undefined;
    const key = await this.#openKey();
    const file = await archive.openSide(header.sessionId, header.startedAt, side);
    return file && { file, key, manifest };
  }

  async putSide(
    side: Side,
    encode: (key: Uint8Array, manifest: RecordingManifest) => AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const { archive, header, manifest } = this.#parts;
    if (manifest === undefined)
      throw new ContainerError(
        'torn',
        'the recording was never sealed: nothing beside it could be bound to it',
      );
    const bytes = encode(await this.#openKey(), manifest);
    await archive.putSide(header.sessionId, header.startedAt, side, bytes);
  }

  async close(): Promise<void> {
    await this.#parts.bytes.close();
    const index = await this.#index?.catch(() => undefined);
    await index?.close();
  }

  async #openIndex(): Promise<KeyFrameIndex | undefined> {
    const opened = await this.openSide('index');
    if (opened === undefined) return undefined;
    const { file, key, manifest } = opened;
    try {
      return await KeyFrameIndex.open(file, key, manifest);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #openKey(): Promise<Uint8Array> {
    const { header, opener } = this.#parts;
    this.#key ??= 'key' in opener ? Promise.resolve(opener.key) : unwrapKey(header, opener);
    return this.#key;
  }

  /** Frames of segments from a place on that end at or after `from`, their order and chain checked, and what follows each. */
  async *#frames(start: Start, from: number): AsyncGenerator<[Frame, SegmentPlace], void, void> {
    const source = new FrameSource(this.#parts.bytes);
    let { offset, sequence, previousHash } = start;
    for (;;) {
      const header = await this.#headerAt(source, offset);
      if (header === undefined || header.type === FrameType.manifest) {
        this.#requireAll(header, sequence, offset);
        return;
      }
      if (header.type !== FrameType.segment || header.sequence !== sequence) {
        throw new ContainerError(
          'out-of-sequence',
          `segment ${sequence}: another frame stands in its place`,
          offset,
        );
      }
      const end = endOf(offset, header);
      // A torn tail ends a recording that was never sealed; in a sealed one nothing may be missing.
      if (end > source.size && this.#parts.manifest === undefined) return;
      if (header.lastAt >= from) {
        const frame = await source.frame(offset);
        if (frame === undefined) return;
        if (previousHash !== undefined && Buffer.compare(previousHash, header.previousHash) !== 0) {
          throw new ContainerError(
            'broken-chain',
            `segment ${sequence}: it or the frame before it was altered`,
            offset,
          );
        }
        previousHash = hashOf(frame);
        yield [frame, { sequence: sequence + 1, offset: end, previousHash }];
      } else {
        previousHash = undefined;
      }
      offset = end;
      sequence += 1;
    }
  }

  async #headerAt(source: FrameSource, offset: number): Promise<FrameHeader | undefined> {
    try {
      return await source.header(offset);
    } catch (error) {
      const torn = error instanceof ContainerError && error.code === 'torn';
      if (torn && this.#parts.manifest === undefined) return undefined;
      throw error;
    }
  }

  #requireAll(end: FrameHeader | undefined, sequence: number, offset: number): void {
    const { manifest } = this.#parts;
    if (
      manifest !== undefined &&
      (end === undefined || end.sequence !== sequence || manifest.segments !== sequence - 1)
    ) {
      throw new ContainerError('out-of-sequence', `segment ${sequence}: it is missing`, offset);
    }
  }

  /** Where to start reading for events from `from` on: the last listed segment that begins before it. */
  #seek(from: number): Start {
    const { first } = this.#parts;
    let start: Start = { offset: endOf(0, first.header), sequence: 1, previousHash: hashOf(first) };
    if (from <= 0) return start;
    for (const [sequence, offset, firstAt] of this.#parts.manifest?.index ?? []) {
      // Equal times may be spread over two segments: begin before them.
      if (firstAt >= from) break;
      start = { offset, sequence, previousHash: sequence === 1 ? hashOf(first) : undefined };
    }
    return start;
  }
}

function hashOf(frame: Frame): Buffer {
  return hash('sha256', frame.bytes, 'buffer');
}
