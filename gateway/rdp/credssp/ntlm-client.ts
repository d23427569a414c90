/** The client's side of an NTLM log-on ([MS-NLMP] 3.1.5). */
import { randomBytes } from 'node:crypto';
import { Writer } from '../pdu/cursor.ts';
import {
  encodeClientChallenge,
  flagsSuffice,
  hmacMd5,
  NtlmSession,
  ntlmHash,
  ntlmProof,
  ntowfv2,
  OFFERED_FLAGS,
  windowsTime,
} from './ntlm.ts';
import {
  AV_FLAG_MIC,
  AvId,
  type AvPair,
  decodeChallenge,
  encodeAuthenticate,
  encodeAvPairs,
  encodeNegotiate,
  MIC_OFFSET,
  utf16,
} from './ntlm-messages.ts';
import { Rc4 } from './rc4.ts';

export interface NtlmAccount {
  readonly user: string;
  readonly domain: string;
  readonly password: string;
  /** The service principal name of the target, such as `TERMSRV/host`; some servers check it. */
  readonly targetName?: string | undefined;
}

/** The first message. */
export function ntlmNegotiate(): Uint8Array {
  return encodeNegotiate(OFFERED_FLAGS);
}

/**
 * The answer to a challenge, always with a MIC over all three messages, and the session security that holds from
 * then on. Undefined when the server will not do the strong form of NTLM.
 *
 * @throws PduError when the challenge is none
 */
export function ntlmAuthenticate(
  negotiate: Uint8Array,
  challenge: Uint8Array,
  account: NtlmAccount,
): { readonly message: Uint8Array; readonly session: NtlmSession } | undefined {
  const { flags, serverChallenge, targetInfo } = decodeChallenge(challenge);
  if (!flagsSuffice(flags)) return undefined;
  const responseKey = ntowfv2(ntlmHash(account.password), account.user, account.domain);
  const clientChallenge = encodeClientChallenge({
    time: timeOf(targetInfo) ?? windowsTime(Date.now()),
    challenge: randomBytes(8),
    avPairs: encodeAvPairs(answerPairs(targetInfo, account.targetName)),
  });
  const { proof, sessionBaseKey } = ntlmProof(responseKey, serverChallenge, clientChallenge);
  const exportedSessionKey = randomBytes(16);
  const message = encodeAuthenticate({
    flags: (flags & OFFERED_FLAGS) >>> 0,
    domain: account.domain,
    user: account.user,
    workstation: '',
    // 3.1.5.1.2: 24 zeros beside NTLMv2.
    lmResponse: new Uint8Array(24),
    ntResponse: new Writer().bytes(proof).bytes(clientChallenge).done(),
    encryptedSessionKey: new Rc4(sessionBaseKey).apply(exportedSessionKey),
  });
  message.set(hmacMd5(exportedSessionKey, negotiate, challenge, message), MIC_OFFSET);
  return { message, session: new NtlmSession('client', exportedSessionKey) };
}

function timeOf(pairs: readonly AvPair[]): bigint | undefined {
  const value = pairs.find(({ id }) => id === AvId.timestamp)?.value;
  if (value?.length !== 8) return undefined;
  return new DataView(value.buffer, value.byteOffset, 8).getBigUint64(0, true);
}

/** 3.1.5.1.2: the server's pairs, and behind them what the client says. */
function answerPairs(offered: readonly AvPair[], targetName: string | undefined): AvPair[] {
  const own: readonly number[] = [AvId.flags, AvId.channelBindings, AvId.targetName];
  const pairs = offered.filter(({ id }) => !own.includes(id));
  pairs.push({ id: AvId.flags, value: Uint8Array.of(AV_FLAG_MIC, 0, 0, 0) });
  // Zeros say "no channel bindings": CredSSP has its own.
  pairs.push({ id: AvId.channelBindings, value: new Uint8Array(16) });
  if (targetName !== undefined) pairs.push({ id: AvId.targetName, value: utf16(targetName) });
  return pairs;
}
