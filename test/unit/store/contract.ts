/** What every store adapter must do, whatever lies below it. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type {
  AccountRow,
  AuditRow,
  CommandRow,
  LaunchRow,
  NodeRow,
  PolicyRow,
  SessionRow,
  Store,
  SystemRow,
  UserRow,
} from '../../../gateway/store/port.ts';

export const user = (name: string, change: Partial<UserRow> = {}): UserRow => ({
  id: randomUUID(),
  name,
  role: 'requester',
  passwordHash: undefined,
  sshKeys: [],
  totp: undefined,
  ntHash: undefined,
  disabled: false,
  ...change,
});
export const system = (name: string, change: Partial<SystemRow> = {}): SystemRow => ({
  id: randomUUID(),
  name,
  protocol: 'ssh',
  host: '10.0.0.5',
  port: 22,
  hostKey: undefined,
  pinned: undefined,
  certificate: undefined,
  legacyAlgorithms: false,
  maxSessions: undefined,
  ...change,
});
export const session = (id: string, change: Partial<SessionRow> = {}): SessionRow => ({
  id,
  node: 'a',
  run: 'run-a',
  protocol: 'ssh',
  user: 'alice',
  account: 'root',
  system: 'web01',
  policy: 'ops',
  source: '192.0.2.1',
  reason: undefined,
  state: 'opening',
  openedAt: 1000,
  startedAt: undefined,
  endedAt: undefined,
  endCode: undefined,
  endReason: undefined,
  bytesFromClient: 0,
  bytesFromTarget: 0,
  credentialLease: undefined,
  recorded: true,
  segments: undefined,
  recordedBytes: undefined,
  headHash: undefined,
  sealed: false,
  recoveredBy: undefined,
  unsealable: undefined,
  spooledOn: undefined,
  compacted: false,
  retention: undefined,
  heldAt: undefined,
  heldBy: undefined,
  holdReason: undefined,
  prunedBy: undefined,
  pruneRule: undefined,
  prunedAt: undefined,
  ...change,
});
export const node = (id: string, change: Partial<NodeRow> = {}): NodeRow => ({
  id,
  name: 'a',
  home: 'folder-a',
  startedAt: 1000,
  renewals: 0,
  leaseMs: 15_000,
  state: 'running',
  heir: undefined,
  standing: 'ready',
  standingAt: 1000,
  ...change,
});
export const audit = (id: string, change: Partial<AuditRow> = {}): AuditRow => ({
  id,
  at: 1,
  node: 'a',
  code: 'session.started',
  actor: 'alice',
  source: undefined,
  sessionId: undefined,
  detail: {},
  ...change,
});

const ids = (rows: readonly { readonly id: string }[]) => rows.map((row) => row.id);

/**
 * @param open a fresh, empty store; `close` is called on it at the end
 */
