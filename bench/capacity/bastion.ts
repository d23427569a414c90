/**
 * What people use instead: a bastion of OpenSSH whose forced command records with `script` or with `tlog`
 * what the terminal shows, as both do by default, and goes on to the target with `ssh`.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { obstacle, type Package } from '../../test/support/packages.ts';
import { runOk } from '../../test/support/process.ts';
import { startSshd } from '../../test/support/sshd.ts';
import { temporaryFolder } from '../../test/support/temp.ts';
import type { Endpoint } from '../ssh/jobs.ts';

export const RECORDERS = ['script', 'tlog'] as const;
export type RecorderName = (typeof RECORDERS)[number];

const PACKAGE: Readonly<Record<RecorderName, readonly Package[]>> = {
  script: ['openssh-server', 'openssh-client'],
  tlog: ['openssh-server', 'openssh-client', 'tlog'],
};

export interface Bastion {
  /** Where people log on. */
  readonly endpoint: Endpoint;
  /** Of the server: what it started is its children. */
  readonly pid: number;
  /** Recordings, and their bytes. */
  recordings(): { readonly count: number; readonly bytes: number };
  stop(): Promise<void>;
}

/** Why there can be none here; undefined: there can. */
export const bastionObstacle = (recorder: RecorderName): string | undefined => obstacle(PACKAGE[recorder]);

/** @param target where every session goes on to, and the private key for it */
export async function startBastion(recorder: RecorderName, target: Endpoint): Promise<Bastion> {
  const shared = temporaryFolder('bench-bastion');
  chmodSync(shared, 0o755);
  const command = join(shared, 'record');
  const sshd = await startSshd({
    config: [`ForceCommand ${command}`, 'MaxStartups 4000', 'LogLevel INFO'],
    // With PAM, as distributions configure it.
    methods: ['publickey', 'keyboard-interactive'],
  });
  const { account } = sshd;
  const folder = join(account.home, 'recordings');
  const keyFile = join(account.home, 'target_key');
  const config = join(account.home, 'target_config');
  mkdirSync(folder);
  copyFileSync(target.keyFile, keyFile);
  chmodSync(keyFile, 0o600);
  writeFileSync(config, onwardsTo({ ...target, keyFile }));
  // Who records a terminal says so there; a boot would have made it.
  const withoutUtmp = !existsSync('/run/utmp');
  if (withoutUtmp) await runOk('install', ['-m', '664', '-g', 'utmp', '/dev/null', '/run/utmp']);
  await runOk('chown', ['-R', `${account.name}:`, folder, keyFile, config]);
  writeFileSync(command, recording(recorder, folder, `ssh -F ${config} target`), { mode: 0o755 });
  return {
    endpoint: {
      host: sshd.host,
      port: sshd.port,
      login: account.name,
      keyFile: join(sshd.folder, 'user_key'),
    },
    pid: Number(readFileSync(join(sshd.folder, 'sshd.pid'), 'utf8')),
    recordings() {
      const files = globSync('*', { cwd: folder }).map((name) => join(folder, name));
      return { count: files.length, bytes: files.reduce((sum, file) => sum + statSync(file).size, 0) };
    },
    async stop() {
      await sshd.stop();
      if (withoutUtmp) rmSync('/run/utmp', { force: true });
    },
  };
}

/** Without algorithms: those of OpenSSH as it is installed. */
const onwardsTo = ({ host, port, login, keyFile }: Endpoint): string =>
  [
    'Host target',
    `  HostName ${host}`,
    `  Port ${port}`,
    `  User ${login}`,
    `  IdentityFile ${keyFile}`,
    '  IdentitiesOnly yes',
    // The target lives as long as the benchmark, on loopback: its key proves nothing.
    '  StrictHostKeyChecking no',
    '  UserKnownHostsFile /dev/null',
    '  LogLevel ERROR',
    '',
  ].join('\n');

/** A shell script that becomes the recorder of one session; the client's port makes its name unique. */
function recording(recorder: RecorderName, folder: string, onwards: string): string {
  const file = `${folder}/$$-$2`;
  const commands = {
    script: `exec script -q -f -c '${onwards}' ${file}.typescript`,
    tlog: `LC_ALL=C.UTF-8 exec tlog-rec --writer=file --file-path=${file}.json ${onwards}`,
  };
  return ['#!/bin/sh', 'set -- $SSH_CLIENT', commands[recorder], ''].join('\n');
}
