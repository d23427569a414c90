/** What real clients and servers sent: every PDU of a session decodes, and encodes to the same bytes. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  decodeConfirmActive,
  decodeDeactivateAll,
  decodeDemandActive,
  encodeConfirmActive,
  encodeDemandActive,
} from '../../../../gateway/rdp/pdu/activation.ts';
import type { CapabilitySet } from '../../../../gateway/rdp/pdu/capabilities.ts';
import { changeCapability, findCapability } from '../../../../gateway/rdp/pdu/capabilities.ts';
import {
  bitmapCapability,
  generalCapability,
  orderCapability,
} from '../../../../gateway/rdp/pdu/capability-base.ts';
import { decodeClientInfo, encodeClientInfo, InfoFlag } from '../../../../gateway/rdp/pdu/client-info.ts';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { readFastPathOutput, readFastPathUpdate } from '../../../../gateway/rdp/pdu/fast-path.ts';
import {
  decodeControl,
  decodeFonts,
  decodeSynchronize,
  encodeControl,
  encodeFonts,
  encodeSynchronize,
} from '../../../../gateway/rdp/pdu/finalization.ts';
import {
  decodeFastPathInput,
  decodeSlowPathInput,
  encodeFastPathInput,
  encodeSlowPathInput,
  type InputEvent,
} from '../../../../gateway/rdp/pdu/input.ts';
import {
  decodeLicense,
  encodeErrorAlert,
  LicenseError,
  LicenseMessage,
} from '../../../../gateway/rdp/pdu/license.ts';
import { readSendData } from '../../../../gateway/rdp/pdu/mcs-data.ts';
import { decodeSecurityHeader, SecurityFlag } from '../../../../gateway/rdp/pdu/security.ts';
import { decodeMonitorLayout, encodeMonitorLayout } from '../../../../gateway/rdp/pdu/server-status.ts';
import {
  CompressedFlag,
  DataType,
  encodeShareControl,
  encodeShareData,
  readShareControl,
  readShareData,
  ShareType,
} from '../../../../gateway/rdp/pdu/share.ts';
import { loadTrace, type TraceInfo, traceInfo, traceNames } from '../../../support/rdp-traces.ts';
import { ALL_CODECS } from './codecs.ts';

/** The I/O channel's PDUs of a trace, cut where the legs of the gateway cut them. */
interface Session {
  readonly info: TraceInfo;
  readonly clientInfo: Uint8Array[];
  readonly licenses: { readonly from: string; readonly bytes: Uint8Array }[];
  readonly shares: { readonly from: string; readonly bytes: Uint8Array }[];
  readonly fastInput: Uint8Array[];
  readonly fastOutput: Uint8Array[];
}

function readSession(name: string): Session {
  const session: Session = {
    info: traceInfo(name),
    clientInfo: [],
    licenses: [],
    shares: [],
    fastInput: [],
    fastOutput: [],
  };
  let channel: number | undefined;
  let licensed = false;
  for (const { from, bytes } of loadTrace(name)) {
    if (bytes[0] !== 3) {
      if (channel !== undefined) (from === 'client' ? session.fastInput : session.fastOutput).push(bytes);
      continue;
    }
    const data = readSendData(bytes);
    if (data === undefined) continue;
    const body = bytes.subarray(data.dataOffset, data.dataOffset + data.dataLength);
    // A client speaks on the I/O channel first: Client Info.
    if (channel === undefined) {
      channel = data.channelId;
      session.clientInfo.push(body);
    } else if (data.channelId !== channel) continue;
    else if (!licensed) {
      session.licenses.push({ from, bytes: body });
      licensed = from === 'server' && body[4] === LicenseMessage.errorAlert;
    } else session.shares.push({ from, bytes: body });
  }
  return session;
}

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return Buffer.from(writer.done());
}

function checkSets(sets: readonly CapabilitySet[]): void {
  for (const { type, body } of sets) {
    const codec = ALL_CODECS.find((candidate) => candidate.type === type);
    assert.ok(codec, `a codec for capability set ${type}`);
    const reader = new Reader(body);
    const value = codec.decode(reader);
    assert.equal(reader.left, 0);
    assert.deepEqual(
      written((writer) => codec.encode(writer, value)),
      Buffer.from(body),
      `capability set ${type}`,
    );
  }
}

