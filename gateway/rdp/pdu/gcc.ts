/**
 * Generic conference control: the envelope that carries the data blocks of both sides inside the MCS connect PDUs
 * (T.124 section 8.7, [MS-RDPBCGR] 2.2.1.3 and 2.2.1.4), and the blocks' own header (2.2.1.3.1).
 *
 * ```text
 * ConnectData     | 0 | 5 | T.124's object identifier 5 | length of connectPDU | connectPDU
 * createRequest   | 0 | 8 (user data there) | conference name "1": 0, 10 | 0 | 1 set | c0 | 0 "Duca" | length | blocks
 * createResponse  | 14 | node id 2 | tag 1, 1 | result 0 | 1 set | c0 | 0 "McDn" | length | blocks
 * block           | type 2 | length 2, header included | body
 * ```
 */

import { type Reader, Writer } from './cursor.ts';
import { readPerLength, writePerLength } from './per.ts';

/** A data block that the gateway does not know, or passes on unread. */
export interface RawBlock {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Object identifier 0.0.20.124.0.1 with its choice and length: "T.124, version 1". */
const T124_KEY = [0, 5, 0, 0x14, 0x7c, 0, 1] as const;
/** H.221 keys: whose user data these are. */
const CLIENT_KEY = 'Duca';
const SERVER_KEY = 'McDn';

/**
 * What Windows servers write as the response's length and as the node's id, whatever they are; no client reads
 * them and every client has seen these.
 */
const RESPONSE_LENGTH = 0x2a;
const RESPONSE_NODE = 0x760a;

/** Bytes of a block's header. */
const BLOCK_HEADER_BYTES = 4;
/** Both sides define a dozen block types; a peer may send a few that came later. */
const MAX_BLOCKS = 32;

/** GCC Conference Create Request. @returns the client's data blocks: a reader of their bytes */
export function decodeConferenceCreateRequest(reader: Reader): Reader {
  const connect = readConnectData(reader);
  // The choice's bits, then those of the eight optional fields: only user data is there.
  expect(connect, 'ConnectGCCPDU', [0, 8]);
  // Conference name, as a numeric string of 1 to 255 digits in halves of bytes.
  const digits = connect.u8('conferenceName') + 1;
  connect.skip('conferenceName', (digits + 1) >> 1);
  connect.skip('terminationMethod', 1);
  return readUserData(connect, CLIENT_KEY);
}

export function encodeConferenceCreateRequest(writer: Writer, blocks: Uint8Array): void {
  const connect = new Writer();
  connect.u8(0).u8(8).u8(0).u8(0x10).u8(0);
  writeUserData(connect, CLIENT_KEY, blocks);
  for (const octet of T124_KEY) writer.u8(octet);
  writePerLength(writer, connect.length);
  writer.bytes(connect.done());
}

/** GCC Conference Create Response. @returns the server's data blocks: a reader of their bytes */
export function decodeConferenceCreateResponse(reader: Reader): Reader {
  expect(reader, 'ConnectData key', T124_KEY);
  readPerLength(reader, 'connectPDU');
  expect(reader, 'ConnectGCCPDU', [0x14]);
  reader.skip('nodeID', 2);
  const tag = reader.u8('tag');
  reader.skip('tag', tag);
  const result = reader.u8('result');
  if (result !== 0) reader.fail('result', `is ${result}: the conference was refused`, 1);
  return readUserData(reader, SERVER_KEY);
}

export function encodeConferenceCreateResponse(writer: Writer, blocks: Uint8Array): void {
  for (const octet of T124_KEY) writer.u8(octet);
  writer.u8(RESPONSE_LENGTH).u8(0x14).u16be(RESPONSE_NODE).u8(1).u8(1).u8(0);
  writeUserData(writer, SERVER_KEY, blocks);
}

/**
 * The blocks of either side, in order.
 * @throws PduError when a length is wrong, a type comes twice or there are more than 32
 */
export function readBlocks(reader: Reader): Map<number, Reader> {
  const blocks = new Map<number, Reader>();
  while (reader.left > 0) {
    const type = reader.u16le('type');
    const length = reader.u16le('length');
    if (length < BLOCK_HEADER_BYTES) reader.fail('length', `is ${length}, less than the block's header`, 2);
    // Two blocks of a type: the gateway might go by one and the peer by the other.
    if (blocks.has(type)) reader.fail('type', `is 0x${type.toString(16)} for the second time`, 4);
    if (blocks.size === MAX_BLOCKS) reader.fail('type', `begins more than ${MAX_BLOCKS} blocks`, 4);
    blocks.set(type, reader.part('body', length - BLOCK_HEADER_BYTES));
  }
  return blocks;
}

/** A block around what `write` writes. */
export function writeBlock(writer: Writer, type: number, write: (writer: Writer) => void): void {
  const start = writer.length;
  writer.u16le(type).u16le(0);
  write(writer);
  writer.patchU16le(start + 2, writer.length - start);
}

function readConnectData(reader: Reader): Reader {
  expect(reader, 'ConnectData key', T124_KEY);
  return reader.part('connectPDU', readPerLength(reader, 'connectPDU'));
}

/** One set of user data with an H.221 key of four octets. */
function readUserData(reader: Reader, key: string): Reader {
  expect(reader, 'userData', [1, 0xc0, 0]);
  expect(
    reader,
    'h221NonStandard',
    Array.from(key, (letter) => letter.charCodeAt(0)),
  );
  return reader.part('userData value', readPerLength(reader, 'userData value'));
}

function writeUserData(writer: Writer, key: string, blocks: Uint8Array): void {
  writer.u8(1).u8(0xc0).u8(0).latin1(key);
  writePerLength(writer, blocks.length);
  writer.bytes(blocks);
}

function expect(reader: Reader, field: string, octets: readonly number[]): void {
  for (const octet of octets) {
    const found = reader.u8(field);
    if (found !== octet) reader.fail(field, `has ${found} where ${octet} is expected`, 1);
  }
}
