/**
 * Hostile beginnings of RDP connections: whatever the bytes are, framing and decoding end with a value or a
 * PduError, and what was decoded can be written and says the same when it is read again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { PduError, Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import {
  decodeConferenceCreateRequest,
  decodeConferenceCreateResponse,
  encodeConferenceCreateRequest,
  encodeConferenceCreateResponse,
} from '../../gateway/rdp/pdu/gcc.ts';
import { decodeClientBlocks, encodeClientBlocks } from '../../gateway/rdp/pdu/gcc-client.ts';
import { decodeServerBlocks, encodeServerBlocks } from '../../gateway/rdp/pdu/gcc-server.ts';
import * as mcs from '../../gateway/rdp/pdu/mcs.ts';
import * as data from '../../gateway/rdp/pdu/mcs-data.ts';
import {
  decodePreconnection,
  encodePreconnection,
  preconnectionLength,
} from '../../gateway/rdp/pdu/preconnection.ts';
import { framePdu, tpktLength } from '../../gateway/rdp/pdu/tpkt.ts';
import * as x224 from '../../gateway/rdp/pdu/x224.ts';
import { damaged, noise, randomFrom } from '../support/random.ts';
import { connections } from '../unit/rdp/pdu/connections.ts';
import { specConnectInitial } from '../unit/rdp/pdu/spec-connect.ts';

/** A decoder and its encoder on the same bytes. */
interface Pair {
  readonly name: string;
  /** Decodes, and encodes what was decoded; @returns a second decoding beside the first */
  readonly roundTrip: (bytes: Uint8Array) => readonly [unknown, unknown];
}

function pair<T>(
  name: string,
  decode: (reader: Reader) => T,
  encode: (writer: Writer, value: T) => void,
): Pair {
  return {
    name,
    roundTrip: (bytes) => {
      const value = decode(new Reader(bytes));
      const writer = new Writer();
      encode(writer, value);
      return [value, decode(new Reader(writer.done()))];
    },
  };
}

/** Readers of the blocks' bytes become the bytes. */
const bytesOf = (decode: (reader: Reader) => Reader) => (reader: Reader) => decode(reader).rest();

const pairs: readonly Pair[] = [
  // A routing token with a lone CR or LF is read and not written: the gateway would not send one.
  pair('connection request', x224.decodeConnectionRequest, (writer, request) => {
    const { routingToken, cookie } = request;
    if (/[\r\n]/.test(routingToken ?? cookie ?? '')) throw new PduError('routingToken', 0, 'is not written');
    x224.encodeConnectionRequest(writer, request);
  }),
  pair('connection confirm', x224.decodeConnectionConfirm, x224.encodeConnectionConfirm),
  pair('disconnect request', x224.decodeDisconnectRequest, x224.encodeDisconnectRequest),
  pair('preconnection', decodePreconnection, encodePreconnection),
  pair('Connect-Initial', mcs.decodeConnectInitial, mcs.encodeConnectInitial),
  pair('Connect-Response', mcs.decodeConnectResponse, mcs.encodeConnectResponse),
  pair('erect domain', mcs.decodeErectDomainRequest, mcs.encodeErectDomainRequest),
  pair('attach request', mcs.decodeAttachUserRequest, mcs.encodeAttachUserRequest),
  pair('attach confirm', mcs.decodeAttachUserConfirm, mcs.encodeAttachUserConfirm),
  pair('join request', mcs.decodeChannelJoinRequest, mcs.encodeChannelJoinRequest),
  pair('join confirm', mcs.decodeChannelJoinConfirm, mcs.encodeChannelJoinConfirm),
  pair('ultimatum', mcs.decodeDisconnectProviderUltimatum, mcs.encodeDisconnectProviderUltimatum),
  pair('data request', data.decodeSendDataRequest, data.encodeSendDataRequest),
  pair('data indication', data.decodeSendDataIndication, data.encodeSendDataIndication),
  pair('create request', bytesOf(decodeConferenceCreateRequest), encodeConferenceCreateRequest),
  pair('create response', bytesOf(decodeConferenceCreateResponse), encodeConferenceCreateResponse),
  pair('client blocks', decodeClientBlocks, (writer, blocks) => writer.bytes(encodeClientBlocks(blocks))),
  pair('server blocks', decodeServerBlocks, (writer, blocks) => writer.bytes(encodeServerBlocks(blocks))),
];

