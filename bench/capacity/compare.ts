/**
 * The same people at the gateway and at bastions of OpenSSH, one after the other: what a typed key, a
 * session and a log-on cost the server that they connect to, with all that it starts.
 */
import { many, sleep } from '../load-process.ts';
import type { Plan } from '../people/mix.ts';
import { ProcessGroup } from '../process-group.ts';
import type { BenchOptions } from '../report.ts';
import type { Endpoint } from '../ssh/jobs.ts';
import { bastionObstacle, RECORDERS, type RecorderName, startBastion } from './bastion.ts';
import { Crew } from './crew.ts';
import { startCapacityGateway, usersOf } from './gateway.ts';
import type { Order } from './jobs.ts';
import { visit } from './sessions.ts';
import { startTargets } from './targets.ts';
import { type KeyFigures, Keys } from './watch.ts';

export type SubjectName = 'gateway' | RecorderName;

export interface Cost {
  readonly subject: SubjectName;
  readonly sessions: number;
  readonly failures: number;
  readonly openedInSeconds: number;
  readonly keys: KeyFigures | undefined;
  readonly directKeys: KeyFigures | undefined;
  readonly cpuUsPerKey: number;
  /** Proportional memory of all processes before the first session, and what each session adds. */
  readonly mibBefore: number;
  readonly mibPerSession: number;
  /** CPU while there are no sessions: it is counted with the keys too. */
  readonly idleCpuMsPerSecond: number;
  /** CPU of logging on, to the target too, and off again. */
  readonly cpuMsPerLogOn: number;
}

interface Subject {
  readonly name: SubjectName;
  /** Of its first process. */
  readonly pid: number;
  readonly endpoint: (n: number) => Endpoint;
}

/** As many as a bastion was measured with elsewhere: each of its sessions takes three processes or four. */
export const BASTION_SESSIONS = 300;
const LOG_ONS = 100;
const LOG_ONS_AT_ONCE = 4;
/** Log-ons before the first that counts: what a running gateway does is compiled by then. */
const WARM_UP = 300;
const SETTLE_MS = 5_000;
const DIRECT = 10;

/** @param seconds how long keys are counted */
export async function compareCosts(
  sessions: number,
  seconds: number,
  options: BenchOptions,
): Promise<Cost[]> {
  const count = Math.min(sessions, BASTION_SESSIONS);
  const targets = await startTargets({ ...NOBODY, type: count });
  const [target] = targets.shells;
  if (target === undefined) throw new Error('no target was started');
  const direct = { host: '127.0.0.1', port: target.port, login: 'work', keyFile: targets.keyFile };
  const costs: Cost[] = [];
  try {
    const gateway = await startCapacityGateway(targets, count);
    try {
      const users = usersOf(count);
      const endpoint = (n: number): Endpoint => ({
        ...direct,
        port: gateway.sshPort,
        login: `${users[n % users.length]}@work@shell0`,
      });
      options.progress('comparison: warming the gateway up');
      await logOns(endpoint, options.quick ? LOG_ONS_AT_ONCE : WARM_UP);
      costs.push(
        await costsOf({ name: 'gateway', pid: gateway.pid, endpoint }, direct, count, seconds, options),
      );
    } finally {
      await gateway.stop();
    }
    for (const recorder of RECORDERS) {
      const missing = bastionObstacle(recorder);
      if (missing !== undefined) {
        options.progress(`no bastion with ${recorder}: ${missing}`);
        continue;
      }
      const bastion = await startBastion(recorder, direct);
      try {
        const subject = { name: recorder, pid: bastion.pid, endpoint: () => bastion.endpoint };
        costs.push(await costsOf(subject, direct, count, seconds, options));
        const { count: files, bytes } = bastion.recordings();
        options.progress(`${recorder}: ${files} recordings, ${(bytes / 2 ** 20).toFixed(1)} MiB`);
      } finally {
        await bastion.stop();
      }
    }
    return costs;
  } finally {
    await targets.stop();
  }
}

const NOBODY: Plan = {
  type: 0,
  typeSshd: 0,
  openssh: 0,
  watch: 0,
  bulk: 0,
  desktop: 0,
  xfreerdp: 0,
  directType: 0,
  directSshd: 0,
  directDesktop: 0,
};

async function costsOf(
  { name, pid, endpoint }: Subject,
  direct: Endpoint,
  count: number,
  seconds: number,
  { progress, quick }: BenchOptions,
): Promise<Cost> {
  const orders: Order[] = [
    ...Array.from({ length: count }, (_, n) => ({
      way: 'via' as const,
      work: 'type' as const,
      endpoint: endpoint(n),
    })),
    ...Array.from({ length: Math.max(1, Math.floor(count / DIRECT)) }, () => ({
      way: 'direct' as const,
      work: 'type' as const,
      endpoint: direct,
    })),
  ];
  const settleMs = quick ? 1000 : SETTLE_MS;
  const group = new ProcessGroup(pid);
  const crew = new Crew(orders);
  try {
    const idle = group.cpuSeconds;
    await sleep(settleMs);
    const idleCpuMsPerSecond = ((group.cpuSeconds - idle) * 1e6) / settleMs;
    const before = group.memory.pssBytes;
    progress(`${name}: opening ${count} sessions`);
    const began = performance.now();
    await crew.open();
    const openedInSeconds = (performance.now() - began) / 1000;
    await sleep(settleMs);
    const errors = [...crew.take().errors];
    progress(`${name}: opened in ${openedInSeconds.toFixed(1)} s, keys for ${seconds} s`);
    const cpu = group.cpuSeconds;
    await sleep(seconds * 1000);
    const used = group.cpuSeconds - cpu;
    const tally = crew.take();
    const keys = new Keys();
    keys.add(tally.keys);
    const { pssBytes } = group.memory;
    await crew.end();
    errors.push(...tally.errors, ...crew.take().errors);
    for (const error of errors.slice(0, 3)) progress(`${name} failed: ${error}`);
    await sleep(settleMs);

    const logged = quick ? LOG_ONS_AT_ONCE * 2 : LOG_ONS;
    progress(`${name}: ${logged} log-ons`);
    const cpuBefore = group.cpuSeconds;
    const failed = await logOns(endpoint, logged);
    // Sessions end at the server a moment after their clients have left.
    await sleep(settleMs);
    const logOnSeconds = group.cpuSeconds - cpuBefore;
    if (failed[0] !== undefined) progress(`${name}, log-ons: ${failed[0]}`);
    return {
      subject: name,
      sessions: count,
      failures: errors.length + failed.length,
      openedInSeconds,
      keys: keys.figures('via', 'ssh'),
      directKeys: keys.figures('direct', 'ssh'),
      cpuUsPerKey: (used * 1e6) / keys.count,
      mibBefore: before / 2 ** 20,
      mibPerSession: (pssBytes - before) / 2 ** 20 / count,
      idleCpuMsPerSecond,
      cpuMsPerLogOn: (logOnSeconds * 1000) / (logged - failed.length),
    };
  } finally {
    crew.kill();
    group.close();
  }
}

/** With OpenSSH's client: log on, wait for the prompt, type `exit`. @returns errors */
async function logOns(endpoint: (n: number) => Endpoint, count: number): Promise<readonly string[]> {
  let next = 0;
  const { errors } = await many(count, LOG_ONS_AT_ONCE, () => visit(endpoint(next++)));
  return errors;
}
