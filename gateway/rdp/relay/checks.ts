/** What the relay asks of single PDUs before it lets them pass. */
import type { Side } from '../channels/policy.ts';
import { PduError } from '../pdu/cursor.ts';
import type { InputEvent } from '../pdu/input.ts';
import { DomainPdu, domainPduOf } from '../pdu/mcs.ts';
import { readSendData, type SendDataHeader } from '../pdu/mcs-data.ts';
import { CompressedFlag, type ShareControl, type ShareData } from '../pdu/share.ts';
import { TpduCode, tpduCode } from '../pdu/x224.ts';

/** DetachUserRequest (T.125 section 7): what rdesktop leaves with, in a form of its own. */
const DETACH_USER_REQUEST = 12;

/** Send Data in the direction that is `from`'s; undefined: another PDU. @throws PduError */
export function readDataOf(from: Side, pdu: Uint8Array): SendDataHeader | undefined {
  const data = readSendData(pdu);
  if (data === undefined) return undefined;
  const choice = domainPduOf(pdu);
  const expected = from === 'client' ? DomainPdu.sendDataRequest : DomainPdu.sendDataIndication;
  if (choice !== expected)
    throw new PduError('DomainMCSPDU', 7, `is choice ${choice}, the ${from} sends ${expected}`);
  return data;
}

/** Whether a leg leaves with this PDU: by MCS as it should, by X.224, or by detaching its only user. */
export function leaves(from: Side, pdu: Uint8Array): boolean {
  if (tpduCode(pdu) === TpduCode.disconnectRequest) return true;
  const choice = domainPduOf(pdu);
  return (
    choice === DomainPdu.disconnectProviderUltimatum || (from === 'client' && choice === DETACH_USER_REQUEST)
  );
}

/** @throws PduError when a data PDU is compressed */
export function checkUncompressed(data: ShareData, { dataOffset }: ShareControl): void {
  if ((data.compressedType & CompressedFlag.compressed) !== 0)
    throw new PduError('compressedType', dataOffset, 'says compressed, which was not negotiated');
}

/** Whether an event of a locked client passes. What lets keys go, or says which locks are on, does nothing to the desktop. */
export function isRelease(event: InputEvent): boolean {
  return event.kind === 'sync' || ((event.kind === 'key' || event.kind === 'unicode') && event.release);
}
