/** OpenSSH's sftp and scp (new and legacy protocol), both ways. */
import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, DIRECT, openssh, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import type { RunResult } from '../support/process.ts';
import { transfers } from '../support/recording.ts';
import { digestFile, makeTree, randomFile, treeDigest } from '../support/tree.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'openssh-sftp-server'] as const;
const MEGABYTE = 1024 * 1024;
let bed: Bed;
let home: string;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed({ sshd: { sftp: 'sftp-server' } });
  home = bed.sshd.account.home;
});
after(() => bed?.stop());

/** Runs sftp commands; the first that fails ends it. */
function sftp(commands: readonly string[], options: readonly string[] = []): Promise<RunResult> {
  return openssh(bed.door, 'sftp', [...options, '-b', '-', 'target'], {
    input: `${commands.join('\n')}\n`,
    // A batch file turns the password prompt off unless told otherwise.
    timeoutMs: 50_000,
  });
}
const ASK = ['-o', 'BatchMode=no'];

async function assertRecorded(expected: readonly unknown[][]): Promise<void> {
  if (!DIRECT) assert.deepEqual(await transfers(bed.gateway), expected);
}

testWith(NEEDS, 'sftp puts, lists, renames, gets and removes', async () => {
  const file = randomFile(join(bed.folder, 'sftp-up'), 3 * MEGABYTE + 17);
  const back = join(bed.folder, 'sftp-back');
  const result = await sftp(
    [
      'mkdir work',
      'cd work',
      `put ${file} first`,
      'rename first "second name"',
      'chmod 640 "second name"',
      'ls -l',
      `get "second name" ${back}`,
      'symlink "second name" link',
      'rm link',
      'rm "second name"',
      'cd ..',
      'rmdir work',
      'pwd',
    ],
    ASK,
  );
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.text, /-rw-r-----.* 3145745 .* second name/);
  assert.match(result.text, new RegExp(`Remote working directory: ${home}\n`));
  assert.equal(digestFile(back), digestFile(file));
  assert.ok(!existsSync(join(home, 'work')));
});

testWith(NEEDS, 'sftp moves fifty megabytes both ways', async () => {
  const file = randomFile(join(bed.folder, 'big'), 50 * MEGABYTE);
  const result = await sftp([`put ${file} big`, `get big ${file}.back`], ASK);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(digestFile(join(home, 'big')), digestFile(file));
  assert.equal(digestFile(`${file}.back`), digestFile(file));
  await assertRecorded(
    ['upload', 'download'].map((operation) => [operation, 50 * MEGABYTE, digestFile(file)]),
  );
});

testWith(NEEDS, 'sftp resumes a broken transfer', async () => {
  const file = randomFile(join(bed.folder, 'resume'), 2 * MEGABYTE);
  const half = readFileSync(file).subarray(0, MEGABYTE);
  writeFileSync(join(home, 'resume'), half);
  chownSync(join(home, 'resume'), bed.sshd.account.uid, bed.sshd.account.uid);
  writeFileSync(`${file}.back`, half);
  const result = await sftp([`reput ${file} resume`, `reget resume ${file}.back`], ASK);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(digestFile(join(home, 'resume')), digestFile(file));
  assert.equal(digestFile(`${file}.back`), digestFile(file));
  await assertRecorded([
    ['upload', MEGABYTE, 'appended'],
    ['download', MEGABYTE, 'resumed'],
  ]);
});

testWith(NEEDS, 'sftp shows the errors of the target', async () => {
  const absent = await sftp(['get absent /dev/null'], ASK);
  assert.notEqual(absent.code, 0);
  assert.match(absent.stderr, /File ".*absent" not found|absent.*No such file/);
  const denied = await sftp([`put ${bed.door.sshConfig} /etc/sallyport-denied`], ASK);
  assert.notEqual(denied.code, 0);
  assert.match(denied.stderr, /Permission denied/);
});

testWith(NEEDS, 'sftp copies a tree both ways', async () => {
  const tree = join(bed.folder, 'sftp-tree');
  makeTree(tree, 60);
  const back = join(bed.folder, 'sftp-tree-back');
  const result = await sftp(['mkdir sftp-tree', `put -r ${tree} .`, `get -r sftp-tree ${back}`], ASK);
  assert.equal(result.code, 0, result.stderr);
  assert.deepEqual(treeDigest(join(home, 'sftp-tree')), treeDigest(tree));
  assert.deepEqual(treeDigest(back), treeDigest(tree));
});

for (const [name, options] of [
  ['scp', []],
  ['legacy scp', ['-O']],
] as const) {
  testWith(NEEDS, `${name} copies files both ways and keeps times and modes`, async () => {
    const file = randomFile(join(bed.folder, `${name} up`), 20 * MEGABYTE + 1);
    const remote = `copied-${options.length}`;
    const up = await openssh(bed.door, 'scp', [...options, '-p', file, `target:${remote}`]);
    assert.equal(up.code, 0, up.stderr);
    await assertRecorded([['upload', 20 * MEGABYTE + 1, digestFile(file)]]);
    const down = await openssh(bed.door, 'scp', [...options, '-p', `target:${remote}`, `${file}.back`]);
    assert.equal(down.code, 0, down.stderr);
    await assertRecorded([['download', 20 * MEGABYTE + 1, digestFile(file)]]);
    assert.equal(digestFile(join(home, remote)), digestFile(file));
    assert.equal(digestFile(`${file}.back`), digestFile(file));
    const seconds = (path: string): number => Math.floor(statSync(path).mtimeMs / 1000);
    assert.equal(seconds(`${file}.back`), seconds(file));
    assert.equal(statSync(join(home, remote)).mode, statSync(file).mode);
  });

  testWith(NEEDS, `${name} copies a tree both ways`, async () => {
    const tree = join(bed.folder, `${name}-tree`);
    makeTree(tree, 60);
    const remote = `tree-${options.length}`;
    const up = await openssh(bed.door, 'scp', [...options, '-r', tree, `target:${remote}`]);
    assert.equal(up.code, 0, up.stderr);
    const down = await openssh(bed.door, 'scp', [...options, '-r', `target:${remote}`, `${tree}-back`]);
    assert.equal(down.code, 0, down.stderr);
    assert.deepEqual(treeDigest(join(home, remote)), treeDigest(tree));
    assert.deepEqual(treeDigest(`${tree}-back`), treeDigest(tree));
  });

  testWith(NEEDS, `${name} shows the errors of the target`, async () => {
    const absent = await openssh(bed.door, 'scp', [...options, 'target:absent', '/dev/null']);
    assert.equal(absent.code, 1);
    assert.match(absent.stderr, /absent.*No such file or directory/);
  });
}

testWith(NEEDS, 'several empty files and wildcards go through legacy scp', async () => {
  const names = ['a1', 'a2', 'a3'];
  for (const name of names) writeFileSync(join(bed.folder, name), name === 'a2' ? '' : name);
  const files = names.map((name) => join(bed.folder, name));
  const up = await openssh(bed.door, 'scp', ['-O', ...files, 'target:']);
  assert.equal(up.code, 0, up.stderr);
  mkdirSync(join(bed.folder, 'wild'));
  const down = await openssh(bed.door, 'scp', ['-O', 'target:a?', join(bed.folder, 'wild')]);
  assert.equal(down.code, 0, down.stderr);
  assert.deepEqual(
    treeDigest(join(bed.folder, 'wild')),
    names.map((name) => `${name} ${digestFile(join(bed.folder, name))}`),
  );
});
