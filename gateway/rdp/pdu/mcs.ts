/**
 * The multipoint communication service (T.125, [MS-RDPBCGR] 2.2.1.3 to 2.2.1.9 and 2.2.2.3): the connect PDUs are
 * BER, the domain PDUs that follow are aligned PER. Decoders begin at the first byte of the MCS PDU, behind the
 * X.224 data header.
 *
 * ```text
 * domain PDU     | choice (6 bits) | what the PDU packs into the other 2 …
 * attachUser…    | 10 / 11 | initiator present, result (4) over two bytes … | [initiator 2]
 * channelJoin…   | 14 | initiator 2 | channelId 2
 *                | 15 | channelId present, result (4) over two bytes … | initiator 2 | requested 2 | [channelId 2]
 * disconnect…    | 8 | reason (3) over two bytes
 * ```
 *
 * User ids stand on the wire as their distance from 1001; here they are always the ids themselves, since a user's
 * id is also the id of a channel.
 */

import {
  BerTag,
  readBer,
  readBerBoolean,
  readBerInteger,
  readBerOctets,
  writeBer,
  writeBerBoolean,
  writeBerInteger,
  writeBerOctets,
} from './ber.ts';
import type { Reader, Writer } from './cursor.ts';
import { dataReader } from './x224.ts';

/** Choices of DomainMCSPDU (T.125 section 7) that RDP uses. */
export const DomainPdu = {
  erectDomainRequest: 1,
  disconnectProviderUltimatum: 8,
  attachUserRequest: 10,
  attachUserConfirm: 11,
  channelJoinRequest: 14,
  channelJoinConfirm: 15,
  sendDataRequest: 25,
  sendDataIndication: 26,
} as const;

/** Result (T.125 section 7). */
export const McsResult = {
  successful: 0,
  domainMerging: 1,
  domainNotHierarchical: 2,
  noSuchChannel: 3,
  noSuchDomain: 4,
  noSuchUser: 5,
  notAdmitted: 6,
  otherUserId: 7,
  parametersUnacceptable: 8,
  tokenNotAvailable: 9,
  tokenNotPossessed: 10,
  tooManyChannels: 11,
  tooManyTokens: 12,
  tooManyUsers: 13,
  unspecifiedFailure: 14,
  userRejected: 15,
} as const;

/** Reason (T.125 section 7). */
export const DisconnectReason = {
  domainDisconnected: 0,
  providerInitiated: 1,
  tokenPurged: 2,
  userRequested: 3,
  channelPurged: 4,
} as const;

/** What T.125 calls DomainParameters. */
export interface DomainParameters {
  readonly maxChannelIds: number;
  readonly maxUserIds: number;
  readonly maxTokenIds: number;
  readonly numPriorities: number;
  readonly minThroughput: number;
  readonly maxHeight: number;
  /** Bytes. */
  readonly maxMcsPduSize: number;
  readonly protocolVersion: number;
}

/** Connect-Initial. Its user data are the GCC Conference Create Request. */
export interface ConnectInitial {
  readonly targetParameters: DomainParameters;
  readonly minimumParameters: DomainParameters;
  readonly maximumParameters: DomainParameters;
  readonly userData: Uint8Array;
}

/** Connect-Response. Its user data are the GCC Conference Create Response. */
export interface ConnectResponse {
  /** McsResult. */
  readonly result: number;
  readonly calledConnectId: number;
  readonly parameters: DomainParameters;
  readonly userData: Uint8Array;
}

export interface AttachUserConfirm {
  /** McsResult. */
  readonly result: number;
  /** The user's id, which is also that of the user's own channel; there when the result is successful. */
  readonly initiator?: number;
}

export interface ChannelJoinRequest {
  readonly initiator: number;
  readonly channelId: number;
}

export interface ChannelJoinConfirm {
  /** McsResult. */
  readonly result: number;
  readonly initiator: number;
  readonly requested: number;
  /** There when the result is successful. */
  readonly channelId?: number;
}

/** The parameters that Windows clients ask for and Windows servers grant; every peer takes them. */
export const usualParameters = {
  target: parameters(34, 2, 0, 1, 65535),
  minimum: parameters(1, 1, 1, 1, 1056),
  maximum: parameters(65535, 64535, 65535, 1, 65535),
  granted: parameters(34, 3, 0, 1, 65528),
};

