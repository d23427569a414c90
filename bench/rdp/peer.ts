/** What a real client and a real server said of themselves (test/fixtures/rdp), for a larger desktop. */

import {
  decodeConfirmActive,
  decodeDemandActive,
  encodeConfirmActive,
  encodeDemandActive,
} from '../../gateway/rdp/pdu/activation.ts';
import { CapabilityType } from '../../gateway/rdp/pdu/capabilities.ts';
import { Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { decodeConferenceCreateRequest } from '../../gateway/rdp/pdu/gcc.ts';
import { type ClientGccBlocks, decodeClientBlocks } from '../../gateway/rdp/pdu/gcc-client.ts';
import { decodeConnectInitial } from '../../gateway/rdp/pdu/mcs.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import {
  encodeShareControl,
  readShareControl,
  SERVER_CHANNEL_ID,
  type ShareControl,
  ShareType,
} from '../../gateway/rdp/pdu/share.ts';
import { dataReader } from '../../gateway/rdp/pdu/x224.ts';
import { loadTrace } from '../../test/support/rdp-traces.ts';
import { DESKTOP } from './content.ts';

export const SHARE_ID = 0x0001_03ea;

/** xfreerdp at 32 bits per pixel with xrdp. */
const TRACE = 'xrdp-32';
/** TS_BITMAP_CAPABILITYSET (2.2.7.1.2), behind its header. */
const WIDTH = 8;
const HEIGHT = 10;

const trace = loadTrace(TRACE);

/** First bytes of a Connect Initial, behind TPKT and X.224: application 101 of BER. */
const isConnectInitial = (pdu: Uint8Array): boolean => pdu[7] === 0x7f && pdu[8] === 0x65;

/** The client's blocks of its Connect Initial. */
export function clientBlocks(): ClientGccBlocks {
  const initial = trace.find(({ from, bytes }) => from === 'client' && isConnectInitial(bytes));
  if (initial === undefined) throw new Error(`${TRACE} has no Connect Initial`);
  const { userData } = decodeConnectInitial(dataReader(initial.bytes));
  const blocks = decodeClientBlocks(decodeConferenceCreateRequest(new Reader(userData)));
  const core = { ...blocks.core, desktopWidth: DESKTOP.width, desktopHeight: DESKTOP.height };
  return { ...blocks, core };
}

/** A Demand Active, from its share control header on. */
export function demandActive(): Uint8Array {
  const { pdu, control } = shareOf('server', ShareType.demandActive);
  const demand = decodeDemandActive(new Reader(pdu, control.dataOffset, control.end));
  const capabilitySets = demand.capabilitySets.map(({ type, body }) => {
    const own = new Uint8Array(body);
    if (type === CapabilityType.bitmap) {
      const view = new DataView(own.buffer);
      view.setUint16(WIDTH, DESKTOP.width, true);
      view.setUint16(HEIGHT, DESKTOP.height, true);
    }
    return { type, body: own };
  });
  const writer = new Writer();
  encodeShareControl(writer, ShareType.demandActive, SERVER_CHANNEL_ID, (out) =>
    encodeDemandActive(out, { ...demand, shareId: SHARE_ID, capabilitySets }),
  );
  return writer.done();
}

/** The Confirm Active that answers it. */
export function confirmActive(shareId: number, userId: number): Uint8Array {
  const { pdu, control } = shareOf('client', ShareType.confirmActive);
  const confirm = decodeConfirmActive(new Reader(pdu, control.dataOffset, control.end));
  const writer = new Writer();
  encodeShareControl(writer, ShareType.confirmActive, userId, (out) =>
    encodeConfirmActive(out, { ...confirm, shareId }),
  );
  return writer.done();
}

function shareOf(from: 'client' | 'server', type: number): { pdu: Uint8Array; control: ShareControl } {
  for (const { from: sender, bytes: pdu } of trace) {
    if (sender !== from || pdu[0] !== 3 || isConnectInitial(pdu)) continue;
    const data = (pdu[7] ?? 0) >= 0x64 ? readSendData(pdu) : undefined;
    // Behind a header of the security exchange something else stands.
    if (data === undefined || data.dataLength < 6) continue;
    const total = (pdu[data.dataOffset] ?? 0) | ((pdu[data.dataOffset + 1] ?? 0) << 8);
    if (total !== data.dataLength) continue;
    const control = readShareControl(pdu, data.dataOffset);
    if (control.type === type) return { pdu, control };
  }
  throw new Error(`${TRACE} has no share PDU of type ${type} from the ${from}`);
}
