/** The load itself: from no session to all, a while with all of them, and back to none. */
import { obstacle } from '../../test/support/packages.ts';
import { percentile } from '../figures/statistics.ts';
import { sleep } from '../load-process.ts';
import { watchSteal } from '../machine.ts';
import { type Mix, type Plan, planOf, sessionsOf, typistsOf } from '../people/mix.ts';
import { cpuWithEnded, processTree } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { Crew } from './crew.ts';
import { ordersOf, startCapacityGateway, usersOf } from './gateway.ts';
import { KEYS_PER_SECOND, PROTOCOLS, type Protocol, type Way } from './jobs.ts';
import { RealDesktops } from './real-desktops.ts';
import { lookAtRecordings, type Recordings } from './recordings.ts';
import { startTargets } from './targets.ts';
import { type KeyFigures, Keys, type Sample, Watch } from './watch.ts';

export interface HoldOptions {
  readonly sessions: number;
  readonly mix: Mix;
  /** With all sessions open. */
  readonly seconds: number;
  /** Sessions that end and begin anew, each second. */
  readonly renewedPerSecond: number;
}

export interface Added {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** One key each: says what may happen, not how often. */
  readonly maxMs: number;
}

export interface Held {
  readonly plan: Plan;
  readonly sessions: number;
  /** Over the whole run: some end and begin anew. */
  readonly opened: number;
  /** Sessions that did not come up, ended early, or lost a key. */
  readonly failures: number;
  /** What some of them said, and direct ones that failed. */
  readonly errors: readonly string[];
  readonly noneToAllSeconds: number;
  readonly setUps: Readonly<Partial<Record<Protocol, { readonly p50Ms: number; readonly p99Ms: number }>>>;
  /** While all were open. */
  readonly keys: Readonly<Record<Way, Readonly<Partial<Record<Protocol, KeyFigures>>>>>;
  readonly added: Readonly<Partial<Record<Protocol, Added>>>;
  /** Keys pressed, to those that so many people were to press: less where the load itself was held up. */
  readonly keysToMeant: number;
  readonly shownBytesPerSecond: number;
  /** While all were open. */
  readonly gatewayCores: number;
  /** Over everything. */
  readonly gatewayCpuSeconds: number;
  readonly loadCores: number;
  readonly targetCores: number;
  /** Share of the machine's CPU time that its host spent on others while all were open. */
  readonly stolen: number;
  /** The largest that were seen. */
  readonly rssBytes: number;
  readonly pssBytes: number;
  /** Of those that were seen while all were open: the largest. */
  readonly archiveLagMs: number | undefined;
  readonly recordings: Recordings;
  /** When all were open and when the end began, seconds as in the samples. */
  readonly allOpenAt: number;
  readonly endedAt: number;
  readonly samples: readonly Sample[];
}

/** How long the last samples of the way up may still be told as those of the hold. */
const SETTLE_MS = 3_000;
const LAST_RENEWED_SECONDS = 30;
const TOLD_SECONDS = 60;
const VERIFIED = 6;
const REAL_DESKTOPS = ['xrdp', 'xorgxrdp', 'freerdp2-x11', 'xvfb', 'xauth', 'x11-utils', 'xterm'] as const;

