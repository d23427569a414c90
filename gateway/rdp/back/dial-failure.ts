/** Why a desktop could not be reached or logged on to, in words for the person. */
import { TargetError } from '../../session/dial.ts';
import { CredSspError } from '../credssp/errors.ts';
import { PduError, Reader } from '../pdu/cursor.ts';
import { decodeErrorInfo, describeErrorInfo, ErrorInfo } from '../pdu/error-info.ts';
import { readSendData } from '../pdu/mcs-data.ts';
import { DataType, readShareControl, readShareData, ShareType } from '../pdu/share.ts';
import { FailureCode } from '../pdu/x224.ts';
import { leaves } from '../relay/checks.ts';
import { StreamClosedError } from '../stream/stream.ts';
import { TlsHandshakeError } from '../stream/tls.ts';

/** Words for a negotiation that failed (2.2.1.2.2). */
export function negotiationWords(code: number): string {
  switch (code) {
    case FailureCode.sslNotAllowedByServer:
      return 'allows only Standard RDP Security, which can be read on the way: enable TLS there';
    case FailureCode.sslCertNotOnServer:
      return 'has no certificate for TLS: give it one';
    case FailureCode.hybridRequiredByServer:
      return 'wants network level authentication, not what the redirection gave to log on with';
    case FailureCode.sslWithUserAuthRequiredByServer:
      return 'wants a certificate of the client, which the gateway does not have: let it take passwords';
    default:
      return `refused the connection (negotiation failure ${code})`;
  }
}

/**
 * Looks whether the first PDU behind licensing is a farewell: the reason of one (2.2.5.1), or the end itself.
 * @throws TargetError when it is, PduError when it is broken
 */
export function checkFarewell(pdu: Uint8Array, ioChannel: number, where: string): void {
  const data = readSendData(pdu);
  if (data === undefined) {
    if (leaves('target', pdu))
      throw new TargetError('target-unreachable', `${where} ended the session before it showed a desktop`);
    return;
  }
  if (data.channelId !== ioChannel) return;
  const control = readShareControl(pdu, data.dataOffset, data.dataOffset + data.dataLength);
  if (control.type !== ShareType.data) return;
  const share = readShareData(pdu, control);
  if (share.type !== DataType.setErrorInfo) return;
  const code = decodeErrorInfo(new Reader(pdu, share.dataOffset, control.end));
  if (code === ErrorInfo.none) return;
  const account =
    code === ErrorInfo.serverInsufficientPrivileges || code === ErrorInfo.serverFreshCredentialsRequired;
  throw new TargetError(
    account ? 'target-auth-failed' : 'target-unreachable',
    `${where} shows no desktop: ${describeErrorInfo(code).words}`,
  );
}

/** Any error of a dial as a TargetError. `where`: the target as people know it. */
export function explained(error: unknown, where: string, username: string): TargetError {
  if (error instanceof TargetError) return error;
  if (error instanceof CredSspError) return explainedNla(error, where, username);
  if (error instanceof PduError)
    return new TargetError('target-unreachable', `${where} broke the protocol: ${error.message}`, error);
  if (error instanceof TlsHandshakeError)
    return new TargetError('target-unreachable', `cannot open RDP to ${where}: ${error.message}`, error);
  if (error instanceof StreamClosedError)
    return new TargetError(
      'target-unreachable',
      `${where} closed the connection before the log-on was complete`,
      error,
    );
  return new TargetError('target-unreachable', `cannot open RDP to ${where}: ${String(error)}`, error);
}

/** What says nothing of the account is not the credential's fault. */
function explainedNla(error: CredSspError, where: string, username: string): TargetError {
  switch (error.code) {
    case 'binding':
      return new TargetError(
        'target-certificate',
        `${where} is not to be trusted: ${error.message}. An administrator must check it`,
        error,
      );
    case 'outdated':
      return new TargetError('target-unreachable', `${where} is not trusted yet: ${error.message}`, error);
    case 'protocol':
    case 'not-supported':
    case 'no-authority':
      return new TargetError(
        'target-unreachable',
        `network level authentication with ${where} failed: ${error.message}`,
        error,
      );
    default:
      return new TargetError(
        'target-auth-failed',
        `${where} does not accept the credential of ${username}: ${error.message}`,
        error,
      );
  }
}