/** The lowest user id (T.125 section 7, UserId), which stands on the wire as 0. */
export const FIRST_USER_ID = 1001;
/** A selector that names no domain in particular. */
const SELECTOR = new Uint8Array([1]);

export function decodeConnectInitial(reader: Reader): ConnectInitial {
  const part = readBer(reader, 'Connect-Initial', BerTag.connectInitial);
  readBerOctets(part, 'callingDomainSelector');
  readBerOctets(part, 'calledDomainSelector');
  readBerBoolean(part, 'upwardFlag');
  return {
    targetParameters: readParameters(part, 'targetParameters'),
    minimumParameters: readParameters(part, 'minimumParameters'),
    maximumParameters: readParameters(part, 'maximumParameters'),
    userData: readBerOctets(part, 'userData'),
  };
}

export function encodeConnectInitial(writer: Writer, initial: ConnectInitial): void {
  writeBer(writer, BerTag.connectInitial, (contents) => {
    writeBerOctets(contents, SELECTOR);
    writeBerOctets(contents, SELECTOR);
    writeBerBoolean(contents, true);
    writeParameters(contents, initial.targetParameters);
    writeParameters(contents, initial.minimumParameters);
    writeParameters(contents, initial.maximumParameters);
    writeBerOctets(contents, initial.userData);
  });
}

export function decodeConnectResponse(reader: Reader): ConnectResponse {
  const part = readBer(reader, 'Connect-Response', BerTag.connectResponse);
  return {
    result: readBerInteger(part, 'result', BerTag.enumerated),
    calledConnectId: readBerInteger(part, 'calledConnectId'),
    parameters: readParameters(part, 'domainParameters'),
    userData: readBerOctets(part, 'userData'),
  };
}

export function encodeConnectResponse(writer: Writer, response: ConnectResponse): void {
  writeBer(writer, BerTag.connectResponse, (contents) => {
    writeBerInteger(contents, response.result, BerTag.enumerated);
    writeBerInteger(contents, response.calledConnectId);
    writeParameters(contents, response.parameters);
    writeBerOctets(contents, response.userData);
  });
}

/**
 * Which domain PDU a whole PDU (TPKT, data TPDU) carries: a value of DomainPdu, or another choice of T.125.
 * @throws PduError when it carries none
 */
export function domainPduOf(bytes: Uint8Array, offset = 0, end = bytes.length): number {
  return dataReader(bytes, offset, end).u8('DomainMCSPDU') >> 2;
}

/**
 * Erect Domain Request (2.2.1.5). Height and interval say nothing in a domain of two, and rdesktop writes them in a form
 * of its own: they are not read.
 */
export function decodeErectDomainRequest(reader: Reader): void {
  readChoice(reader, DomainPdu.erectDomainRequest);
  reader.rest();
}

export function encodeErectDomainRequest(writer: Writer): void {
  writeChoice(writer, DomainPdu.erectDomainRequest);
  // subHeight and subInterval: numbers of one byte, 0.
  writer.u8(1).u8(0).u8(1).u8(0);
}

/** Attach User Request (2.2.1.6). */
export function decodeAttachUserRequest(reader: Reader): void {
  readChoice(reader, DomainPdu.attachUserRequest);
}

export function encodeAttachUserRequest(writer: Writer): void {
  writeChoice(writer, DomainPdu.attachUserRequest);
}

/** Attach User Confirm (2.2.1.7). */
export function decodeAttachUserConfirm(reader: Reader): AttachUserConfirm {
  const { result, withOptional } = readResult(reader, DomainPdu.attachUserConfirm);
  return withOptional ? { result, initiator: readUserId(reader) } : { result };
}

export function encodeAttachUserConfirm(writer: Writer, confirm: AttachUserConfirm): void {
  writeResult(writer, DomainPdu.attachUserConfirm, confirm.result, confirm.initiator !== undefined);
  if (confirm.initiator !== undefined) writeUserId(writer, confirm.initiator);
}

/** Channel Join Request (2.2.1.8). */
export function decodeChannelJoinRequest(reader: Reader): ChannelJoinRequest {
  readChoice(reader, DomainPdu.channelJoinRequest);
  return { initiator: readUserId(reader), channelId: reader.u16be('channelId') };
}

export function encodeChannelJoinRequest(writer: Writer, request: ChannelJoinRequest): void {
  writeChoice(writer, DomainPdu.channelJoinRequest);
  writeUserId(writer, request.initiator);
  writer.u16be(request.channelId);
}

