/** [MS-CSSP] 3.1.5: proof that both ends of NTLM are the ends of this TLS connection. */
import { createHash } from 'node:crypto';
import { HASH_BINDING_VERSION } from './ts-request.ts';

export const NONCE_BYTES = 32;

/** What the client seals into pubKeyAuth. `nonce` is the client's, from version 5 on. */
export function clientBinding(version: number, publicKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return version >= HASH_BINDING_VERSION
    ? hash('CredSSP Client-To-Server Binding Hash\0', nonce, publicKey)
    : publicKey;
}

/** What the server seals into its answer: before version 5 the key as a little-endian number, plus one. */
export function serverBinding(version: number, publicKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  if (version >= HASH_BINDING_VERSION)
    return hash('CredSSP Server-To-Client Binding Hash\0', nonce, publicKey);
  const next = Uint8Array.from(publicKey);
  for (let i = 0; i < next.length; i++) {
    next[i] = ((next[i] ?? 0) + 1) & 0xff;
    if (next[i] !== 0) break;
  }
  return next;
}

function hash(magic: string, nonce: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return createHash('sha256').update(magic).update(nonce).update(publicKey).digest();
}
