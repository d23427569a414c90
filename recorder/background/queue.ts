/** Which job runs next: bounded, by kind, and within a kind in the order in which they came. */

/** From the most urgent down: a job of a kind runs when no other can that stands before it. */
export const JOB_KINDS = [
  /** A video or picture, for which a person waits. */
  'render',
  /** The end of a recording whose writer is gone. */
  'seal',
  'compact',
  /** Index and text, to stand beside a recording. */
  'sides',
  /** The proof of a recording, of which there may be years of them. */
  'verify',
] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** Jobs of a kind that may wait. */
const MAX_QUEUED: Readonly<Record<JobKind, number>> = {
  // Who would wait behind these is better told so at once.
  render: 32,
  // Whoever has these done asks for a few at a time and comes again.
  seal: 1_000,
  compact: 1_000,
  verify: 1_000,
  // Some 500 bytes each. What is not made can be made by whoever holds an identity of the archive.
  sides: 10_000,
};

/** Kinds of which each group leaves the spare places to the others: one waits for its reader, one is long. */
const GROUPS: readonly (readonly JobKind[])[] = [['render'], ['compact', 'sides', 'verify']];

/** Too many jobs of the kind wait: this one was not taken. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError';
}

/** What became of the jobs of one kind since the pool was made; times are sums, ms. */
export interface JobFigures {
  readonly queued: number;
  readonly running: number;
  readonly done: number;
  readonly failed: number;
  /** Nobody wanted them any more, while they waited or ran. */
  readonly cancelled: number;
  /** The queue was full. */
  readonly refused: number;
  /** From being asked for to having a place. */
  readonly waitedMs: number;
  /** From then to the end. */
  readonly ranMs: number;
}

export type JobOutcome = 'done' | 'failed' | 'cancelled';

interface Line<Entry> {
  readonly waiting: Set<Entry>;
  running: number;
  readonly ended: Record<JobOutcome, number>;
  refused: number;
  waitedMs: number;
  ranMs: number;
}

/** What the queue needs of an entry; times are monotonic, ms. */
export interface Queued {
  readonly kind: JobKind;
  readonly since: number;
  /** INVARIANT: undefined while it waits. */
  startedAt: number | undefined;
}

export class JobQueue<Entry extends Queued> {
  readonly #places: number;
  readonly #spare: number;
  readonly #lines: Readonly<Record<JobKind, Line<Entry>>>;

  /** `spare`: places that no group of {@link GROUPS} takes from the other kinds; fewer than `places`. */
  constructor(places: number, spare: number) {
    this.#places = places;
    this.#spare = spare;
    this.#lines = { render: line(), seal: line(), compact: line(), sides: line(), verify: line() };
  }

  /** Lets `entry` wait for {@link next}. @throws QueueFullError */
  push(entry: Entry): void {
    const { kind } = entry;
    const line = this.#lines[kind];
    if (line.waiting.size >= MAX_QUEUED[kind]) {
      line.refused += 1;
      throw new QueueFullError(
        `background: ${MAX_QUEUED[kind]} jobs of kind ${kind} wait already, try again later`,
      );
    }
    line.waiting.add(entry);
  }

  /** The entry that is to run now, if any; {@link ended} must follow. */
  next(now: number): Entry | undefined {
    if (this.#runningOf(JOB_KINDS) >= this.#places) return undefined;
    for (const kind of JOB_KINDS) {
      const line = this.#lines[kind];
      const [entry] = line.waiting;
      if (entry === undefined || this.#groupIsFull(kind)) continue;
      line.waiting.delete(entry);
      line.running += 1;
      line.waitedMs += now - entry.since;
      entry.startedAt = now;
      return entry;
    }
    return undefined;
  }

  /** The entry has run, or is not to run any more. */
  ended(entry: Entry, outcome: JobOutcome, now: number): void {
    const line = this.#lines[entry.kind];
    line.ended[outcome] += 1;
    if (entry.startedAt === undefined) {
      line.waiting.delete(entry);
      line.waitedMs += now - entry.since;
    } else {
      line.running -= 1;
      line.ranMs += now - entry.startedAt;
    }
  }

  figures(): Readonly<Record<JobKind, JobFigures>> {
    const of = (kind: JobKind): JobFigures => {
      const { waiting, running, ended, refused, waitedMs, ranMs } = this.#lines[kind];
      return { queued: waiting.size, running, ...ended, refused, waitedMs, ranMs };
    };
    return {
      render: of('render'),
      seal: of('seal'),
      compact: of('compact'),
      sides: of('sides'),
      verify: of('verify'),
    };
  }

  #groupIsFull(kind: JobKind): boolean {
    const group = GROUPS.find((kinds) => kinds.includes(kind));
    return group !== undefined && this.#runningOf(group) >= this.#places - this.#spare;
  }

  #runningOf(kinds: readonly JobKind[]): number {
    return kinds.reduce((sum, kind) => sum + this.#lines[kind].running, 0);
  }
}

function line<Entry>(): Line<Entry> {
  return {
    waiting: new Set(),
    running: 0,
    ended: { done: 0, failed: 0, cancelled: 0 },
    refused: 0,
    waitedMs: 0,
    ranMs: 0,
  };
}
