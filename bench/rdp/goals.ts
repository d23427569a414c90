/** What the gateway is meant to reach with RDP on any machine, beside what this run measured. */
import { type Goal, Goals } from '../figures/goals.ts';
import type { RdpFigures } from '../rdp.ts';
import type { Path } from './bed.ts';
import type { FloodKind } from './content.ts';

/** The goals whose part was measured. */
export function goalsOf(figures: RdpFigures): Goal[] {
  const goals = new Goals();
  const perCore = (path: Path, content: FloodKind): number | undefined =>
    figures.relay?.find((row) => row.path === path && row.content === content)?.perCoreToHaproxy;

  for (const content of ['dense', 'compressible'] as const) {
    goals.atLeast(`relay, ${content}, not recorded, per core to HAProxy`, 0.65, perCore('plain', content));
    goals.atLeast(`relay, ${content}, recorded, per core to HAProxy`, 0.35, perCore('recorded', content));
  }
  const latency = figures.latency?.find(({ path }) => path === 'gateway');
  goals.atMost('key to update, added p50 in ms', 1, latency?.addedP50Ms);
  goals.atMost('key to update, added p99 in ms', 5, latency?.addedP99Ms);
  const { typing, idle, video } = figures;
  goals.atMost('CPU of ten text lines a second, ms a second', 6, typing?.cpuMsPerSecond);
  goals.atMost(
    'recording, to the bytes of the target',
    1,
    typing && typing.recordedBytesPerMinute / typing.bytesPerMinute,
  );
  goals.atLeast(
    'set-ups per second and core',
    40,
    figures.setUps?.find(({ path }) => path === 'gateway')?.perSecondAndCore,
  );
  goals.atMost('KB resident per idle session', 1000, idle && idle.rssBytesPerSession / 1000);
  goals.atLeast('MP4, times real time per core', 30, video?.perCore);
  return goals.all;
}
