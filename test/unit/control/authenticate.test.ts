import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import { makeLaunch } from '../../../gateway/control/launches.ts';
import { ntlmHash, ntlmProof, ntowfv2 } from '../../../gateway/rdp/credssp/ntlm.ts';
import { ntHashBinding } from '../../../vault-client/index.ts';
import type { Factor } from '../../../workers/messages.ts';
import {
  HOST_KEY,
  NOON,
  type Node,
  OTHER_KEY,
  openNode,
  putUser,
  SOURCE,
  sealedTotp,
  TOTP_SECRET,
} from './node.ts';

const FIRST = { outcome: 'rejected', methods: ['publickey', 'password', 'keyboard-interactive'] };
const SECOND_MISSING = { outcome: 'continue', methods: ['keyboard-interactive'] };
const AWAY = '198.51.100.7';

const blobOf = (line: string): Uint8Array => Buffer.from(line.split(' ')[1] ?? '', 'base64');
const key = (line: string, proven: boolean): Factor => ({ kind: 'publickey', blob: blobOf(line), proven });
const password = (text: string): Factor => ({ kind: 'password', password: text });
const otp = (at: number): Factor => ({
  kind: 'otp',
  code: new TOTP({ secret: Secret.fromBase32(TOTP_SECRET) }).generate({ timestamp: at }),
});

async function withAlice(t: TestContext): Promise<Node> {
  const node = await openNode(t);
  await putUser(node, 'alice', { sshKeys: [`${HOST_KEY} alice@laptop`] });
  return node;
}

async function targetsOf(node: Node, connection: string): Promise<string> {
  const target = { account: 'root', system: 'web01' };
  const outcome = await node.desk.authorise({ connection, protocol: 'ssh', target, reason: undefined });
  return outcome.granted ? 'granted' : outcome.code;
}

test('the right password lets a person in, with the target they named', async (t) => {
  const node = await withAlice(t);
  assert.deepEqual(await node.password('alice@root@web01', "alice's password"), {
    outcome: 'accepted',
    user: 'alice',
    target: { account: 'root', system: 'web01' },
  });
  assert.deepEqual(await node.codes(), ['user.login.succeeded']);
});

test('unknown, disabled, password-less and known users get the same answers and the same work', async (t) => {
  const node = await withAlice(t);
  await putUser(node, 'disabled', { disabled: true, sshKeys: [HOST_KEY] });
  await putUser(node, 'keys-only', { passwordHash: undefined });
  const work: [name: string, hashes: number, sleeps: number][] = [];
  for (const name of ['alice', 'nobody', 'disabled', 'keys-only']) {
    node.verified.length = 0;
    node.clock.sleeps.length = 0;
    for (let i = 0; i < 4; i++) {
      assert.deepEqual(await node.password(name, 'wrong', `198.51.100.${name.length}`), FIRST);
    }
    assert.deepEqual(await node.present(name, key(OTHER_KEY, false)), FIRST);
    assert.deepEqual(await node.present(name, key(OTHER_KEY, true)), FIRST);
    assert.deepEqual(await node.present(name, otp(NOON)), FIRST);
    assert.ok(node.verified.every((phc) => phc.startsWith('$argon2id$v=19$m=8,t=1,p=1$')));
    work.push([name, node.verified.length, node.clock.sleeps.length]);
  }
  assert.deepEqual(work, [
    ['alice', 4, 3],
    ['nobody', 4, 3],
    ['disabled', 4, 3],
    ['keys-only', 4, 3],
  ]);
});

test('a disabled user is refused with the right password and the right key', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'bob', { disabled: true, sshKeys: [HOST_KEY] });
  assert.deepEqual(await node.password('bob', "bob's password"), FIRST);
  assert.deepEqual(await node.present('bob', key(HOST_KEY, false)), FIRST);
  assert.deepEqual(await node.present('bob', key(HOST_KEY, true)), FIRST);
});

test('a key may be tried before it is proved, and only its proof authenticates', async (t) => {
  const node = await withAlice(t);
  const accepted = { outcome: 'accepted', user: 'alice', target: undefined };
  assert.deepEqual(await node.present('alice', key(HOST_KEY, false), 'c'), accepted);
  assert.equal(await targetsOf(node, 'c'), 'not-authenticated');
  assert.deepEqual(await node.present('alice', key(HOST_KEY, true), 'c'), accepted);
  assert.equal(await targetsOf(node, 'c'), 'no-policy');
  assert.deepEqual(node.verified, []);
});

