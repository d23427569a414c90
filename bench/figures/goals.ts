/** What the gateway is meant to reach on any machine, beside what a run measured. */
import { figure, type Table } from './table.ts';

export interface Goal {
  readonly what: string;
  readonly wanted: string;
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
