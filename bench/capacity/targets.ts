/** The targets of many sessions on loopback: synthetic ones in processes of their own, a real sshd, a real xrdp. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, startDaemon, until } from '../../test/support/process.ts';
import { generateKey, type Sshd, startSshd } from '../../test/support/sshd.ts';
import { temporaryFolder } from '../../test/support/temp.ts';
import { startXrdp, type Xrdp } from '../../test/support/xrdp.ts';
import type { Plan } from '../people/mix.ts';
import type { TargetFacts } from '../rdp/jobs.ts';
import { CIPHER } from '../ssh/bed.ts';
import { PRINTED_LINES } from './jobs.ts';

/** Sessions of one synthetic target. */
const SESSIONS_PER_TARGET = 300;
const START_MS = 60_000;

export interface ShellTarget {
  readonly port: number;
  readonly hostKey: string;
}

export interface Targets {
  readonly shells: readonly ShellTarget[];
  readonly desktops: readonly TargetFacts[];
  readonly sshd: Sshd | undefined;
  readonly xrdp: Xrdp | undefined;
  /** The key that everybody logs on with, at the gateway and at synthetic targets. */
  readonly keyFile: string;
  readonly publicKey: string;
  /** Of the synthetic targets. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export async function startTargets(plan: Plan): Promise<Targets> {
  const folder = temporaryFolder('bench-capacity');
  const keyFile = join(folder, 'key');
  const publicKey = await generateKey(keyFile);
  const daemons: Daemon[] = [];
  const shells: ShellTarget[] = [];
  for (let left = plan.type + plan.watch + plan.bulk; left > 0; left -= SESSIONS_PER_TARGET) {
    const hostKeyFile = join(folder, `host-key-${shells.length}`);
    const hostKey = await generateKey(hostKeyFile);
    const daemon = startDaemon(process.execPath, [join(import.meta.dirname, 'ssh-target.ts'), hostKeyFile]);
    daemons.push(daemon);
    shells.push({ ...(await factsOf<{ port: number }>(daemon)), hostKey });
  }
  const desktops: TargetFacts[] = [];
  for (let left = plan.desktop; left > 0; left -= SESSIONS_PER_TARGET) {
    const script = join(import.meta.dirname, '../rdp/target.ts');
    const daemon = startDaemon(process.execPath, [script, temporaryFolder('bench-rdp'), '0']);
    daemons.push(daemon);
    desktops.push(await factsOf<TargetFacts>(daemon));
  }
  const sshd = plan.typeSshd + plan.openssh > 0 ? await startShells() : undefined;
  const xrdp = plan.xfreerdp > 0 ? await startXrdp({ startwm: SLOW_LOG }) : undefined;
  return {
    shells,
    desktops,
    sshd,
    xrdp,
    keyFile,
    publicKey,
    pids: daemons.map(({ pid }) => pid),
    async stop() {
      await Promise.all([...daemons.map((daemon) => daemon.stop()), sshd?.stop(), xrdp?.stop()]);
    },
  };
}

/** A real desktop on which a log shows some lines every second; each says on which display it is. */
const SLOW_LOG: readonly string[] = [
  'echo $DISPLAY >> ready',
  "exec xterm -geometry 78x24+0+0 -fa '' -fn fixed -e sh -c 'while :; do date; seq 4; sleep 1; done'",
];

/** A real sshd whose shell prints some lines for whatever is typed. */
async function startShells(): Promise<Sshd> {
  const sshd = await startSshd({ config: [`Ciphers ${CIPHER}`, 'MaxStartups 4000', 'LogLevel ERROR'] });
  const printed = `command_not_found_handle() { seq 1000000000 ${1_000_000_000 + PRINTED_LINES}; }\n`;
  appendFileSync(join(sshd.account.home, '.bashrc'), printed);
  return sshd;
}

async function factsOf<Facts>(daemon: Daemon): Promise<Facts> {
  const line = await until('a target', () => /^(\{.*\})\n/m.exec(daemon.output())?.[1], START_MS);
  return JSON.parse(line) as Facts;
}