// A refused log-on has no session.
const names = traceNames().filter((name) => readSession(name).clientInfo.length > 0);
test('there are traces', () => assert.ok(names.length >= 3));

for (const name of names)
  describe(name, () => {
    let session: Session;
    before(() => {
      session = readSession(name);
    });

    test('Client Info is read, and written as it was', () => {
      const bytes = session.clientInfo[0] ?? new Uint8Array();
      const reader = new Reader(bytes);
      assert.equal(decodeSecurityHeader(reader) & SecurityFlag.infoPacket, SecurityFlag.infoPacket);
      const info = decodeClientInfo(reader);
      assert.equal(reader.left, 0);
      assert.ok((info.flags & InfoFlag.unicode) !== 0);
      if (info.userName !== '') assert.equal(info.userName, session.info.user);
      if (info.password !== '') assert.equal(info.password, session.info.password);
      assert.deepEqual(
        written((writer) => encodeClientInfo(writer, info)),
        Buffer.from(bytes.subarray(4)),
      );
    });

    test('licensing ends with a valid client', () => {
      const kinds: string[] = [];
      for (const { bytes } of session.licenses) {
        const reader = new Reader(bytes);
        assert.ok((decodeSecurityHeader(reader) & SecurityFlag.licensePacket) !== 0);
        const message = decodeLicense(reader);
        assert.equal(reader.left, 0);
        kinds.push(message.kind);
        if (message.kind !== 'error') continue;
        assert.equal(message.code, LicenseError.validClient);
        const again = written((writer) => encodeErrorAlert(writer, message));
        // The preamble's version is the server's to choose.
        assert.deepEqual(again.subarray(2), Buffer.from(bytes.subarray(6)));
      }
      assert.equal(kinds.at(-1), 'error');
    });

    test('Demand Active and Confirm Active are written as they were, and one set can be changed', () => {
      const active = { demand: 0, confirm: 0 };
      const sizes: string[] = [];
      for (const { bytes } of session.shares) {
        const control = readShareControl(bytes, 0);
        const reader = new Reader(bytes, control.dataOffset, control.end);
        const pdu = Buffer.from(bytes.subarray(0, control.end));
        if (control.type === ShareType.deactivateAll)
          // xrdp leaves all fields out.
          assert.equal(decodeDeactivateAll(reader).shareId, undefined);
        else if (control.type === ShareType.demandActive) {
          active.demand += 1;
          const demand = decodeDemandActive(reader);
          checkSets(demand.capabilitySets);
          assert.deepEqual(
            written((writer) =>
              encodeShareControl(writer, control.type, control.source, () =>
                encodeDemandActive(writer, demand),
              ),
            ),
            pdu,
          );
          const size = findCapability(demand.capabilitySets, bitmapCapability);
          assert.ok(size);
          sizes.push(`${size.desktopWidth}x${size.desktopHeight}`);
        } else if (control.type === ShareType.confirmActive) {
          active.confirm += 1;
          const confirm = decodeConfirmActive(reader);
          checkSets(confirm.capabilitySets);
          const encode = (sets: readonly CapabilitySet[]): Buffer =>
            written((writer) =>
              encodeShareControl(writer, control.type, control.source, () =>
                encodeConfirmActive(writer, { ...confirm, capabilitySets: sets }),
              ),
            );
          assert.deepEqual(encode(confirm.capabilitySets), pdu);
          const changed = encode(
            changeCapability(confirm.capabilitySets, orderCapability, (order) => ({
              ...order,
              orderSupport: order.orderSupport.map((byte) => byte ^ 1),
            })),
          );
          const differing = [...pdu.keys()].filter((at) => pdu[at] !== changed[at]);
          assert.equal(changed.length, pdu.length);
          assert.equal(differing.length, 32);
          assert.equal((differing[31] ?? 0) - (differing[0] ?? 0), 31);
          assert.ok(findCapability(confirm.capabilitySets, generalCapability));
        }
      }
      assert.ok(active.demand > 0 && active.confirm > 0);
      // With a resize there are more than one.
      assert.ok(sizes.includes(`${session.info.width}x${session.info.height}`), sizes.join());
    });

    test('finalization, monitors and slow-path input are written as they were', () => {
      const seen = new Set<number>();
      for (const { bytes } of session.shares)
        for (let at = 0; at < bytes.length; ) {
          const control = readShareControl(bytes, at);
          const pdu = Buffer.from(bytes.subarray(at, control.end));
          at = control.end;
          if (control.type !== ShareType.data) continue;
          const data = readShareData(bytes, control);
          if ((data.compressedType & CompressedFlag.compressed) !== 0) continue;
          const reader = new Reader(bytes, data.dataOffset, data.end);
          const body = bodyOf(data.type, reader);
          if (body === undefined) continue;
          seen.add(data.type);
          const again = written((writer) =>
            encodeShareData(writer, { ...data, source: control.source }, body),
          );
          // The pad, uncompressedLength and compressedLength are not told the same way by all.
          for (const length of [10, 12, 16]) {
            again.fill(0, length, length + 2);
            pdu.fill(0, length, length + 2);
          }
          // When each event happened, and that a key was down before, the neutral form leaves out.
          if (data.type === DataType.input)
            for (let event = 22; event < pdu.length; event += 12) {
              pdu.fill(0, event, event + 4);
              if (pdu.readUInt16LE(event + 4) === 4)
                pdu.writeUInt8(pdu.readUInt8(event + 7) & ~0x40, event + 7);
            }
          assert.deepEqual(again, pdu);
        }
      for (const type of [DataType.synchronize, DataType.control, DataType.fontList, DataType.fontMap])
        assert.ok(seen.has(type), `data PDU ${type}`);
    });

    test('fast-path input is read, and its events written as they were', () => {
      for (const bytes of session.fastInput) {
        const events = decodeFastPathInput(new Reader(bytes));
        assert.ok(events.length > 0);
        const again = written((writer) => encodeFastPathInput(writer, events));
        // The length may have had one byte.
        assert.deepEqual(again.subarray(3), bytes.subarray((bytes[1] ?? 0) & 0x80 ? 3 : 2));
      }
    });

    test('fast-path output falls into its updates', () => {
      for (const bytes of session.fastOutput) {
        let at = readFastPathOutput(bytes);
        while (at < bytes.length) at = readFastPathUpdate(bytes, at, bytes.length).end;
        assert.equal(at, bytes.length);
      }
    });
  });

