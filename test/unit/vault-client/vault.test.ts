import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { inspect } from 'node:util';
import {
  EmbeddedVault,
  MasterKey,
  Secret,
  sealAccountSecret,
  VaultError,
} from '../../../vault-client/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-vault-'));
after(() => rmSync(folder, { recursive: true }));

const newKey = () => MasterKey.parse(MasterKey.generate(), 'test');

describe('a secret', () => {
  it('prints as <secret>, however it is shown', () => {
    const secret = new Secret('hunter2');
    const shown = [
      String(secret),
      `${secret}`,
      `x${secret}`,
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: [{ secret }] }, { showHidden: true, depth: 9 }),
      JSON.stringify(Object.entries(secret)),
    ];
    for (const text of shown) assert.doesNotMatch(text, /hunter2/);
    assert.equal(shown[0], '<secret>');
    assert.equal(shown[3], '{"secret":"<secret>"}');
    assert.equal(inspect(secret), '<secret>');
    assert.equal(secret.expose(), 'hunter2');
  });
});

describe('the master key', () => {
  it('opens what it sealed, in the same record only', () => {
    const key = newKey();
    const sealed = key.seal('hunter2', 'account a');
    assert.equal(key.open(sealed, 'account a').toString(), 'hunter2');
    assert.equal(Buffer.from(sealed).includes('hunter2'), false);
    assert.throws(() => key.open(sealed, 'account b'), { code: 'sealed-value' });
    assert.throws(() => newKey().open(sealed, 'account a'), { code: 'sealed-value' });
    assert.notDeepEqual(key.seal('hunter2', 'account a'), sealed, 'a nonce was used twice');
    assert.equal(key.open(key.seal('', 'x'), 'x').length, 0);
  });

  it('refuses a value with any bit changed or any byte missing', () => {
    const key = newKey();
    const sealed = key.seal('hunter2', 'a');
    for (let i = 0; i < sealed.length; i++) {
      const changed = Uint8Array.from(sealed);
      changed[i] = (changed[i] ?? 0) ^ 0x10;
      assert.throws(() => key.open(changed, 'a'), VaultError, `byte ${i}`);
      assert.throws(() => key.open(sealed.subarray(0, i), 'a'), VaultError, `length ${i}`);
    }
    assert.throws(() => key.open(Uint8Array.of(9, ...sealed.subarray(1)), 'a'), /version 9 at offset 0/);
  });

  it('gives the same fingerprint to the same secret of the same record only', () => {
    const key = newKey();
    const print = key.fingerprint('hunter2', 'a');
    assert.match(print, /^[0-9a-f]{64}$/);
    assert.equal(key.fingerprint('hunter2', 'a'), print);
    assert.notEqual(key.fingerprint('hunter2', 'b'), print);
    assert.notEqual(key.fingerprint('hunter3', 'a'), print);
    assert.notEqual(newKey().fingerprint('hunter2', 'a'), print);
    assert.notEqual(key.fingerprint('c', 'ab'), key.fingerprint('bc', 'a'));
  });

  it('knows its own check value from another one', () => {
    const key = newKey();
    key.verify(key.checkValue());
    for (const other of [newKey().checkValue(), '', 'zz']) {
      assert.throws(() => key.verify(other), { code: 'master-key-wrong', message: /restore the right key/ });
    }
  });

  it('is read as base64 or hex from a file that its owner alone may read', () => {
    const path = join(folder, 'master.key');
    const text = MasterKey.generate();
    writeFileSync(path, `${text}\n`, { mode: 0o600 });
    const key = MasterKey.load({ from: 'file', path });
    const hex = Buffer.from(text, 'base64').toString('hex');
    assert.equal(MasterKey.load({ from: 'env', name: 'K' }, { K: hex }).checkValue(), key.checkValue());
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(path, mode);
      assert.throws(() => MasterKey.load({ from: 'file', path }), {
        code: 'master-key',
        message: `${path}: others may read it (mode 0${mode.toString(8)}); run chmod 600 on it`,
      });
    }
  });

  it('says where it looked when there is no key, and never shows what it found', () => {
    assert.throws(
      () => MasterKey.load({ from: 'env', name: 'NOPE' }, {}),
      /environment variable NOPE is not set/,
    );
    const path = join(folder, 'missing');
    assert.throws(() => MasterKey.load({ from: 'file', path }), {
      message: /missing: no such file; restore/,
    });
    assert.throws(() => MasterKey.load({ from: 'file', path: folder }), { code: 'master-key' });
    for (const bad of ['hunter2', 'a'.repeat(63), `${'A'.repeat(44)}`, '']) {
      writeFileSync(path, bad, { mode: 0o600 });
      assert.throws(
        () => MasterKey.load({ from: 'file', path }),
        (error: Error) => {
          assert.match(error.message, /is no master key: wants 32 bytes/);
          return bad === '' || !error.message.includes(bad);
        },
      );
    }
  });
});

describe('the embedded vault', () => {
  const key = newKey();
  const rows = new Map<string, { secret: Uint8Array }>();
  const vault = new EmbeddedVault({ account: async (name, system) => rows.get(`${name}@${system}`) }, key);
  const request = { account: 'root', system: 'web01', user: 'alice', sessionId: 's' };
  const put = (text: string, binding = JSON.stringify(['account', 'root', 'web01'])) =>
    rows.set('root@web01', { secret: key.seal(text, binding) });

  it('checks out what was sealed for the account', async () => {
    rows.set('root@web01', sealAccountSecret(key, 'root', 'web01', { password: 'hunter2' }));
    const first = await vault.checkOut(request);
    assert.equal(first.credential.username, 'root');
    assert.equal(first.credential.password?.expose(), 'hunter2');
    assert.equal(first.credential.privateKey, undefined);
    assert.doesNotMatch(JSON.stringify(first) + inspect(first, { depth: 9 }), /hunter2/);
    const second = await vault.checkOut(request);
    assert.notEqual(second.id, first.id);
    await vault.checkIn(first.id);
    await vault.checkIn(first.id);
  });

  it('does not open the secret of another account that was copied over', async () => {
    rows.set('root@web01', sealAccountSecret(key, 'root', 'web02', { password: 'hunter2' }));
    await assert.rejects(vault.checkOut(request), { code: 'sealed-value' });
  });

  it('refuses what is no credential, without quoting it', async () => {
    rows.clear();
    await assert.rejects(vault.checkOut(request), { code: 'no-account', message: /root@web01/ });
    for (const text of [
      'hunter2',
      '"hunter2"',
      'null',
      '{"password":["hunter2"]}',
      '{"passphrase":"hunter2"}',
    ]) {
      put(text);
      await assert.rejects(vault.checkOut(request), (error: unknown) => {
        assert(error instanceof VaultError && error.code === 'no-credential');
        assert.doesNotMatch(inspect(error), /hunter2/);
        return true;
      });
    }
  });

  it('fingerprints a secret the same in whatever order its fields come', () => {
    const one = sealAccountSecret(key, 'a', 'b', { password: 'x', passphrase: 'y', privateKey: 'z' });
    const two = sealAccountSecret(key, 'a', 'b', { privateKey: 'z', password: 'x', passphrase: 'y' });
    assert.equal(one.secretFingerprint, two.secretFingerprint);
    assert.notDeepEqual(one.secret, two.secret);
  });
});
