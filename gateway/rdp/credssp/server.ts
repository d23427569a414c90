/**
 * The server's side of CredSSP ([MS-CSSP] 3.1.5) with NTLM, in bytes: what the front runs over TLS with a client that
 * does NLA.
 *
 *     negotiate    → challenge (twice where the client began with another mechanism)
 *     authenticate → has the proof verified; the binding, or where SPNEGO is not done yet its last token
 *     binding      → the binding
 *     credentials  → done
 */
import { Secret } from '../../../vault-client/index.ts';
import { PduError, Reader } from '../pdu/cursor.ts';
import { clientBinding, NONCE_BYTES, serverBinding } from './binding.ts';
import { CredSspError, type CredSspErrorCode, Status } from './errors.ts';
import { type NtlmProof, type NtlmSession, sameBytes } from './ntlm.ts';
import { decodeAuthenticate } from './ntlm-messages.ts';
import { type NtlmChallenge, ntlmChallenge, ntlmProofOf, ntlmSession } from './ntlm-server.ts';
import { SpnegoAcceptor } from './spnego.ts';
import {
  CREDSSP_VERSION,
  decodeTsCredentials,
  decodeTsRequest,
  encodeTsRequest,
  HASH_BINDING_VERSION,
  type TsRequest,
} from './ts-request.ts';

export interface CredSspServerOptions {
  /** `subjectPublicKeyOf` the certificate that TLS was made with. */
  readonly publicKey: Uint8Array;
  /** The gateway's name, which clients see in the challenge. */
  readonly targetName: string;
  /**
   * The session base key where the proof is that of the user's password (`sessionBaseKeyOf`), undefined for a wrong
   * one as for an unknown user.
   */
  verify(proof: NtlmProof): Promise<Uint8Array | undefined>;
}

/** Who logged on, and what the client handed over to log on with. */
export interface CredSspIdentity {
  /** As the client sent it, and as the password was proved for. */
  readonly user: string;
  readonly domain: string;
  /** What a client claims here was not proved. The password is empty with restricted administration. */
  readonly delegated: { readonly user: string; readonly domain: string; readonly password: Secret };
}

/** `send` goes to the client; with `done` the client is logged on and has no more to say. */
export interface CredSspServerStep {
  readonly send?: Uint8Array;
  readonly done?: CredSspIdentity;
}

interface LoggedOn {
  readonly session: NtlmSession;
  readonly user: string;
  readonly domain: string;
}

type State =
  | { readonly name: 'negotiate' }
  | { readonly name: 'authenticate'; readonly challenge: NtlmChallenge }
  | ({ readonly name: 'binding' } & LoggedOn)
  | ({ readonly name: 'credentials' } & LoggedOn)
  | { readonly name: 'done' };

export class CredSspServer {
  readonly #options: CredSspServerOptions;
  readonly #spnego = new SpnegoAcceptor();
  #state: State = { name: 'negotiate' };
  /** Of the client's first message; it must not change. */
  #clientVersion: number | undefined;

  constructor(options: CredSspServerOptions) {
    this.#options = options;
  }

  /**
   * Takes one whole TSRequest (`tsRequestLength` finds its end); call it again only when it is done.
   *
   * @throws CredSspError when the log-on has failed; its `reply`, if any, goes to the client before the connection is
   *   closed
   */
  async receive(bytes: Uint8Array): Promise<CredSspServerStep> {
    const state = this.#state;
    // Whatever goes wrong, nothing is accepted after it.
    this.#state = { name: 'done' };
    try {
      // A copy: parts of it are needed behind the check of the proof, and kept for the MIC.
      const request = decodeTsRequest(new Reader(Uint8Array.from(bytes)));
      this.#clientVersion ??= request.version;
      if (request.version !== this.#clientVersion)
        throw new PduError('version', 0, `changed from ${this.#clientVersion} to ${request.version}`);
      switch (state.name) {
        case 'negotiate':
          return this.#challenge(request);
        case 'authenticate':
          return await this.#authenticate(request, state.challenge);
        case 'binding':
          return this.#bind(request, state);
        case 'credentials':
          return this.#accept(request, state);
        case 'done':
          throw new PduError('TSRequest', 0, 'comes when none is expected');
      }
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      throw this.#failure('protocol', Status.invalidToken, `the client's CredSSP: ${error.message}`, error);
    }
  }

  #challenge(request: TsRequest): CredSspServerStep {
    const { message } = this.#spnego.open(required(request.negoToken, 'negoTokens'));
    if (message === undefined) {
      this.#state = { name: 'negotiate' };
      return this.#send({ negoToken: this.#spnego.answer(undefined) });
    }
    const challenge = ntlmChallenge(message, this.#options.targetName);
    if (!challenge)
      throw this.#failure(
        'not-supported',
        Status.unsupported,
        'the client offers only a weak form of NTLM: allow 128-bit NTLMv2 there',
      );
    this.#state = { name: 'authenticate', challenge };
    return this.#send({ negoToken: this.#spnego.answer(challenge.message) });
  }

