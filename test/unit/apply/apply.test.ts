import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import ssh2 from 'ssh2';
import { applyDocument, type Change } from '../../../gateway/apply/apply.ts';
import { verifyPassword } from '../../../gateway/apply/password.ts';
import { ConfigurationError } from '../../../gateway/config/problems.ts';
import { ntlmHash } from '../../../gateway/rdp/credssp/ntlm.ts';
import type { Store } from '../../../gateway/store/port.ts';
import { openSqliteStore } from '../../../gateway/store/sqlite.ts';
import { EmbeddedVault, MasterKey, ntHashBinding, totpBinding } from '../../../vault-client/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-apply-'));
after(() => rmSync(folder, { recursive: true }));

const ed25519 = ssh2.utils.generateKeyPairSync('ed25519', { comment: 'alice@desk' });
const other = ssh2.utils.generateKeyPairSync('ed25519');
const rsa = ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 });
const locked = join(folder, 'locked');
execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'open sesame', '-f', locked]);

const key = MasterKey.parse(MasterKey.generate(), 'test');
const env: Record<string, string> = { ROOT_PASSWORD: 'from the environment' };
let store: Store;
let files = 0;

const apply = (text: string, into = store): Promise<readonly Change[]> =>
  applyDocument(into, key, text, { baseDir: folder, env, by: 'admin', node: 'a', source: 'all.yaml' });
const checkOut = (account: string, system: string) =>
  new EmbeddedVault(store, key).checkOut({ account, system, user: 'alice', sessionId: 's' });
const said = (changes: readonly Change[]) =>
  changes
    .filter(({ action }) => action !== 'unchanged')
    .map(({ action, kind, name, fields }) => `${action} ${kind} ${name} ${fields.join(',')}`.trim());

async function problemsOf(text: string): Promise<readonly string[]> {
  try {
    await apply(text);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    assert.doesNotMatch(inspect(error, { depth: 9 }), /hunter2/, 'a secret is shown');
    return error.problems;
  }
  assert.fail('was accepted');
}

before(async () => {
  store = await openSqliteStore(join(folder, `${files++}.db`));
});
after(() => store.close());

const DOCUMENT = `
users:
  - {name: alice, password: hunter2, sshKeys: ["${ed25519.public}"], totp: "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"}
  - {name: 'CORP\\bob', role: auditor}
systems:
  - {name: web01, protocol: ssh, host: 10.0.0.5, port: 22, hostKey: "${other.public} web01"}
  - {name: web02, host: web02.example, hostKey: trust-on-first-use, legacyAlgorithms: true, maxSessions: 4}
  - {name: win01, protocol: rdp, host: 10.0.0.9, certificate: "sha256:${'AB'.repeat(32)}"}
accounts:
  - {name: root, system: web01, password: "env:ROOT_PASSWORD"}
  - {name: deploy, system: web01, privateKey: "file:deploy.key"}
  - {name: locked, system: web02, privateKey: "file:locked", passphrase: open sesame}
policies:
  - name: ops
    users: [alice]
    accounts: ["*@web01"]
    allow: [shell, exec, sftp, scp, local-forward]
    maxSessions: 5
    maxDuration: 8h
    idleTimeout: 15m
    execLimit: full
    retention: 90d
    schedule: [{days: [mon, fri], from: "08:00", to: 18:30, timeZone: Europe/Zurich}, {days: [sat]}]
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2026-12-31T12:00:00+01:00
  - {name: all, users: ["*"], accounts: ["*"], allow: [], record: false}
`;