test('an authenticated connection takes no other log-on, and another worker cannot use it', async (t) => {
  const node = await withAlice(t);
  await putUser(node, 'bob');
  await node.present('alice', key(HOST_KEY, true), 'c');
  assert.deepEqual(await node.present('bob', password("bob's password"), 'c'), FIRST);
  const other = node.control.forWorker(1);
  const target = { account: 'root', system: 'web01' };
  const outcome = await other.authorise({ connection: 'c', protocol: 'ssh', target, reason: undefined });
  assert.ok(!outcome.granted && outcome.code === 'not-authenticated');
});

test('a closed connection is forgotten', async (t) => {
  const node = await withAlice(t);
  await node.present('alice', key(HOST_KEY, true), 'c');
  node.control.forWorker(1).connectionClosed('c');
  assert.equal(await targetsOf(node, 'c'), 'no-policy', 'another worker closes nothing');
  node.desk.connectionClosed('c');
  assert.equal(await targetsOf(node, 'c'), 'not-authenticated');
});

test('with a second factor the first alone opens nothing', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { totp: sealedTotp(node, 'alice'), sshKeys: [HOST_KEY] });
  for (const first of [password("alice's password"), key(HOST_KEY, true)]) {
    const connection = first.kind;
    assert.deepEqual(await node.present('alice', first, connection), SECOND_MISSING);
    assert.equal(await targetsOf(node, connection), 'not-authenticated');
    assert.deepEqual(await node.present('alice', { kind: 'otp', code: '000000' }, connection), {
      outcome: 'rejected',
      methods: ['keyboard-interactive'],
    });
    node.clock.at += 60_000;
    assert.equal((await node.present('alice', otp(node.clock.at), connection)).outcome, 'accepted');
  }
  const rows = await node.audit();
  const methods = rows
    .filter(({ code }) => code === 'user.login.succeeded')
    .map(({ detail }) => detail['method']);
  assert.deepEqual(methods, ['password, otp', 'publickey, otp']);
});

test('the second factor without the first is refused', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { totp: sealedTotp(node, 'alice') });
  assert.deepEqual(await node.present('alice', otp(NOON)), FIRST);
});

test("one person's first factor is nothing to another's second", async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { totp: sealedTotp(node, 'alice') });
  await putUser(node, 'bob', { totp: sealedTotp(node, 'bob') });
  assert.deepEqual(await node.present('alice', password("alice's password"), 'c'), SECOND_MISSING);
  assert.deepEqual(await node.present('bob', otp(NOON), 'c'), FIRST);
  // Both at once: alice's password is still being checked when bob is named.
  const first = node.present('alice', password("alice's password"), 'd');
  const second = node.present('bob', password('wrong'), 'd');
  await Promise.all([first, second]);
  assert.deepEqual(await node.present('bob', otp(NOON), 'd'), FIRST);
});

test('a one-time code counts one step early or late, and never twice', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { totp: sealedTotp(node, 'alice') });
  const tryAt = async (at: number): Promise<string> => {
    const connection = `${Math.random()}`;
    await node.present('alice', password("alice's password"), connection);
    return (await node.present('alice', otp(at), connection)).outcome;
  };
  assert.equal(await tryAt(NOON - 60_000), 'rejected');
  assert.equal(await tryAt(NOON + 60_000), 'rejected');
  assert.equal(await tryAt(NOON - 30_000), 'accepted');
  assert.equal(await tryAt(NOON - 30_000), 'rejected');
  assert.equal(await tryAt(NOON + 30_000), 'accepted');
  assert.equal(await tryAt(NOON), 'rejected', 'an older code than the last one');
  assert.equal(await tryAt(NOON + 30_000), 'rejected');
});

test('of two who send the same code at once, one gets in', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { totp: sealedTotp(node, 'alice') });
  await node.present('alice', password("alice's password"), 'a');
  await node.present('alice', password("alice's password"), 'b');
  const both = await Promise.all(['a', 'b'].map((c) => node.present('alice', otp(NOON), c)));
  assert.deepEqual(both.map(({ outcome }) => outcome).sort(), ['accepted', 'rejected']);
});