  async #authenticate(request: TsRequest, challenge: NtlmChallenge): Promise<CredSspServerStep> {
    const { message, mechListMic } = this.#spnego.open(required(request.negoToken, 'negoTokens'));
    const token = required(message, 'responseToken');
    const decoded = decodeAuthenticate(token);
    const { user, domain } = decoded;
    const key = await this.#options.verify(ntlmProofOf(challenge, decoded));
    const session = key && ntlmSession(challenge, token, decoded, key);
    if (!session) throw this.#failure('logon-failed', Status.logonFailure, 'wrong user name or password');
    const last = this.#spnego.complete(session, mechListMic);
    if (request.pubKeyAuth || !last) return this.#bind(request, { session, user, domain });
    this.#state = { name: 'binding', session, user, domain };
    return this.#send({ negoToken: last });
  }

  /** The client that has sent its binding waits for no token any more. */
  #bind(request: TsRequest, { session, user, domain }: LoggedOn): CredSspServerStep {
    const sealed = required(request.pubKeyAuth, 'pubKeyAuth');
    const version = this.#version();
    const nonce =
      version >= HASH_BINDING_VERSION ? required(request.clientNonce, 'clientNonce') : new Uint8Array();
    if (version >= HASH_BINDING_VERSION && nonce.length !== NONCE_BYTES)
      throw new PduError('clientNonce', 0, `has ${nonce.length} bytes instead of ${NONCE_BYTES}`);
    const { publicKey } = this.#options;
    const binding = session.unseal(sealed);
    if (!binding || !sameBytes(binding, clientBinding(version, publicKey, nonce)))
      throw this.#failure(
        'binding',
        Status.messageAltered,
        'the client made TLS with another key than the one of this gateway: someone may be in between',
      );
    this.#state = { name: 'credentials', session, user, domain };
    return this.#send({ pubKeyAuth: session.seal(serverBinding(version, publicKey, nonce)) });
  }

  #accept(request: TsRequest, { session, user, domain }: LoggedOn): CredSspServerStep {
    const bytes = session.unseal(required(request.authInfo, 'authInfo'));
    if (!bytes) throw new PduError('authInfo', 0, 'has a wrong signature');
    const { password, ...claimed } = decodeTsCredentials(new Reader(bytes));
    bytes.fill(0);
    return { done: { user, domain, delegated: { ...claimed, password: new Secret(password) } } };
  }

  #send(fields: Omit<TsRequest, 'version'>): CredSspServerStep {
    return { send: encodeTsRequest({ version: CREDSSP_VERSION, ...fields }) };
  }

  /** The lower of both versions. */
  #version(): number {
    return Math.min(this.#clientVersion ?? CREDSSP_VERSION, CREDSSP_VERSION);
  }

  #failure(code: CredSspErrorCode, status: number, message: string, cause?: unknown): CredSspError {
    const version = this.#version();
    // [MS-CSSP] 2.2.1: errorCode exists from version 3 on, but not in version 5.
    if (version < 3 || version === 5) return new CredSspError(code, message, { cause });
    const reply = encodeTsRequest({ version: CREDSSP_VERSION, errorCode: status });
    return new CredSspError(code, message, { status, reply, cause });
  }
}

function required(value: Uint8Array | undefined, field: string): Uint8Array {
  if (value === undefined) throw new PduError(field, 0, 'is missing');
  return value;
}