/** Channel Join Confirm (2.2.1.9). */
export function decodeChannelJoinConfirm(reader: Reader): ChannelJoinConfirm {
  const { result, withOptional } = readResult(reader, DomainPdu.channelJoinConfirm);
  const confirm = { result, initiator: readUserId(reader), requested: reader.u16be('requested') };
  return withOptional ? { ...confirm, channelId: reader.u16be('channelId') } : confirm;
}

export function encodeChannelJoinConfirm(writer: Writer, confirm: ChannelJoinConfirm): void {
  writeResult(writer, DomainPdu.channelJoinConfirm, confirm.result, confirm.channelId !== undefined);
  writeUserId(writer, confirm.initiator);
  writer.u16be(confirm.requested);
  if (confirm.channelId !== undefined) writer.u16be(confirm.channelId);
}

/** Disconnect Provider Ultimatum (2.2.2.3). @returns a DisconnectReason */
export function decodeDisconnectProviderUltimatum(reader: Reader): number {
  const low = readChoice(reader, DomainPdu.disconnectProviderUltimatum);
  return (low << 1) | (reader.u8('reason') >> 7);
}

export function encodeDisconnectProviderUltimatum(writer: Writer, reason: number): void {
  writeChoice(writer, DomainPdu.disconnectProviderUltimatum, reason >> 1);
  writer.u8((reason & 1) << 7);
}

/** @returns the two bits beside the choice */
function readChoice(reader: Reader, expected: number): number {
  const first = reader.u8('DomainMCSPDU');
  if (first >> 2 !== expected) reader.fail('DomainMCSPDU', `is choice ${first >> 2}, not ${expected}`, 1);
  return first & 3;
}

function writeChoice(writer: Writer, choice: number, low = 0): void {
  writer.u8((choice << 2) | low);
}

/** Beside the choice stand the bit of the optional field and the first of the result's four bits. */
function readResult(reader: Reader, choice: number): { result: number; withOptional: boolean } {
  const low = readChoice(reader, choice);
  return { result: ((low & 1) << 3) | (reader.u8('result') >> 5), withOptional: (low & 2) !== 0 };
}

function writeResult(writer: Writer, choice: number, result: number, withOptional: boolean): void {
  writeChoice(writer, choice, (withOptional ? 2 : 0) | (result >> 3));
  writer.u8((result & 7) << 5);
}

function readUserId(reader: Reader): number {
  const id = reader.u16be('initiator') + FIRST_USER_ID;
  if (id > 0xffff) reader.fail('initiator', `is user ${id}, ids end at 65535`, 2);
  return id;
}

function writeUserId(writer: Writer, id: number): void {
  writer.u16be(id - FIRST_USER_ID);
}

function readParameters(reader: Reader, field: string): DomainParameters {
  const part = readBer(reader, field, BerTag.sequence);
  return {
    maxChannelIds: readBerInteger(part, 'maxChannelIds'),
    maxUserIds: readBerInteger(part, 'maxUserIds'),
    maxTokenIds: readBerInteger(part, 'maxTokenIds'),
    numPriorities: readBerInteger(part, 'numPriorities'),
    minThroughput: readBerInteger(part, 'minThroughput'),
    maxHeight: readBerInteger(part, 'maxHeight'),
    maxMcsPduSize: readBerInteger(part, 'maxMCSPDUsize'),
    protocolVersion: readBerInteger(part, 'protocolVersion'),
  };
}

function writeParameters(writer: Writer, value: DomainParameters): void {
  writeBer(writer, BerTag.sequence, (contents) => {
    writeBerInteger(contents, value.maxChannelIds);
    writeBerInteger(contents, value.maxUserIds);
    writeBerInteger(contents, value.maxTokenIds);
    writeBerInteger(contents, value.numPriorities);
    writeBerInteger(contents, value.minThroughput);
    writeBerInteger(contents, value.maxHeight);
    writeBerInteger(contents, value.maxMcsPduSize);
    writeBerInteger(contents, value.protocolVersion);
  });
}

function parameters(
  maxChannelIds: number,
  maxUserIds: number,
  maxTokenIds: number,
  numPriorities: number,
  maxMcsPduSize: number,
): DomainParameters {
  return {
    maxChannelIds,
    maxUserIds,
    maxTokenIds,
    numPriorities,
    minThroughput: 0,
    maxHeight: 1,
    maxMcsPduSize,
    protocolVersion: 2,
  };
}
