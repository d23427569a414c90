/** The server's check of a proof in one step, as the gateway makes it in two threads. */
import { type NtlmSession, sessionBaseKeyOf } from '../../../../gateway/rdp/credssp/ntlm.ts';
import type { AuthenticateMessage } from '../../../../gateway/rdp/credssp/ntlm-messages.ts';
import { type NtlmChallenge, ntlmProofOf, ntlmSession } from '../../../../gateway/rdp/credssp/ntlm-server.ts';

export function ntlmVerify(
  challenge: NtlmChallenge,
  authenticate: Uint8Array,
  decoded: AuthenticateMessage,
  ntHash: Uint8Array,
): NtlmSession | undefined {
  const key = sessionBaseKeyOf(ntHash, ntlmProofOf(challenge, decoded));
  return key && ntlmSession(challenge, authenticate, decoded, key);
}
