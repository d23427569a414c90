/**
 * Keys of recordings. Wrapping a key to age recipients costs milliseconds, so a worker
 * wraps one random key for many recordings (an epoch) and derives each recording's key:
 *
 *     HKDF-SHA256(ikm = epoch key, salt = 16 random bytes, info = "sallyport recording " ‖ session id)
 *
 * After the epoch its key is wiped, whether another begins or not; live recordings hold their derived keys only.
 */
import { createHash, createPublicKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { Decrypter, Encrypter } from 'age-encryption';
import { ArchiveError } from '../archive/port.ts';
import type { RecordingHeader } from '../format/document.ts';
import { ContainerError } from '../format/error.ts';

const KEY_BYTES = 32;
const SALT_BYTES = 16;
/** Bounds of what one wrapped key opens. */
const EPOCH_MS = 600_000;
const EPOCH_RECORDINGS = 1000;

interface Epoch {
  readonly key: Buffer;
  readonly wrapped: string;
  readonly startedAt: number;
  recordings: number;
  /** Its key is wiped. */
  over: boolean;
}

export interface RecordingKey {
  /** AES-256 key. */
  readonly key: Buffer;
  readonly wrappedKey: string;
  readonly salt: string;
}

/** Gives each recording of a worker its own key. */
export class KeyRing {
  readonly #recipients: readonly string[];
  readonly #now: () => number;
  #epoch: Promise<Epoch> | undefined;

  /** `now`: ms, monotonic. */
  constructor(recipients: readonly string[], now: () => number) {
    this.#recipients = recipients;
    this.#now = now;
  }

  /** Rejects with {@link ArchiveError} `archive-recipient` when a recipient is none. */
  async keyFor(sessionId: string): Promise<RecordingKey> {
    const salt = randomBytes(SALT_BYTES);
    for (;;) {
      this.#epoch ??= this.#begin();
      const pending = this.#epoch;
      let epoch: Epoch;
      try {
        epoch = await pending;
      } catch (error) {
        if (this.#epoch === pending) this.#epoch = undefined;
        throw error;
      }
      const { over, startedAt, recordings } = epoch;
      if (!over && this.#now() - startedAt < EPOCH_MS && recordings < EPOCH_RECORDINGS) {
        epoch.recordings += 1;
        // Here and not a turn later: whoever finds the epoch over wipes its key.
        const key = deriveKey(epoch.key, salt, sessionId);
        return { key, wrappedKey: epoch.wrapped, salt: salt.toString('base64') };
      }
      end(epoch);
      if (this.#epoch === pending) this.#epoch = undefined;
    }
  }

  async #begin(): Promise<Epoch> {
    const key = randomBytes(KEY_BYTES);
    const encrypter = new Encrypter();
    try {
      for (const recipient of this.#recipients) encrypter.addRecipient(recipient);
      const wrapped = Buffer.from(await encrypter.encrypt(new Uint8Array(key))).toString('base64');
      const epoch = { key, wrapped, startedAt: this.#now(), recordings: 0, over: false };
      // A node where nobody begins a session must not keep the key of its last recordings; it may stop meanwhile.
      setTimeout(() => end(epoch), EPOCH_MS).unref();
      return epoch;
    } catch (cause) {
      throw new ArchiveError(
        'archive-recipient',
        'archive.recipients: an entry is no age recipient, give age1… values',
        cause,
      );
    }
  }
}

function end(epoch: Epoch): void {
  epoch.key.fill(0);
  epoch.over = true;
}

/** The key of the recording with this header. Throws {@link ContainerError} `no-identity` when none of `identities` opens it. */
export async function unwrapKey(header: RecordingHeader, identities: readonly string[]): Promise<Buffer> {
  if (identities.length === 0) {
    throw new ContainerError('no-identity', 'the recording is encrypted: give the archive identity');
  }
  const decrypter = new Decrypter();
  let epochKey: Uint8Array;
  try {
    for (const identity of identities) decrypter.addIdentity(identity);
    epochKey = await decrypter.decrypt(Buffer.from(header.wrappedKey, 'base64'));
  } catch (cause) {
    throw new ContainerError(
      'no-identity',
      `none of the ${identities.length} identities given opens this recording: give that of one of its recipients`,
      undefined,
      cause,
    );
  }
  if (epochKey.length !== KEY_BYTES) {
    throw new ContainerError('bad-document', `wrapped key: ${epochKey.length} bytes, not ${KEY_BYTES}`);
  }
  return deriveKey(epochKey, Buffer.from(header.salt, 'base64'), header.sessionId);
}

/** Names a node's Ed25519 key, private or public: lower-case hex of the first 16 bytes of SHA-256 over its SPKI. */
export function keyIdOf(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 32);
}

function deriveKey(epochKey: Uint8Array, salt: Uint8Array, sessionId: string): Buffer {
  return Buffer.from(hkdfSync('sha256', epochKey, salt, `sallyport recording ${sessionId}`, KEY_BYTES));
}
