/** The server's side of an NTLM log-on ([MS-NLMP] 3.2.5). */
import { randomBytes } from 'node:crypto';
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import {
  flagsSuffice,
  hmacMd5,
  type NtlmProof,
  NtlmSession,
  OFFERED_FLAGS,
  RESPONSE_AV_OFFSET,
  sameBytes,
  windowsTime,
} from './ntlm.ts';
import {
  type AuthenticateMessage,
  AV_FLAG_MIC,
  AvId,
  decodeAvPairs,
  decodeNegotiate,
  encodeChallenge,
  MIC_BYTES,
  MIC_OFFSET,
  NtlmFlag,
  utf16,
} from './ntlm-messages.ts';
import { Rc4 } from './rc4.ts';

/** The messages so far, which the MIC covers, and the challenge in them. */
export interface NtlmChallenge {
  readonly negotiate: Uint8Array;
  readonly message: Uint8Array;
  readonly serverChallenge: Uint8Array;
}

/**
 * The challenge for a NEGOTIATE message, which is kept in it. Undefined when the client will not do the strong form of
 * NTLM.
 *
 * @throws PduError when it is no NEGOTIATE message
 */
export function ntlmChallenge(negotiate: Uint8Array, targetName: string): NtlmChallenge | undefined {
  const asked = decodeNegotiate(negotiate);
  if (!flagsSuffice(asked)) return undefined;
  const serverChallenge = randomBytes(8);
  // A NetBIOS name has at most 15 characters and no domain behind it.
  const netbios = (targetName.split('.')[0] ?? '').slice(0, 15).toUpperCase();
  const message = encodeChallenge({
    flags: ((asked & OFFERED_FLAGS) | NtlmFlag.targetInfo | NtlmFlag.targetTypeServer) >>> 0,
    targetName: netbios,
    serverChallenge,
    targetInfo: [
      { id: AvId.nbDomainName, value: utf16(netbios) },
      { id: AvId.nbComputerName, value: utf16(netbios) },
      { id: AvId.dnsDomainName, value: utf16(targetName) },
      { id: AvId.dnsComputerName, value: utf16(targetName) },
      // With the time a client has to add a MIC. Flags of zero would make the one of Windows wrong.
      { id: AvId.timestamp, value: new Writer(8).u64le(windowsTime(Date.now())).done() },
    ],
  });
  return { negotiate, message, serverChallenge };
}

/**
 * What the client proves its password with.
 *
 * @throws PduError when it proves it in another way than NTLMv2
 */
export function ntlmProofOf(
  { serverChallenge }: NtlmChallenge,
  { user, domain, ntResponse, encryptedSessionKey }: AuthenticateMessage,
): NtlmProof {
  if (ntResponse.length < RESPONSE_AV_OFFSET + 4)
    throw new PduError('NtChallengeResponse', 0, 'is not of NTLMv2: allow NTLMv2 on the client');
  if (encryptedSessionKey.length !== 16)
    throw new PduError(
      'EncryptedRandomSessionKey',
      0,
      `has ${encryptedSessionKey.length} bytes instead of 16`,
    );
  return { user, domain, serverChallenge, response: ntResponse };
}

/**
 * The session of a client whose proof was right. Undefined when the messages were changed on the way.
 *
 * @param authenticate the message that `decoded` came from
 */
export function ntlmSession(
  challenge: NtlmChallenge,
  authenticate: Uint8Array,
  { ntResponse, encryptedSessionKey }: AuthenticateMessage,
  sessionBaseKey: Uint8Array,
): NtlmSession | undefined {
  const exportedSessionKey = new Rc4(sessionBaseKey).apply(encryptedSessionKey);
  // Whether there is a MIC stands under the proof, so that nobody on the way can take it out.
  if (hasMic(ntResponse) && !micIsRight(challenge, authenticate, exportedSessionKey)) return undefined;
  return new NtlmSession('server', exportedSessionKey);
}

function hasMic(ntResponse: Uint8Array): boolean {
  const pairs = decodeAvPairs(new Reader(ntResponse, RESPONSE_AV_OFFSET));
  return pairs.some(({ id, value }) => id === AvId.flags && ((value[0] ?? 0) & AV_FLAG_MIC) !== 0);
}

function micIsRight(challenge: NtlmChallenge, authenticate: Uint8Array, key: Uint8Array): boolean {
  const mic = authenticate.subarray(MIC_OFFSET, MIC_OFFSET + MIC_BYTES);
  const unsigned = Uint8Array.from(authenticate);
  unsigned.fill(0, MIC_OFFSET, MIC_OFFSET + MIC_BYTES);
  return sameBytes(hmacMd5(key, challenge.negotiate, challenge.message, unsigned), mic);
}
