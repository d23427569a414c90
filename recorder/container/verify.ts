/**
 * Checks a recording without trusting the archive: order, hash chain, signature, and the
 * head hash that the store keeps; with an identity the contents too.
 */
import { createPublicKey, hash, KeyObject, verify } from 'node:crypto';
import type { Archive } from '../archive/port.ts';
import {
  decodeManifest,
  manifestSignatureInput,
  type RecordingHeader,
  type RecordingManifest,
  type SignedManifest,
} from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import { FRAME_HEADER_BYTES, FrameType, HASH_BYTES } from '../format/frame.ts';
import { endOf, type Frame, FrameSource } from './frame-source.ts';
import { unwrapKey } from './keys.ts';
import { readHeader, readSegment } from './reader.ts';

export interface VerifyOptions {
  /** age identity texts: with them the contents are checked too. */
  readonly identities?: readonly string[];
  /** Keys of the nodes by {@link keyIdOf}, as KeyObject, PEM text or SPKI DER. Given, the signature must be by one of them. */
  readonly publicKeys?: ReadonlyMap<string, KeyObject | string | Uint8Array>;
  /** Lower-case hex head hash that the store keeps for the session. */
  readonly expectedHead?: string;
  /** Told of how many bytes of the recording were checked. */
  readonly onProgress?: (checked: number, all: number) => void;
}

/** Stable codes of what is wrong. */
export type VerifyCode =
  /** Bytes of a frame were changed. */
  | 'altered'
  | 'reordered'
  /** Segments in the middle are gone. */
  | 'removed'
  /** Frames at the end are gone. */
  | 'cut'
  /** Another session's recording stands under this id. */
  | 'swapped'
  /** No manifest, and nothing else tells where the end is. */
  | 'unsealed'
  /** Signed by nobody known. */
  | 'signature'
  /** A whole recording that is not the one the store knows. */
  | 'head';

export interface VerifyReport {
  readonly ok: boolean;
  /** Segments found in order before the first problem. */
  readonly segments: number;
  /** 0 is the header, the one after the last segment the manifest. */
  readonly firstBadSegment?: number;
  /** Its node was gone before it could seal it: the segment that it ends with. */
  readonly truncatedAt?: number;
  readonly code?: VerifyCode;
  /** For a person. */
  readonly problem?: string;
  readonly proved: readonly string[];
  readonly notProved: readonly string[];
}

/** Rejects with {@link ArchiveError} only: whatever the bytes are, there is a report. */
export async function verifyRecording(
  archive: Archive,
  sessionId: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const reader = await archive.open(sessionId);
  try {
    return await new Verification(new FrameSource(reader), sessionId, options).run();
  } finally {
    await reader.close();
  }
}

/** Ends the walk over the frames. */
class Problem extends Error {
  readonly code: VerifyCode;
  readonly segment: number | undefined;
  constructor(code: VerifyCode, segment: number | undefined, message: string) {
    super(message);
    this.code = code;
    this.segment = segment;
  }
}

class Verification {
  readonly #source: FrameSource;
  readonly #sessionId: string;
  readonly #options: VerifyOptions;
  readonly #proved: string[] = [];
  readonly #notProved: string[] = [];
  #key: Buffer | undefined;
  #segments = 0;
  #events = 0;
  #duration = 0;
  #headSeen = false;
  #truncated = false;

  constructor(source: FrameSource, sessionId: string, options: VerifyOptions) {
    this.#source = source;
    this.#sessionId = sessionId;
    this.#options = options;
  }

