import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { masterKeyId, rotateMasterKey } from '../../../gateway/bootstrap/rotate-master.ts';
import { makeLaunch } from '../../../gateway/control/launches.ts';
import { openSqliteStore } from '../../../gateway/store/sqlite.ts';
import {
  EmbeddedVault,
  MasterKey,
  ntHashBinding,
  sealAccountSecret,
  totpBinding,
} from '../../../vault-client/index.ts';
import { system, user } from '../store/contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-master-'));
after(() => rmSync(folder, { recursive: true }));
const newKey = () => MasterKey.parse(MasterKey.generate(), 'a new key');
const CAROL = { by: 'carol', node: 'a' };

async function furnished(name: string, key: MasterKey) {
  const store = await openSqliteStore(join(folder, name));
  after(() => store.close());
  await store.putSetting('vault.masterKeyCheck', key.checkValue());
  const totp = key.seal('GEZDGNBV', totpBinding('alice'));
  await store.putUser(user('alice', { totp, ntHash: key.seal('hash', ntHashBinding('alice')) }));
  await store.putUser(user('bob'));
  await store.putSystem(system('web01'));
  for (const account of ['root', 'deploy'])
    await store.putAccount({
      id: account,
      name: account,
      system: 'web01',
      ...sealAccountSecret(key, account, 'web01', { password: `secret of ${account}` }),
    });
  const target = { user: 'alice', account: 'root', system: 'web01', source: undefined, nla: false };
  await makeLaunch(store, key, target, Date.now(), 60_000);
  return store;
}

it('everything sealed opens under the new master key, and under the old one no more', async () => {
  const [from, to] = [newKey(), newKey()];
  const store = await furnished('all.db', from);
  const bob = await store.user('bob');
  assert.equal(await rotateMasterKey(store, from, to, CAROL), 4);

  const alice = await store.user('alice');
  assert(alice?.totp !== undefined && alice.ntHash !== undefined);
  assert.equal(to.open(alice.totp, totpBinding('alice')).toString(), 'GEZDGNBV');
  assert.equal(to.open(alice.ntHash, ntHashBinding('alice')).toString(), 'hash');
  assert.deepEqual(await store.user('bob'), bob);
  const asked = { account: 'root', system: 'web01', user: 'alice', sessionId: 's' };
  const { credential } = await new EmbeddedVault(store, to).checkOut(asked);
  assert.equal(credential.password?.expose(), 'secret of root');
  await assert.rejects(new EmbeddedVault(store, from).checkOut(asked));
  // The fingerprint tells apply that nothing changed.
  const applied = sealAccountSecret(to, 'root', 'web01', { password: 'secret of root' });
  assert.equal((await store.account('root', 'web01'))?.secretFingerprint, applied.secretFingerprint);
  assert.deepEqual(await store.openLaunches('alice', 'root', 'web01', 0), []);
  to.verify((await store.setting('vault.masterKeyCheck')) ?? '');
  const [row] = await store.audit({}, { limit: 1 });
  const ids = { id: masterKeyId(to.checkValue()), previous: masterKeyId(from.checkValue()) };
  assert.deepEqual(
    [row?.code, row?.actor, row?.detail],
    ['key.rotated', 'carol', { kind: 'master', ...ids, secrets: 4 }],
  );
});

it('nothing is changed when one secret does not open', async () => {
  const [from, to] = [newKey(), newKey()];
  const store = await furnished('damaged.db', from);
  const account = await store.account('deploy', 'web01');
  assert(account !== undefined);
  await store.putAccount({ ...account, secret: new Uint8Array(40) });
  const before = [await store.users(), await store.accounts(), await store.setting('vault.masterKeyCheck')];
  await assert.rejects(rotateMasterKey(store, from, to, CAROL), {
    code: 'sealed-value',
    message: /^account deploy@web01: sealed value: .*apply it again first$/,
  });
  assert.deepEqual(
    [await store.users(), await store.accounts(), await store.setting('vault.masterKeyCheck')],
    before,
  );
});