test('a guesser waits, then is blocked with that name; the person gets in from elsewhere', async (t) => {
  const node = await withAlice(t);
  for (let i = 0; i < 10; i++) assert.equal((await node.password('alice', `guess ${i}`)).outcome, 'rejected');
  assert.deepEqual(node.clock.sleeps, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
  node.verified.length = 0;
  const blocked = await node.password('alice', "alice's password");
  assert.ok(blocked.outcome === 'blocked');
  assert.deepEqual(node.verified, [], 'a blocked password is not even looked at');
  assert.equal((await node.present('alice', key(HOST_KEY, true))).outcome, 'blocked');
  assert.equal((await node.password('alice', "alice's password", AWAY)).outcome, 'accepted');
  node.clock.at += 15 * 60_000;
  assert.equal((await node.password('alice', "alice's password")).outcome, 'accepted');
});

test('guesses sent all at once do not outrun the block', async (t) => {
  const node = await withAlice(t);
  const guesses = Array.from({ length: 60 }, (_, i) => node.password('alice', `guess ${i}`));
  const outcomes = (await Promise.all(guesses)).map(({ outcome }) => outcome);
  // Two run at once, so one more than the limit may be under way when it is reached.
  assert.ok(node.verified.length <= 11, `${node.verified.length} guesses were checked`);
  assert.equal(outcomes.filter((outcome) => outcome === 'rejected').length, node.verified.length);
});

test('keys that an agent offers are neither slowed nor counted', async (t) => {
  const node = await withAlice(t);
  for (let i = 0; i < 40; i++)
    assert.deepEqual(await node.present('alice', key(OTHER_KEY, i % 2 === 0), `k${i}`), FIRST);
  assert.deepEqual(node.clock.sleeps, []);
  assert.equal((await node.password('alice', "alice's password")).outcome, 'accepted');
});

test('a log-on that failed by keys alone is told once, when its connection closes', async (t) => {
  const node = await withAlice(t);
  await node.present('alice', key(OTHER_KEY, false), 'c');
  await node.present('alice', key(OTHER_KEY, true), 'c');
  assert.deepEqual(await node.codes(), []);
  node.desk.connectionClosed('c');
  await node.present('alice', key(OTHER_KEY, false), 'd');
  await node.present('alice', key(HOST_KEY, true), 'd');
  node.desk.connectionClosed('d');
  assert.deepEqual((await node.codes()).sort(), ['user.login.failed', 'user.login.succeeded']);
});

test('failed log-ons fill neither store nor memory: one row a second for each source and name', async (t) => {
  const node = await withAlice(t);
  for (let i = 0; i < 9; i++) await node.password('alice', 'wrong');
  node.clock.at += 1000;
  await node.password('alice', 'wrong');
  for (let i = 0; i < 100; i++) await node.password('alice', 'wrong');
  const rows = await node.audit();
  const counts = rows.map(({ code, actor, source, detail }) => [code, actor, source, detail['count'] ?? 1]);
  assert.deepEqual(
    counts.sort((a, b) => (`${a}` < `${b}` ? -1 : 1)),
    [
      ['user.login.blocked', 'alice', SOURCE, 1],
      ['user.login.blocked', 'alice', SOURCE, 99],
      ['user.login.failed', 'alice', SOURCE, 1],
      ['user.login.failed', 'alice', SOURCE, 1],
      ['user.login.failed', 'alice', SOURCE, 8],
    ],
  );
  assert.ok(!JSON.stringify(rows).includes('wrong'), 'no password in the audit trail');
});

test('what is no login name, or no password, is refused without being hashed', async (t) => {
  const node = await withAlice(t);
  assert.deepEqual(await node.password('alice\n', 'x'), FIRST);
  assert.deepEqual(await node.password('', 'x'), FIRST);
  assert.deepEqual(await node.password('alice', 'x'.repeat(1025)), FIRST);
  assert.deepEqual(node.verified, []);
  const { actor } = (await node.audit())[0] ?? {};
  assert.equal(actor, 'system');
});

test('a log-on that nobody finishes is forgotten after five minutes', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { totp: sealedTotp(node, 'alice') });
  await node.present('alice', password("alice's password"), 'c');
  node.clock.at += 5 * 60_000 + 1;
  await node.control.tick();
  assert.deepEqual(await node.present('alice', otp(node.clock.at), 'c'), FIRST);
});

/** What a client proves that knows `password`. */
function ntlm(login: string, password: string, domain = 'CORP'): Factor {
  const serverChallenge = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const proved = new Uint8Array(40).fill(9);
  const { proof } = ntlmProof(ntowfv2(ntlmHash(password), login, domain), serverChallenge, proved);
  return { kind: 'ntlm', domain, serverChallenge, response: Buffer.concat([proof, proved]) };
}
const baseKeyOf = (login: string, factor: Factor, password: string): Uint8Array => {
  assert.ok(factor.kind === 'ntlm');
  const { serverChallenge, response, domain } = factor;
  return ntlmProof(ntowfv2(ntlmHash(password), login, domain), serverChallenge, response.subarray(16))
    .sessionBaseKey;
};
const optedIn = (node: Node, name: string, password: string) =>
  node.masterKey.seal(ntlmHash(password), ntHashBinding(name));

