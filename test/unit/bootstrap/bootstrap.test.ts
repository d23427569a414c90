import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, sign, verify, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import ssh2 from 'ssh2';
import { applyDocument } from '../../../gateway/apply/apply.ts';
import { verifyPassword } from '../../../gateway/apply/password.ts';
import { type Bootstrapped, bootstrap, openNode } from '../../../gateway/bootstrap/bootstrap.ts';
import {
  knownRecipients,
  newSshKey,
  publicLine,
  rotateSigningKey,
  signingKeysByNode,
  signingKeysIn,
} from '../../../gateway/bootstrap/keys.ts';
import { type Config, parseConfig } from '../../../gateway/config/config.ts';
import { parseIdentities } from '../../../recorder/index.ts';
import { MasterKey } from '../../../vault-client/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-bootstrap-'));
after(() => rmSync(folder, { recursive: true }));

/** Any free port: another gateway may run on this machine. */
const LISTEN = 'listen: {ssh: "127.0.0.1:0", rdp: "127.0.0.1:0", health: off, agentCheck: off}';

/** The configuration of a node in a folder of its own. */
function configIn(name: string, yaml = ''): Config {
  return parseConfig(
    `node: {name: n1, dataDir: ${name}, demo: false}\n${LISTEN}\n${yaml}`,
    join(folder, 'sallyport.yaml'),
  );
}

async function run<T>(config: Config, look: (parts: Bootstrapped) => T | Promise<T>): Promise<T> {
  const parts = await bootstrap(config);
  try {
    return await look(parts);
  } finally {
    await parts.stopDemo();
    await parts.store.close();
  }
}

