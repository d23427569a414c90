/** What the gateway is meant to carry, beside what this run measured. */
import { type Goal, Goals } from '../figures/goals.ts';
import { type Leak, wantNoGrowth } from '../figures/leak.ts';
import type { Cost } from './compare.ts';
import type { Held } from './hold.ts';

/** A bastion's cost at most five times the gateway's. */
const OF_BASTION = 0.2;
/** People wait for prompts now and then. */
const PRESSED = 0.9;
/** As many sessions as the larger reference appliance carries. */
const REFERENCE = 600;

export interface CapacityFigures {
  readonly held?: Held;
  /** Of a soak. */
  readonly leak?: Leak;
  readonly costs?: readonly Cost[];
}

/** The goals whose part was measured. */
export function goalsOf({ held, leak, costs }: CapacityFigures): Goal[] {
  const goals = new Goals();
  if (held !== undefined) {
    goals.atMost('sessions that failed', 0, held.failures);
    goals.atMost('recordings that are not sealed', 0, held.recordings.count - held.recordings.sealed);
    goals.atLeast('recordings, to the sessions that were opened', 1, held.recordings.count / held.opened);
    goals.atLeast('recordings verified, of those tried', 1, held.recordings.verified / held.recordings.tried);
    goals.atLeast('keys pressed, to those meant', PRESSED, held.keysToMeant);
    // What is asked of more sessions than the machine is meant for is that none of them fails.
    if (held.sessions <= REFERENCE) {
      goals.atMost('key to answer, added p99 in ms', 20, worstAdded(held, 'p99Ms'));
      goals.atMost('CPU of the gateway, cores', 1, held.gatewayCores);
      goals.atMost('resident, GiB', 1.5, held.rssBytes / 2 ** 30);
      goals.atMost('from none to all, s', 30, held.noneToAllSeconds);
    }
  }
  if (leak !== undefined) wantNoGrowth(goals, leak);
  const gateway = costs?.find(({ subject }) => subject === 'gateway');
  for (const bastion of costs ?? []) {
    if (gateway === undefined || bastion === gateway) continue;
    const name = `OpenSSH with ${bastion.subject}`;
    const over = (value: (cost: Cost) => number): number => value(gateway) / value(bastion);
    goals.atMost(
      `CPU of a key, to ${name}`,
      OF_BASTION,
      over(({ cpuUsPerKey }) => cpuUsPerKey),
    );
    goals.atMost(
      `memory of a session, to ${name}`,
      OF_BASTION,
      over(({ mibPerSession }) => mibPerSession),
    );
    goals.atMost(
      `CPU of a log-on, to ${name}`,
      OF_BASTION,
      over(({ cpuMsPerLogOn }) => cpuMsPerLogOn),
    );
  }
  return goals.all;
}

/** Of both protocols the worse. */
export function worstAdded({ added }: Held, which: 'p50Ms' | 'p99Ms'): number | undefined {
  const all = Object.values(added).map((each) => each[which]);
  return all.length === 0 ? undefined : Math.max(...all);
}
