/**
 * Send Data Request and Send Data Indication (T.125 section 7, [MS-RDPBCGR] 2.2.8.1.1.1 and others): what carries
 * every slow-path and channel PDU. The functions on whole PDUs are the relay's hot path: they read and patch in
 * place, from the TPKT header on.
 *
 * ```text
 * | TPKT 4 | X.224 3 | choice 25 / 26 (6 bits) | initiator 2 | channelId 2 | priority 2, segmentation 2 | length 1, 2 | data
 * offset 0   4         7                         8             10            12                          13
 * ```
 *
 * T.125 could cut data into segments; RDP never does. A segment that is not both first and last is refused: the
 * gateway would otherwise see other data than the peer that joins them.
 */

import { PduError, type Reader, type Writer } from './cursor.ts';
import { DomainPdu, FIRST_USER_ID } from './mcs.ts';
import { readPerLength, writePerLength } from './per.ts';
import { tpktLength } from './tpkt.ts';

/** Header of a Send Data PDU; offsets are within the bytes that were read. */
export interface SendDataHeader {
  /** The sending user's id, 1001 and up. */
  readonly initiator: number;
  readonly channelId: number;
  readonly dataOffset: number;
  readonly dataLength: number;
}

/** A Send Data PDU whose data are a view of the input. */
export interface SendData {
  readonly initiator: number;
  readonly channelId: number;
  readonly data: Uint8Array;
}

const X224_DATA = [2, 0xf0, 0x80] as const;
const X224_OFFSET = 4;
const CHOICE_OFFSET = 7;
const INITIATOR_OFFSET = 8;
const CHANNEL_OFFSET = 10;
const SEGMENTATION_OFFSET = 12;
const LENGTH_OFFSET = 13;
/** Segmentation: begin and end. */
const WHOLE = 0x30;
/** Priority high, begin and end: what all peers send. */
const HIGH_AND_WHOLE = 0x70;

/**
 * Header of the Send Data Request or Indication in a whole PDU, from its TPKT header at `offset` to `end`.
 * @returns undefined when the PDU is another one (ask domainPduOf or tpduCode which)
 * @throws PduError when it is broken
 */
export function readSendData(bytes: Uint8Array, offset = 0, end = bytes.length): SendDataHeader | undefined {
  const total = tpktLength(bytes, offset, end);
  if (total !== end - offset)
    throw new PduError('length', offset + 2, `is ${total ?? 'missing'} for a PDU of ${end - offset} bytes`);
  for (let i = 0; i < X224_DATA.length; i += 1)
    if (bytes[offset + X224_OFFSET + i] !== X224_DATA[i]) return undefined;
  const choice = total > CHOICE_OFFSET ? (bytes[offset + CHOICE_OFFSET] ?? 0) >> 2 : undefined;
  if (choice !== DomainPdu.sendDataRequest && choice !== DomainPdu.sendDataIndication) return undefined;

  // A length that is not there reads as data beyond the end, and fails like them.
  const first = bytes[offset + LENGTH_OFFSET] ?? 0;
  const long = first >= 0x80;
  const dataLength = long ? ((first & 0x7f) << 8) | (bytes[offset + LENGTH_OFFSET + 1] ?? 0) : first;
  const dataOffset = offset + LENGTH_OFFSET + (long ? 2 : 1);
  if (dataLength !== end - dataOffset)
    throw new PduError(
      'userData',
      offset + LENGTH_OFFSET,
      `says ${dataLength} bytes before ${end - dataOffset}`,
    );
  checkWhole(bytes[offset + SEGMENTATION_OFFSET] ?? 0, offset + SEGMENTATION_OFFSET);
  return {
    initiator: toUserId(u16(bytes, offset + INITIATOR_OFFSET), offset + INITIATOR_OFFSET),
    channelId: u16(bytes, offset + CHANNEL_OFFSET),
    dataOffset,
    dataLength,
  };
}

/** Overwrites initiator (1001 and up) and channel of a PDU that `readSendData` has read at the same offset. */
export function patchSendData(bytes: Uint8Array, initiator: number, channelId: number, offset = 0): void {
  const id = initiator - FIRST_USER_ID;
  bytes[offset + INITIATOR_OFFSET] = id >> 8;
  bytes[offset + INITIATOR_OFFSET + 1] = id & 0xff;
  bytes[offset + CHANNEL_OFFSET] = channelId >> 8;
  bytes[offset + CHANNEL_OFFSET + 1] = channelId & 0xff;
}

/** From the client to the server. */
export function decodeSendDataRequest(reader: Reader): SendData {
  return decodeSendData(reader, DomainPdu.sendDataRequest);
}

export function encodeSendDataRequest(writer: Writer, data: SendData): void {
  encodeSendData(writer, DomainPdu.sendDataRequest, data);
}

/** From the server to the client. */
export function decodeSendDataIndication(reader: Reader): SendData {
  return decodeSendData(reader, DomainPdu.sendDataIndication);
}

export function encodeSendDataIndication(writer: Writer, data: SendData): void {
  encodeSendData(writer, DomainPdu.sendDataIndication, data);
}

function decodeSendData(reader: Reader, expected: number): SendData {
  const choice = reader.u8('DomainMCSPDU') >> 2;
  if (choice !== expected) reader.fail('DomainMCSPDU', `is choice ${choice}, not ${expected}`, 1);
  const initiator = toUserId(reader.u16be('initiator'), reader.offset - 2);
  const channelId = reader.u16be('channelId');
  checkWhole(reader.u8('segmentation'), reader.offset - 1);
  const length = readPerLength(reader, 'userData');
  if (length !== reader.left) reader.fail('userData', `says ${length} bytes before ${reader.left}`);
  return { initiator, channelId, data: reader.bytes('userData', length) };
}

function encodeSendData(writer: Writer, choice: number, { initiator, channelId, data }: SendData): void {
  writer
    .u8(choice << 2)
    .u16be(initiator - FIRST_USER_ID)
    .u16be(channelId)
    .u8(HIGH_AND_WHOLE);
  writePerLength(writer, data.length);
  writer.bytes(data);
}

function checkWhole(flags: number, offset: number): void {
  if ((flags & WHOLE) !== WHOLE)
    throw new PduError('segmentation', offset, 'cuts the data, which RDP never does');
}

function toUserId(distance: number, offset: number): number {
  const id = distance + FIRST_USER_ID;
  if (id > 0xffff) throw new PduError('initiator', offset, `is user ${id}, ids end at 65535`);
  return id;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
