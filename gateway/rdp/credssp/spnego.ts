/**
 * SPNEGO (RFC 4178) as the acceptor of one mechanism, NTLM. Clients either wrap their NTLM messages in it or send
 * them bare; both go through here, so that the server need not tell them apart.
 *
 *     NegTokenInit ::= [APPLICATION 0] { OID spnego, [0] SEQUENCE {
 *       mechTypes [0] SEQUENCE OF OID, reqFlags [1], mechToken [2] OCTET STRING, mechListMIC [3] OCTET STRING } }
 *     NegTokenResp ::= [1] SEQUENCE {
 *       negState [0] ENUMERATED, supportedMech [1] OID, responseToken [2] OCTET STRING, mechListMIC [3] OCTET STRING }
 */
import { PduError, Reader } from '../pdu/cursor.ts';
import { contextTag, der, derSmall, readElements, readOctets, readTagged, Tag } from './der.ts';
import type { NtlmSession } from './ntlm.ts';
import { isNtlmMessage } from './ntlm-messages.ts';

/** 1.3.6.1.5.5.2, content of the OID. */
export const SPNEGO_OID = Uint8Array.of(0x2b, 6, 1, 5, 5, 2);
/** 1.3.6.1.4.1.311.2.2.10. */
export const NTLM_OID = Uint8Array.of(0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10);

export const NegState = { acceptCompleted: 0, acceptIncomplete: 1, reject: 2, requestMic: 3 } as const;

/** RFC 4178 §4.2.1. */
export interface NegTokenInit {
  readonly mechTypes: readonly Uint8Array[];
  /** The list as it was sent, tag and length too: what mechListMIC signs. */
  readonly mechTypeList: Uint8Array;
  /** For the first of `mechTypes`. */
  readonly mechToken?: Uint8Array;
}

/** RFC 4178 §4.2.2. */
export interface NegTokenResp {
  readonly negState?: number;
  readonly supportedMech?: Uint8Array;
  readonly responseToken?: Uint8Array;
  readonly mechListMic?: Uint8Array;
}

/** What a token of the client brings. */
export interface OpenedToken {
  /** An NTLM message. */
  readonly message: Uint8Array | undefined;
  readonly mechListMic: Uint8Array | undefined;
}

/** Decodes a GSS-API initial token (RFC 2743 §3.1) with a NegTokenInit; fields are views. */
export function decodeNegTokenInit(reader: Reader): NegTokenInit {
  const outer = readTagged(reader, Tag.application0, 'initial token');
  const at = outer.offset;
  if (!same(readTagged(outer, Tag.oid, 'mechanism').rest(), SPNEGO_OID))
    throw new PduError('mechanism', at, 'is not SPNEGO');
  const fields = readTagged(readTagged(outer, contextTag(0), 'NegTokenInit'), Tag.sequence, 'NegTokenInit');
  const mechTypes: Uint8Array[] = [];
  let mechTypeList: Uint8Array = new Uint8Array();
  let mechToken: Uint8Array | undefined;
  for (const { tag, content } of readElements(fields, 'NegTokenInit field')) {
    if (tag === contextTag(0)) {
      mechTypeList = content.rest();
      const list = readTagged(new Reader(mechTypeList), Tag.sequence, 'mechTypes');
      while (list.left > 0) mechTypes.push(readTagged(list, Tag.oid, 'mechType').rest());
    } else if (tag === contextTag(2)) mechToken = readOctets(content, 'mechToken');
  }
  return { mechTypes, mechTypeList, ...(mechToken ? { mechToken } : {}) };
}

/** Fields are views. */
export function decodeNegTokenResp(reader: Reader): NegTokenResp {
  const resp: { -readonly [Key in keyof NegTokenResp]: NegTokenResp[Key] } = {};
  const fields = readTagged(readTagged(reader, contextTag(1), 'NegTokenResp'), Tag.sequence, 'NegTokenResp');
  for (const { tag, content } of readElements(fields, 'NegTokenResp field')) {
    if (tag === contextTag(0)) resp.negState = readTagged(content, Tag.enumerated, 'negState').u8('negState');
    else if (tag === contextTag(1)) resp.supportedMech = readTagged(content, Tag.oid, 'supportedMech').rest();
    else if (tag === contextTag(2)) resp.responseToken = readOctets(content, 'responseToken');
    else if (tag === contextTag(3)) resp.mechListMic = readOctets(content, 'mechListMIC');
  }
  return resp;
}

