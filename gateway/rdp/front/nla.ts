/** NLA at the front ([MS-RDPBCGR] 5.4.5.2, [MS-CSSP] 3.1.5): who is there is known before anything of RDP is read. */
import type { AuthenticationOutcome, Factor } from '../../../workers/messages.ts';
import { CredSspError, type CredSspErrorCode } from '../credssp/errors.ts';
import { CredSspServer } from '../credssp/server.ts';
import { tsRequestLength } from '../credssp/ts-request.ts';
import { Writer } from '../pdu/cursor.ts';
import { type PduStream, StreamClosedError } from '../stream/stream.ts';

/** The log-on failed; the client has been told, as far as its version of CredSSP can be. */
export class NlaRefusedError extends StreamClosedError {
  override readonly name = 'NlaRefusedError';
  readonly code: CredSspErrorCode;

  constructor(cause: CredSspError) {
    super(cause.message, { cause });
    this.code = cause.code;
  }
}

/** Who logged on, and what the control plane said. */
export interface NlaLogOn {
  readonly login: string;
  /** `accepted`, or `continue` where a second factor is missing. */
  readonly outcome: AuthenticationOutcome;
}

/** Presents a factor of this connection to the control plane. */
export type Present = (login: string, factor: Factor) => Promise<AuthenticationOutcome>;

export interface NlaOptions {
  /** Whether a client that can do either should do NLA; `cookie`: the name in its first PDU. */
  wanted(cookie: string | undefined): Promise<boolean>;
  /** `subjectPublicKeyOf` the front's certificate. */
  readonly publicKey: Uint8Array;
  /** The name of this node, which clients see. */
  readonly targetName: string;
  readonly present: Present;
}

/** Early User Authorization Result (2.2.10.2); that log-ons are refused is told within CredSSP. */
const AUTHZ_SUCCESS = 0;

/**
 * @param early whether the client waits for the Early User Authorization Result (HYBRID_EX)
 * @throws NlaRefusedError, PduError, StreamClosedError
 */
export async function acceptNla(stream: PduStream, early: boolean, options: NlaOptions): Promise<NlaLogOn> {
  let logOn: NlaLogOn | undefined;
  const server = new CredSspServer({
    publicKey: options.publicKey,
    targetName: options.targetName,
    verify: async ({ user, ...proof }) => {
      const outcome = await options.present(user, { kind: 'ntlm', ...proof });
      if (outcome.outcome !== 'accepted' && outcome.outcome !== 'continue') return undefined;
      const { sessionBaseKey, ...decided } = outcome;
      logOn = { login: user, outcome: decided };
      return sessionBaseKey;
    },
  });
  try {
    for (;;) {
      const request = await stream.next((bytes, offset, end) => tsRequestLength(bytes.subarray(offset, end)));
      const { send, done } = await server.receive(request);
      if (send !== undefined) stream.send(send);
      if (done === undefined) continue;
      if (logOn === undefined) throw new TypeError('CredSSP is done without a log-on');
      if (early) stream.send(new Writer(4).u32le(AUTHZ_SUCCESS).done());
      return logOn;
    }
  } catch (error) {
    if (!(error instanceof CredSspError)) throw error;
    if (error.reply !== undefined) stream.send(error.reply);
    throw new NlaRefusedError(error);
  }
}
