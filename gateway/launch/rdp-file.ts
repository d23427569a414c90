/**
 * Files that the clients of RDP open: one setting a line, `name:type:value`. The names are
 * those that Microsoft documents ("Supported RDP properties").
 */
import type { Endpoint } from '../config/address.ts';
import type { Capability } from '../policy/capability.ts';

export interface DesktopFile {
  /** Where the gateway is reached. */
  readonly address: Endpoint;
  /** `user+account+system`. */
  readonly login: string;
  readonly credential: string;
  /** The client logs on with NLA: it asks for a password, which is the credential. */
  readonly nla: boolean;
  /** What the policy allows: the client offers no more. */
  readonly allow: readonly Capability[];
}

/** The lines of the file, without their ends. */
export function desktopFile({ address, login, credential, nla, allow }: DesktopFile): readonly string[] {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const may = (...capabilities: Capability[]): number =>
    capabilities.some((capability) => allow.includes(capability)) ? 1 : 0;
  return [
    `full address:s:${host}:${address.port}`,
    // A signature must stand for this one too, or another could be put in (mstsc takes it first).
    `alternate full address:s:${host}:${address.port}`,
    // What stands as the domain is sent on without asking, and behind TLS only: the user name goes
    // before it in plain text, and a password cannot stand in a file. (FreeRDP 2 reads no `domain`.)
    `username:s:${nla ? '' : `${credential}\\`}${login}`,
    `enablecredsspsupport:i:${nla ? 1 : 0}`,
    `prompt for credentials:i:${nla ? 1 : 0}`,
    'promptcredentialonce:i:0',
    'negotiate security layer:i:1',
    // Warns when the gateway's certificate is not trusted.
    'authentication level:i:2',
    // The credential opens one session.
    'autoreconnection enabled:i:0',
    'screen mode id:i:2',
    'dynamic resolution:i:1',
    'bitmapcachepersistenable:i:0',
    `redirectclipboard:i:${may('clipboard-to-target', 'clipboard-from-target')}`,
    `drivestoredirect:s:${may('drives') === 1 ? '*' : ''}`,
    `redirectprinters:i:${may('printers')}`,
    `redirectsmartcards:i:${may('smart-cards')}`,
    `redirectcomports:i:${may('ports')}`,
    // 0: heard at the client, 2: not at all.
    `audiomode:i:${may('audio') === 1 ? 0 : 2}`,
    `audiocapturemode:i:${may('microphone')}`,
  ];
}

/** How Windows writes such files: UTF-16LE with a byte order mark. */
export function fileBytes(lines: readonly string[]): Buffer {
  return Buffer.from(`\ufeff${lines.map((line) => `${line}\r\n`).join('')}`, 'utf16le');
}
