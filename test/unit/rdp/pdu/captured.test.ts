/** How real clients and servers connect: every PDU is understood, and written again as it came. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeConferenceCreateRequest,
  decodeConferenceCreateResponse,
  encodeConferenceCreateRequest,
  encodeConferenceCreateResponse,
} from '../../../../gateway/rdp/pdu/gcc.ts';
import { decodeClientBlocks, encodeClientBlocks } from '../../../../gateway/rdp/pdu/gcc-client.ts';
import { decodeServerBlocks, encodeServerBlocks } from '../../../../gateway/rdp/pdu/gcc-server.ts';
import {
  DomainPdu,
  decodeAttachUserConfirm,
  decodeAttachUserRequest,
  decodeChannelJoinConfirm,
  decodeChannelJoinRequest,
  decodeConnectInitial,
  decodeConnectResponse,
  decodeErectDomainRequest,
  domainPduOf,
  encodeAttachUserConfirm,
  encodeAttachUserRequest,
  encodeChannelJoinConfirm,
  encodeChannelJoinRequest,
  encodeConnectInitial,
  encodeConnectResponse,
  encodeErectDomainRequest,
  McsResult,
} from '../../../../gateway/rdp/pdu/mcs.ts';
import {
  decodeSendDataIndication,
  decodeSendDataRequest,
  patchSendData,
  readSendData,
} from '../../../../gateway/rdp/pdu/mcs-data.ts';
import { framePdu, withTpkt } from '../../../../gateway/rdp/pdu/tpkt.ts';
import {
  dataReader,
  decodeConnectionConfirm,
  decodeConnectionRequest,
  decodeDisconnectRequest,
  encodeConnectionConfirm,
  encodeConnectionRequest,
  Protocol,
  TpduCode,
  tpduCode,
  withData,
} from '../../../../gateway/rdp/pdu/x224.ts';
import { connections } from './connections.ts';
import { toHex } from './hex.ts';

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  write(writer);
  return writer.done();
}

/** The domain PDU decoded to its end and encoded again. */
function domainPduAgain(pdu: Uint8Array): Uint8Array {
  const reader = dataReader(pdu);
  const again = withData((writer) => {
    switch (domainPduOf(pdu)) {
      case DomainPdu.erectDomainRequest:
        decodeErectDomainRequest(reader);
        return encodeErectDomainRequest(writer);
      case DomainPdu.attachUserRequest:
        decodeAttachUserRequest(reader);
        return encodeAttachUserRequest(writer);
      case DomainPdu.attachUserConfirm:
        return encodeAttachUserConfirm(writer, decodeAttachUserConfirm(reader));
      case DomainPdu.channelJoinRequest:
        return encodeChannelJoinRequest(writer, decodeChannelJoinRequest(reader));
      case DomainPdu.channelJoinConfirm:
        return encodeChannelJoinConfirm(writer, decodeChannelJoinConfirm(reader));
      default:
        return assert.fail(`choice ${domainPduOf(pdu)}`);
    }
  });
  assert.equal(reader.left, 0);
  return again;
}

