/**
 * The numbers of all session workers together. What a worker had counted stays in the sums when it is gone:
 * a counter of the node never goes back.
 */
import { type Family, type Plan, type Series, Sheet } from './sheet.ts';

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
  /** What all workers have counted, also those that are gone. */
  readonly #counted: Float64Array;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#counted = new Sheet(plan).values;
  }

  /** @param values all that the worker has counted since it began, as the plan says; kept */
  told(worker: number, values: Float64Array): void {
    const last = this.#told.get(worker);
    this.#told.set(worker, values);
    // By what came since: sums of all workers' own would fall by their last bit when one of them is gone, and
    // what falls has begun anew for Prometheus.
    const counted = this.#counted;
    for (let at = 0; at < counted.length; at += 1)
      counted[at] = (counted[at] ?? 0) + ((values[at] ?? 0) - (last?.[at] ?? 0));
  }

  gone(worker: number): void {
    this.#told.delete(worker);
  }

  metrics(): MetricObject[] {
    return this.#plan.families.map(({ family, series, width }) => {
      const { name, help, type } = family;
      const values = series.flatMap((each) => this.#samples(family, each, width));
      return { name, help, type, values, aggregator: 'sum' };
    });
  }

  #samples(family: Family, { labels, at }: Series, width: number): Sample[] {
    if (family.over === 'each')
      return [...this.#told].map(([worker, told]) => ({
        labels: { ...labels, worker: String(worker) },
        value: told[at] ?? 0,
      }));
    if (family.type === 'histogram') return this.#buckets(family, labels, at, width);
    if (family.type === 'counter') return [{ labels, value: this.#counted[at] ?? 0 }];
    const gauges = [...this.#told.values()].map((told) => told[at] ?? 0);
    const value = family.over === 'max' ? Math.max(0, ...gauges) : gauges.reduce((sum, one) => sum + one, 0);
    return [{ labels, value }];
  }

  #buckets({ name, bounds = [] }: Family, labels: Sample['labels'], at: number, width: number): Sample[] {
    let count = 0;
    const samples: Sample[] = [...bounds.map(String), '+Inf'].map((le, bucket) => {
      count += this.#counted[at + bucket] ?? 0;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
    });
    samples.push({ metricName: `${name}_sum`, labels, value: this.#counted[at + width - 1] ?? 0 });
    samples.push({ metricName: `${name}_count`, labels, value: count });
    return samples;
  }
}
