/** What the gateway is meant to reach with RDP on any machine, beside what this run measured. */
import { figure } from '../figures/table.ts';
import type { RdpFigures } from '../rdp.ts';
import type { Goal } from '../ssh/goals.ts';
import type { Path } from './bed.ts';
import type { FloodKind } from './content.ts';

/** The goals whose part was measured. */
export function goalsOf(figures: RdpFigures): Goal[] {
  const goals: Goal[] = [];
  const atLeast = (what: string, limit: number, measured: number | undefined): void => {
    if (measured !== undefined)
      goals.push({ what, wanted: `≥ ${figure(limit)}`, measured, holds: measured >= limit });
  };
  const atMost = (what: string, limit: number, measured: number | undefined): void => {
    if (measured !== undefined)
      goals.push({ what, wanted: `≤ ${figure(limit)}`, measured, holds: measured <= limit });
  };
  const perCore = (path: Path, content: FloodKind): number | undefined =>
    figures.relay?.find((row) => row.path === path && row.content === content)?.perCoreToHaproxy;

  for (const content of ['dense', 'compressible'] as const) {
    atLeast(`relay, ${content}, not recorded, per core to HAProxy`, 0.65, perCore('plain', content));
    atLeast(`relay, ${content}, recorded, per core to HAProxy`, 0.35, perCore('recorded', content));
  }
  const latency = figures.latency?.find(({ path }) => path === 'gateway');
  atMost('key to update, added p50 in ms', 1, latency?.addedP50Ms);
  atMost('key to update, added p99 in ms', 5, latency?.addedP99Ms);
  const { typing, idle, video } = figures;
  atMost('CPU of ten text lines a second, ms a second', 6, typing?.cpuMsPerSecond);
  atMost(
    'recording, to the bytes of the target',
    1,
    typing && typing.recordedBytesPerMinute / typing.bytesPerMinute,
  );
  atLeast(
    'set-ups per second and core',
    40,
    figures.setUps?.find(({ path }) => path === 'gateway')?.perSecondAndCore,
  );
  atMost('KB resident per idle session', 1000, idle && idle.rssBytesPerSession / 1000);
  atLeast('MP4, times real time per core', 30, video?.perCore);
  return goals;
}