test('real clients have typed and moved the mouse', () => {
  const events: InputEvent[] = [];
  for (const name of names) {
    const session = readSession(name);
    for (const bytes of session.fastInput) events.push(...decodeFastPathInput(new Reader(bytes)));
    for (const { bytes } of session.shares) {
      const control = readShareControl(bytes, 0);
      if (control.type !== ShareType.data) continue;
      const data = readShareData(bytes, control);
      if (data.type === DataType.input)
        events.push(...decodeSlowPathInput(new Reader(bytes, data.dataOffset, data.end)));
    }
  }
  const kinds = new Set(events.map(({ kind }) => kind));
  for (const kind of ['key', 'mouse', 'sync'] as const) assert.ok(kinds.has(kind), kind);
});

function bodyOf(type: number, reader: Reader): ((writer: Writer) => void) | undefined {
  switch (type) {
    case DataType.synchronize: {
      const pdu = decodeSynchronize(reader);
      return (writer) => encodeSynchronize(writer, pdu);
    }
    case DataType.control: {
      const pdu = decodeControl(reader);
      return (writer) => encodeControl(writer, pdu);
    }
    case DataType.fontList:
    case DataType.fontMap: {
      const pdu = decodeFonts(reader);
      return (writer) => encodeFonts(writer, pdu);
    }
    case DataType.input: {
      const events = decodeSlowPathInput(reader);
      return (writer) => encodeSlowPathInput(writer, events);
    }
    case DataType.monitorLayout: {
      const monitors = decodeMonitorLayout(reader);
      return (writer) => encodeMonitorLayout(writer, monitors);
    }
    default:
      return undefined;
  }
}
