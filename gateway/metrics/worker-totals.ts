/**
 * The numbers of all session workers together. What a worker had counted stays in the sums when it is gone:
 * a counter of the node never goes back.
 */
import { type Family, type Plan, Sheet } from './sheet.ts';

/** One sample as prom-client exposes it. */
export interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric as prom-client's registries give it. */
export interface MetricObject {
  readonly name: string;
  readonly help: string;
  readonly type: Family['type'];
  readonly values: readonly Sample[];
  /** How it is joined with its likes of other registries; there are none here. */
  readonly aggregator: 'sum';
}

export class WorkerTotals {
  readonly #plan: Plan;
  /** Of each worker that lives: what it told last. */
  readonly #told = new Map<number, Float64Array>();
  /** What workers had counted that are gone. */
  readonly #gone: Float64Array;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#gone = new Sheet(plan).values;
  }

  /** @param values all that the worker has counted since it began, as the plan says */
  told(worker: number, values: Float64Array): void {
    this.#told.set(worker, values);
  }

  gone(worker: number): void {
    const last = this.#told.get(worker);
    this.#told.delete(worker);
    if (last === undefined) return;
    for (const { family, series, width } of this.#plan.families) {
      if (family.type === 'gauge') continue;
      for (const { at } of series)
        for (let each = at; each < at + width; each += 1)
          this.#gone[each] = (this.#gone[each] ?? 0) + (last[each] ?? 0);
    }
  }

  /** The sum, over all workers that live, of a gauge without labels. */
  sum(name: string): number {
    return this.#sum(this.#plan.place(name).at);
  }

  metrics(): MetricObject[] {
    return this.#plan.families.map(({ family, series, width }) => {
      const { name, help, type } = family;
      const values = series.flatMap(({ labels, at }): Sample[] => {
        if (family.over === 'each')
          return [...this.#told].map(([worker, told]) => ({
            labels: { ...labels, worker: String(worker) },
            value: told[at] ?? 0,
          }));
        if (family.bounds !== undefined) return this.#buckets(family, labels, at, width);
        return [{ labels, value: family.over === 'max' ? this.#max(at) : this.#sum(at) }];
      });
      return { name, help, type, values, aggregator: 'sum' };
    });
  }

  #buckets({ name, bounds = [] }: Family, labels: Sample['labels'], at: number, width: number): Sample[] {
    let count = 0;
    const samples: Sample[] = [...bounds.map(String), '+Inf'].map((le, bucket) => {
      count += this.#sum(at + bucket);
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
    });
    samples.push({ metricName: `${name}_sum`, labels, value: this.#sum(at + width - 1) });
    samples.push({ metricName: `${name}_count`, labels, value: count });
    return samples;
  }

  #sum(at: number): number {
    let sum = this.#gone[at] ?? 0;
    for (const told of this.#told.values()) sum += told[at] ?? 0;
    return sum;
  }

  #max(at: number): number {
    let max = 0;
    for (const told of this.#told.values()) max = Math.max(max, told[at] ?? 0);
    return max;
  }
}
