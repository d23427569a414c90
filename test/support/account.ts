/** A throw-away system account on this machine, for the servers that are targets. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processesOf, runOk } from './process.ts';
import { atExit } from './temp.ts';

export interface SystemAccount {
  readonly name: string;
  readonly password: string;
  readonly uid: number;
  readonly home: string;
  remove(): void;
}

/** useradd and userdel of test files that run at the same time take turns. */
const LOCKED = ['-w', '60', '/run/lock/sallyport-test-accounts'] as const;

/** Makes an account with a home folder, bash and a random password; removed with the test process. */
export async function createAccount(): Promise<SystemAccount> {
  const name = `spt${randomBytes(4).toString('hex')}`;
  const password = `target-${randomBytes(12).toString('base64url')}`;
  await runOk('flock', [...LOCKED, 'useradd', '-m', '-s', '/bin/bash', name]);
  const uid = Number((await runOk('id', ['-u', name])).text);
  const home = `/home/${name}`;
  const remove = (): void => {
    for (const pid of processesOf(uid, readdirSync('/proc'))) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    spawnSync('flock', [...LOCKED, 'userdel', '-rf', name], { stdio: 'ignore' });
  };
  const withdraw = atExit(remove);
  await runOk('flock', [...LOCKED, 'chpasswd'], { input: `${name}:${password}\n` });
  // A prompt without machine and folder, no greeting: terminal output that tests can compare.
  writeFileSync(
    join(home, '.bashrc'),
    "PS1='$ '\nunset PROMPT_COMMAND HISTFILE\nbind 'set enable-bracketed-paste off' 2>/dev/null\n",
  );
  writeFileSync(join(home, '.bash_profile'), '. ~/.bashrc\n');
  writeFileSync(join(home, '.hushlogin'), '');
  return {
    name,
    password,
    uid,
    home,
    remove: () => {
      withdraw();
      remove();
    },
  };
}
