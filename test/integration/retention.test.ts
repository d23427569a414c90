/** Recordings whose time is over, with the real command line: held, listed, deleted, and what is said of them then. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type RunResult, until } from '../support/process.ts';
import { openTerminal } from '../support/terminal.ts';

const SALLYPORT = join(import.meta.dirname, '../../bin/sallyport.js');
const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed({
    document: () => ({
      users: [{ name: 'bob', password: PASSWORD }],
      policies: [
        {
          name: 'short',
          users: ['bob'],
          accounts: ['*@web01'],
          allow: ['shell', 'exec'],
          retention: '1s',
        },
      ],
    }),
  });
});
after(() => bed?.stop());

interface Line {
  readonly id: string;
  readonly action: string;
  readonly user?: string;
  readonly rule?: string;
  readonly why?: string;
}

const sallyport = (...words: string[]): Promise<RunResult> => bed.gateway.sallyport(words);
const recordings = (): Promise<{ id: string; user: string; state: string }[]> =>
  bed.gateway.json(['recordings', 'ls']);
const due = (): Promise<Line[]> => bed.gateway.json(['recordings', 'prune', '--dry-run']);
const inArchive = (): string =>
  readdirSync(join(bed.gateway.dataDir, 'archive'), { recursive: true }).join('\n');

/** The id of the newest recording of this user whose session has ended. */
const recorded = (user: string): Promise<string> =>
  until(`a recording of ${user} has ended`, async () => {
    const row = (await recordings()).find((each) => each.user === user && each.state === 'ended');
    return row?.id;
  });

/** Lists until the recording is there as said. */
const listedAs = (id: string, action: string): Promise<Line> =>
  until(`recording ${id} is listed as ${action}`, async () =>
    (await due()).find((line) => line.id === id && line.action === action),
  );

async function ok(...words: string[]): Promise<string> {
  const result = await sallyport(...words);
  assert.equal(result.code, 0, `${words.join(' ')}: ${result.stderr}`);
  return result.text;
}

async function refused(words: string[], because: RegExp): Promise<void> {
  const result = await sallyport(...words);
  assert.equal(result.code, 1, words.join(' '));
  assert.match(result.stderr, because);
  assert.doesNotMatch(result.stderr, /\n\s+at /);
}