/** Bodies that the pairs understand, to begin from. */
function bodies(): Uint8Array[] {
  const found: Uint8Array[] = [];
  const send = x224.withData((writer) =>
    data.encodeSendDataRequest(writer, { initiator: 1007, channelId: 1003, data: new Uint8Array(40) }),
  );
  const indication = x224.withData((writer) =>
    data.encodeSendDataIndication(writer, { initiator: 1002, channelId: 1003, data: new Uint8Array(300) }),
  );
  for (const { connect } of connections()) {
    const [request, confirm, initial, response, ...domain] = connect;
    assert.ok(request && confirm && initial && response);
    found.push(request.subarray(4), confirm.subarray(4));
    for (const pdu of [initial, response, send, indication, ...domain.slice(0, 6)])
      found.push(pdu.subarray(7));
    const client = mcs.decodeConnectInitial(x224.dataReader(initial)).userData;
    const server = mcs.decodeConnectResponse(x224.dataReader(response)).userData;
    found.push(client, decodeConferenceCreateRequest(new Reader(client)).rest());
    found.push(server, decodeConferenceCreateResponse(new Reader(server)).rest());
  }
  const writer = new Writer();
  encodePreconnection(writer, { id: 7, text: 'a text' });
  found.push(writer.done(), specConnectInitial.subarray(7));
  return found;
}

/** @returns undefined after a PduError; anything else thrown fails the test */
function tolerate<T>(what: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof PduError) return undefined;
    throw new Error(`${what}: threw something else`, { cause: error });
  }
}

function exercise(what: string, bytes: Uint8Array): number {
  let understood = 0;
  for (const { name, roundTrip } of pairs) {
    const both = tolerate(`${what}, ${name}`, () => roundTrip(bytes));
    if (both === undefined) continue;
    understood += 1;
    assert.ok(isDeepStrictEqual(both[0], both[1]), `${what}, ${name}: another value when read again`);
  }
  return understood;
}

test('mutated PDUs are understood or refused, by every decoder', () => {
  const seeds = bodies();
  let understood = 0;
  for (let seed = 0; seed < 4500; seed += 1) {
    const random = randomFrom(seed);
    const body = seeds[seed % seeds.length];
    assert.ok(body);
    understood += exercise(`seed ${seed}`, damaged(random, body));
  }
  assert.ok(understood > 1000, `${understood} mutations were still understood`);
});

test('noise is understood or refused, by every decoder', () => {
  for (let seed = 0; seed < 2000; seed += 1) {
    const random = randomFrom(seed);
    exercise(`seed ${seed}`, noise(random, random(40)));
  }
});

test('the stream is divided within its bounds, and the hot path stays inside its PDU', () => {
  const whole = connections().flatMap(({ connect }) => connect);
  let read = 0;
  for (let seed = 0; seed < 9000; seed += 1) {
    const random = randomFrom(seed);
    const what = `seed ${seed}`;
    const begin = whole[seed % whole.length];
    assert.ok(begin);
    const header = [3, 0, 0, 16, 2, 0xf0, 0x80, 0x64 + 4 * random(2), 0, 6, 3, 0xeb, 0x70, 2, 1, 2];
    const bytes =
      seed % 3 === 0
        ? noise(random, random(24))
        : damaged(random, seed % 3 === 1 ? begin : Uint8Array.from(header));
    const offset = random(3);
    const end = Math.max(offset, bytes.length - random(3));
    for (const length of [
      tolerate(what, () => framePdu(bytes, offset, end))?.length,
      tolerate(what, () => framePdu(bytes, 0, end))?.length,
      tolerate(what, () => tpktLength(bytes, offset, end)),
    ])
      assert.ok(length === undefined || (length >= 3 && length <= 65535), what);
    const preconnection = tolerate(what, () => preconnectionLength(bytes, offset, end));
    assert.ok(
      preconnection === undefined || preconnection === 0 || (preconnection >= 16 && preconnection <= 4096),
    );
    tolerate(what, () => mcs.domainPduOf(bytes, offset, end));
    tolerate(what, () => x224.tpduCode(bytes, offset, end));
    const sent = tolerate(what, () => data.readSendData(bytes));
    if (sent === undefined) continue;
    read += 1;
    assert.equal(sent.dataOffset + sent.dataLength, bytes.length, what);
    data.patchSendData(bytes, sent.initiator, 1004);
    assert.deepEqual(data.readSendData(bytes), { ...sent, channelId: 1004 }, what);
  }
  assert.ok(read > 100, `${read} of them are Send Data PDUs`);
});