/** A whole token. */
export function encodeNegTokenResp(resp: NegTokenResp): Uint8Array {
  const fields: Uint8Array[] = [];
  if (resp.negState !== undefined) fields.push(der(contextTag(0), derSmall(Tag.enumerated, resp.negState)));
  if (resp.supportedMech) fields.push(der(contextTag(1), der(Tag.oid, resp.supportedMech)));
  if (resp.responseToken) fields.push(der(contextTag(2), der(Tag.octetString, resp.responseToken)));
  if (resp.mechListMic) fields.push(der(contextTag(3), der(Tag.octetString, resp.mechListMic)));
  return der(contextTag(1), der(Tag.sequence, ...fields));
}

/** Takes tokens apart and puts answers together, for one log-on. */
export class SpnegoAcceptor {
  /** Bare NTLM: set by the first token. */
  #bare = false;
  #mechTypeList: Uint8Array | undefined;
  /** The client would rather have had another mechanism, so the choice must be signed (RFC 4178 §5). */
  #micRequired = false;
  #answered = false;

  /**
   * Opens the next token of the client.
   *
   * @throws PduError; also when the client does not offer NTLM
   */
  open(token: Uint8Array): OpenedToken {
    if (this.#bare || (!this.#mechTypeList && isNtlmMessage(token))) {
      this.#bare = true;
      return { message: token, mechListMic: undefined };
    }
    if (this.#mechTypeList) {
      const { responseToken, mechListMic } = decodeNegTokenResp(new Reader(token));
      return { message: responseToken, mechListMic };
    }
    const { mechTypes, mechTypeList, mechToken } = decodeNegTokenInit(new Reader(token));
    const place = mechTypes.findIndex((oid) => same(oid, NTLM_OID));
    if (place < 0) throw new PduError('mechTypes', 0, 'has no NTLM: log on with a user name and password');
    this.#mechTypeList = mechTypeList;
    this.#micRequired = place > 0;
    // A token for the mechanism that the client likes better is of no use here.
    return { message: place === 0 ? mechToken : undefined, mechListMic: undefined };
  }

  /**
   * The answer that asks for more: with an NTLM message, or without one when the client has yet to begin NTLM.
   *
   * @throws PduError when the client was asked to begin before
   */
  answer(message: Uint8Array | undefined): Uint8Array {
    if (this.#bare && message) return message;
    const first = !this.#answered;
    if (!first && !message) throw new PduError('responseToken', 0, 'is missing');
    this.#answered = true;
    return encodeNegTokenResp({
      negState: first && this.#micRequired ? NegState.requestMic : NegState.acceptIncomplete,
      ...(first ? { supportedMech: NTLM_OID } : {}),
      ...(message ? { responseToken: message } : {}),
    });
  }

  /**
   * Checks the client's signature over its list of mechanisms and makes the last answer; undefined where bare NTLM
   * needs none. The key streams of `session` are then as after no signature at all.
   *
   * @throws PduError when the signature is wrong, or missing where it is required
   */
  complete(session: NtlmSession, mechListMic: Uint8Array | undefined): Uint8Array | undefined {
    if (this.#bare || !this.#mechTypeList) return undefined;
    if (!mechListMic) {
      if (this.#micRequired) throw new PduError('mechListMIC', 0, 'is missing');
      return encodeNegTokenResp({ negState: NegState.acceptCompleted });
    }
    if (!session.verify(this.#mechTypeList, mechListMic)) throw new PduError('mechListMIC', 0, 'is wrong');
    const own = session.sign(this.#mechTypeList);
    session.restartCiphers();
    return encodeNegTokenResp({ negState: NegState.acceptCompleted, mechListMic: own });
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
