/**
 * Metrics of a thread as plain numbers in one array: to count is one addition in memory, and a copy of the
 * array tells another thread everything. What the numbers mean is declared once, as families.
 */

/** Values that each label of a family may have. INVARIANT: never a user, a system or a session. */
export type Labels = Readonly<Record<string, readonly string[]>>;

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: Labels;
  /** Upper bounds of a histogram's buckets, ascending, in its unit. */
  readonly bounds?: readonly number[];
  /** How the gauges of several threads become one; the default is their sum. `each`: by thread. */
  readonly over?: 'sum' | 'max' | 'each';
}

/** One combination of labels, and where its numbers begin. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly at: number;
}

interface Placed {
  readonly family: Family;
  readonly series: readonly Series[];
  /** Numbers of each series: a histogram has a count for each bucket, one for all above, and the sum. */
  readonly width: number;
}

/** Where the numbers of families are in a sheet. */
export class Plan {
  readonly families: readonly Placed[];
  /** Numbers in a sheet. */
  readonly size: number;

  constructor(families: readonly Family[]) {
    let at = 0;
    this.families = families.map((family) => {
      const width = family.bounds === undefined ? 1 : family.bounds.length + 2;
      const series = combinations(family.labels).map((labels) => {
        const place = { labels, at };
        at += width;
        return place;
      });
      return { family, series, width };
    });
    this.size = at;
  }

  /**
   * Where a series begins.
   * @throws TypeError when there is no such family, or it has no such labels
   */
  place(name: string, labels: Readonly<Record<string, string>> = {}): Series & { readonly family: Family } {
    const placed = this.families.find(({ family }) => family.name === name);
    if (placed === undefined) throw new TypeError(`${name} is no declared metric`);
    const names = Object.keys(placed.family.labels);
    const found =
      Object.keys(labels).length === names.length
        ? placed.series.find((series) => names.every((label) => series.labels[label] === labels[label]))
        : undefined;
    if (found === undefined) throw new TypeError(`${name} has no series ${JSON.stringify(labels)}`);
    return { ...found, family: placed.family };
  }
}

/** The numbers of one thread. */
export class Sheet {
  readonly plan: Plan;
  readonly values: Float64Array;

  constructor(plan: Plan) {
    this.plan = plan;
    this.values = new Float64Array(plan.size);
  }

  /** A counter or gauge; @throws TypeError as {@link Plan.place} */
  value(name: string, labels?: Readonly<Record<string, string>>): Value {
    return new Value(this.values, this.plan.place(name, labels).at);
  }

  /** @throws TypeError as {@link Plan.place}, and for what is no histogram */
  histogram(name: string, labels?: Readonly<Record<string, string>>): Histogram {
    const { at, family } = this.plan.place(name, labels);
    if (family.bounds === undefined) throw new TypeError(`${name} is no histogram`);
    return new Histogram(this.values, at, family.bounds);
  }
}

/** A counter or a gauge. */
export class Value {
  readonly #values: Float64Array;
  readonly #at: number;

  constructor(values: Float64Array, at: number) {
    this.#values = values;
    this.#at = at;
  }

  add(by: number): void {
    this.#values[this.#at] = (this.#values[this.#at] ?? 0) + by;
  }

  set(value: number): void {
    this.#values[this.#at] = value;
  }
}

/** Counts values by size. It allocates nothing. */
export class Histogram {
  readonly #values: Float64Array;
  readonly #at: number;
  readonly #bounds: Float64Array;
  readonly #sum: number;

  constructor(values: Float64Array, at: number, bounds: readonly number[]) {
    this.#values = values;
    this.#at = at;
    this.#bounds = Float64Array.from(bounds);
    this.#sum = at + bounds.length + 1;
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1;
    const values = this.#values;
    values[this.#at + bucket] = (values[this.#at + bucket] ?? 0) + 1;
    values[this.#sum] = (values[this.#sum] ?? 0) + value;
  }
}

function combinations(labels: Labels): Readonly<Record<string, string>>[] {
  return Object.entries(labels).reduce<Readonly<Record<string, string>>[]>(
    (combined, [name, values]) =>
      combined.flatMap((before) => values.map((value) => ({ ...before, [name]: value }))),
    [{}],
  );
}