testWith(NEEDS, 'a hold keeps a recording, its release lets it go, and what is gone is said', async () => {
  assert.equal((await ssh(bed.door, ['target', 'true'])).code, 0);
  const alices = await recorded('alice');
  const terminal = sshTerminal(bed.doorFor(bed.targetLogin('bob'), PASSWORD), ['target']);
  await terminal.expect('$ ');
  terminal.type('echo forget-xyzzy\r');
  await terminal.expect('forget-xyzzy\r\n');
  terminal.type('exit\r');
  await terminal.ended;
  const id = await recorded('bob');
  assert.match(await ok('recordings', 'search', 'xyzzy'), /forget-xyzzy/);

  assert.match(await ok('recordings', 'hold', id, '--reason', 'case 12'), new RegExp(`^held: ${id}, bob on`));
  assert.match(await ok('recordings', 'ls'), new RegExp(`${id} .*sealed, held`));
  const shown = await ok('recordings', 'show', id);
  assert.match(shown, /^kept +1s \(policy short\)$/m);
  assert.match(shown, /^hold +held by \S+ since \S+ \(case 12\)$/m);

  const kept = await listedAs(id, 'kept');
  assert.match(kept.why ?? '', /^held by/);
  const nothing = await ok('recordings', 'prune', '--yes');
  assert.match(nothing, /\n0 deleted, 0 B\n$/);
  assert.match(await ok('recordings', 'verify', id), /^ok: /);

  await ok('recordings', 'release', id, '--reason', 'case closed');
  const going = await listedAs(id, 'prune');
  assert.deepEqual([going.user, going.rule], ['bob', '1s (policy short)']);
  await refused(['recordings', 'prune'], /1 recording \(.*\) would be deleted for good: say --yes/);
  const asked = openTerminal(process.execPath, [
    SALLYPORT,
    'recordings',
    'prune',
    '--config',
    bed.gateway.configFile,
  ]);
  await asked.expect('Delete 1 recording (', 30_000);
  asked.type('no\r');
  assert.equal(await asked.ended, 1);
  assert.match(asked.screen.toString(), /nothing was deleted/);
  assert.match(inArchive(), new RegExp(id));

  // An archive that is away is told, with exit code 1, and nothing is taken for deleted.
  const archive = join(bed.gateway.dataDir, 'archive');
  renameSync(archive, `${archive}.away`);
  const away = await sallyport('recordings', 'prune', '--yes');
  renameSync(`${archive}.away`, archive);
  assert.equal(away.code, 1);
  assert.match(away.text, new RegExp(`${id} +failed .*is missing: create it or mount it`));
  assert.match(away.stderr, /is missing: create it or mount it/);
  assert.match(inArchive(), new RegExp(id));

  // Another archive is noticed: nothing is taken for deleted.
  renameSync(archive, `${archive}.away`);
  mkdirSync(join(archive, '2026'), { recursive: true });
  const wrong = await sallyport('recordings', 'prune', '--yes');
  rmSync(archive, { recursive: true });
  renameSync(`${archive}.away`, archive);
  assert.deepEqual([wrong.code, wrong.text], [1, '']);
  assert.match(wrong.stderr, /archive\.url: file:.* holds none of the recordings whose time is over \(1\)/);
  assert.match(await ok('recordings', 'search', 'xyzzy'), /forget-xyzzy/);

  const done = await bed.gateway.json<Line[]>(['recordings', 'prune', '--yes']);
  assert.deepEqual(
    done.map((line) => [line.id, line.action]),
    [[id, 'pruned']],
  );
  assert.doesNotMatch(inArchive(), new RegExp(id));
  assert.match(inArchive(), new RegExp(alices));
  assert.doesNotMatch(await ok('recordings', 'search', 'xyzzy'), /forget-xyzzy/);

  const gone = new RegExp(
    `recording ${id} was deleted on \\S+ by \\S+: it was kept for 1s \\(policy short\\)`,
  );
  await Promise.all([
    ...['show', 'play', 'verify'].map((verb) => refused(['recordings', verb, id], gone)),
    refused(['recordings', 'export', id, '--format', 'txt'], gone),
    refused(['recordings', 'hold', id, '--reason', 'too late'], gone),
  ]);
  const [listed, session] = await Promise.all([ok('recordings', 'ls'), ok('sessions', 'show', id)]);
  assert.match(listed, new RegExp(`${id} .* pruned`));
  assert.match(session, gone);

  const audit = await bed.gateway.json<{ code: string; detail: Record<string, unknown> }[]>([
    'audit',
    '--session',
    id,
  ]);
  const codes = audit.map(({ code }) => code).filter((code) => /held|released|pruned/.test(code));
  assert.deepEqual(codes, ['recording.pruned', 'recording.released', 'recording.held']);
  const detail = audit.find(({ code }) => code === 'recording.pruned')?.detail;
  assert.deepEqual([detail?.['rule'], detail?.['user']], ['1s (policy short)', 'bob']);
  assert(audit.some(({ code }) => code === 'session.ended'));
});

testWith(NEEDS, 'a policy that says less now does not shorten what was recorded under it', async () => {
  const policy = { users: ['bob'], accounts: ['*@web01'], allow: ['exec'], name: 'short' };
  await bed.gateway.apply({ policies: [{ ...policy, retention: '900d' }] });
  const before = new Set((await recordings()).map(({ id }) => id));
  const door = bed.doorFor(bed.targetLogin('bob'), PASSWORD);
  assert.equal((await ssh(door, ['target', 'true'])).code, 0);
  const id = await until(
    'it is recorded',
    async () => (await recordings()).find((row) => !before.has(row.id) && row.state === 'ended')?.id,
  );
  await bed.gateway.apply({ policies: [{ ...policy, retention: '1s' }] });
  assert.match(await ok('recordings', 'show', id), /^kept +900d \(as it was when recorded\)$/m);
  assert.equal(
    (await due()).find((line) => line.id === id),
    undefined,
  );
});