describe('apply', () => {
  it('creates what the document declares', async () => {
    writeFileSync(join(folder, 'deploy.key'), rsa.private);
    assert.deepEqual(said(await apply(DOCUMENT)), [
      'created user alice',
      'created user CORP\\bob',
      'created system web01',
      'created system web02',
      'created system win01',
      'created account root@web01',
      'created account deploy@web01',
      'created account locked@web02',
      'created policy ops',
      'created policy all',
    ]);
    const [newest] = await store.audit({ code: 'admin.applied' }, { limit: 1 });
    assert.deepEqual(newest?.detail, { action: 'created', kind: 'policy', name: 'all' });
    const alice = await store.user('alice');
    assert(alice?.passwordHash !== undefined && alice.totp !== undefined);
    assert(await verifyPassword(alice.passwordHash, 'hunter2'));
    assert.equal(key.open(alice.totp, totpBinding('alice')).toString(), 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ');
    assert.deepEqual([alice.role, alice.sshKeys, alice.disabled], ['requester', [ed25519.public], false]);
    const bob = await store.user('CORP\\bob');
    assert.deepEqual([bob?.role, bob?.passwordHash, bob?.totp], ['auditor', undefined, undefined]);

    const web01 = await store.system('web01');
    assert.equal(web01?.hostKey, other.public.split(' ', 2).join(' '));
    const web02 = await store.system('web02');
    assert.deepEqual(
      [web02?.hostKey, web02?.port, web02?.legacyAlgorithms, web02?.maxSessions],
      ['trust-on-first-use', 22, true, 4],
    );
    const win01 = await store.system('win01');
    assert.deepEqual(
      [win01?.port, win01?.certificate, win01?.hostKey],
      [3389, `sha256:${'ab'.repeat(32)}`, undefined],
    );

    assert.equal((await checkOut('root', 'web01')).credential.password?.expose(), 'from the environment');
    assert.equal(
      (await checkOut('deploy', 'web01')).credential.privateKey?.expose(),
      `${rsa.private.trim()}\n`,
    );
    const { credential } = await checkOut('locked', 'web02');
    // Opened when it was declared: a session needs neither passphrase nor the time to use it.
    assert.equal(credential.passphrase, undefined);
    const opened = ssh2.utils.parseKey(credential.privateKey?.expose() ?? '');
    assert(!(opened instanceof Error) && opened.isPrivateKey());
    assert.equal(
      opened.getPublicSSH().toString('base64'),
      readFileSync(`${locked}.pub`, 'utf8').split(' ')[1],
    );

    const ops = (await store.policies()).find(({ name }) => name === 'ops');
    assert.deepEqual(ops, {
      id: ops?.id,
      name: 'ops',
      users: ['alice'],
      accounts: ['*@web01'],
      allow: ['shell', 'exec', 'sftp', 'scp', 'local-forward'],
      record: true,
      keystrokes: true,
      maskKeystrokes: false,
      reasonRequired: false,
      maxSessions: 5,
      maxDuration: 8 * 3_600_000,
      idleTimeout: 15 * 60_000,
      schedule: [
        { days: [1, 5], from: 480, to: 1110, timeZone: 'Europe/Zurich' },
        { days: [6], from: 0, to: 0, timeZone: undefined },
      ],
      notBefore: Date.UTC(2026, 0, 1),
      notAfter: Date.UTC(2026, 11, 31, 11),
      execLimit: 'full',
      retention: 90 * 86_400_000,
    });
    assert.equal((await store.policies()).find(({ name }) => name === 'all')?.execLimit, 16 * 1024 * 1024);
  });

  it('keeps no secret readable in the database', () => {
    const bytes = Buffer.concat(
      ['0.db', '0.db-wal'].map((name) => readFileSync(join(folder, name))),
    ).toString('latin1');
    for (const secret of ['hunter2', 'from the environment', 'open sesame', 'GEZDGNBV', 'PRIVATE KEY']) {
      assert(!bytes.includes(secret), secret);
    }
  });

  it('changes nothing the second time', async () => {
    const before = await store.audit({}, { limit: 100 });
    const changes = await apply(DOCUMENT);
    assert.deepEqual(said(changes), []);
    assert.equal(changes.length, 10);
    assert.deepEqual(await store.audit({}, { limit: 100 }), before);
  });

  it('names what changed, keeps ids, and writes it to the audit log without values', async () => {
    env['ROOT_PASSWORD'] = 'a new one';
    const id = (await store.user('alice'))?.id;
    const text = DOCUMENT.replace('password: hunter2', 'password: hunter22')
      .replace('port: 22', 'port: 2222')
      .replace('maxDuration: 8h', 'maxDuration: 1h30m')
      .replace('    idleTimeout: 15m\n', '');
    assert.deepEqual(said(await apply(text)), [
      'updated user alice password',
      'updated system web01 port',
      'updated account root@web01 secret',
      'updated policy ops maxDuration,idleTimeout',
    ]);
    assert.equal((await store.user('alice'))?.id, id);
    assert.equal((await checkOut('root', 'web01')).credential.password?.expose(), 'a new one');
    const audit = await store.audit({ code: 'admin.applied' }, { limit: 4 });
    assert.deepEqual(
      audit.map(({ actor, detail }) => `${actor} ${detail['action']} ${detail['name']} ${detail['fields']}`),
      [
        'admin updated ops maxDuration, idleTimeout',
        'admin updated root@web01 secret',
        'admin updated web01 port',
        'admin updated alice password',
      ],
    );
    assert.doesNotMatch(JSON.stringify(audit), /hunter|new one/);
  });

  it('keeps an NT hash only for users who want NLA, and of the password that they have', async () => {
    const hashOf = async () => {
      const sealed = (await store.user('nina'))?.ntHash;
      return sealed === undefined ? undefined : key.open(sealed, ntHashBinding('nina')).toString('hex');
    };
    const hex = (password: string) => Buffer.from(ntlmHash(password)).toString('hex');
    await apply('users: [{name: nina, password: one}]');
    assert.equal(await hashOf(), undefined);
    assert.deepEqual(await problemsOf('users: [{name: nina, nla: true}]'), [
      'users[0].nla: wants the password beside it, which is not stored',
    ]);
    assert.deepEqual(await problemsOf('users: [{name: nina, password: false, nla: true}]'), [
      'users[0].nla: wants a password, and there is none; add it or remove this',
    ]);
    assert.deepEqual(said(await apply('users: [{name: nina, password: one, nla: true}]')), [
      'updated user nina nla',
    ]);
    assert.equal(await hashOf(), hex('one'));
    assert.deepEqual(said(await apply('users: [{name: nina, password: one, nla: true}]')), []);
    assert.deepEqual(said(await apply('users: [{name: nina, nla: true}]')), []);
    await apply('users: [{name: nina, password: two, nla: true}]');
    assert.equal(await hashOf(), hex('two'));
    assert.deepEqual(said(await apply('users: [{name: nina}]')), ['updated user nina nla']);
    assert.equal(await hashOf(), undefined);
  });

  it('leaves secrets alone that the document leaves out, and removes them on false', async () => {
    const rest = `users: [{name: alice, sshKeys: ["${ed25519.public}"]}]\naccounts: [{name: root, system: web01}]`;
    assert.deepEqual(said(await apply(rest)), []);
    assert.deepEqual(said(await apply('users: [{name: alice, password: false, totp: false}]')), [
      'updated user alice sshKeys,password,totp',
    ]);
    assert.equal((await store.user('alice'))?.passwordHash, undefined);
  });

  it('forgets the trusted host key when the address or the rule changes, and only then', async () => {
    const web02 = await store.system('web02');
    assert(web02 !== undefined);
    const pin = () => store.putSystem({ ...web02, pinned: 'ssh-ed25519 AAAA' });
    await pin();
    const line =
      '{name: web02, host: web02.example, hostKey: trust-on-first-use, maxSessions: 4, legacyAlgorithms: ';
    assert.deepEqual(said(await apply(`systems: [${line} false}]`)), [
      'updated system web02 legacyAlgorithms',
    ]);
    assert.equal((await store.system('web02'))?.pinned, 'ssh-ed25519 AAAA');
    const moves: readonly [change: string, field: string][] = [
      ['host: other', 'host'],
      ['host: web02.example, port: 23', 'port'],
      [`host: web02.example, hostKey: "${other.public}"`, 'hostKey'],
    ];
    for (const [change, field] of moves) {
      await pin();
      const first = change.includes('hostKey') ? change : `${change}, hostKey: trust-on-first-use`;
      const [only] = await apply(`systems: [{name: web02, ${first}, legacyAlgorithms: true}]`);
      assert(only?.fields.includes(field));
      assert.equal((await store.system('web02'))?.pinned, undefined, change);
    }
  });

  it('changes nothing at all when one thing is wrong', async () => {
    const problems = await problemsOf(
      'users: [{name: carol}]\naccounts: [{name: x, system: web9, password: hunter2}]',
    );
    assert.deepEqual(problems, ['accounts[0].system: no system named "web9"']);
    assert.equal(await store.user('carol'), undefined);
  });

  const wrong: readonly [what: string, text: string, ...problems: (string | RegExp)[]][] = [
    ['an unknown list', 'user: []', 'user: no such key; did you mean users?'],
    [
      'an unknown key',
      'users: [{name: a, pasword: hunter2}]',
      'users[0].pasword: no such key; did you mean users[].password?',
    ],
    ['a missing name', 'users: [{role: auditor}]', /^users\[0\]\.name: wants a name .*was given nothing$/],
    ['a wrong role', 'users: [{name: a, role: boss}]', /^users\[0\]\.role: wants one of .*was given "boss"$/],
    [
      'a number for a password',
      'users: [{name: a, password: 12345}]',
      /^users\[0\]\.password: wants text.*\(numbers in quotes\), or false for none$/,
    ],
    ['a list for a password', 'users: [{name: a, password: [hunter2]}]', /^users\[0\]\.password: wants text/],
    ['a secret for a row', 'accounts: [hunter2]', /^accounts\[0\]: wants a group of keys$/],
    ['a secret as a tag', 'users: [{name: a, password: !hunter2}]', /^line 1, column \d+: /],
    [
      'a secret as an alias',
      'users: [{name: a, password: *hunter2}]',
      /^(line 1, column \d+: )?unresolved alias/,
    ],
    [
      'broken text around a secret',
      'users:\n  - password: |hunter2\n',
      /^line 2, column \d+: block scalar header/,
    ],
    [
      'a key that is none',
      'users: [{name: a, sshKeys: ["ssh-ed25519 AAAA"]}]',
      'users[0].sshKeys[0]: is no OpenSSH public key line: the text after ssh-ed25519 is damaged',
    ],
    [
      'a certificate in another form',
      'systems: [{name: s, host: h, protocol: rdp, certificate: "AB:CD"}]',
      'systems[0].certificate: wants "sha256:" and 64 hex digits, ca or trust-on-first-use, was given "AB:CD"',
    ],
    [
      'a key of an unknown type',
      'users: [{name: a, sshKeys: ["ssh-ed448 AAAA"]}]',
      'users[0].sshKeys[0]: is no public key of a known type (ssh-ed448)',
    ],
    [
      'text for a key',
      'users: [{name: a, sshKeys: [hunter2]}]',
      /^users\[0\]\.sshKeys\[0\]: wants an OpenSSH public key line/,
    ],
    [
      'a short one-time secret',
      'users: [{name: a, totp: GEZDGNBV}]',
      'users[0].totp: wants base32 of at least 10 bytes',
    ],
    [
      'an unset variable',
      'users: [{name: a, password: "env:NOPE"}]',
      'users[0].password: environment variable NOPE is not set',
    ],
    [
      'a missing file',
      'users: [{name: a, password: "file:nope"}]',
      /^users\[0\]\.password: no such file: .*\/nope$/,
    ],
    ['two of a name', 'users: [{name: a}, {name: a}]', 'users[1].name: "a" is declared in users[0] already'],
    [
      'a bad port',
      'systems: [{name: s, host: h, port: 0}]',
      /^systems\[0\]\.port: wants a port.*was given 0$/,
    ],
    ['a bad host', 'systems: [{name: s, host: "a b"}]', /^systems\[0\]\.host: wants a host name or address/],
    ['a name with @', 'systems: [{name: s@t, host: h}]', /^systems\[0\]\.name: wants a name without @/],
    [
      'a bad host key',
      'systems: [{name: s, host: h, hostKey: tofu}]',
      /^systems\[0\]\.hostKey: wants an OpenSSH public key line/,
    ],
    [
      'a bad certificate',
      'systems: [{name: s, host: h, certificate: "sha256:ab"}]',
      /^systems\[0\]\.certificate: wants/,
    ],
    [
      'an account without a secret',
      'accounts: [{name: new, system: web01}]',
      'accounts[0]: a new account wants a password or a privateKey',
    ],
    [
      'a key for RDP',
      'accounts: [{name: x, system: win01, privateKey: "file:deploy.key"}]',
      'accounts[0].privateKey: RDP takes passwords only; give a password',
    ],
    [
      'text for a private key',
      'accounts: [{name: x, system: web01, privateKey: hunter2}]',
      'accounts[0].privateKey: is no private key in OpenSSH or PEM form',
    ],
    [
      'a public key for a private one',
      `accounts: [{name: x, system: web01, privateKey: "${other.public}"}]`,
      'accounts[0].privateKey: is a public key; give the private one',
    ],
    [
      'a locked key',
      'accounts: [{name: x, system: web01, privateKey: "file:locked"}]',
      'accounts[0].privateKey: is encrypted; give its passphrase',
    ],
    [
      'a wrong passphrase',
      'accounts: [{name: x, system: web01, privateKey: "file:locked", passphrase: hunter2}]',
      'accounts[0].privateKey: does not open with its passphrase, or is no private key',
    ],
    [
      'a passphrase alone',
      'accounts: [{name: x, system: web01, password: a, passphrase: hunter2}]',
      /^accounts\[0\]\.passphrase: opens a privateKey/,
    ],
    [
      'a policy without a right',
      'policies: [{name: p, users: [a], accounts: ["*"]}]',
      /^policies\[0\]\.allow: wants a list/,
    ],
    [
      'an unknown right',
      'policies: [{name: p, users: [a], accounts: ["*"], allow: [root]}]',
      /^policies\[0\]\.allow\[0\]: wants one of shell, .*was given "root"$/,
    ],
    [
      'a target without @',
      'policies: [{name: p, users: [a], accounts: [web01], allow: []}]',
      /^policies\[0\]\.accounts\[0\]: wants "account@system"/,
    ],
    [
      'a bad duration',
      'policies: [{name: p, users: [a], accounts: ["*"], allow: [], maxDuration: 8}]',
      /^policies\[0\]\.maxDuration: wants a duration.*was given 8$/,
    ],
    [
      'a zero duration',
      'policies: [{name: p, users: [a], accounts: ["*"], allow: [], maxDuration: 0h}]',
      /^policies\[0\]\.maxDuration: wants a duration/,
    ],
    [
      'a bad time',
      'policies: [{name: p, users: [a], accounts: ["*"], allow: [], schedule: [{from: "25:00"}]}]',
      /^policies\[0\]\.schedule\[0\]\.from: wants a time of day/,
    ],
    [
      'a bad zone',
      'policies: [{name: p, users: [a], accounts: ["*"], allow: [], schedule: [{timeZone: Mars}]}]',
      /^policies\[0\]\.schedule\[0\]\.timeZone: wants an IANA/,
    ],
    [
      'a bad date',
      'policies: [{name: p, users: [a], accounts: ["*"], allow: [], notAfter: 2026-02-30}]',
      /^policies\[0\]\.notAfter: wants a date.*was given "2026-02-30"$/,
    ],
    [
      'dates the wrong way round',
      'policies: [{name: p, users: [a], accounts: ["*"], allow: [], notBefore: 2026-02-02, notAfter: 2026-02-01}]',
      'policies[0].notAfter: is not after notBefore',
    ],
  ];
  for (const [what, text, ...expected] of wrong) {
    it(`refuses ${what}`, async () => {
      const problems = await problemsOf(text);
      assert.equal(problems.length, expected.length, problems.join('\n'));
      for (const [i, pattern] of expected.entries()) {
        if (typeof pattern === 'string') assert.equal(problems[i], pattern);
        else assert.match(problems[i] ?? '', pattern);
      }
    });
  }

  it('takes a date alone as the whole day', async () => {
    await apply(
      'policies: [{name: day, users: [a], accounts: ["*"], allow: [], notBefore: 2026-03-01, notAfter: 2026-03-01}]',
    );
    const day = (await store.policies()).find(({ name }) => name === 'day');
    assert.equal(day?.notBefore, new Date(2026, 2, 1).getTime());
    assert.equal(day?.notAfter, new Date(2026, 2, 2).getTime());
  });

  it('lets two apply the same document at the same time', async () => {
    const text = 'users: [{name: twin, password: hunter2}]';
    const results = await Promise.all([apply(text), apply(text)]);
    assert.deepEqual(results.flatMap(said).sort(), ['created user twin', 'updated user twin password']);
    const twin = await store.user('twin');
    assert(await verifyPassword(twin?.passwordHash ?? '', 'hunter2'));
  });
});
