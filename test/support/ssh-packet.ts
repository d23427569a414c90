/** SSH by hand, for clients that do what no client does. */
import { randomBytes } from 'node:crypto';

/** SSH_MSG_KEXINIT (RFC 4253 §7.1) that offers one key exchange. */
export function kexInit(kex: string): Uint8Array {
  const cipher = 'aes128-gcm@openssh.com';
  const mac = 'hmac-sha2-256';
  const lists = [kex, 'ssh-ed25519', cipher, cipher, mac, mac, 'none', 'none', '', ''];
  const names = lists.map((list) => {
    const bytes = Buffer.alloc(4 + list.length);
    bytes.writeUInt32BE(list.length);
    bytes.write(list, 4, 'latin1');
    return bytes;
  });
  return Buffer.concat([Buffer.from([20]), randomBytes(16), ...names, Buffer.alloc(5)]);
}