export function runStoreContract(name: string, open: () => Promise<Store>): void {
  describe(`${name} keeps the store's contract`, () => {
    let store: Store;
    before(async () => {
      store = await open();
    });
    after(() => store.close());

    it('keeps a user as it was put, and changes it by id', async () => {
      const full = user('alice', {
        role: 'administrator',
        passwordHash: '$argon2id$x',
        sshKeys: ['ssh-ed25519 AAAA', 'ssh-rsa BBBB'],
        totp: Uint8Array.of(0, 255, 7),
        disabled: true,
      });
      await store.putUser(full);
      const read = await store.user('alice');
      assert.deepEqual({ ...read, totp: Uint8Array.from(read?.totp ?? []) }, full);
      const emptied = user('alice', { id: full.id });
      await store.putUser(emptied);
      assert.deepEqual(await store.user('alice'), emptied);
      assert.equal(await store.user('Alice'), undefined, 'names are case-sensitive');
    });

    it('refuses a second row of the same name', async () => {
      await store.putUser(user('bob'));
      await assert.rejects(store.putUser(user('bob')), { code: 'conflict' });
    });

    it('lists newest first', async () => {
      for (const name of ['s1', 's2', 's3']) await store.putSystem(system(name));
      const first = await store.system('s1');
      assert(first !== undefined);
      await store.putSystem({ ...first, port: 2222 });
      assert.deepEqual(
        (await store.systems()).map((row) => row.name),
        ['s3', 's2', 's1'],
        'a change does not make a row new',
      );
    });

    it('keeps accounts by name and system, and only of systems that exist', async () => {
      await store.putSystem(
        system('web01', { hostKey: 'k', pinned: 'p', legacyAlgorithms: true, maxSessions: 3 }),
      );
      const account: AccountRow = {
        id: randomUUID(),
        name: 'root',
        system: 'web01',
        secret: Uint8Array.of(1, 2, 3),
        secretFingerprint: 'f',
      };
      await store.putAccount(account);
      const read = await store.account('root', 'web01');
      assert.deepEqual({ ...read, secret: Uint8Array.from(read?.secret ?? []) }, account);
      assert.equal(await store.account('root', 's1'), undefined);
      await store.putAccount({ ...account, id: randomUUID(), system: 's1' });
      assert.equal((await store.accounts()).length, 2);
      const orphan = { ...account, id: randomUUID(), system: 'nowhere' };
      await assert.rejects(store.putAccount(orphan), { code: 'conflict' });
    });

    it('keeps every field of a policy', async () => {
      const policy: PolicyRow = {
        id: randomUUID(),
        name: 'ops',
        users: ['alice', 'b*'],
        accounts: ['*@web01'],
        allow: ['shell', 'sftp'],
        record: true,
        keystrokes: false,
        maskKeystrokes: true,
        reasonRequired: true,
        maxSessions: 5,
        maxDuration: 28_800_000,
        idleTimeout: undefined,
        schedule: [
          { days: [1, 5], from: 480, to: 1080, timeZone: 'Europe/Zurich' },
          { days: [], from: 0, to: 0, timeZone: undefined },
        ],
        notBefore: 1_700_000_000_000,
        notAfter: undefined,
        execLimit: 'full',
        retention: 90 * 86_400_000,
      };
      await store.putPolicy(policy);
      assert.deepEqual(await store.policies(), [policy]);
      await store.putPolicy({ ...policy, execLimit: 1024, schedule: [] });
      assert.deepEqual(await store.policies(), [{ ...policy, execLimit: 1024, schedule: [] }]);
    });

    it('changes only the given columns of a session', async () => {
      const row = session('x1');
      await store.insertSession(row);
      assert.deepEqual(await store.session('x1'), row);
      assert.equal(await store.updateSession('x1', { state: 'active', startedAt: 2000 }), true);
      assert.equal(await store.updateSession('x1', { startedAt: undefined, headHash: 'ab' }), true);
      assert.deepEqual(await store.session('x1'), { ...row, state: 'active', headHash: 'ab' });
      assert.equal(await store.updateSession('none', { state: 'ended' }), false);
      assert.equal(await store.updateSession('none', {}), false);
      await assert.rejects(store.insertSession(row), { code: 'conflict' });
    });

    it('filters and pages sessions, newest first', async () => {
      await store.insertSession(session('x2', { state: 'ended', node: 'b', recorded: false }));
      await store.insertSession(session('x3', { state: 'locked', node: 'b' }));
      await store.insertSession(session('x4', { state: 'ended' }));
      const all = { limit: 10 };
      assert.deepEqual(ids(await store.sessions({}, all)), ['x4', 'x3', 'x2', 'x1']);
      assert.deepEqual(ids(await store.sessions({ state: ['active', 'locked'] }, all)), ['x3', 'x1']);
      assert.deepEqual(ids(await store.sessions({ state: [] }, all)), []);
      assert.deepEqual(ids(await store.sessions({ node: 'b' }, all)), ['x3', 'x2']);
      assert.deepEqual(ids(await store.sessions({ node: 'b', recorded: true }, all)), ['x3']);
      assert.deepEqual(ids(await store.sessions({}, { limit: 2 })), ['x4', 'x3']);
      assert.deepEqual(ids(await store.sessions({}, { limit: 2, before: 'x3' })), ['x2', 'x1']);
      assert.deepEqual(ids(await store.sessions({}, { limit: 2, before: 'none' })), []);
    });

    it('finds sessions by the beginning or the end of their id', async () => {
      const of = async (idPart: string, limit = 10): Promise<string[]> =>
        ids(await store.sessions({ idPart }, { limit }));
      const added = ['0193-aaaa-77_7', '0193-bbbb-7777', '0194-cccc-7aaa'];
      for (const id of added) await store.insertSession(session(id, { state: 'ended' }));
      assert.deepEqual(await of('0193-'), [added[1], added[0]]);
      assert.deepEqual(await of('0193-b'), [added[1]]);
      assert.deepEqual(await of('7777'), [added[1]]);
      assert.deepEqual(await of('7_7'), [added[0]]);
      assert.deepEqual(await of('0194-cccc-7aaa'), [added[2]]);
      assert.deepEqual(await of('aaaa'), []);
      assert.deepEqual(await of('019', 2), [added[2], added[1]]);
      assert.deepEqual(ids(await store.sessions({ idPart: '019', node: 'none' }, { limit: 9 })), []);
    });

    it('counts the sessions that are not ended', async () => {
      assert.equal(await store.countOpenSessions({ user: 'alice', policy: 'ops' }), 2);
      assert.equal(await store.countOpenSessions({ user: 'alice', policy: 'other' }), 0);
      const row = (await store.session('x1')) ?? assert.fail();
      assert.equal(await store.countOpenSessions({ system: row.system }), 2);
      assert.deepEqual(await store.openSessionSources(), [{ source: row.source, count: 2 }]);
    });

    it('keeps runs of nodes, one running of a name, and changes them only as they were seen', async () => {
      await store.insertNode(node('n1'));
      await store.insertNode(node('n2', { name: 'b' }));
      await assert.rejects(store.insertNode(node('n3')), { code: 'conflict' });
      assert.deepEqual(await store.node('n1'), node('n1'));
      assert.deepEqual(ids(await store.nodes()), ['n2', 'n1']);
      assert.equal(await store.updateNode('n1', { state: 'running', renewals: 0 }, { renewals: 1 }), true);
      assert.equal(await store.updateNode('n1', { state: 'running', renewals: 0 }, { state: 'lost' }), false);
      assert.equal(await store.updateNode('n1', { renewals: 1 }, { state: 'lost', renewals: 7 }), true);
      assert.equal(await store.updateNode('n1', { state: 'running' }, { renewals: 8 }), false);
      const claims = ['n2', 'n4'].map((heir) => store.updateNode('n1', { heir: undefined }, { heir }));
      assert.deepEqual(await Promise.all(claims), [true, false]);
      assert.deepEqual(await store.node('n1'), node('n1', { state: 'lost', renewals: 7, heir: 'n2' }));
      assert.equal(await store.updateNode('n1', { heir: 'n4' }, {}), false);
      assert.equal(await store.updateNode('none', {}, { renewals: 1 }), false);
      await store.insertNode(node('n3'));
      await store.deleteNode('n1');
      assert.equal(await store.node('n1'), undefined);
    });

    it('finds the sessions that a run left unfinished, and recordings to compact', async () => {
      const run = 'run-z';
      await store.insertSession(session('z1', { run, state: 'active' }));
      await store.insertSession(session('z2', { run, state: 'ended' }));
      await store.insertSession(session('z3', { run, state: 'ended', recorded: false }));
      await store.insertSession(session('z4', { run, state: 'ended', sealed: true }));
      await store.insertSession(session('z5', { run, state: 'ended', unsealable: 'it is damaged' }));
      await store.insertSession(session('z6', { run, state: 'ended', sealed: true, compacted: true }));
      await store.insertSession(
        session('z7', { run, state: 'ended', recorded: false, credentialLease: 'l1' }),
      );
      const all = { limit: 100 };
      assert.deepEqual(ids(await store.sessions({ run, unfinished: true }, all)), ['z7', 'z2', 'z1']);
      assert.deepEqual(ids(await store.sessions({ uncompacted: true }, all)), ['z4']);
    });

    it('writes how far recordings are, of open sessions of their own run only', async () => {
      await store.insertSession(session('h1', { run: 'run-h', state: 'active' }));
      await store.insertSession(session('h2', { run: 'run-h', state: 'ended' }));
      await store.insertSession(session('h3', { run: 'run-i', state: 'active' }));
      const head = (sessionId: string) => ({ sessionId, segments: 3, bytes: 999, head: 'cd'.repeat(32) });
      await store.recordHeads('run-h', ['h1', 'h2', 'h3', 'none'].map(head));
      const written = { segments: 3, recordedBytes: 999, headHash: 'cd'.repeat(32) };
      const open = session('h1', { run: 'run-h', state: 'active' });
      assert.deepEqual(await store.session('h1'), { ...open, ...written });
      assert.equal((await store.session('h2'))?.headHash, undefined);
      assert.equal((await store.session('h3'))?.headHash, undefined);
    });

    it('gives a node its open commands until they are finished', async () => {
      const command = (id: string, node: string): CommandRow => ({
        id,
        node,
        subject: 'x1',
        verb: 'lock',
        limitMs: undefined,
        by: 'admin',
        reason: 'check',
        createdAt: 5,
        doneAt: undefined,
        result: undefined,
      });
      await store.insertCommand(command('c1', 'a'));
      await store.insertCommand(command('c2', 'a'));
      await store.insertCommand(command('c3', 'b'));
      assert.deepEqual(await store.openCommands('a'), [command('c2', 'a'), command('c1', 'a')]);
      await store.finishCommand('c1', 9, 'ok');
      assert.deepEqual(ids(await store.openCommands('a')), ['c2']);
      assert.deepEqual(await store.command('c1'), { ...command('c1', 'a'), doneAt: 9, result: 'ok' });
      assert.equal(await store.command('none'), undefined);
    });

    it('filters and pages audit, newest first', async () => {
      const detail = { port: 22, ok: true, name: 'web01' };
      await store.insertAudit(audit('a1', { at: 10, detail, source: '::1', sessionId: 'x1' }));
      await store.insertAudit(audit('a2', { at: 20, code: 'user.login.failed' }));
      await store.insertAudit(audit('a3', { at: 30, actor: 'bob' }));
      const all = { limit: 10 };
      assert.deepEqual(ids(await store.audit({}, all)), ['a3', 'a2', 'a1']);
      assert.deepEqual(await store.audit({ sessionId: 'x1' }, all), [
        audit('a1', { at: 10, detail, source: '::1', sessionId: 'x1' }),
      ]);
      assert.deepEqual(ids(await store.audit({ code: 'session.started' }, all)), ['a3', 'a1']);
      assert.deepEqual(ids(await store.audit({ actor: 'alice', since: 20 }, all)), ['a2']);
      assert.deepEqual(ids(await store.audit({}, { limit: 5, before: 'a3' })), ['a2', 'a1']);
    });

    it('keeps keystrokes and finds them by the words in them', async () => {
      const typed = (at: number, text: string, kind: 'keys' | 'command' = 'command') => ({
        sessionId: 'x1',
        channel: 0,
        at,
        kind,
        text,
      });
      const rows = [
        typed(1, 'cat /etc/passwd'),
        typed(2, 'rm -rf "/srv/Übung"'),
        typed(3, 'ca', 'keys'),
        { ...typed(4, 'cat notes'), sessionId: 'x2' },
      ];
      await store.insertKeystrokes(rows.slice(0, 2));
      await store.insertKeystrokes(rows.slice(2));
      await store.insertKeystrokes([]);
      assert.deepEqual(
        (await store.keystrokes('x1')).map((row) => row.at),
        [3, 2, 1],
      );
      assert.deepEqual(await store.keystrokes('x1', 'keys'), [rows[2]]);
      const find = async (text: string, page = { limit: 10 }) =>
        (await store.searchKeystrokes(text, page)).map((row) => row.at);
      assert.deepEqual(await find('cat'), [4, 1]);
      assert.deepEqual(await find('ca'), [4, 1], 'keys are not searched');
      assert.deepEqual(await find('passwd cat'), [1]);
      assert.deepEqual(await find('passw'), [1]);
      assert.deepEqual(await find('übung'), [2]);
      assert.deepEqual(await find('cat', { limit: 1 }), [4]);
      assert.deepEqual(await find('cat', Object.assign({ limit: 9 }, { before: '4' })), [1]);
      for (const hostile of ['"', 'a" OR "', 'text:cat*', '-rf NOT', '*', '', '(', 'NEAR(a b)']) {
        await store.searchKeystrokes(hostile, { limit: 10 });
      }
    });

    it('gives each launch credential out once', async () => {
      const launch = (id: string, change: Partial<LaunchRow> = {}): LaunchRow => ({
        id,
        user: 'alice',
        account: 'root',
        system: 'win01',
        ntHash: new Uint8Array([1, 2]),
        nla: false,
        source: undefined,
        createdAt: 1000,
        expiresAt: 61_000,
        usedAt: undefined,
        ...change,
      });
      await store.insertLaunch(launch('l1', { source: '192.0.2.0/24' }));
      await store.insertLaunch(launch('l2', { account: 'sa' }));
      await store.insertLaunch(launch('l3', { expiresAt: 90_000, nla: true }));
      assert.deepEqual(await store.launch('l1'), launch('l1', { source: '192.0.2.0/24' }));
      assert.equal(await store.launch('none'), undefined);
      const open = async (now: number) => ids(await store.openLaunches('alice', 'root', 'win01', now));
      assert.deepEqual(await open(60_999), ['l3', 'l1']);
      assert.deepEqual(await open(61_000), ['l3']);
      const takers = [store.useLaunch('l1', 5000), store.useLaunch('l1', 5001), store.useLaunch('none', 1)];
      assert.deepEqual(await Promise.all(takers), [true, false, false]);
      assert.equal((await store.launch('l1'))?.usedAt, 5000);
      assert.deepEqual(await open(0), ['l3']);
      await assert.rejects(store.insertLaunch(launch('l3')), { code: 'conflict' });
      await store.deleteLaunches(90_000);
      assert.equal(await store.launch('l2'), undefined);
      assert.equal((await store.launch('l3'))?.id, 'l3');
    });

    it('forgets the keystrokes of a session, for searches too', async () => {
      const typed = (sessionId: string) => ({
        sessionId,
        channel: 0,
        at: 1,
        kind: 'command' as const,
        text: 'xyzzy',
      });
      await store.insertKeystrokes([typed('k1'), typed('k2'), typed('k1')]);
      assert.equal(await store.deleteKeystrokes('k1', 1), 1);
      assert.equal((await store.keystrokes('k1')).length, 1);
      assert.equal(await store.deleteKeystrokes('k1', 10), 1);
      assert.equal(await store.deleteKeystrokes('k1', 10), 0);
      assert.deepEqual(await store.keystrokes('k1'), []);
      assert.deepEqual(await store.searchKeystrokes('xyzzy', { limit: 10 }), [typed('k2')]);
    });

    it('finds the recordings that are kept, and keeps holds on them', async () => {
      const run = 'run-k';
      await store.insertSession(session('k1', { run, retention: 1000 }));
      await store.insertSession(session('k2', { run, retention: 'forever' }));
      await store.insertSession(session('k3', { run, recorded: false }));
      assert.deepEqual(ids(await store.sessions({ run, kept: true }, { limit: 10 })), ['k2', 'k1']);
      const hold = { heldAt: 7, heldBy: 'carol', holdReason: 'case 12' };
      await store.updateSession('k1', hold);
      assert.deepEqual(await store.session('k1'), session('k1', { run, retention: 1000, ...hold }));
      const pruned = { prunedBy: 'carol', pruneRule: '90d', prunedAt: 9 };
      await store.updateSession('k2', pruned);
      assert.deepEqual(await store.session('k2'), session('k2', { run, retention: 'forever', ...pruned }));
      assert.deepEqual(ids(await store.sessions({ run, kept: true }, { limit: 10 })), ['k1']);
    });

    it('keeps settings', async () => {
      assert.equal(await store.setting('node.a.signingKey'), undefined);
      await store.putSetting('node.a.signingKey', 'one');
      await store.putSetting('node.a.signingKey', 'two');
      assert.equal(await store.setting('node.a.signingKey'), 'two');
      await store.putSetting('node.%.x', 'three');
      assert.deepEqual(await store.settings('node.'), [
        { name: 'node.%.x', value: 'three' },
        { name: 'node.a.signingKey', value: 'two' },
      ]);
      assert.deepEqual(await store.settings('node.%'), [{ name: 'node.%.x', value: 'three' }]);
    });

    it('shows a write as soon as its promise has resolved, and takes a bad one out of many', async () => {
      const results = await Promise.allSettled(
        Array.from({ length: 50 }, (_, i) => store.insertAudit(audit(i === 25 ? 'm0' : `m${i}`))),
      );
      assert.deepEqual(
        results.flatMap((result, i) => (result.status === 'rejected' ? [i] : [])),
        [25],
      );
      assert.equal((await store.audit({}, { limit: 49 })).at(-1)?.id, 'm0');
    });

    it('commits a transaction as a whole, hidden until then', async () => {
      await store.transaction(async (tx) => {
        await tx.putUser(user('carol'));
        assert.equal((await tx.user('carol'))?.name, 'carol');
        assert.equal(await store.user('carol'), undefined, 'seen before the commit');
        await tx.putUser(user('dave'));
      });
      assert.equal((await store.user('carol'))?.name, 'carol');
      assert.equal((await store.user('dave'))?.name, 'dave');
    });

    it('undoes a transaction whose work rejects', async () => {
      const work = store.transaction(async (tx) => {
        await tx.putUser(user('erin'));
        await tx.putUser(user('erin'));
      });
      await assert.rejects(work, { code: 'conflict' });
      assert.equal(await store.user('erin'), undefined);
      const own = new Error('mine');
      const thrown = store.transaction(async (tx) => {
        await tx.putUser(user('erin'));
        throw own;
      });
      await assert.rejects(thrown, own);
      assert.equal(await store.user('erin'), undefined);
    });

    it('takes a transaction that rejects out of those that came with it, and nothing else', async () => {
      const results = await Promise.allSettled([
        store.putUser(user('before')),
        store.transaction((tx) => tx.putUser(user('within'))),
        store.transaction(async (tx) => {
          await tx.putUser(user('undone'));
          await tx.putUser(user('before'));
        }),
        store.putUser(user('behind')),
      ]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
      );
      const there = (await store.users()).map(({ name }) => name);
      for (const name of ['before', 'within', 'behind']) assert.ok(there.includes(name), name);
      assert.ok(!there.includes('undone'));
    });

    it('lets writes and transactions take turns, so that none is lost', async () => {
      const add = () =>
        store.transaction(async (tx) => {
          const value = Number((await tx.setting('counter')) ?? '0');
          await new Promise((resolve) => setImmediate(resolve));
          await tx.putSetting('counter', String(value + 1));
        });
      const writes = Array.from({ length: 20 }, (_, i) => store.insertAudit(audit(`t${i}`)));
      await Promise.all([...Array.from({ length: 20 }, add), ...writes]);
      assert.equal(await store.setting('counter'), '20');
    });

    it('refuses a transaction that is used after its end', async () => {
      const leaked = await store.transaction(async (tx) => tx);
      await assert.rejects(leaked.putSetting('x', 'y'), { code: 'closed' });
    });
  });
}
