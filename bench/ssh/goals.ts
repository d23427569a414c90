/** What the gateway is meant to reach on any machine, beside what this run measured. */
import { type Goal, Goals } from '../figures/goals.ts';
import type { SshFigures } from '../ssh.ts';
import type { Direction } from './transfer.ts';

/** The goals whose part was measured. */
export function goalsOf(figures: SshFigures): Goal[] {
  const goals = new Goals();
  const ratio = (path: string, direction: Direction): number | undefined =>
    [...(figures.throughput ?? []), ...(figures.longLine ?? [])].find(
      (row) => row.path === path && row.direction === direction,
    )?.ratioToDirect;
  const over = (one: number | undefined, other: number | undefined): number | undefined =>
    one === undefined || other === undefined ? undefined : one / other;

  goals.atLeast('download, ratio to direct', 0.7, ratio('gateway', 'download'));
  goals.atLeast('upload, ratio to direct', 0.6, ratio('gateway', 'upload'));
  for (const direction of ['download', 'upload'] as const)
    goals.atLeast(
      `${direction}, ratio to ssh -J`,
      1,
      over(ratio('gateway', direction), ratio('jump', direction)),
    );
  for (const direction of ['download', 'upload'] as const)
    goals.atLeast(`${direction} recorded in full, ratio to direct`, 0.35, ratio('gateway-full', direction));
  for (const direction of ['download', 'upload'] as const)
    goals.atLeast(`${direction} over 50 ms, ratio to direct`, 1, ratio('gateway-50ms', direction));
  const echo = figures.echo?.find((row) => row.path === 'gateway');
  goals.atMost('keystroke echo, added p50 in ms', 1, echo?.addedP50Ms);
  goals.atMost('keystroke echo, added p99 in ms', 5, echo?.addedP99Ms);
  const light = figures.setUps?.find((row) => row.path === 'gateway' && row.client === 'light');
  goals.atLeast('set-ups per second and core', 150, light?.perSecondAndCore);
  const { idle } = figures;
  goals.atMost(
    'KB resident per idle session',
    250,
    idle === undefined ? undefined : idle.rssBytesPerSession / 1000,
  );
  return goals.all;
}
