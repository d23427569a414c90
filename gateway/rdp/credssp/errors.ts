/**
 * Why a CredSSP log-on failed: what a target says with an NTSTATUS or Windows status ([MS-ERREF] 2.3, 2.1), or
 * what this side found.
 */
export type CredSspErrorCode =
  | 'logon-failed'
  | 'password-expired'
  | 'must-change'
  | 'account-disabled'
  | 'account-expired'
  | 'account-locked'
  /** The account may not log on now, from here, or in this way. */
  | 'restricted'
  /** The other side will not do NTLM, or this kind of credentials. */
  | 'not-supported'
  /** The authenticating authority cannot be reached. */
  | 'no-authority'
  /** The other side is not the one that TLS was made with. */
  | 'binding'
  /** The other side's version proves that too weakly. */
  | 'outdated'
  | 'protocol';

export class CredSspError extends Error {
  override readonly name = 'CredSspError';
  readonly code: CredSspErrorCode;
  /** The status that was received or is sent, unsigned. */
  readonly status: number | undefined;
  /** A last message for the other side, to be sent before the connection is closed. */
  readonly reply: Uint8Array | undefined;

  constructor(
    code: CredSspErrorCode,
    message: string,
    more: { readonly status?: number; readonly reply?: Uint8Array; readonly cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.status = more.status;
    this.reply = more.reply;
  }
}

export const Status = {
  /** STATUS_LOGON_FAILURE. */
  logonFailure: 0xc000006d,
  /** SEC_E_INVALID_TOKEN. */
  invalidToken: 0x80090308,
  /** SEC_E_MESSAGE_ALTERED. */
  messageAltered: 0x8009030f,
  /** SEC_E_UNSUPPORTED_FUNCTION. */
  unsupported: 0x80090302,
} as const;

const REASONS: ReadonlyMap<number, readonly [CredSspErrorCode, string]> = new Map([
  [Status.logonFailure, ['logon-failed', 'does not accept this user name and password']],
  [0xc000006a, ['logon-failed', 'does not accept this password']],
  [0xc0000064, ['logon-failed', 'does not know this user']],
  [0x8009030c, ['logon-failed', 'denies the log-on']],
  [0x8009030e, ['logon-failed', 'sees no credentials']],
  [0xc0000071, ['password-expired', 'says that the password has expired']],
  [0xc0000224, ['must-change', 'wants the password changed first']],
  [0xc0000072, ['account-disabled', 'says that the account is disabled']],
  [0xc0000193, ['account-expired', 'says that the account has expired']],
  [0xc0000234, ['account-locked', 'says that the account is locked']],
  [0xc0000022, ['restricted', 'denies this account access']],
  [0xc000006e, ['restricted', 'refuses this account by a restriction']],
  [0xc000006f, ['restricted', 'does not allow this account at this hour']],
  [0xc0000070, ['restricted', 'does not allow this account from here']],
  [0xc000015b, ['restricted', 'does not grant this account this kind of log-on']],
  [0xc0000413, ['restricted', 'keeps this account out by its authentication firewall']],
  [0xc0000418, ['not-supported', 'has NTLM blocked']],
  [Status.unsupported, ['not-supported', 'does not support this log-on']],
  [0xc000005e, ['no-authority', 'cannot reach a domain controller']],
  [0x80090311, ['no-authority', 'cannot reach an authority for this account']],
  [0x80090346, ['binding', 'sees another channel than this one']],
  [Status.messageAltered, ['binding', 'says that a message was altered on the way']],
] as const);

/** The error for the status with which a target ended the exchange; one that says nothing of the account is 'protocol'. */
export function errorOfStatus(status: number): CredSspError {
  const [code, words] = REASONS.get(status) ?? ['protocol', 'ended the log-on'];
  return new CredSspError(code, `the target ${words} (status 0x${status.toString(16).padStart(8, '0')})`, {
    status,
  });
}
