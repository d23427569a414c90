/** Keys as people paste them: checked when they are declared, not when a session needs them. */
import { createPrivateKey } from 'node:crypto';
import ssh2 from 'ssh2';

/** A key, or why the text is none. The reason never quotes the text. */
export type Checked<T> = { readonly value: T } | { readonly problem: string };

const KNOWN_TYPES = /^(ssh-(ed25519|rsa|dss)|ecdsa-sha2-nistp(256|384|521))$/;

/** `type base64 comment` of a public key, white space tidied, types that SSH sessions use. */
export function checkPublicKey(line: string): Checked<string> {
  const text = line.trim().replace(/\s+/g, ' ');
  const [type, blob] = text.split(' ');
  if (type === undefined || blob === undefined || !/^[a-z0-9@.-]+$/.test(type)) {
    return { problem: 'wants an OpenSSH public key line such as "ssh-ed25519 AAAA…"' };
  }
  const key = first(text);
  if (key === undefined) {
    return KNOWN_TYPES.test(type)
      ? { problem: `is no OpenSSH public key line: the text after ${type} is damaged` }
      : { problem: `is no public key of a known type (${type})` };
  }
  if (key.isPrivateKey()) return { problem: 'is a private key; give the public one' };
  // The type is written twice, in the line and in the blob.
  if (key.type !== type || key.getPublicSSH().toString('base64') !== blob) {
    return { problem: 'is no whole public key; copy the line again' };
  }
  return { value: text };
}

/** A public key that a person may log on with: what {@link checkPublicKey} takes, and the front accepts. */
export function checkPersonKey(line: string): Checked<string> {
  const checked = checkPublicKey(line);
  return 'value' in checked && checked.value.startsWith('ssh-dss ')
    ? { problem: 'is a DSA key, which can sign with SHA-1 only; make another: ssh-keygen -t ed25519' }
    : checked;
}

/**
 * The PEM or OpenSSH text of a private key, opened with its passphrase. It is opened here
 * because bcrypt takes a third of a second of JavaScript: at each log-on that would hold
 * up every session of a worker. Under the master key it is sealed as well as before.
 */
export function checkPrivateKey(text: string, passphrase: string | undefined): Checked<string> {
  const parsed = ssh2.utils.parseKey(text, passphrase);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined || key instanceof Error) {
    const why = key?.message ?? '';
    if (/encrypted/i.test(why) && passphrase === undefined)
      return { problem: 'is encrypted; give its passphrase' };
    if (passphrase !== undefined)
      return { problem: 'does not open with its passphrase, or is no private key' };
    return { problem: 'is no private key in OpenSSH or PEM form' };
  }
  if (!key.isPrivateKey()) return { problem: 'is a public key; give the private one' };
  return { value: passphrase === undefined ? `${text.trim()}\n` : unencrypted(key) };
}

/** The key as text that ssh2 reads without a passphrase. */
function unencrypted(key: ssh2.ParsedKey): string {
  const pem = key.getPrivatePEM();
  if (key.type !== 'ssh-ed25519') return pem;
  // ssh2 writes Ed25519 as PKCS #8 but reads it as openssh-key-v1 only (PROTOCOL.key of OpenSSH).
  const { d = '', x = '' } = createPrivateKey(pem).export({ format: 'jwk' });
  const [seed, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  const string = (value: string | Uint8Array): Buffer => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const open = key.getPublicSSH();
  // Two equal check numbers, type, public key, seed with public key, comment; padded to 8 bytes.
  const secret = [
    Buffer.alloc(8),
    string(key.type),
    string(point),
    string(Buffer.concat([seed, point])),
    string(''),
  ];
  const size = secret.reduce((sum, part) => sum + part.length, 0);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (size % 8)) % 8));
  const body = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    string('none'),
    string('none'),
    string(''),
    Buffer.from([0, 0, 0, 1]),
    string(open),
    string(Buffer.concat([...secret, padding])),
  ]);
  const lines = body.toString('base64').replace(/.{70}(?=.)/g, '$&\n');
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function first(text: string): ssh2.ParsedKey | undefined {
  const parsed = ssh2.utils.parseKey(text);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  return key instanceof Error ? undefined : key;
}