describe('the first run', () => {
  const config = configIn('first');
  const data = config.node.dataDir;
  let first: Bootstrapped;

  it('makes folders and keys that nobody else may read', async () => {
    await run(config, (parts) => {
      first = parts;
    });
    for (const path of [data, join(data, 'keys'), join(data, 'archive')]) {
      assert.equal(statSync(path).mode & 0o777, 0o700, path);
    }
    for (const name of readdirSync(join(data, 'keys'))) {
      const wanted = name.endsWith('.pub') ? 0o644 : 0o600;
      assert.equal(statSync(join(data, 'keys', name)).mode & 0o777, wanted, name);
    }
    assert.deepEqual(first.warnings, []);
  });

  it('makes SSH host keys that OpenSSH and the SSH library read alike', () => {
    const types = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'];
    for (const [i, name] of ['ed25519', 'ecdsa', 'rsa'].entries()) {
      const path = join(data, 'keys', `ssh_host_${name}_key`);
      const [type, blob] = execFileSync('ssh-keygen', ['-y', '-f', path], { encoding: 'utf8' }).split(' ');
      assert.equal(type, types[i]);
      const parsed = ssh2.utils.parseKey(first.hostKeys[i] ?? '');
      assert(!(parsed instanceof Error) && !Array.isArray(parsed));
      assert.equal(parsed.getPublicSSH().toString('base64'), blob?.trim());
      assert(readFileSync(`${path}.pub`, 'utf8').startsWith(`${type} ${blob?.trim()} `));
    }
  });

  it('makes a certificate for its key and its names', () => {
    assert(first.tls !== undefined);
    const certificate = new X509Certificate(first.tls.certificate);
    const own = createPublicKey(first.tls.key);
    assert(certificate.publicKey.equals(own) && certificate.verify(own));
    assert.equal(certificate.checkHost('n1'), 'n1');
    assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(certificate.ca, false);
  });

  it('makes an archive identity that opens what is encrypted to its recipient', async () => {
    const { Decrypter, Encrypter, identityToRecipient } = await import('age-encryption');
    const [identity] = parseIdentities(readFileSync(join(data, 'keys', 'archive.identity'), 'utf8'));
    assert(identity !== undefined);
    assert.deepEqual(first.recipients, [await identityToRecipient(identity)]);
    const [encrypter, decrypter] = [new Encrypter(), new Decrypter()];
    for (const recipient of first.recipients) encrypter.addRecipient(recipient);
    decrypter.addIdentity(identity);
    assert.equal(await decrypter.decrypt(await encrypter.encrypt('segment'), 'text'), 'segment');
  });

  it('creates an administrator with a password that is shown, and only that', async () => {
    const { adminPassword, demoPassword } = first.created;
    assert(adminPassword !== undefined && demoPassword === undefined);
    assert.match(adminPassword, /^[a-z2-9]{5}(-[a-z2-9]{5}){3}$/);
    await run(config, async ({ store }) => {
      const [admin, ...rest] = await store.users();
      assert.deepEqual([admin?.name, admin?.role, rest.length], ['admin', 'administrator', 0]);
      assert(await verifyPassword(admin?.passwordHash ?? '', adminPassword));
      const audit = await store.audit({ code: 'admin.applied' }, { limit: 9 });
      assert.deepEqual(
        audit.map(({ detail }) => detail),
        [{ action: 'created', kind: 'user', name: 'admin' }],
      );
    });
  });

  it('is the only one: a second run finds everything and creates nothing', async () => {
    const files = () =>
      readdirSync(join(data, 'keys')).map((name) => readFileSync(join(data, 'keys', name), 'utf8'));
    const before = files();
    await run(config, (second) => {
      assert.deepEqual(second.created, {});
      assert.deepEqual(second.hostKeys, first.hostKeys);
      assert.equal(second.signingKey, first.signingKey);
      assert.deepEqual(second.recipients, first.recipients);
      assert.deepEqual(second.tls, first.tls);
      assert.equal(second.demo, undefined);
    });
    assert.deepEqual(files(), before);
  });

  it('publishes the key that verifies manifests, and keeps the ones before it', async () => {
    const replaced = join(data, 'keys', 'signing.key');
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(replaced, pem);
    const setting = await run(config, ({ store }) => store.setting('node.n1.signingKey'));
    const message = Buffer.from('manifest');
    const keys = [...signingKeysIn(setting ?? '').values()];
    const [newest, oldest, ...rest] = keys;
    assert(newest !== undefined && oldest !== undefined && rest.length === 0);
    assert(verify(null, message, newest, sign(null, message, pem)));
    assert(verify(null, message, oldest, sign(null, message, first.signingKey)));
    assert(createPublicKey(setting ?? '').equals(newest), 'the first block is not the newest');
  });

  it('puts a new signing key in the place of the old one, and keeps the public halves', async () => {
    const path = join(data, 'keys', 'signing.key');
    await run(config, async ({ store, signingKey: old }) => {
      const before = [...((await signingKeysByNode(store)).get('n1')?.keys() ?? [])];
      const { keyId, previous } = await rotateSigningKey(join(data, 'keys'), 'n1', store);
      const keys = (await signingKeysByNode(store)).get('n1');
      assert.deepEqual([...(keys?.keys() ?? [])], [keyId, ...before]);
      assert.equal(previous, before[0]);
      const pem = readFileSync(path, 'utf8');
      assert.notEqual(pem, old);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert(keys?.get(keyId)?.equals(createPublicKey(pem)));
      assert(keys?.get(previous)?.equals(createPublicKey(old)));
    });
    await run(config, async ({ signingKey, store }) => {
      assert.equal(signingKey, readFileSync(path, 'utf8'));
      // A rotation that died after it published its key: the one that is in use is in front again.
      const unused = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
      const setting = await store.setting('node.n1.signingKey');
      await store.putSetting('node.n1.signingKey', `${unused}${setting}`);
    });
    await run(config, async ({ signingKey, store }) => {
      const [newest] = [...((await signingKeysByNode(store)).get('n1')?.values() ?? [])];
      assert(newest?.equals(createPublicKey(signingKey)));
      await assert.rejects(
        rotateSigningKey(join(folder, 'nowhere'), 'n1', store),
        /the first `serve` makes it/,
      );
    });
  });

  it('knows its recipients without making any', () => {
    assert.deepEqual(knownRecipients(join(data, 'keys'), []), first.recipients);
    assert.deepEqual(knownRecipients(join(data, 'keys'), ['age1given']), ['age1given']);
    assert.deepEqual(knownRecipients(join(folder, 'nowhere'), []), []);
  });
});

