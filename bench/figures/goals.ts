/** What the gateway is meant to reach on any machine, beside what a run measured. */
import { figure, type Table } from './table.ts';

export interface Goal {
  readonly what: string;
  readonly wanted: string;
  /** NaN: it could not be told, which is no goal reached. */
  readonly measured: number;
  readonly holds: boolean;
}

/** Collects goals; one whose part was not measured is left out. */
export class Goals {
  readonly all: Goal[] = [];

  atLeast(what: string, limit: number, measured: number | undefined): void {
    if (measured !== undefined)
      this.all.push({ what, wanted: `≥ ${figure(limit)}`, measured, holds: measured >= limit });
  }

  atMost(what: string, limit: number, measured: number | undefined): void {
    if (measured !== undefined)
      this.all.push({ what, wanted: `≤ ${figure(limit)}`, measured, holds: measured <= limit });
  }
}

/** One line for who reads no table: whether all hold, else which do not. */
export function goalLine(goals: readonly Goal[]): string {
  const missed = goals.filter(({ holds }) => !holds);
  if (missed.length === 0) return `all ${goals.length} goals hold`;
  const each = missed.map(({ what, wanted, measured }) => `${what}: ${figure(measured)}, wanted ${wanted}`);
  return `${missed.length} of ${goals.length} goals MISSED (${each.join('; ')})`;
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
