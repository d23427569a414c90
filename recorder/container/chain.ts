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
import { encodeFrameHeader, FRAME_HEADER_BYTES, FrameType, HASH_BYTES } from '../format/frame.ts';
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
  #index: IndexEntry[] = [];
  #indexStride = 1;
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
    this.#begin(frame, FrameType.header, 0);
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
      this.#addToIndex([this.#sequence, this.#bytes, firstAt, lastAt]);
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
    const manifest: RecordingManifest = {
      sessionId: this.#sessionId,
      sealedAt,
      reason,
      segments: this.segments,
      events: this.#events,
      duration: this.#duration,
      bytes: this.#bytes,
      head: this.head,
      keyId: signer.keyId,
      index: this.#index,
    };
    const json = encodeDocument(manifest);
    const frame = new Uint8Array(FRAME_HEADER_BYTES + manifestBodyLength(json.length));
    this.#begin(frame, FrameType.manifest, this.#duration);
    const signature = sign(null, manifestSignatureInput(frame, json), signer.key);
    frame.set(json, FRAME_HEADER_BYTES);
    frame.set(signature, FRAME_HEADER_BYTES + json.length);
    encodeTrailer(frame.length, frame, FRAME_HEADER_BYTES + json.length + signature.length);
    return this.#link(frame);
  }

  #begin(frame: Uint8Array, type: FrameType, lastAt: number): void {
    const header = {
      type,
      compressed: false,
      sequence: this.#sequence,
      bodyLength: frame.length - FRAME_HEADER_BYTES,
      firstAt: 0,
      lastAt,
      previousHash: this.#head,
    };
    encodeFrameHeader(header, frame);
  }

  #link(frame: Uint8Array): Uint8Array {
    this.#head = hash('sha256', frame, 'buffer');
    this.#sequence += 1;
    this.#bytes += frame.length;
    return frame;
  }

  #addToIndex(entry: IndexEntry): void {
    if ((entry[0] - 1) % this.#indexStride !== 0) return;
    if (this.#index.length === MAX_INDEX_ENTRIES) {
      this.#index = this.#index.filter((_, i) => i % 2 === 0);
      this.#indexStride *= 2;
      if ((entry[0] - 1) % this.#indexStride !== 0) return;
    }
    this.#index.push(entry);
  }
}
