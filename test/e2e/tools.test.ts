/** Tools that work over ssh: rsync, git, Ansible, tar. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type RunResult, run, runOk } from '../support/process.ts';
import { digestFile, makeTree, randomFile, treeDigest } from '../support/tree.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const MEGABYTE = 1024 * 1024;
let bed: Bed;
let home: string;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed();
  home = bed.sshd.account.home;
});
after(() => bed?.stop());

function rsync(args: readonly string[]): Promise<RunResult> {
  const shell = ['-e', `ssh -F ${bed.door.sshConfig}`];
  return run('rsync', [...shell, ...args], { env: bed.door.env, timeoutMs: 100_000 });
}

testWith(
  [...NEEDS, 'rsync'],
  'rsync copies two thousand files, then only what changed, both ways',
  async () => {
    const tree = join(bed.folder, 'rsync-tree');
    makeTree(tree, 2000);
    const up = await rsync(['-a', `${tree}/`, 'target:tree/']);
    assert.equal(up.code, 0, up.stderr);
    assert.deepEqual(treeDigest(join(home, 'tree')), treeDigest(tree));

    writeFileSync(join(tree, 'changed'), 'new\n');
    rmSync(join(tree, 'empty'));
    const again = await rsync(['-a', '--delete', '--itemize-changes', `${tree}/`, 'target:tree/']);
    assert.match(again.text, /^<f\+{9} changed$/m);
    assert.match(again.text, /^\*deleting +empty$/m);
    assert.equal(again.text.match(/^<f/gm)?.length, 1);

    const down = await rsync(['-az', 'target:tree/', `${tree}-back/`]);
    assert.equal(down.code, 0, down.stderr);
    assert.deepEqual(treeDigest(`${tree}-back`), treeDigest(tree));
  },
);

testWith(
  [...NEEDS, 'rsync'],
  'rsync copies two hundred megabytes',
  async () => {
    const file = randomFile(join(bed.folder, 'rsync-big'), 200 * MEGABYTE);
    const result = await rsync(['--whole-file', file, 'target:rsync-big']);
    assert.equal(result.code, 0, result.stderr);
    assert.equal(digestFile(join(home, 'rsync-big')), digestFile(file));
  },
  { timeout: 120_000 },
);

testWith([...NEEDS, 'rsync'], 'rsync shows the errors of the target', async () => {
  const result = await rsync(['target:absent', bed.folder]);
  assert.equal(result.code, 23);
  assert.match(result.stderr, /absent" failed: No such file or directory/);
});

testWith([...NEEDS, 'git'], 'git clones, pushes and fetches', async () => {
  const env = {
    ...bed.door.env,
    GIT_SSH_COMMAND: `ssh -F ${bed.door.sshConfig}`,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_AUTHOR_NAME: 'Alice',
    GIT_AUTHOR_EMAIL: 'alice@corp.example',
    GIT_COMMITTER_NAME: 'Alice',
    GIT_COMMITTER_EMAIL: 'alice@corp.example',
  };
  const git = (cwd: string, ...args: string[]): Promise<RunResult> => runOk('git', args, { cwd, env });
  const work = join(bed.folder, 'git-work');
  mkdirSync(work);
  await git(work, 'init', '-q', '-b', 'main');
  makeTree(join(work, 'files'), 200);
  await git(work, 'add', '.');
  await git(work, 'commit', '-q', '-m', 'one');
  await run('ssh', ['-F', bed.door.sshConfig, 'target', 'git init -q --bare -b main repo.git'], { env });
  await git(work, 'push', '-q', 'target:repo.git', 'main');
  await git(bed.folder, 'clone', '-q', 'target:repo.git', 'git-clone');
  assert.deepEqual(treeDigest(join(bed.folder, 'git-clone/files')), treeDigest(join(work, 'files')));
  writeFileSync(join(work, 'two'), 'two\n');
  await git(work, 'add', '.');
  await git(work, 'commit', '-q', '-m', 'two');
  await git(work, 'push', '-q', 'target:repo.git', 'main');
  await git(join(bed.folder, 'git-clone'), 'pull', '-q');
  assert.equal(readFileSync(join(bed.folder, 'git-clone/two'), 'utf8'), 'two\n');
});

testWith(
  [...NEEDS, 'ansible-core', 'sshpass', 'openssh-sftp-server'],
  'Ansible pings, copies a file and runs a command',
  async () => {
    const { door } = bed;
    const folder = join(bed.folder, 'ansible');
    mkdirSync(folder);
    const inventory = join(folder, 'inventory.json');
    const vars = {
      ansible_host: door.host,
      ansible_port: door.port,
      ansible_user: door.login,
      ansible_password: door.password,
      ansible_python_interpreter: '/usr/bin/python3',
      ansible_ssh_common_args: `-F /dev/null -o UserKnownHostsFile=${door.knownHosts}`,
    };
    writeFileSync(inventory, JSON.stringify({ all: { hosts: { web01: vars } } }), { mode: 0o600 });
    const env = {
      HOME: folder,
      LC_ALL: 'C.UTF-8',
      ANSIBLE_HOST_KEY_CHECKING: 'True',
      ANSIBLE_SSH_CONTROL_PATH_DIR: folder,
      // Its master connection must not outlive the test for long.
      ANSIBLE_SSH_ARGS: '-C -o ControlMaster=auto -o ControlPersist=3s',
      // sshpass answers at the prompt of a terminal.
      SSH_ASKPASS_REQUIRE: 'never',
    };
    const ansible = (...args: string[]): Promise<RunResult> =>
      runOk('/usr/bin/ansible', ['web01', '-i', inventory, ...args], { cwd: folder, env, timeoutMs: 55_000 });
    assert.match((await ansible('-m', 'ping')).text, /web01 \| SUCCESS .*"ping": "pong"/s);
    const file = randomFile(join(folder, 'payload'), 300_000);
    // Not `~`: Ansible makes that `~LOGIN`, and the login here names more than the account.
    const copy = ['-m', 'copy', '-a', `src=${file} dest=${home}/copied mode=0640`];
    const copied = await ansible(...copy);
    assert.match(copied.text, /web01 \| CHANGED/);
    assert.equal(digestFile(join(home, 'copied')), digestFile(file));
    const again = await ansible(...copy);
    assert.match(again.text, /web01 \| SUCCESS .*"changed": false/s);
    const command = await ansible('-m', 'command', '-a', 'id -un');
    assert.match(command.text, new RegExp(`rc=0 >>\n${bed.sshd.account.name}\n`));
  },
  { timeout: 120_000 },
);

testWith(NEEDS, 'tar through ssh moves a tree both ways', async () => {
  const tree = join(bed.folder, 'tar-tree');
  makeTree(tree, 300);
  mkdirSync(`${tree}-back`);
  const ssh = `ssh -F ${bed.door.sshConfig} target`;
  const shell = (command: string): Promise<RunResult> =>
    runOk('bash', ['-o', 'pipefail', '-c', command], { env: bed.door.env });
  await shell(`tar -C ${tree} -cf - . | ${ssh} 'mkdir tar-tree && tar -C tar-tree -xf -'`);
  await shell(`${ssh} 'tar -C tar-tree -czf - .' | tar -C ${tree}-back -xzf -`);
  assert.deepEqual(treeDigest(join(home, 'tar-tree')), treeDigest(tree));
  assert.deepEqual(treeDigest(`${tree}-back`), treeDigest(tree));
});
