/** People who are who they say, and are not let through: what they read, what the auditor reads. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { ALL_CAPABILITIES, type Bed, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const MINUTE = 60_000;
let bed: Bed;
let evidence: Evidence;

/** `HH:MM` in UTC, minutes from now. */
function clock(minutes: number): string {
  return new Date(Date.now() + minutes * MINUTE).toISOString().slice(11, 16);
}

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed({
    document: (sshd) => {
      const users = ['late', 'expired', 'early', 'reasoner', 'single'];
      const policy = (user: string, rest: object): Readonly<Record<string, unknown>> => ({
        name: `for-${user}`,
        users: [user],
        accounts: ['*@web01'],
        allow: ALL_CAPABILITIES,
        ...rest,
      });
      return {
        users: users.map((name) => ({ name, password: PASSWORD, role: 'requester' })),
        systems: [
          { name: 'uncovered', protocol: 'ssh', host: sshd.host, port: sshd.port, hostKey: sshd.hostKey },
        ],
        accounts: [{ name: sshd.account.name, system: 'uncovered', password: sshd.account.password }],
        policies: [
          policy('late', { schedule: [{ from: clock(-120), to: clock(-60), timeZone: 'UTC' }] }),
          policy('expired', { notAfter: '2020-01-01' }),
          policy('early', { notBefore: '2999-01-01' }),
          policy('reasoner', { reasonRequired: true }),
          policy('single', { maxSessions: 1 }),
        ],
      };
    },
  });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
});

testWith(
  NEEDS,
  'unknown system, unknown account and no policy are told in the same neutral words',
  async () => {
    const account = bed.sshd.account.name;
    for (const [target, cause] of [
      [`${account}@nowhere`, 'no-policy'],
      ['nobody@web01', 'no-account'],
      [`${account}@uncovered`, 'no-policy'],
    ] as const) {
      const result = await ssh(bed.doorFor(`alice@${target}`, PASSWORD), ['target', 'id']);
      assert.deepEqual(
        [result.code, result.text, result.stderr.trim()],
        [255, '', `sallyport: no policy allows you ${target}`],
      );
      const [name, system] = target.split('@');
      const event = await evidence.event(
        'session.denied',
        ({ detail }) => detail['account'] === name && detail['system'] === system,
      );
      assert.deepEqual([event.actor, event.source, event.detail['code']], ['alice', '127.0.0.1', cause]);
    }
    await stillServes(bed);
  },
);

for (const [user, words, code] of [
  ['late', /policy for-late allows .* only daily .* \(UTC\)/, 'outside-schedule'],
  ['expired', /policy for-expired/, 'expired'],
  ['early', /policy for-early/, 'not-yet-valid'],
] as const) {
  testWith(NEEDS, `${user}: a policy that does not hold now refuses and says which`, async () => {
    const result = await ssh(bed.doorFor(bed.targetLogin(user), PASSWORD), ['target', 'id']);
    assert.deepEqual([result.code, result.text], [255, '']);
    assert.match(result.stderr, words);
    const event = await evidence.event('session.denied', (row) => row.actor === user);
    assert.deepEqual([event.detail['code'], event.detail['policy']], [code, `for-${user}`]);
    await stillServes(bed);
  });
}

testWith(NEEDS, 'a reason is wanted of a command and asked for on a terminal', async () => {
  const door = bed.doorFor(bed.targetLogin('reasoner'), PASSWORD);
  const without = await ssh(door, ['target', 'id']);
  assert.deepEqual([without.code, without.text], [255, '']);
  assert.match(
    without.stderr,
    /reason.*set SALLYPORT_REASON \(ssh -o SetEnv=SALLYPORT_REASON=\.\.\.\), or open/,
  );
  const empty = await ssh(door, ['-o', 'SetEnv=SALLYPORT_REASON= ', 'target', 'id']);
  assert.deepEqual([empty.code, empty.text], [255, '']);

  const given = await ssh(door, ['-o', 'SetEnv=SALLYPORT_REASON=ticket-17', 'target', 'echo in']);
  assert.deepEqual([given.code, given.text], [0, 'in\n'], given.stderr);
  assert.equal((await evidence.session('reasoner', 'ended')).reason, 'ticket-17');

  const terminal = sshTerminal(door, ['target']);
  await terminal.expect(`Reason for ${bed.sshd.account.name}@web01: `);
  terminal.type('ticket 18\r');
  await terminal.expect('$ ');
  assert.equal((await evidence.session('reasoner', 'active')).reason, 'ticket 18');
  terminal.type('exit 3\r');
  assert.equal(await terminal.ended, 3);
  await stillServes(bed);
});

testWith(
  NEEDS,
  'what only forwards learns that a shell gives the reason, and forwards over that',
  async () => {
    const door = bed.doorFor(bed.targetLogin('reasoner'), PASSWORD);
    const way = ['-W', `${bed.sshd.host}:${bed.sshd.port}`, '-o', 'LogLevel=INFO', 'target'];
    const words =
      /a reason is required: policy for-reasoner .* open a shell.*leave out -N, or share .*ControlPath/;
    const silent = ssh(door, ['-N', 'target']);
    const refused = await ssh(door, way, { input: '' });
    assert.deepEqual([refused.code, refused.text], [255, '']);
    assert.match(refused.stderr, words);
    assert.doesNotMatch(refused.stderr, /SetEnv/);
    const told = await silent;
    assert.deepEqual([told.code, told.text], [255, '']);
    assert.match(told.stderr, words);

    const shared = ['-S', join(bed.folder, 'shared')];
    const terminal = sshTerminal(door, ['-M', ...shared, 'target']);
    await terminal.expect(`Reason for ${bed.sshd.account.name}@web01: `);
    terminal.type('ticket 19\r');
    await terminal.expect('$ ');
    const forwarded = await ssh(door, [...shared, ...way], { input: 'nobody\r\n' });
    assert.match(forwarded.text, /^SSH-2\.0-OpenSSH/, forwarded.stderr);
    terminal.type('exit 4\r');
    assert.equal(await terminal.ended, 4);
  },
);

testWith(NEEDS, 'one session too many is refused until another ends', async () => {
  const door = bed.doorFor(bed.targetLogin('single'), PASSWORD);
  const first = sshTerminal(door, ['-tt', 'target', 'echo up; read -r line']);
  await first.expect('up');
  const second = await ssh(door, ['target', 'id']);
  assert.deepEqual([second.code, second.text], [255, '']);
  assert.match(second.stderr, /sallyport: 1 of 1 sessions under policy for-single are open/);
  const event = await evidence.event('session.denied', (row) => row.actor === 'single');
  assert.equal(event.detail['policy'], 'for-single');
  await stillServes(bed);
  first.type('\r');
  await first.ended;
  await evidence.session('single', 'ended');
  await stillServes(bed, door);
});
