/** A new master key: everything that lies sealed in the store is sealed anew under it. */
import {
  type MasterKey,
  ntHashBinding,
  resealAccountSecret,
  totpBinding,
  VaultError,
} from '../../vault-client/index.ts';
import { auditRow } from '../audit/events.ts';
import type { Store } from '../store/port.ts';
import { CHECK_SETTING } from './keys.ts';

/** As long as the ids of other keys. */
const ID_DIGITS = 32;

/** Names a master key without telling anything of it. `checkValue`: as the store keeps it. */
export const masterKeyId = (checkValue: string): string => checkValue.slice(0, ID_DIGITS);

/**
 * Seals all secrets under `to`, in one transaction. Nodes that run keep the old key in memory: the caller
 * has made sure that there are none. Open launch credentials are forgotten; they live for a day at most.
 *
 * @returns how many secrets were sealed anew
 * @throws VaultError naming what does not open; nothing is changed then
 */
export async function rotateMasterKey(
  store: Store,
  from: MasterKey,
  to: MasterKey,
  { by, node }: { readonly by: string; readonly node: string },
): Promise<number> {
  return await store.transaction(async (tx) => {
    let secrets = 0;
    const reseal = <T>(what: string, seal: () => T): T => {
      secrets += 1;
      try {
        return seal();
      } catch (cause) {
        if (!(cause instanceof VaultError)) throw cause;
        throw new VaultError(cause.code, `${what}: ${cause.message}; apply it again first`, { cause });
      }
    };
    for (const user of await tx.users()) {
      const sealed = (what: string, old: Uint8Array | undefined, binding: string) =>
        old && reseal(`${what} of user ${user.name}`, () => to.seal(from.open(old, binding), binding));
      const totp = sealed('totp', user.totp, totpBinding(user.name));
      const ntHash = sealed('nla', user.ntHash, ntHashBinding(user.name));
      if (totp !== undefined || ntHash !== undefined) await tx.putUser({ ...user, totp, ntHash });
    }
    for (const account of await tx.accounts()) {
      const { name, system, secret } = account;
      const sealed = reseal(`account ${name}@${system}`, () =>
        resealAccountSecret(from, to, name, system, secret),
      );
      await tx.putAccount({ ...account, ...sealed });
    }
    await tx.deleteLaunches(Number.MAX_SAFE_INTEGER);
    await tx.putSetting(CHECK_SETTING, to.checkValue());
    const detail = {
      kind: 'master',
      id: masterKeyId(to.checkValue()),
      previous: masterKeyId(from.checkValue()),
      secrets,
    };
    await tx.insertAudit(auditRow({ node, code: 'key.rotated', actor: by, detail }));
    return secrets;
  });
}