export async function holdSessions(options: HoldOptions, { progress, quick }: BenchOptions): Promise<Held> {
  const missing = options.mix === 'ssh' ? undefined : obstacle(REAL_DESKTOPS);
  if (missing !== undefined) progress(`without desktops of a real xrdp: ${missing}`);
  const plan = planOf(options.sessions, options.mix, missing === undefined);
  const sessions = sessionsOf(plan);
  progress('targets');
  const targets = await startTargets(plan);
  const real = targets.xrdp === undefined ? undefined : await RealDesktops.prepare(targets.xrdp);
  progress('gateway');
  const gateway = await startCapacityGateway(targets, sessions);
  const crew = new Crew(ordersOf(plan, targets, gateway));
  try {
    const watch = new Watch({
      crew,
      gateway: gateway.pid,
      healthPort: gateway.healthPort,
      targets: targets.pids,
      others: () => real?.count ?? 0,
    });
    progress(`opening ${sessions} sessions`);
    await Promise.all([crew.open(), real?.open(plan.xfreerdp, usersOf(sessions), gateway)]);
    const noneToAllSeconds = watch.second;
    progress(`all open after ${noneToAllSeconds.toFixed(1)} s, held for ${options.seconds} s`);
    await sleep(SETTLE_MS);
    const allOpenAt = watch.second;
    watch.keys = new Keys();
    const bytes = watch.bytes;
    const steal = watchSteal();
    await passTime(crew, options, progress, watch);
    const endedAt = watch.second;
    const stolen = steal();
    const { keys } = watch;
    // What is answered from now on is of nobody's hold.
    watch.keys = new Keys();
    const shown = watch.bytes - bytes;
    progress('ending the sessions');
    await Promise.all([crew.end(), real?.close()]);
    watch.stop();
    const gatewayCpuSeconds = cpuWithEnded(processTree(gateway.pid));
    progress('the recordings');
    const opened = watch.setUps.ssh.length + watch.setUps.rdp.length + (real?.opened ?? 0);
    const recordings = await lookAtRecordings(gateway, opened, quick ? 1 : VERIFIED);
    const errors = [...watch.errors, ...(real?.errors ?? [])];
    for (const error of errors.slice(0, 5)) progress(`failed: ${error}`);
    const held = watch.samples.filter(({ second }) => second > allOpenAt + 1 && second <= endedAt);
    return {
      plan,
      sessions,
      opened,
      failures: errors.filter((error) => error.startsWith('via')).length,
      errors: errors.slice(0, 20),
      noneToAllSeconds,
      setUps: perProtocol((protocol) => {
        const millis = watch.setUps[protocol];
        if (millis.length === 0) return undefined;
        return { p50Ms: percentile(millis, 50), p99Ms: percentile(millis, 99) };
      }),
      keys: {
        via: perProtocol((protocol) => keys.figures('via', protocol)),
        direct: perProtocol((protocol) => keys.figures('direct', protocol)),
      },
      added: perProtocol((protocol) => added(keys, protocol)),
      keysToMeant: keys.count / (typistsOf(plan) * KEYS_PER_SECOND * (endedAt - allOpenAt)),
      shownBytesPerSecond: shown / (endedAt - allOpenAt),
      gatewayCores: mean(held, ({ gatewayCores }) => gatewayCores),
      gatewayCpuSeconds,
      loadCores: mean(held, ({ loadCores }) => loadCores),
      targetCores: mean(held, ({ targetCores }) => targetCores),
      stolen,
      rssBytes: Math.max(...watch.samples.map(({ rssBytes }) => rssBytes)),
      pssBytes: Math.max(...watch.samples.map(({ pssBytes }) => pssBytes)),
      archiveLagMs: largest(held.map(({ archiveLagMs }) => archiveLagMs)),
      recordings,
      allOpenAt,
      endedAt,
      samples: watch.samples,
    };
  } finally {
    crew.kill();
    await real?.stop();
    await gateway.stop();
    await targets.stop();
  }
}

/** Lets the time pass; some sessions end meanwhile and others begin. */
async function passTime(
  crew: Crew,
  { seconds, renewedPerSecond }: HoldOptions,
  progress: BenchOptions['progress'],
  watch: Watch,
): Promise<void> {
  const until = watch.second + seconds;
  let [owed, told] = [0, watch.second];
  while (watch.second < until) {
    await sleep(Math.min(1000, (until - watch.second) * 1000));
    owed += renewedPerSecond;
    const now = Math.floor(owed);
    owed -= now;
    // The last ones are to be open again before the end.
    if (now > 0 && watch.second < until - LAST_RENEWED_SECONDS) crew.renew(now);
    if (watch.second - told < TOLD_SECONDS) continue;
    told = watch.second;
    const { open = 0, pssBytes = 0 } = watch.samples.at(-1) ?? {};
    progress(`${open} open, ${(pssBytes / 2 ** 20).toFixed(0)} MiB, ${watch.errors.length} failed`);
  }
}

function added(keys: Keys, protocol: Protocol): Added | undefined {
  const [via, direct] = [keys.figures('via', protocol), keys.figures('direct', protocol)];
  if (via === undefined || direct === undefined) return undefined;
  return { p50Ms: via.p50 - direct.p50, p99Ms: via.p99 - direct.p99, maxMs: via.max - direct.max };
}

function perProtocol<T>(value: (protocol: Protocol) => T | undefined): Partial<Record<Protocol, T>> {
  const all: Partial<Record<Protocol, T>> = {};
  for (const protocol of PROTOCOLS) {
    const one = value(protocol);
    if (one !== undefined) all[protocol] = one;
  }
  return all;
}

function largest(values: readonly number[]): number | undefined {
  const seen = values.filter((value) => !Number.isNaN(value));
  return seen.length === 0 ? undefined : Math.max(...seen);
}

function mean(samples: readonly Sample[], value: (sample: Sample) => number): number {
  return samples.reduce((sum, sample) => sum + value(sample), 0) / samples.length;
}
