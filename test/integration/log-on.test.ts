/** People who cannot prove who they are, and people who guess. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { type Bed, PASSWORD, ssh, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import type { RunResult } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
let evidence: Evidence;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed({
    document: () => ({ users: [{ name: 'mallory', password: PASSWORD, role: 'requester' }] }),
  });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
});

function logOn(login: string, password: string, ...options: string[]): Promise<RunResult> {
  return ssh(bed.doorFor(login, password), [...options, 'target', 'id']);
}

testWith(
  NEEDS,
  'a wrong password is refused with the methods that are left, and told to the auditor',
  async () => {
    const login = bed.targetLogin('alice');
    const result = await logOn(login, 'wrong');
    assert.deepEqual([result.code, result.text], [255, '']);
    assert.equal(
      result.stderr.trim(),
      `${login}@127.0.0.1: Permission denied (publickey,password,keyboard-interactive).`,
    );
    const event = await evidence.event('user.login.failed', (row) => row.actor === 'alice');
    assert.deepEqual(
      [event.source, event.detail['factor'] ?? event.detail['reason']],
      ['127.0.0.1', 'password'],
    );
    await stillServes(bed);
  },
);

testWith(NEEDS, 'an unknown user gets the answer of a wrong password', async () => {
  const known = await logOn(bed.targetLogin('mallory'), 'wrong');
  const unknown = await logOn(bed.targetLogin('nobody'), 'wrong');
  assert.deepEqual(
    [unknown.code, unknown.text, unknown.stderr.replaceAll('nobody', 'NAME')],
    [known.code, known.text, known.stderr.replaceAll('mallory', 'NAME')],
  );
  assert.equal(
    (await evidence.event('user.login.failed', (row) => row.actor === 'nobody')).source,
    '127.0.0.1',
  );
});

testWith(NEEDS, 'a name with control characters is refused, and draws nothing on the auditor', async () => {
  const result = await logOn('ali\u001b[2Jce@root@web01', 'wrong');
  assert.deepEqual([result.code, result.text], [255, '']);
  assert.match(result.stderr, /Permission denied \(publickey,password,keyboard-interactive\)/);
  const printed = await bed.gateway.sallyport(['audit']);
  assert.match(printed.text, /control characters are not allowed in a name/);
  assert.ok(!printed.text.includes('\u001b') && !bed.gateway.log().includes('\u001b[2J'));
  await stillServes(bed);
});

testWith(NEEDS, 'a secret that a person tried is nowhere in the log and the audit', async () => {
  await logOn(bed.targetLogin('alice'), 'nearly-the-right-one');
  await evidence.event('user.login.failed', (row) => row.actor === 'alice');
  const told = JSON.stringify(await evidence.audit()) + bed.gateway.log();
  assert.ok(!told.includes('nearly-the-right-one'));
});

testWith(
  NEEDS,
  'who guesses is blocked from there, with the words; others and other places go on',
  async () => {
    const login = bed.targetLogin('mallory');
    // All at once: guesses must not outrun the block by being quick. Two are counted already above at most.
    const guesses = await Promise.all(
      Array.from({ length: 12 }, (_, index) => logOn(login, `guess-${index}`)),
    );
    assert.ok(guesses.every((guess) => guess.code === 255 && guess.text === ''));
    const blocked = await logOn(login, PASSWORD);
    assert.equal(blocked.code, 255, 'even the right password is too late');
    assert.match(blocked.stderr, /too many failed/i);
    const event = await evidence.event('user.login.blocked');
    assert.deepEqual([event.actor, event.source], ['mallory', '127.0.0.1']);

    await stillServes(bed);
    const elsewhere = await logOn(login, PASSWORD, '-b', '127.0.0.2');
    assert.match(elsewhere.stderr, /no policy allows you/, 'mallory is let in from elsewhere');
  },
);