  async run(): Promise<VerifyReport> {
    try {
      await this.#walk();
      return {
        ok: true,
        segments: this.#segments,
        ...(this.#truncated ? { truncatedAt: this.#segments } : {}),
        proved: this.#proved,
        notProved: this.#notProved,
      };
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return {
        ok: false,
        segments: this.#segments,
        ...(error.segment === undefined ? {} : { firstBadSegment: error.segment }),
        code: error.code,
        problem: error.message,
        proved: this.#proved,
        notProved: this.#notProved,
      };
    }
  }

  async #walk(): Promise<void> {
    let previous = await this.#first();
    for (let sequence = 1; ; sequence += 1) {
      const offset = endOf(previous.offset, previous.header);
      this.#options.onProgress?.(offset, this.#source.size);
      const frame = await this.#frameAt(offset, sequence);
      if (frame === undefined) return this.#unsealed();
      if (frame.header.sequence !== sequence) await this.#wrongSequence(frame, sequence);
      if (frame.header.type === FrameType.header) {
        throw new Problem(
          'altered',
          sequence,
          `segment ${sequence} was altered: a header stands in its place`,
        );
      }
      const intact = frame.header.type === FrameType.segment && this.#contents(frame);
      if (!digest(previous).equals(frame.header.previousHash)) {
        const bad = intact || (await this.#vouchedFor(frame)) ? sequence - 1 : sequence;
        throw new Problem('altered', bad, `${named(bad)} was altered: the hash chain breaks there`);
      }
      this.#see(frame);
      previous = frame;
      if (frame.header.type === FrameType.manifest) return this.#sealed(frame);
      this.#segments = sequence;
      this.#duration = frame.header.lastAt;
    }
  }

  async #first(): Promise<Frame> {
    const frame = await this.#frameAt(0, 0);
    if (frame === undefined) throw new Problem('cut', 0, 'the recording was cut inside its header');
    let header: RecordingHeader;
    try {
      header = readHeader(frame, this.#sessionId);
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
      throw error.code === 'wrong-recording'
        ? new Problem('swapped', 0, `another recording stands under this id: ${error.message}`)
        : new Problem('altered', 0, `the header was altered: ${error.message}`);
    }
    if (frame.header.previousHash.some((byte) => byte !== 0)) {
      throw new Problem('altered', 0, 'the header was altered: it names a frame before it');
    }
    await this.#unwrap(header);
    this.#see(frame);
    return frame;
  }

  async #unwrap(header: RecordingHeader): Promise<void> {
    const identities = this.#options.identities ?? [];
    try {
      this.#key = await unwrapKey(header, identities);
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
      this.#notProved.push(`contents: ${error.message}`);
    }
  }

  /** Like the source's frame, with what is wrong as a {@link Problem}; undefined where the recording ends. */
  async #frameAt(offset: number, sequence: number): Promise<Frame | undefined> {
    try {
      return await this.#source.frame(offset);
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
      // A length that was changed also runs past the end; a manifest at the end tells it from a torn tail.
      if (error.code === 'torn' && (await this.#source.closingManifest()) === undefined) return undefined;
      throw new Problem('altered', sequence, `${named(sequence)} was altered: ${error.message}`);
    }
  }

  /** Decrypts and reads a segment, when there is a key; whether that proved it intact. */
  #contents(frame: Frame): boolean {
    if (this.#key === undefined) return false;
    const { sequence } = frame.header;
    try {
      for (const _event of readSegment(this.#key, frame)) this.#events += 1;
      return true;
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
      throw new Problem('altered', sequence, `${named(sequence)} was altered: ${error.message}`);
    }
  }

  async #wrongSequence(frame: Frame, expected: number): Promise<never> {
    const found = frame.header.sequence;
    const later = await this.#laterSequences(frame, expected);
    if (later.next === expected + 1) {
      throw new Problem('altered', expected, `${named(expected)} was altered: its number is ${found}`);
    }
    if (found < expected || later.hasExpected) {
      throw new Problem(
        'reordered',
        expected,
        `segments are out of order: ${found} stands where ${expected} belongs`,
      );
    }
    const last = found - 1;
    throw new Problem(
      'removed',
      expected,
      last === expected ? `segment ${expected} was removed` : `segments ${expected} to ${last} were removed`,
    );
  }

  /** The sequence number after `frame`, and whether `expected` comes anywhere behind it. */
  async #laterSequences(
    frame: Frame,
    expected: number,
  ): Promise<{ next: number | undefined; hasExpected: boolean }> {
    let next: number | undefined;
    try {
      for (let offset = endOf(frame.offset, frame.header); ; ) {
        const header = await this.#source.header(offset);
        if (header === undefined) break;
        next ??= header.sequence;
        if (header.sequence === expected) return { next, hasExpected: true };
        offset = endOf(offset, header);
      }
    } catch (error) {
      // Only the first problem is told; what stands behind it may be anything.
      if (!(error instanceof ContainerError)) throw error;
    }
    return { next, hasExpected: false };
  }

  /** Whether something beside the chain behind it says that this frame is as it was written. */
  async #vouchedFor(frame: Frame): Promise<boolean> {
    const own = digest(frame);
    if (own.toString('hex') === this.#options.expectedHead) return true;
    if (frame.header.type === FrameType.manifest) {
      const signed = readManifest(frame);
      return signed !== undefined && signed.manifest.head === hex(frame.header.previousHash);
    }
    try {
      const next = await this.#source.header(endOf(frame.offset, frame.header));
      return next !== undefined && own.equals(next.previousHash);
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
      return false;
    }
  }

  #see(frame: Frame): void {
    const { expectedHead } = this.#options;
    if (expectedHead !== undefined && digest(frame).toString('hex') === expectedHead) this.#headSeen = true;
  }

