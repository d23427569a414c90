/**
 * The key under which secrets lie in the database. From 32 bytes three keys are derived
 * (HKDF-SHA256), one per use: sealing, fingerprints, and the check that the key is right.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { VaultError } from './errors.ts';

export type MasterKeySource =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'env'; readonly name: string };

const KEY_BYTES = 32;
// Sealed value: version (1) | nonce (12) | ciphertext | tag (16).
const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD = 1 + NONCE_BYTES + TAG_BYTES;
// Room for base64, hex and line ends; a larger file is another file.
const MAX_KEY_FILE_BYTES = 4096;

export class MasterKey {
  readonly #sealing: Buffer;
  readonly #fingerprinting: Buffer;
  readonly #checking: Buffer;

  private constructor(key: Uint8Array) {
    const derive = (use: string) => Buffer.from(hkdfSync('sha256', key, '', `sallyport/${use}/1`, KEY_BYTES));
    this.#sealing = derive('seal');
    this.#fingerprinting = derive('fingerprint');
    this.#checking = derive('check');
  }

  /** A new key as base64 text, for a key file. */
  static generate(): string {
    return randomBytes(KEY_BYTES).toString('base64');
  }

  /**
   * Reads the key: base64 or hex of 32 bytes. A file must be readable by its owner alone.
   *
   * @throws VaultError `master-key`, saying where it looked and what to do
   */
  static load(source: MasterKeySource, env: NodeJS.ProcessEnv = process.env): MasterKey {
    if (source.from === 'file') return MasterKey.parse(readKeyFile(source.path), source.path);
    const text = env[source.name];
    if (text === undefined || text === '') {
      throw new VaultError(
        'master-key',
        `environment variable ${source.name} is not set; it must hold the master key`,
      );
    }
    return MasterKey.parse(text, `environment variable ${source.name}`);
  }

  /** @param where named in the error */
  static parse(text: string, where: string): MasterKey {
    const trimmed = text.trim();
    let key: Buffer | undefined;
    if (/^[0-9a-fA-F]{64}$/.test(trimmed)) key = Buffer.from(trimmed, 'hex');
    else if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) key = Buffer.from(trimmed, 'base64');
    if (key?.length !== KEY_BYTES) {
      throw new VaultError('master-key', `${where}: is no master key: wants 32 bytes in base64 or hex`);
    }
    return new MasterKey(key);
  }

  /**
   * Encrypts with AES-256-GCM under a random nonce. `binding` names the record that the
   * value belongs to: the value opens in no other.
   */
  seal(plaintext: string | Uint8Array, binding: string): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#sealing, nonce);
    cipher.setAAD(Buffer.from(binding));
    const body = cipher.update(typeof plaintext === 'string' ? Buffer.from(plaintext) : plaintext);
    return Buffer.concat([Buffer.of(VERSION), nonce, body, cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws VaultError `sealed-value`: damaged, of another record, or under another key */
  open(sealed: Uint8Array, binding: string): Buffer {
    if (sealed.length < OVERHEAD) {
      throw new VaultError(
        'sealed-value',
        `sealed value: wants at least ${OVERHEAD} bytes, has ${sealed.length}`,
      );
    }
    if (sealed[0] !== VERSION) {
      throw new VaultError('sealed-value', `sealed value: version ${sealed[0]} at offset 0 is not known`);
    }
    const tagAt = sealed.length - TAG_BYTES;
    const cipher = createDecipheriv('aes-256-gcm', this.#sealing, sealed.subarray(1, 1 + NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(Buffer.from(binding));
    cipher.setAuthTag(sealed.subarray(tagAt));
    try {
      return Buffer.concat([cipher.update(sealed.subarray(1 + NONCE_BYTES, tagAt)), cipher.final()]);
    } catch (cause) {
      throw new VaultError(
        'sealed-value',
        'sealed value: does not open: it is damaged, of another record, or under another master key',
        { cause },
      );
    }
  }

  /**
   * Lower-case hex HMAC-SHA256 that tells whether a secret changed without opening it.
   * Useless without the key: guesses cannot be tried against it.
   */
  fingerprint(plaintext: string, binding: string): string {
    // The binding's length first, so that no two pairs give the same input.
    const bound = Buffer.from(binding);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bound.length);
    return createHmac('sha256', this.#fingerprinting)
      .update(length)
      .update(bound)
      .update(plaintext)
      .digest('hex');
  }

  /** A public value of this key, to be kept beside what it sealed. */
  checkValue(): string {
    return createHmac('sha256', this.#checking).update('check value').digest('hex');
  }

  /** @throws VaultError `master-key-wrong` when `checkValue` is another key's */
  verify(checkValue: string): void {
    const given = Buffer.from(checkValue, 'hex');
    const own = Buffer.from(this.checkValue(), 'hex');
    if (given.length === own.length && timingSafeEqual(given, own)) return;
    throw new VaultError(
      'master-key-wrong',
      'the master key is not the one that sealed this database; restore the right key or point vault.masterKey to it',
    );
  }
}

function readKeyFile(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : 'unknown error';
    const why =
      code === 'ENOENT'
        ? 'no such file; restore the master key or set vault.masterKey'
        : `cannot be read (${code})`;
    throw new VaultError('master-key', `${path}: ${why}`, { cause });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > MAX_KEY_FILE_BYTES) {
      throw new VaultError(
        'master-key',
        `${path}: is no master key: wants a file of 32 bytes in base64 or hex`,
      );
    }
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new VaultError('master-key', `${path}: others may read it (mode ${mode}); run chmod 600 on it`);
    }
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}
