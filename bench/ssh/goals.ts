/** What the gateway is meant to reach on any machine, beside what this run measured. */
import { figure, type Table } from '../figures/table.ts';
import type { SshFigures } from '../ssh.ts';
import type { Direction } from './transfer.ts';

export interface Goal {
  readonly what: string;
  readonly wanted: string;
  readonly measured: number;
  readonly holds: boolean;
}

/** The goals whose part was measured. */
export function goalsOf(figures: SshFigures): Goal[] {
  const goals: Goal[] = [];
  const atLeast = (what: string, limit: number, measured: number | undefined): void => {
    if (measured !== undefined)
      goals.push({ what, wanted: `≥ ${figure(limit)}`, measured, holds: measured >= limit });
  };
  const atMost = (what: string, limit: number, measured: number | undefined): void => {
    if (measured !== undefined)
      goals.push({ what, wanted: `≤ ${figure(limit)}`, measured, holds: measured <= limit });
  };
  const ratio = (path: string, direction: Direction): number | undefined =>
    [...(figures.throughput ?? []), ...(figures.longLine ?? [])].find(
      (row) => row.path === path && row.direction === direction,
    )?.ratioToDirect;
  const over = (one: number | undefined, other: number | undefined): number | undefined =>
    one === undefined || other === undefined ? undefined : one / other;

  atLeast('download, ratio to direct', 0.7, ratio('gateway', 'download'));
  atLeast('upload, ratio to direct', 0.6, ratio('gateway', 'upload'));
  for (const direction of ['download', 'upload'] as const)
    atLeast(`${direction}, ratio to ssh -J`, 1, over(ratio('gateway', direction), ratio('jump', direction)));
  for (const direction of ['download', 'upload'] as const)
    atLeast(`${direction} recorded in full, ratio to direct`, 0.35, ratio('gateway-full', direction));
  for (const direction of ['download', 'upload'] as const)
    atLeast(`${direction} over 50 ms, ratio to direct`, 1, ratio('gateway-50ms', direction));
  const echo = figures.echo?.find((row) => row.path === 'gateway');
  atMost('keystroke echo, added p50 in ms', 1, echo?.addedP50Ms);
  atMost('keystroke echo, added p99 in ms', 5, echo?.addedP99Ms);
  const light = figures.setUps?.find((row) => row.path === 'gateway' && row.client === 'light');
  atLeast('set-ups per second and core', 150, light?.perSecondAndCore);
  const { idle } = figures;
  atMost(
    'KB resident per idle session',
    250,
    idle === undefined ? undefined : idle.rssBytesPerSession / 1000,
  );
  return goals;
}

export function goalTable(goals: readonly Goal[]): Table {
  return {
    title: 'Goals',
    columns: ['goal', 'wanted', 'measured', 'holds'],
    rows: goals.map(({ what, wanted, measured, holds }) => [
      what,
      wanted,
      figure(measured),
      holds ? 'yes' : 'NO',
    ]),
  };
}
