/** A client that finds no room: it is told before anyone is asked to log on. */
import type { Standing } from '../../control/admission.ts';
import { ErrorInfo, encodeErrorInfo } from '../pdu/error-info.ts';
import { EarlyCapability } from '../pdu/gcc-client.ts';
import { DisconnectReason, encodeDisconnectProviderUltimatum } from '../pdu/mcs.ts';
import { DataType, encodeShareData, SERVER_CHANNEL_ID } from '../pdu/share.ts';
import { withData } from '../pdu/x224.ts';
import type { PduStream } from '../stream/stream.ts';
import { type AcceptedClient, sendOnIoChannel } from './accept.ts';
import { type Reception, sentence } from './reception.ts';

/** The words stay as long on the screen of someone who does not close it: others want the place. */
const SHOWN_MS = 20_000;

/** Says why, on a screen where there is room for one, and ends the connection. */
export async function refuse(reception: Reception, { code, message }: Standing): Promise<void> {
  // The words of Set Error Info are the client's own, and say less.
  if (code !== 'overloaded')
    await reception.lastWord(code === 'full' ? 'No room' : 'Not in service', sentence(message), SHOWN_MS);
  else endWithError(reception.stream, reception.client, ErrorInfo.serverDeniedConnection);
}

/** Ends a connection behind licensing with Set Error Info (2.2.5.1.1), which needs no desktop. */
export function endWithError(stream: PduStream, { blocks }: AcceptedClient, errorInfo: number): void {
  const flags = blocks.core.earlyCapabilityFlags ?? 0;
  if ((flags & EarlyCapability.supportErrInfoPdu) !== 0)
    sendOnIoChannel(stream, (writer) =>
      encodeShareData(
        writer,
        { type: DataType.setErrorInfo, source: SERVER_CHANNEL_ID, shareId: 0 },
        (body) => encodeErrorInfo(body, errorInfo),
      ),
    );
  stream.send(
    withData((writer) => encodeDisconnectProviderUltimatum(writer, DisconnectReason.providerInitiated)),
  );
  stream.end();
}
