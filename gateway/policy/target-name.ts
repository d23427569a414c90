/**
 * The name a person types to log on: `requester`, or requester, account and system in
 * one, as in `alice@root@web01` or `alice+root+web01`.
 *
 *     login  = requester [ delim account delim system ]
 *     delim  = "@" | "+" | "%"          written once
 *     "@@", "++", "%%"                  the character itself, as part of a name
 *
 * Read from right to left: system, account, and all the rest is the requester, who may
 * therefore be a UPN (`bob@corp.example@root@web01`) or `DOMAIN\user`. A login with fewer
 * than two delimiters is a requester alone: `alice@corp.example` is a UPN, not an account
 * without its system. In a run of delimiters the pairs are read first, so a name may end
 * in one (`a+++root+web01`: requester `a+`) but begin with one only after another kind of
 * delimiter (`a@++root@web01`: account `+root`).
 */

/** Long enough for a UPN, an account and a host name; short enough for every log and table. */
export const MAX_LOGIN_BYTES = 256;

export interface LoginName {
  readonly requester: string;
  readonly target: { readonly account: string; readonly system: string } | undefined;
}

export type LoginField = 'login' | 'requester' | 'account' | 'system';

/** The client's fault: what was typed is no login. */
export class LoginNameError extends Error {
  override readonly name = 'LoginNameError';
  readonly field: LoginField;
  /** Offset in UTF-16 units of what was typed. */
  readonly offset: number;

  constructor(field: LoginField, offset: number, reason: string) {
    super(`${field} at offset ${offset}: ${reason}`);
    this.field = field;
    this.offset = offset;
  }
}

/** Splits what a person typed; throws {@link LoginNameError}. */
export function parseLogin(login: string): LoginName {
  checkCharacters(login);
  const delimiters = delimiterOffsets(login);
  const second = delimiters.at(-2);
  const last = delimiters.at(-1);
  if (second === undefined || last === undefined) {
    return { requester: name('requester', login, 0, login.length), target: undefined };
  }
  return {
    requester: name('requester', login, 0, second),
    target: {
      account: name('account', login, second + 1, last),
      system: name('system', login, last + 1, login.length),
    },
  };
}

/**
 * What a person types to open a target: the reverse of {@link parseLogin}, with `+` where the
 * names allow it, because clients of RDP read `@` and `\\` themselves.
 * @throws LoginNameError when no form of it can be typed
 */
export function formatLogin(requester: string, account: string, system: string): string {
  for (const delimiter of ['+', '%', '@']) {
    const login = [requester, account, system].map((each) => each.replace(/[@+%]/g, '$&$&')).join(delimiter);
    const parsed = parseLogin(login);
    const { target } = parsed;
    if (parsed.requester === requester && target?.account === account && target.system === system)
      return login;
  }
  throw new LoginNameError('login', 0, 'these names cannot be told apart: rename one');
}

function checkCharacters(login: string): void {
  let bytes = 0;
  let offset = 0;
  for (const character of login) {
    const code = character.codePointAt(0) ?? 0;
    const control = code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029;
    if (control) throw new LoginNameError('login', offset, 'control characters are not allowed in a name');
    if (code >= 0xd800 && code <= 0xdfff)
      throw new LoginNameError('login', offset, 'text is not valid unicode');
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes > MAX_LOGIN_BYTES) {
      throw new LoginNameError('login', offset, `longer than ${MAX_LOGIN_BYTES} bytes: use shorter names`);
    }
    offset += character.length;
  }
}

function isDelimiter(character: string | undefined): boolean {
  return character === '@' || character === '+' || character === '%';
}

/** Offsets of the delimiters that stand alone; doubled ones are text. */
function delimiterOffsets(login: string): number[] {
  const offsets: number[] = [];
  for (let at = 0; at < login.length; at++) {
    if (!isDelimiter(login[at])) continue;
    if (login[at + 1] === login[at]) at++;
    else offsets.push(at);
  }
  return offsets;
}

function name(field: LoginField, login: string, from: number, to: number): string {
  if (from === to) throw new LoginNameError(field, from, 'is empty: log in as user@account@system');
  return login.slice(from, to).replace(/@@|\+\+|%%/g, (pair) => pair.charAt(0));
}
