/** Reads frames of a recording in the archive by their offset, in large steps. */
import type { ArchiveReader } from '../archive/port.ts';
import { decodeManifest, decodeTrailer, type SignedManifest, TRAILER_BYTES } from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import {
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  FrameType,
  MAX_BODY_BYTES,
} from '../format/frame.ts';

/** One range read of the archive; most segments are far smaller. */
const READ_AHEAD_BYTES = 256 * 1024;

export interface Frame {
  /** Where it starts in the recording. */
  readonly offset: number;
  readonly header: FrameHeader;
  /** Header and body. */
  readonly bytes: Uint8Array;
}

export class FrameSource {
  readonly #reader: ArchiveReader;
  #window: Uint8Array = new Uint8Array(0);
  #windowOffset = 0;

  constructor(reader: ArchiveReader) {
    this.#reader = reader;
  }

  /** Bytes of the recording. */
  get size(): number {
    return this.#reader.size;
  }

  /** The frame header at `offset`, or undefined at the end. Throws {@link ContainerError}. */
  async header(offset: number): Promise<FrameHeader | undefined> {
    const bytes = await this.#read(offset, FRAME_HEADER_BYTES);
    return bytes.length === 0 ? undefined : decodeFrameHeader(bytes, offset);
  }

  /** The whole frame at `offset`, or undefined at the end. Throws {@link ContainerError}, `torn` when it is not all there. */
  async frame(offset: number): Promise<Frame | undefined> {
    const header = await this.header(offset);
    if (header === undefined) return undefined;
    const length = FRAME_HEADER_BYTES + header.bodyLength;
    const bytes = await this.#read(offset, length);
    if (bytes.length < length) {
      throw new ContainerError(
        'torn',
        `frame ${header.sequence}: ${bytes.length} of its ${length} bytes are there`,
        offset,
      );
    }
    return { offset, header, bytes };
  }

  /** The manifest that ends the recording, found from its end; undefined when none does. Its signature is not checked. */
  async closingManifest(): Promise<(SignedManifest & { readonly frame: Frame }) | undefined> {
    if (this.size < TRAILER_BYTES) return undefined;
    const length = decodeTrailer(await this.#read(this.size - TRAILER_BYTES, TRAILER_BYTES));
    if (length < FRAME_HEADER_BYTES || length > FRAME_HEADER_BYTES + MAX_BODY_BYTES || length > this.size) {
      return undefined;
    }
    try {
      const frame = await this.frame(this.size - length);
      if (frame === undefined || frame.header.type !== FrameType.manifest) return undefined;
      return { ...decodeManifest(frame.bytes.subarray(FRAME_HEADER_BYTES)), frame };
    } catch (error) {
      // Bytes of a segment can look like a length: what is no manifest is none.
      if (error instanceof ContainerError) return undefined;
      throw error;
    }
  }

  /** `length` bytes from `offset`, fewer only at the end; a view that stays valid. */
  async #read(offset: number, length: number): Promise<Uint8Array> {
    const start = offset - this.#windowOffset;
    const atEnd = this.#windowOffset + this.#window.length >= this.size;
    if (start >= 0 && start <= this.#window.length && (atEnd || start + length <= this.#window.length)) {
      return this.#window.subarray(start, start + length);
    }
    this.#window = await this.#reader.read(offset, Math.max(length, READ_AHEAD_BYTES));
    this.#windowOffset = offset;
    return this.#window.subarray(0, length);
  }
}

/** Offset of the frame after this one. */
export function endOf(offset: number, header: FrameHeader): number {
  return offset + FRAME_HEADER_BYTES + header.bodyLength;
}
