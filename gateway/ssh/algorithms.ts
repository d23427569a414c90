/** Algorithms of both legs, best first; what is not listed is not spoken. */
import { createPublicKey } from 'node:crypto';
import type { Algorithms, CipherAlgorithm, KexAlgorithm, MacAlgorithm, ServerHostKeyAlgorithm } from 'ssh2';

/**
 * Post-quantum and classical together (draft-ietf-sshm-mlkem-hybrid-kex), which OpenSSH's client warns
 * without since 10.1. The types of ssh2 do not know what its patch adds.
 */
const HYBRID_KEX = 'mlkem768x25519-sha256' as KexAlgorithm;

const ELLIPTIC_KEX: KexAlgorithm[] = [
  ...(knowsMlKem() ? [HYBRID_KEX] : []),
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
];
/**
 * Of the prime groups only the smallest: of strangers, who need no secret of their own for it, an exchange in a larger
 * one takes a multiple of what others cost (CVE-2002-20001). And ssh2 has no server's part of the group exchange.
 */
const FRONT_KEX: KexAlgorithm[] = [...ELLIPTIC_KEX, 'diffie-hellman-group14-sha256'];
const BACK_KEX: KexAlgorithm[] = [
  ...ELLIPTIC_KEX,
  'diffie-hellman-group16-sha512',
  'diffie-hellman-group18-sha512',
  'diffie-hellman-group-exchange-sha256',
  'diffie-hellman-group14-sha256',
];

/** AES-GCM first: with the native addon it relays at near line speed, the others at half of it. */
const CIPHERS: CipherAlgorithm[] = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
];

const MACS: MacAlgorithm[] = [
  'hmac-sha2-256-etm@openssh.com',
  'hmac-sha2-512-etm@openssh.com',
  'hmac-sha2-256',
  'hmac-sha2-512',
];

const HOST_KEYS: ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
];

export const FRONT_ALGORITHMS: Algorithms = {
  kex: FRONT_KEX,
  cipher: CIPHERS,
  hmac: MACS,
  serverHostKey: HOST_KEYS,
  compress: ['none', 'zlib@openssh.com'],
};

export const BACK_ALGORITHMS: Algorithms = { ...FRONT_ALGORITHMS, kex: BACK_KEX, compress: ['none'] };

/** For systems that policy marks `legacyAlgorithms`: old appliances and switches. */
export const LEGACY_BACK_ALGORITHMS: Algorithms = {
  kex: [
    ...BACK_KEX,
    'diffie-hellman-group-exchange-sha1',
    'diffie-hellman-group14-sha1',
    'diffie-hellman-group1-sha1',
  ],
  cipher: [...CIPHERS, 'aes256-cbc', 'aes192-cbc', 'aes128-cbc', '3des-cbc'],
  hmac: [...MACS, 'hmac-sha1-etm@openssh.com', 'hmac-sha1'],
  serverHostKey: [...HOST_KEYS, 'ssh-rsa', 'ssh-dss'],
  compress: ['none'],
};

/** Signature algorithms to ask of a target whose host key of `type` is pinned. */
export function hostKeyAlgorithms(type: string, legacy: boolean): ServerHostKeyAlgorithm[] {
  if (type !== 'ssh-rsa') return [type as ServerHostKeyAlgorithm];
  const modern: ServerHostKeyAlgorithm[] = ['rsa-sha2-512', 'rsa-sha2-256'];
  return legacy ? [...modern, 'ssh-rsa'] : modern;
}

/** Node has ML-KEM with raw keys since 26. */
function knowsMlKem(): boolean {
  try {
    const key = { key: Buffer.alloc(1184), format: 'raw-public', asymmetricKeyType: 'ml-kem-768' };
    createPublicKey(key as unknown as Parameters<typeof createPublicKey>[0]);
    return true;
  } catch {
    return false;
  }
}
