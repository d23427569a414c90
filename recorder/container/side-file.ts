/**
 * How what stands beside a recording is sealed: AES-256-GCM, the tag behind, under a key that binds it to
 * one recording as that was sealed, and opens to that recording's recipients:
 *
 *     HKDF-SHA256(ikm = recording key, salt = salt ‖ head of the chain, info = "sallyport <side> " ‖ session id)
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { ArchiveReader, Side } from '../archive/port.ts';
import type { RecordingManifest } from '../format/document.ts';

/** Bytes of a recording below which it is read as fast as a file beside it. */
export const SIDES_FROM_BYTES = 32 * 1024;

export const SIDE_SALT_BYTES = 16;
export const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const KEY_BYTES = 32;

/** A side file and what opens it. */
export interface OpenedSide {
  readonly file: ArchiveReader;
  /** The recording's own. */
  readonly key: Uint8Array;
  readonly manifest: RecordingManifest;
}

/** `salt`: {@link SIDE_SALT_BYTES}, random, of each side file its own. */
export function sideKey(
  side: Side,
  recordingKey: Uint8Array,
  manifest: RecordingManifest,
  salt: Uint8Array,
): Buffer {
  const bound = Buffer.concat([salt, Buffer.from(manifest.head, 'hex')]);
  return Buffer.from(
    hkdfSync('sha256', recordingKey, bound, `sallyport ${side} ${manifest.sessionId}`, KEY_BYTES),
  );
}

/** `number`: uint32, of each part of a side file another. */
export function sealPart(key: Buffer, number: number, plain: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce(number));
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined: it was not sealed with this key and number. */
export function openPart(key: Buffer, number: number, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(number));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plain;
}

function nonce(number: number): Buffer {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeUInt32BE(number, NONCE_BYTES - 4);
  return bytes;
}
