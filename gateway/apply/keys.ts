/** Keys as people paste them: checked when they are declared, not when a session needs them. */
import ssh2 from 'ssh2';

/** A key, or why the text is none. The reason never quotes the text. */
export type Checked<T> = { readonly value: T } | { readonly problem: string };

/** `type base64 comment` of a public key, white space tidied, types that SSH sessions use. */
export function checkPublicKey(line: string): Checked<string> {
  const text = line.trim().replace(/\s+/g, ' ');
  const [type, blob] = text.split(' ');
  if (type === undefined || blob === undefined || !/^[a-z0-9@.-]+$/.test(type)) {
    return { problem: 'wants an OpenSSH public key line such as "ssh-ed25519 AAAA…"' };
  }
  const key = first(text);
  if (key === undefined) return { problem: `is no public key of a known type (${type})` };
  if (key.isPrivateKey()) return { problem: 'is a private key; give the public one' };
  // The type is written twice, in the line and in the blob.
  if (key.type !== type || key.getPublicSSH().toString('base64') !== blob) {
    return { problem: 'is no whole public key; copy the line again' };
  }
  return { value: text };
}

/** The PEM or OpenSSH text of a private key, once it opens with its passphrase. */
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
  return { value: `${text.trim()}\n` };
}

function first(text: string): ssh2.ParsedKey | undefined {
  const parsed = ssh2.utils.parseKey(text);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  return key instanceof Error ? undefined : key;
}
