/** The basic security header, [MS-RDPBCGR] 2.2.8.1.1.2.1. Only its flags matter: encryption is TLS's. */
import { PduError, type Reader, type Writer } from './cursor.ts';

export const SecurityFlag = {
  exchangePacket: 0x0001,
  transportRequest: 0x0002,
  transportResponse: 0x0004,
  encrypt: 0x0008,
  infoPacket: 0x0040,
  licensePacket: 0x0080,
  /** The sender takes encrypted licensing packets; under TLS a flag without meaning. */
  licenseEncrypt: 0x0200,
  redirectionPacket: 0x0400,
  secureChecksum: 0x0800,
  autodetectRequest: 0x1000,
  autodetectResponse: 0x2000,
  heartbeat: 0x4000,
  flagsHighValid: 0x8000,
} as const;

export const SECURITY_HEADER_BYTES = 4;

/**
 * flags (2), flagsHi (2). With TLS only some PDUs carry it: client info, licensing, multitransport,
 * autodetection, heartbeat and the redirection of standard security.
 *
 * @throws PduError when the flags ask for encryption by RDP itself
 */
export function decodeSecurityHeader(reader: Reader): number {
  const flags = reader.u16le('flags');
  if ((flags & SecurityFlag.encrypt) !== 0)
    throw new PduError(
      'flags',
      reader.offset - 2,
      'says that RDP itself encrypts, but TLS was agreed: set SEC_ENCRYPT to 0',
    );
  reader.skip('flagsHi', 2);
  return flags;
}

export function encodeSecurityHeader(writer: Writer, flags: number): void {
  writer.u16le(flags).u16le(0);
}