for (const { name, client, server, user, connect, session } of connections()) {
  const [request, confirm, initial, response, ...domain] = connect;
  assert.ok(request && confirm && initial && response);
  const rdesktop = client.startsWith('rdesktop');

  describe(name, () => {
    test('every PDU is framed', () => {
      for (const pdu of [...connect, ...session])
        assert.deepEqual(framePdu(pdu, 0, pdu.length), { length: pdu.length, fastPath: pdu[0] !== 3 });
    });

    test('X.224', () => {
      const asked = decodeConnectionRequest(new Reader(request, 4));
      assert.equal(asked.cookie, user);
      assert.ok(asked.negotiation);
      assert.equal(toHex(withTpkt((writer) => encodeConnectionRequest(writer, asked))), toHex(request));
      const chosen = decodeConnectionConfirm(new Reader(confirm, 4));
      assert.ok(chosen.negotiation?.kind === 'selected');
      assert.equal(
        chosen.negotiation.selectedProtocol,
        client.endsWith('/sec:nla') ? Protocol.hybrid : Protocol.ssl,
      );
      // The references before the negotiation (bytes 6 to 9) are each server's own.
      const again = withTpkt((writer) => encodeConnectionConfirm(writer, chosen));
      assert.equal(toHex(again.subarray(10)), toHex(confirm.subarray(10)));
    });

    test('Connect Initial', () => {
      const reader = dataReader(initial);
      const mcs = decodeConnectInitial(reader);
      assert.equal(reader.left, 0);
      const bytes = decodeConferenceCreateRequest(new Reader(mcs.userData)).rest();
      const blocks = decodeClientBlocks(new Reader(bytes));
      // One monitor of this width, or several side by side.
      assert.equal(blocks.core.desktopWidth, 640 * (blocks.monitor?.monitors.length ?? 1));
      assert.deepEqual(blocks.unknown, []);
      assert.equal(toHex(encodeClientBlocks(blocks)), toHex(bytes));
      assert.deepEqual(
        written((writer) => encodeConferenceCreateRequest(writer, bytes)),
        new Uint8Array(mcs.userData),
      );
      // rdesktop writes longer lengths than it needs.
      const again = withData((writer) => encodeConnectInitial(writer, mcs));
      if (rdesktop) assert.deepEqual(decodeConnectInitial(dataReader(again)), mcs);
      else assert.equal(toHex(again), toHex(initial));
    });

    test('Connect Response', () => {
      const reader = dataReader(response);
      const mcs = decodeConnectResponse(reader);
      assert.equal(reader.left, 0);
      assert.equal(mcs.result, McsResult.successful);
      const bytes = decodeConferenceCreateResponse(new Reader(mcs.userData)).rest();
      const blocks = decodeServerBlocks(new Reader(bytes));
      assert.deepEqual(blocks.unknown, []);
      assert.equal(blocks.network.ioChannelId, 1003);
      assert.equal(toHex(encodeServerBlocks(blocks)), toHex(bytes));
      assert.equal(toHex(withData((writer) => encodeConnectResponse(writer, mcs))), toHex(response));
      // xrdp writes a length of two bytes where one will do.
      const conference = written((writer) => encodeConferenceCreateResponse(writer, bytes));
      const shorter = server.startsWith('xrdp') ? 1 : 0;
      assert.equal(conference.length, mcs.userData.length - shorter);
      assert.equal(toHex(decodeConferenceCreateResponse(new Reader(conference)).rest()), toHex(bytes));
    });

    test('domain PDUs', () => {
      assert.ok(domain.length > 10);
      for (const pdu of domain) {
        const again = domainPduAgain(pdu);
        // rdesktop writes height and interval in a form of its own.
        if (rdesktop && domainPduOf(pdu) === DomainPdu.erectDomainRequest) continue;
        assert.equal(toHex(again), toHex(pdu));
      }
    });

    test('the session: Send Data in place and by the decoders', () => {
      let read = 0;
      for (const pdu of session) {
        if (pdu[0] !== 3) continue;
        const sent = readSendData(pdu);
        if (sent === undefined) {
          // The ultimatum, X.224's own disconnect request, and what rdesktop says before it.
          if (tpduCode(pdu) === TpduCode.data)
            assert.ok([DomainPdu.disconnectProviderUltimatum, 12].includes(domainPduOf(pdu)));
          else assert.equal(decodeDisconnectRequest(new Reader(pdu, 4)), 0);
          continue;
        }
        read += 1;
        const request = domainPduOf(pdu) === DomainPdu.sendDataRequest;
        const decoded = (request ? decodeSendDataRequest : decodeSendDataIndication)(dataReader(pdu));
        const { initiator, channelId, dataOffset, dataLength } = sent;
        const data = pdu.subarray(dataOffset, dataOffset + dataLength);
        assert.deepEqual(decoded, { initiator, channelId, data });
        const patched = new Uint8Array(pdu);
        patchSendData(patched, 0xffff, 0xffff);
        patchSendData(patched, initiator, channelId);
        assert.equal(toHex(patched), toHex(pdu));
      }
      assert.ok(read > 10);
    });
  });
}
