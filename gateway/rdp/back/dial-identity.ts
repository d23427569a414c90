/** How the gateway proves at a target who it is: NLA with the leased credential, RDSTLS with what a redirection gave. */
import { Secret } from '../../../vault-client/index.ts';
import type { CheckedOutCredential } from '../../../workers/messages.ts';
import { TargetError } from '../../session/dial.ts';
import { CredSspClient } from '../credssp/client.ts';
import { CredSspError } from '../credssp/errors.ts';
import { tsRequestLength } from '../credssp/ts-request.ts';
import { Reader, Writer } from '../pdu/cursor.ts';
import {
  decodeRdstlsCapabilities,
  decodeRdstlsResponse,
  encodeRdstlsRequest,
  type RdstlsCredentials,
  RdstlsResult,
  rdstlsLength,
} from '../pdu/rdstls.ts';
import { Protocol } from '../pdu/x224.ts';
import { type Framing, type PduStream, StreamClosedError } from '../stream/stream.ts';

const tsRequest: Framing = (bytes, offset, end) => tsRequestLength(bytes.subarray(offset, end));

/** `CORP\admin` and `admin`; a UPN is a user name with an empty domain ([MS-NLMP] 2.2.1.3). */
export function accountName(username: string): { username: string; domain: string } {
  const at = username.indexOf('\\');
  return at < 0
    ? { username, domain: '' }
    : { username: username.slice(at + 1), domain: username.slice(0, at) };
}

export interface NlaOptions {
  readonly credential: CheckedOutCredential;
  /** Of the certificate that TLS was made with. */
  readonly publicKey: Uint8Array;
  /** That certificate was known to be the target's before. */
  readonly certificateKnown: boolean;
  /** What the target selected, for it says whether a result comes behind. */
  readonly selected: number;
  /** Called once the target has proved to be the end of TLS, before the credential is sent. */
  approved(): Promise<void>;
}

/** NLA: CredSSP ([MS-CSSP] 3.1.5). @throws CredSspError, PduError, StreamClosedError */
export async function proveByNla(
  stream: PduStream,
  { credential, publicKey, certificateKnown, selected, approved }: NlaOptions,
): Promise<void> {
  const client = new CredSspClient({
    ...accountName(credential.username),
    password: new Secret(credential.password ?? ''),
    publicKey,
    certificateKnown,
  });
  stream.send(client.start());
  for (;;) {
    const answer = await stream.next(tsRequest).catch((error: unknown) => {
      throw error instanceof StreamClosedError ? client.closed() : error;
    });
    const { send, done } = client.receive(answer);
    if (done) await approved();
    stream.send(send);
    if (done) break;
  }
  if (selected !== Protocol.hybridEx) return;
  // Early User Authorization Result PDU (2.2.10.2).
  const result = new Reader(await stream.next((_bytes, offset, end) => (end - offset >= 4 ? 4 : undefined)));
  if (result.u32le('authorizationResult') !== 0) throw new CredSspError('restricted', 'may not log on here');
}

/** RDSTLS (5.4.5.3). @throws TargetError when the target refuses, PduError, StreamClosedError */
export async function proveByRdstls(
  stream: PduStream,
  credentials: RdstlsCredentials,
  where: string,
): Promise<void> {
  if ((decodeRdstlsCapabilities(new Reader(await stream.next(rdstlsLength))) & 1) === 0)
    throw new TargetError('target-unreachable', `${where} does not speak RDSTLS version 1`);
  const writer = new Writer(512);
  encodeRdstlsRequest(writer, credentials);
  stream.send(writer.done());
  const result = decodeRdstlsResponse(new Reader(await stream.next(rdstlsLength)));
  if (result !== RdstlsResult.success)
    throw new TargetError(
      'target-auth-failed',
      `${where} does not accept what the redirection gave to log on with: ${resultWords(result)}`,
    );
}

function resultWords(result: number): string {
  switch (result) {
    case RdstlsResult.accessDenied:
      return 'access denied';
    case RdstlsResult.logonFailure:
      return 'wrong user name or password';
    case RdstlsResult.invalidLogonHours:
      return 'not allowed at this hour';
    case RdstlsResult.passwordExpired:
      return 'the password has expired';
    case RdstlsResult.accountDisabled:
      return 'the account is disabled';
    case RdstlsResult.passwordMustChange:
      return 'the password must be changed first';
    case RdstlsResult.accountLockedOut:
      return 'the account is locked';
    default:
      return `error 0x${result.toString(16)}`;
  }
}