test('a proof by NTLM is worth what a password is worth, for those who opted in', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { ntHash: optedIn(node, 'alice', 'Pa55') });
  await putUser(node, 'plain');
  const login = 'alice+root+win01';
  const right = ntlm(login, 'Pa55');
  assert.deepEqual(await node.present(login, right), {
    outcome: 'accepted',
    user: 'alice',
    target: { account: 'root', system: 'win01' },
    sessionBaseKey: baseKeyOf(login, right, 'Pa55'),
  });
  assert.deepEqual(await node.present(login, ntlm(login, 'pa55')), FIRST);
  assert.deepEqual(
    await node.present(login, ntlm(login.toLowerCase(), 'Pa55', 'OTHER')).then(({ outcome }) => outcome),
    'accepted',
  );
  assert.deepEqual(await node.present('plain', ntlm('plain', "plain's password")), FIRST);
  assert.deepEqual(await node.present('nobody', ntlm('nobody', 'Pa55')), FIRST);
  assert.deepEqual(
    await node.present('alice', { ...ntlm('alice', 'Pa55'), response: new Uint8Array(3) } as Factor),
    FIRST,
  );
  await putUser(node, 'alice', { ntHash: optedIn(node, 'alice', 'Pa55'), disabled: true });
  assert.deepEqual(await node.present(login, right), FIRST);
});

test('a proof by NTLM still wants the second factor, and its key goes with that answer', async (t) => {
  const node = await openNode(t);
  const ntHash = optedIn(node, 'alice', 'Pa55');
  await putUser(node, 'alice', { ntHash, totp: sealedTotp(node, 'alice') });
  const right = ntlm('alice', 'Pa55');
  const outcome = await node.present('alice', right, 'one');
  assert.deepEqual(outcome, { ...SECOND_MISSING, sessionBaseKey: baseKeyOf('alice', right, 'Pa55') });
  assert.equal((await node.present('alice', otp(NOON), 'one')).outcome, 'accepted');
});

test('guesses by NTLM are blocked like those of passwords', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { ntHash: optedIn(node, 'alice', 'Pa55') });
  let outcome = '';
  for (let i = 0; i < 100 && outcome !== 'blocked'; i++)
    outcome = (await node.present('alice', ntlm('alice', `guess ${i}`))).outcome;
  assert.equal(outcome, 'blocked');
});

test('guesses sent all at once do not outrun the block', async (t) => {
  const node = await openNode(t);
  const ntHash = optedIn(node, 'alice', 'Pa55');
  await putUser(node, 'alice', { ntHash, totp: sealedTotp(node, 'alice') });
  const guesses = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      node.present('alice', ntlm('alice', i === 99 ? 'Pa55' : `guess ${i}`)),
    ),
  );
  const judged = guesses.filter(({ outcome }) => outcome === 'rejected').length;
  assert.ok(judged > 0 && judged <= 10, `${judged} judged`);
  assert.equal(guesses.at(-1)?.outcome, 'blocked');
  node.clock.at += 3600_000;
  const codes = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const connection = `code ${i}`;
      const first = await node.present('alice', ntlm('alice', 'Pa55'), connection, AWAY);
      if (first.outcome !== 'continue') return first;
      return await node.present('alice', { kind: 'otp', code: '000000' }, connection, AWAY);
    }),
  );
  const tried = codes.filter(({ outcome }) => outcome === 'rejected').length;
  assert.ok(tried > 0 && tried <= 10, `${tried} codes tried`);
});

test('the front hears whom NLA can log on', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice', { ntHash: optedIn(node, 'alice', 'Pa55') });
  await putUser(node, 'off', { ntHash: optedIn(node, 'off', 'Pa55'), disabled: true });
  await putUser(node, 'plain');
  const launch = { user: 'plain', account: 'root', system: 'win01', source: undefined, nla: true };
  await makeLaunch(node.store, node.masterKey, launch, NOON, 60_000);
  const known: [string, boolean][] = [
    ['alice', true],
    ['alice+root+win01', true],
    ['alice+roo', true],
    ['plain', false],
    ['plain+root+win01', true],
    ['plain+root+win02', false],
    ['off', false],
    ['nobody', false],
    ['', false],
    ['\u0000', false],
  ];
  for (const [name, expected] of known)
    assert.equal(await node.desk.nlaKnows({ name, source: SOURCE }), expected, name);
  node.clock.at += 60_000;
  assert.equal(await node.desk.nlaKnows({ name: 'plain+root+win01', source: SOURCE }), false);
});

