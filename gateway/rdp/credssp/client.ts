/**
 * The client's side of CredSSP ([MS-CSSP] 3.1.5) with NTLM, in bytes: what the connector runs over TLS before it
 * speaks RDP.
 *
 *     start()   → negotiate
 *     challenge → authenticate, binding to the server's key, nonce
 *     binding   → credentials; done
 *
 * The tokens are bare NTLM messages, which every server takes. With PROTOCOL_HYBRID_EX the server still sends an
 * Early User Authorization Result ([MS-RDPBCGR] 2.2.10.2), which is no TSRequest and not read here.
 */
import { randomBytes } from 'node:crypto';
import type { Secret } from '../../../vault-client/index.ts';
import { PduError, Reader } from '../pdu/cursor.ts';
import { clientBinding, NONCE_BYTES, serverBinding } from './binding.ts';
import { CredSspError, errorOfStatus } from './errors.ts';
import { type NtlmSession, sameBytes } from './ntlm.ts';
import { ntlmAuthenticate, ntlmNegotiate } from './ntlm-client.ts';
import {
  CREDSSP_VERSION,
  decodeTsRequest,
  encodeTsCredentials,
  encodeTsRequest,
  HASH_BINDING_VERSION,
  type TsRequest,
} from './ts-request.ts';

export interface CredSspClientOptions {
  readonly username: string;
  /** Empty for a local account. */
  readonly domain: string;
  readonly password: Secret;
  /** `subjectPublicKeyOf` the certificate that the target showed in TLS. */
  readonly publicKey: Uint8Array;
  /**
   * The certificate was known to be the target's before this connection. Only then versions below 5
   * will do: they let someone in between pass the log-on off as a key of their own (CVE-2018-0886).
   */
  readonly certificateKnown?: boolean;
  /** The target's service principal name, `TERMSRV/host`; left out when it is only known by its address. */
  readonly targetName?: string;
}

/** `send` goes to the target; with `done` it is the last message. */
export interface CredSspClientStep {
  readonly send: Uint8Array;
  readonly done: boolean;
}

type State =
  | { readonly name: 'new' }
  | { readonly name: 'challenge'; readonly negotiate: Uint8Array }
  | {
      readonly name: 'binding';
      readonly version: number;
      readonly session: NtlmSession;
      readonly nonce: Uint8Array;
    }
  | { readonly name: 'done' };

export class CredSspClient {
  readonly #options: CredSspClientOptions;
  #state: State = { name: 'new' };

  constructor(options: CredSspClientOptions) {
    this.#options = options;
  }

  /** The first message. */
  start(): Uint8Array {
    const negotiate = ntlmNegotiate();
    this.#state = { name: 'challenge', negotiate };
    return encodeTsRequest({ version: CREDSSP_VERSION, negoToken: negotiate });
  }

  /**
   * Takes one whole TSRequest (`tsRequestLength` finds its end).
   *
   * @throws CredSspError when the target refuses, breaks the protocol, or is not the end of this TLS connection
   */
  receive(bytes: Uint8Array): CredSspClientStep {
    try {
      const request = decodeTsRequest(new Reader(bytes));
      if (request.errorCode) throw errorOfStatus(request.errorCode);
      switch (this.#state.name) {
        case 'challenge':
          return this.#authenticate(request, this.#state.negotiate);
        case 'binding':
          return this.#delegate(request, this.#state);
        default:
          throw new CredSspError('protocol', 'the target sent a CredSSP message when none was expected');
      }
    } catch (error) {
      this.#state = { name: 'done' };
      if (!(error instanceof PduError)) throw error;
      throw new CredSspError('protocol', `the target sent a bad CredSSP message: ${error.message}`, {
        cause: error,
      });
    }
  }

  /** What it means that the target closes the connection now: before version 6 that may be all it says to a refused log-on. */
  closed(): CredSspError {
    return this.#state.name === 'binding'
      ? new CredSspError('logon-failed', 'the target closed the connection on the user name and password')
      : new CredSspError('protocol', 'the target closed the connection during CredSSP');
  }

  #authenticate(request: TsRequest, negotiate: Uint8Array): CredSspClientStep {
    if (!request.negoToken) throw new CredSspError('protocol', 'the target sent no NTLM challenge');
    const { username, domain, password, publicKey, targetName, certificateKnown } = this.#options;
    const version = Math.min(request.version, CREDSSP_VERSION);
    if (version < HASH_BINDING_VERSION && !certificateKnown)
      throw new CredSspError(
        'outdated',
        `it speaks CredSSP version ${version}, which lets someone in between take over a log-on (CVE-2018-0886): update it, or have an administrator set its certificate`,
      );
    const account = { user: username, domain, password: password.expose(), targetName };
    const answer = ntlmAuthenticate(negotiate, request.negoToken, account);
    if (!answer)
      throw new CredSspError(
        'not-supported',
        'the target offers only a weak form of NTLM: allow 128-bit NTLMv2 there',
      );
    const { message, session } = answer;
    const nonce = randomBytes(NONCE_BYTES);
    this.#state = { name: 'binding', version, session, nonce };
    const send = encodeTsRequest({
      version: CREDSSP_VERSION,
      negoToken: message,
      pubKeyAuth: session.seal(clientBinding(version, publicKey, nonce)),
      ...(version >= HASH_BINDING_VERSION ? { clientNonce: nonce } : {}),
    });
    return { send, done: false };
  }

  #delegate(request: TsRequest, state: State & { readonly name: 'binding' }): CredSspClientStep {
    if (!request.pubKeyAuth) throw new CredSspError('protocol', 'the target sent no binding to its key');
    const { username, domain, password, publicKey } = this.#options;
    const binding = state.session.unseal(request.pubKeyAuth);
    if (!binding || !sameBytes(binding, serverBinding(state.version, publicKey, state.nonce)))
      throw new CredSspError(
        'binding',
        'the target that checked the password is not the one that TLS was made with: someone may be in between',
      );
    const credentials = encodeTsCredentials({ domain, user: username, password: password.expose() });
    const authInfo = state.session.seal(credentials);
    credentials.fill(0);
    this.#state = { name: 'done' };
    return { send: encodeTsRequest({ version: CREDSSP_VERSION, authInfo }), done: true };
  }
}