describe('a new SSH key', () => {
  it('can be read, whatever it begins with', async () => {
    // Of Ed25519 keys one in 256 begins with a zero, which must not be taken for padding.
    for (let made = 0; made < 2_000; made += 1) publicLine('a new key', await newSshKey('ed25519'));
  });
});

describe('a run', () => {
  it('goes on recording after the archive identity was moved off the node', async () => {
    const config = configIn('moved');
    const before = await run(config, ({ recipients }) => recipients);
    renameSync(join(config.node.dataDir, 'keys', 'archive.identity'), join(folder, 'safe.identity'));
    assert.deepEqual(await run(config, ({ recipients }) => recipients), before);
    assert(!readdirSync(join(config.node.dataDir, 'keys')).includes('archive.identity'));
  });

  it('makes no archive identity when recipients are configured', async () => {
    const recipient = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';
    const config = configIn('configured', `archive: {recipients: [${recipient}]}`);
    assert.deepEqual(await run(config, ({ recipients }) => recipients), [recipient]);
    assert(!readdirSync(join(config.node.dataDir, 'keys')).some((name) => name.startsWith('archive')));
  });

  it('refuses another master key than the one that sealed the database', async () => {
    const config = configIn('wrong');
    await run(config, () => {});
    const path = join(config.node.dataDir, 'keys', 'master.key');
    writeFileSync(path, MasterKey.generate());
    await assert.rejects(bootstrap(config), { code: 'master-key-wrong', message: /not the one that sealed/ });
  });

  it('does not replace a lost master key by one that opens nothing', async () => {
    const config = configIn('lost');
    await run(config, () => {});
    const path = join(config.node.dataDir, 'keys', 'master.key');
    rmSync(path);
    await assert.rejects(bootstrap(config), { code: 'master-key', message: /no such file; restore/ });
    assert(!readdirSync(join(config.node.dataDir, 'keys')).includes('master.key'));
  });

  it('takes the master key from the environment, and leaves none behind', async () => {
    const config = configIn('env', 'vault: {masterKey: "env:SALLYPORT_TEST_KEY"}');
    await assert.rejects(bootstrap(config), {
      code: 'master-key',
      message: /SALLYPORT_TEST_KEY is not set/,
    });
    process.env['SALLYPORT_TEST_KEY'] = MasterKey.generate();
    try {
      await run(config, () => {});
    } finally {
      delete process.env['SALLYPORT_TEST_KEY'];
    }
    assert(!readdirSync(join(config.node.dataDir, 'keys')).includes('master.key'));
  });

  it('refuses keys that others may read, and files that are no keys', async () => {
    const config = configIn('loose');
    await run(config, () => {});
    const file = (name: string) => join(config.node.dataDir, 'keys', name);
    for (const name of ['signing.key', 'ssh_host_rsa_key', 'master.key', 'tls.key']) {
      chmodSync(file(name), 0o644);
      await assert.rejects(bootstrap(config), {
        message: `${file(name)}: others may read it (mode 0644); run chmod 600 on it`,
      });
      chmodSync(file(name), 0o600);
    }
    for (const name of ['signing.key', 'ssh_host_ed25519_key', 'archive.recipient', 'master.key']) {
      const text = readFileSync(file(name));
      writeFileSync(file(name), 'hunter2');
      await assert.rejects(bootstrap(config), (error: Error) => {
        assert(error.message.startsWith(`${file(name)}: is no `), error.message);
        return !error.message.includes('hunter2');
      });
      writeFileSync(file(name), text);
    }
    await run(config, () => {});
  });

  it('refuses a database that is none', async () => {
    const config = configIn('corrupt');
    await run(config, () => {});
    writeFileSync(join(config.node.dataDir, 'sallyport.db'), 'hello '.repeat(1000));
    await assert.rejects(bootstrap(config), {
      code: 'unusable',
      message: /sallyport.db: is not an SQLite database/,
    });
  });

  it('says which key of the configuration names a folder that cannot be made', async () => {
    writeFileSync(join(folder, 'a-file'), '');
    await assert.rejects(bootstrap(configIn('a-file/data')), {
      message: /data: cannot be created \(ENOTDIR\); point node.dataDir/,
    });
  });

  it('makes no folder in place of a missing archive outside the data folder, and says so', async () => {
    await run(configIn('fine', 'archive: {url: "file:not-mounted"}'), async ({ warnings }) => {
      assert.ok(warnings.some((text) => /archive folder .*not-mounted is missing/.test(text)));
      assert.equal(existsSync(join(folder, 'not-mounted')), false);
    });
  });

  it('may follow an apply, and then creates only the administrator that is missing', async () => {
    const config = parseConfig(
      `node: {name: n1, dataDir: applied}\n${LISTEN}`,
      join(folder, 'sallyport.yaml'),
    );
    const { store, masterKey } = await openNode(config);
    const options = { baseDir: folder, env: {}, by: 'root', node: 'n1' };
    await applyDocument(store, masterKey, 'users: [{name: alice}]', options);
    await store.close();
    await run(config, async ({ created, demo, store: opened }) => {
      assert.deepEqual([Object.keys(created), demo], [['adminPassword'], undefined]);
      assert.deepEqual(
        (await opened.users()).map(({ name }) => name),
        ['admin', 'alice'],
      );
    });
    const own = configIn('own-admin');
    const node = await openNode(own);
    await applyDocument(node.store, node.masterKey, 'users: [{name: root, role: administrator}]', options);
    await node.store.close();
    assert.deepEqual(await run(own, ({ created }) => created), {});
  });

  it('refuses a certificate that is none', async () => {
    const config = configIn('no-certificate');
    await run(config, () => {});
    const file = join(config.node.dataDir, 'keys', 'tls.crt');
    writeFileSync(file, 'hunter2');
    await assert.rejects(bootstrap(config), { message: `${file}: is no certificate in PEM form` });
  });

  for (const key of ['ssh', 'rdp']) {
    it(`leaves the store as it is while listen.${key} is taken`, async () => {
      const other = createServer().unref();
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
      const address = other.address();
      assert(typeof address === 'object' && address !== null);
      const ports = { ssh: 0, rdp: 0, [key]: address.port };
      const text = `node: {name: n1, dataDir: taken-${key}}\nlisten: {ssh: "127.0.0.1:${ports.ssh}", rdp: "127.0.0.1:${ports.rdp}", health: off, agentCheck: off}`;
      const config = parseConfig(text, join(folder, 'sallyport.yaml'));
      const busy = { name: 'ListenError', key: `listen.${key}`, message: /is in use/ };
      await assert.rejects(bootstrap(config), busy);
      await new Promise((resolve) => other.close(resolve));
      const port = await run(config, async ({ created, store }) => {
        assert.deepEqual(Object.keys(created), ['adminPassword', 'demoPassword']);
        const running = createServer().unref();
        await new Promise<void>((resolve) => running.listen(address.port, '127.0.0.1', resolve));
        try {
          const before = await store.system('demo');
          await assert.rejects(bootstrap(config), busy);
          assert.deepEqual(await store.system('demo'), before, 'the target of the running node was moved');
          return before?.port;
        } finally {
          await new Promise((resolve) => running.close(resolve));
        }
      });
      assert.ok(port !== undefined && port > 0);
    });
  }

  it('may begin twice at the same time', async () => {
    const config = configIn('twice');
    const both = await Promise.all([bootstrap(config), bootstrap(config)]);
    const [one, two] = both;
    assert.deepEqual(one.hostKeys, two.hostKeys);
    assert.equal(one.signingKey, two.signingKey);
    assert.deepEqual(one.recipients, two.recipients);
    assert.deepEqual(one.tls, two.tls);
    assert.equal(both.filter(({ created }) => created.adminPassword !== undefined).length, 1);
    await Promise.all(both.map(({ store }) => store.close()));
  });
});
