/**
 * Tells an SSH client at the door why it is not let in, without a key exchange: RFC 4253 §11.1
 * lets SSH_MSG_DISCONNECT be sent at any time, and before §7 packets are plain (§6).
 */
import type { Socket } from 'node:net';
import { hangUp } from '../listener/hang-up.ts';
import { DisconnectReason, encodeMessage, Message } from './wire/connection.ts';

/** Told at the same time in a worker; in a flood the others are only hung up on. */
const MAX_LINGERING = 200;
const BANNER = Buffer.from('SSH-2.0-Sallyport\r\n', 'latin1');

let lingering = 0;

/**
 * Ends the connection; the client prints `text`. Nothing may have been sent on it.
 * @param onEnd told whether the client said a word; in a flood nobody waits for it
 */
export function turnAway(socket: Socket, text: string, onEnd?: (spoke: boolean) => void): void {
  if (socket.destroyed) return;
  if (lingering >= MAX_LINGERING) {
    socket.destroy();
    onEnd?.(true);
    return;
  }
  let spoke = false;
  lingering += 1;
  socket.once('close', () => {
    lingering -= 1;
    onEnd?.(spoke);
  });
  socket.on('error', () => {});
  socket.on('data', () => {
    spoke = true;
  });
  hangUp(socket, Buffer.concat([BANNER, plainPacket(disconnectMessage(text))]));
  socket.once('end', () => socket.destroySoon());
}

const disconnectMessage = (text: string): Uint8Array =>
  encodeMessage(Message.disconnect, DisconnectReason.tooManyConnections, text, '');

/** packet_length (4), padding_length (1), payload, padding: a multiple of 8 in all, 4 of padding at least (§6). */
export function plainPacket(payload: Uint8Array): Uint8Array {
  const padding = 4 + ((8 - ((5 + payload.length + 4) % 8)) % 8);
  const packet = Buffer.alloc(5 + payload.length + padding);
  packet.writeUInt32BE(packet.length - 4);
  packet[4] = padding;
  packet.set(payload, 5);
  return packet;
}
