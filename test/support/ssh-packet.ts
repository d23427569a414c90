/** SSH by hand, for clients that do what no client does. */
import { randomBytes } from 'node:crypto';

/** A packet before keys are exchanged (RFC 4253 §6). */
export function sshPacket(payload: Uint8Array): Buffer {
  const padding = 4 + ((8 - ((5 + payload.length + 4) % 8)) % 8);
  const packet = Buffer.alloc(5 + payload.length + padding);
  packet.writeUInt32BE(packet.length - 4);
  packet[4] = padding;
  packet.set(payload, 5);
  return packet;
}

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
