/** One-time codes (RFC 6238: SHA-1, six digits, 30 s). */
import { TOTP, Secret as TotpSecret } from 'otpauth';
import { type MasterKey, totpBinding } from '../../vault-client/index.ts';
import type { Store, UserRow } from '../store/port.ts';

const PERIOD_MS = 30_000;
/** RFC 6238 §5.2: one step either way for slow typing and clocks that differ. */
const WINDOW = 1;

/**
 * Whether this is the user's code now, and none that was used before. The step of the last
 * accepted code is kept in the store, so that no node and no restart accepts it twice.
 *
 * @param now ms since the epoch
 */
export async function acceptCode(
  store: Store,
  key: MasterKey,
  user: UserRow,
  code: string,
  now: number,
): Promise<boolean> {
  const token = code.replaceAll(' ', '');
  if (user.totp === undefined || !/^[0-9]{6}$/.test(token)) return false;
  const base32 = key.open(user.totp, totpBinding(user.name)).toString('utf8');
  const delta = new TOTP({ secret: TotpSecret.fromBase32(base32) }).validate({
    token,
    timestamp: now,
    window: WINDOW,
  });
  if (delta === null) return false;
  const step = Math.floor(now / PERIOD_MS) + delta;
  return store.transaction(async (tx) => {
    const setting = `totp.${user.id}.last-step`;
    if (step <= Number((await tx.setting(setting)) ?? -1)) return false;
    await tx.putSetting(setting, String(step));
    return true;
  });
}
