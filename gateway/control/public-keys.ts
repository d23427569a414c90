/** OpenSSH public key lines: `type base64 comment`. */

/** Whether one of the lines holds this key, given in SSH wire form (RFC 4253 §6.6). */
export function holdsKey(lines: readonly string[], blob: Uint8Array): boolean {
  const wanted = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength).toString('base64');
  return lines.some((line) => keyOf(line)?.base64 === wanted);
}

/** Whether two lines hold the same key, whatever their comments. */
export function sameKey(a: string, b: string): boolean {
  const key = keyOf(a);
  return key !== undefined && key.base64 === keyOf(b)?.base64;
}

/** The line without its comment; undefined when it is no key line, or names another type than its key. */
export function normalKeyLine(line: string): string | undefined {
  const key = keyOf(line);
  return key === undefined ? undefined : `${key.type} ${key.base64}`;
}

/** An RSA key of 16,384 bits takes 2 KiB; more is no key. */
const MAX_LINE_LENGTH = 8192;

function keyOf(line: string): { readonly type: string; readonly base64: string } | undefined {
  if (line.length > MAX_LINE_LENGTH) return undefined;
  const [type, base64] = line.trim().split(/[ \t]+/);
  if (type === undefined || base64 === undefined) return undefined;
  const blob = Buffer.from(base64, 'base64');
  // The blob begins with its type as an SSH string (RFC 4253 §6.6).
  if (blob.length < 4 + type.length || blob.readUInt32BE(0) !== type.length) return undefined;
  if (blob.toString('latin1', 4, 4 + type.length) !== type) return undefined;
  return { type, base64: blob.toString('base64') };
}