test('a launch credential lets its person in once, to its target alone', async (t) => {
  const node = await openNode(t);
  node.protocol = 'rdp';
  await putUser(node, 'alice');
  await putUser(node, 'bob');
  const launch = { user: 'alice', account: 'root', system: 'web01', source: '192.0.2.0/24', nla: false };
  const make = (more: { source?: string | undefined } = {}) =>
    makeLaunch(node.store, node.masterKey, { ...launch, ...more }, node.clock.at, 60_000);
  const { credential, name } = await make();
  const refused = async (login: string, credential: string, source: string, message: string) =>
    assert.deepEqual(await node.password(login, credential, source), {
      ...FIRST,
      message: `this launch credential ${message}`,
    });
  const [inside, outside] = ['192.0.2.77', '198.51.100.7'];
  await refused('alice', credential, outside, `does not open from ${outside}`);
  await refused('bob+root+web01', credential, inside, 'is for another person or target');
  await refused('alice+root+web02', credential, inside, 'is for another person or target');
  await refused('alice', `launch-${'0'.repeat(32)}`, inside, 'does not exist: make a new one');
  const target = { account: 'root', system: 'web01' };
  const accepted = { outcome: 'accepted', user: 'alice', target };
  assert.deepEqual(
    await node.present('alice', { kind: 'password', password: credential }, 'one', inside),
    accepted,
  );
  await refused('alice', credential, inside, 'was used before: make a new one');
  const authorise = (system: string) =>
    node.desk.authorise({
      connection: 'one',
      protocol: 'rdp',
      target: { account: 'root', system },
      reason: undefined,
    });
  const other = await authorise('web02');
  assert.ok(!other.granted);
  assert.equal(other.code, 'other-target');
  const own = await authorise('web01');
  assert.equal(own.granted ? 'granted' : own.code, 'no-policy');
  const { credential: late } = await make({ source: undefined });
  node.clock.at += 60_000;
  await refused('alice', late, outside, 'has expired: make a new one');
  const succeeded = (await node.audit()).find(({ code }) => code === 'user.login.succeeded');
  assert.deepEqual([succeeded?.detail['method'], succeeded?.detail['launch']], ['launch', name]);
});

test('a launch credential opens nothing over SSH, and is not spent there', async (t) => {
  const node = await openNode(t);
  await putUser(node, 'alice');
  const launch = { user: 'alice', account: 'root', system: 'web01', source: undefined, nla: true };
  const { credential } = await makeLaunch(node.store, node.masterKey, launch, NOON, 60_000);
  assert.equal((await node.password('alice', credential)).outcome, 'rejected');
  node.protocol = 'rdp';
  assert.equal((await node.password('alice', credential)).outcome, 'accepted');
});

test('a launch credential that a client sends as part of the name is not written down', async (t) => {
  const node = await openNode(t);
  const name = `launch-${'0123456789abcdef'.repeat(2)}\\alice`;
  await node.password(name, 'wrong');
  assert.deepEqual(
    (await node.audit()).map(({ actor }) => actor),
    ['launch-…\\alice'],
  );
});

test('of two who present a launch credential at once, one gets in', async (t) => {
  const node = await openNode(t);
  node.protocol = 'rdp';
  await putUser(node, 'alice');
  const launch = { user: 'alice', account: 'root', system: 'web01', source: undefined, nla: true };
  const { credential } = await makeLaunch(node.store, node.masterKey, launch, NOON, 60_000);
  const login = 'alice+root+web01';
  const outcomes = await Promise.all([
    node.password(login, credential),
    node.password(login, credential),
    node.present(login, ntlm(login, credential)),
  ]);
  assert.equal(outcomes.filter(({ outcome }) => outcome === 'accepted').length, 1);
});

test('neither the credential nor its hash is in the store', async (t) => {
  const node = await openNode(t);
  node.protocol = 'rdp';
  const launch = { user: 'alice', account: 'root', system: 'web01', source: undefined, nla: true };
  const { credential } = await makeLaunch(node.store, node.masterKey, launch, NOON, 60_000);
  const rows = await node.store.openLaunches('alice', 'root', 'web01', NOON);
  assert.equal(rows.length, 1);
  for (const value of Object.values(rows[0] ?? {})) {
    const bytes = Buffer.from(value instanceof Uint8Array ? value : String(value));
    assert.ok(
      !bytes.includes(credential) &&
        !bytes.includes(credential.slice(7)) &&
        !bytes.includes(Buffer.from(ntlmHash(credential))),
    );
  }
});