  #sealed(frame: Frame): void {
    const number = frame.header.sequence;
    if (endOf(frame.offset, frame.header) !== this.#source.size) {
      throw new Problem('altered', number, 'bytes were added behind the manifest');
    }
    const signed = readManifest(frame);
    const { manifest } = signed ?? {};
    if (signed === undefined || manifest === undefined || !this.#agrees(manifest, frame)) {
      throw new Problem('altered', number, 'the manifest was altered: it does not fit the segments');
    }
    this.#proved.push(`order: ${this.#segments} segments from the header to the manifest, none missing`);
    this.#proved.push('chain: every frame is the one that the next names by its hash');
    this.#checkSignature(signed, frame);
    this.#truncated = manifest.recovered !== undefined;
    this.#checkHead(true);
    this.#proveContents();
    if (manifest.recovered !== undefined)
      this.#notProved.push(
        `end: it is truncated at segment ${this.#segments}: its writer was gone, node ` +
          `${manifest.recovered.node} sealed what the archive had, and what it had not is lost`,
      );
  }

  #agrees(manifest: RecordingManifest, frame: Frame): boolean {
    return (
      manifest.sessionId === this.#sessionId &&
      manifest.segments === this.#segments &&
      manifest.bytes === frame.offset &&
      manifest.duration === this.#duration &&
      manifest.head === hex(frame.header.previousHash) &&
      (this.#key === undefined || manifest.events === undefined || manifest.events === this.#events)
    );
  }

  #checkSignature(signed: SignedManifest, frame: Frame): void {
    const { publicKeys } = this.#options;
    const { keyId } = signed.manifest;
    if (publicKeys === undefined) {
      this.#notProved.push('signature: no keys of nodes were given');
      return;
    }
    const known = publicKeys.get(keyId);
    const number = frame.header.sequence;
    if (known === undefined) {
      throw new Problem(
        'signature',
        number,
        `the manifest is signed by key ${keyId}, which is no key of a known node`,
      );
    }
    if (
      !verify(null, manifestSignatureInput(frame.bytes, signed.json), publicKeyOf(known), signed.signature)
    ) {
      throw new Problem('altered', number, `the manifest was altered: it is not what key ${keyId} signed`);
    }
    this.#proved.push(`signature: the manifest is signed by node key ${keyId}`);
  }

  #checkHead(sealed: boolean): void {
    if (this.#options.expectedHead === undefined) {
      this.#notProved.push('head: no head hash was given, so a recording sealed in its place would not show');
      return;
    }
    if (this.#headSeen) {
      this.#proved.push(
        'head: it is the recording that the store knows, with everything that the store knows of',
      );
      return;
    }
    throw sealed && !this.#truncated
      ? new Problem(
          'head',
          undefined,
          'it is not the recording that the store knows: its head hash is another',
        )
      : new Problem(
          'cut',
          this.#segments + 1,
          `the end was cut after segment ${this.#segments}: the store knows of more`,
        );
  }

  #unsealed(): void {
    this.#proved.push(`order: ${this.#segments} segments from the header on, none missing between them`);
    this.#proved.push('chain: every frame but the last is the one that the next names by its hash');
    this.#notProved.push('seal: the recording has no manifest, so nobody signed it');
    if (this.#options.expectedHead === undefined) {
      throw new Problem(
        'unsealed',
        this.#segments + 1,
        `the recording is not sealed: it ends after segment ${this.#segments}, and whether its end was cut cannot be told without the head hash`,
      );
    }
    this.#checkHead(false);
    this.#proveContents();
  }

  #proveContents(): void {
    if (this.#key !== undefined) {
      this.#proved.push(`contents: every segment decrypts, ${this.#events} events can be read`);
    }
  }
}

function readManifest(frame: Frame): SignedManifest | undefined {
  try {
    return decodeManifest(frame.bytes.subarray(FRAME_HEADER_BYTES));
  } catch (error) {
    if (error instanceof ContainerError) return undefined;
    throw error;
  }
}

function publicKeyOf(key: KeyObject | string | Uint8Array): KeyObject {
  if (key instanceof KeyObject) return key;
  if (typeof key === 'string') return createPublicKey(key);
  return createPublicKey({ key: Buffer.from(key), type: 'spki', format: 'der' });
}

function digest(frame: Frame): Buffer {
  return hash('sha256', frame.bytes, 'buffer');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, HASH_BYTES)).toString('hex');
}

function named(sequence: number): string {
  return sequence === 0 ? 'the header' : `segment ${sequence}`;
}
