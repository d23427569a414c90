/** Makes the frames of one recording, each chained to the one before it. */
import { hash, type KeyObject, sign } from 'node:crypto';
import {
  encodeDocument,
  encodeTrailer,
  type IndexEntry,
  manifestBodyLength,
  manifestSignatureInput,
  type RecordingHeader,
  type RecordingManifest,
} from '../format/document.ts';
import {
  encodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  FrameType,
  HASH_BYTES,
} from '../format/frame.ts';
import type { ChainLink, Framed, PlainSegment } from './frames.ts';

/** Bounds the memory of a live recording; past it every second entry goes. */
const MAX_INDEX_ENTRIES = 512;

export interface Signer {
  readonly keyId: string;
  /** Ed25519, private. */
  readonly key: KeyObject;
}

export class FrameChain {
  readonly #sessionId: string;
  readonly #key: Uint8Array;
  #head: Uint8Array = new Uint8Array(HASH_BYTES);
  #sequence = 0;
  #bytes = 0;
  #events = 0;
  #duration = 0;
  readonly #index = new SegmentIndex();
  #dense = 0;

  /** `key`: of this recording alone. */
  constructor(sessionId: string, key: Uint8Array) {
    this.#sessionId = sessionId;
    this.#key = key;
  }

  /** Lower-case hex hash of the last frame made. */
  get head(): string {
    return Buffer.from(this.#head).toString('hex');
  }

  get segments(): number {
    return Math.max(0, this.#sequence - 1);
  }

  /** The first frame. */
  header(document: RecordingHeader): Uint8Array {
    const body = encodeDocument(document);
    const frame = new Uint8Array(FRAME_HEADER_BYTES + body.length);
    begin(frame, { type: FrameType.header, sequence: 0, lastAt: 0, previousHash: this.#head });
    frame.set(body, FRAME_HEADER_BYTES);
    return this.#link(frame);
  }

  /** What {@link frameSegments} goes on from. */
  get link(): ChainLink {
    return { key: this.#key, sequence: this.#sequence, head: this.#head, dense: this.#dense };
  }

  /** Enters the frames that were made from {@link link}. */
  enter(segments: readonly PlainSegment[], framed: Framed): void {
    segments.forEach(({ firstAt, lastAt, events }, i) => {
      this.#index.add([this.#sequence, this.#bytes, firstAt, lastAt]);
      this.#events += events;
      this.#duration = lastAt;
      this.#sequence += 1;
      this.#bytes += framed.lengths[i] ?? 0;
    });
    this.#head = framed.head;
    this.#dense = framed.dense;
  }

  /** The last frame. `sealedAt`: ms since the epoch. */
  manifest(reason: string, sealedAt: number, signer: Signer): Uint8Array {
    const manifest = {
      sessionId: this.#sessionId,
      sealedAt,
      reason,
      segments: this.segments,
      events: this.#events,
      duration: this.#duration,
      bytes: this.#bytes,
      head: this.head,
      index: this.#index.entries,
    };
    return this.#link(manifestFrame(manifest, signer));
  }

  #link(frame: Uint8Array): Uint8Array {
    this.#head = hash('sha256', frame, 'buffer');
    this.#sequence += 1;
    this.#bytes += frame.length;
    return frame;
  }
}

/** The manifest's list of segments, thinned so that it stays small. */
export class SegmentIndex {
  #entries: IndexEntry[] = [];
  #stride = 1;

  get entries(): readonly IndexEntry[] {
    return this.#entries;
  }

  /** Takes the segments in their order. */
  add(entry: IndexEntry): void {
    if ((entry[0] - 1) % this.#stride !== 0) return;
    if (this.#entries.length === MAX_INDEX_ENTRIES) {
      this.#entries = this.#entries.filter((_, i) => i % 2 === 0);
      this.#stride *= 2;
      if ((entry[0] - 1) % this.#stride !== 0) return;
    }
    this.#entries.push(entry);
  }
}

/** The frame that ends a recording, behind the segments that `manifest` names. */
export function manifestFrame(manifest: Omit<RecordingManifest, 'keyId'>, signer: Signer): Uint8Array {
  const { segments, duration, head } = manifest;
  const json = encodeDocument({ ...manifest, keyId: signer.keyId });
  const frame = new Uint8Array(FRAME_HEADER_BYTES + manifestBodyLength(json.length));
  const previousHash = Buffer.from(head, 'hex');
  begin(frame, { type: FrameType.manifest, sequence: segments + 1, lastAt: duration, previousHash });
  const signature = sign(null, manifestSignatureInput(frame, json), signer.key);
  frame.set(json, FRAME_HEADER_BYTES);
  frame.set(signature, FRAME_HEADER_BYTES + json.length);
  encodeTrailer(frame.length, frame, FRAME_HEADER_BYTES + json.length + signature.length);
  return frame;
}

function begin(
  frame: Uint8Array,
  facts: Pick<FrameHeader, 'type' | 'sequence' | 'lastAt' | 'previousHash'>,
): void {
  const bodyLength = frame.length - FRAME_HEADER_BYTES;
  encodeFrameHeader({ ...facts, compressed: false, bodyLength, firstAt: 0 }, frame);
}
