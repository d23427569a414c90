/** Licensing on the target's leg (2.2.1.12): most servers say that the client is valid, some ask first. */
import { TargetError } from '../../session/dial.ts';
import { Reader } from '../pdu/cursor.ts';
import { decodeLicense } from '../pdu/license.ts';
import { readSendData } from '../pdu/mcs-data.ts';
import { SecurityFlag } from '../pdu/security.ts';
import type { PduStream } from '../stream/stream.ts';
import { LicenseClient, LicenseRefusedError } from './license-client.ts';

export interface LicensingOptions {
  readonly ioChannel: number;
  /** The target as people know it. */
  readonly where: string;
  readonly userName: string;
  /** Of the person's own computer. */
  readonly machineName: string;
  /** Sends a licensing message on the I/O channel, behind a security header. */
  send(message: Uint8Array): void;
}

/** Request, challenge, licence, and an alert behind. */
const MAX_MESSAGES = 8;

/**
 * Takes the leg to the end of licensing.
 * @returns the first PDU that is none of licensing, where one came instead of an answer
 * @throws TargetError, PduError, StreamClosedError
 */
export async function passLicensing(
  stream: PduStream,
  { ioChannel, where, userName, machineName, send }: LicensingOptions,
): Promise<Uint8Array | undefined> {
  const client = new LicenseClient({ userName, machineName });
  for (let count = 0; count < MAX_MESSAGES; count += 1) {
    const pdu = await stream.next();
    const data = readSendData(pdu);
    if (data === undefined || data.channelId !== ioChannel) return pdu;
    const reader = new Reader(pdu, data.dataOffset);
    // A share control header begins with its length, which no PDU here has so short.
    const flags = reader.u16le('flags') & ~SecurityFlag.licenseEncrypt;
    if (flags !== SecurityFlag.licensePacket) return pdu;
    reader.skip('flagsHi', 2);
    try {
      const step = client.receive(decodeLicense(reader));
      if (step.send !== undefined) send(step.send);
      if (step.done) return undefined;
    } catch (error) {
      if (!(error instanceof LicenseRefusedError)) throw error;
      throw new TargetError(
        'target-unreachable',
        `${where} gives the gateway no client licence: ${error.message}. Its administrator must check its licensing`,
        error,
      );
    }
  }
  throw new TargetError('target-unreachable', `${where} does not come to an end with licensing`);
}
