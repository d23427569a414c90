/**
 * Whether this node takes one more session: it may be full, or have more to do than it can
 * bear. Numbers come in, decisions come out; running sessions are never touched.
 *
 * Signals of overload have two thresholds each, so that a node near one does not open and
 * close with every beat: what it takes to shut the door is more than what keeps it shut.
 */

/** Why a node takes no new sessions. `code` is stable; `message`: for the person, in words. */
export interface Standing {
  readonly code: 'full' | 'overloaded' | 'draining';
  readonly message: string;
}

/** A process of the node, and its resident memory in bytes. */
export interface Process {
  readonly pid: number;
  readonly rssBytes: number;
}

/** What a session worker tells of itself, about once a second; the process is the one that it runs in. */
export interface Beat extends Process {
  /** Longest stall of its event loop since the beat before, ms. */
  readonly lagMs: number;
  /** Its JavaScript heap, as a share of what it may have; at 1 the worker dies with its sessions. */
  readonly heapShare: number;
}

/**
 * A keystroke that waits this long is noticed by everyone, and a log-on, which takes many turns
 * of the loop, fails in its client's patience. One stall is a hiccup, so it has to last.
 */
const LAG_SHUT_MS = 1_000;
const LAG_OPEN_MS = 250;
const LAG_BEATS = 3;
/** Collecting garbage takes ever more of the time of a heap that is fuller than this. */
const HEAP_SHUT = 0.85;
const HEAP_OPEN = 0.75;
/** Of `capacity.maxMemory`; memory that was freed goes back to the system late and in part. */
const RSS_OPEN = 0.95;

const LAG_MESSAGE = 'is overloaded, its sessions have to wait for each other: try again later';

interface Member {
  lagging: boolean;
  /** Beats in a row that speak against what `lagging` says. */
  against: number;
  heapFull: boolean;
  pid: number;
  rssBytes: number;
}

export class Admission {
  readonly #maxSessions: number;
  readonly #maxMemory: number;
  readonly #open: () => number;
  readonly #self: () => Process;
  readonly #members = new Map<number, Member>();
  #memoryFull = false;

  /**
   * @param options.maxSessions of this node at the same time
   * @param options.maxMemory resident bytes of this node's processes together
   * @param options.open how many sessions are open here, those being decided included
   * @param options.self the process that this is, whether or not workers run in it
   */
  constructor(options: { maxSessions: number; maxMemory: number; open: () => number; self: () => Process }) {
    this.#maxSessions = options.maxSessions;
    this.#maxMemory = options.maxMemory;
    this.#open = options.open;
    this.#self = options.self;
  }

  beat(worker: number, { lagMs, heapShare, pid, rssBytes }: Beat): void {
    const member = this.#members.get(worker) ?? {
      lagging: false,
      against: 0,
      heapFull: false,
      pid,
      rssBytes,
    };
    this.#members.set(worker, member);
    const speaksAgainst = member.lagging ? lagMs < LAG_OPEN_MS : lagMs > LAG_SHUT_MS;
    member.against = speaksAgainst ? member.against + 1 : 0;
    if (member.against >= LAG_BEATS) {
      member.lagging = !member.lagging;
      member.against = 0;
    }
    member.heapFull = heapShare > (member.heapFull ? HEAP_OPEN : HEAP_SHUT);
    member.pid = pid;
    member.rssBytes = rssBytes;
    this.#weigh();
  }

  workerGone(worker: number): void {
    this.#members.delete(worker);
    this.#weigh();
  }

  /** Why the node as a whole takes no new sessions; empty: it does. */
  standing(): readonly Standing[] {
    const standing: Standing[] = [];
    const open = this.#open();
    if (open >= this.#maxSessions) {
      const message = `this node is full, ${open} of ${this.#maxSessions} sessions are open: try again later`;
      standing.push({ code: 'full', message });
    }
    // Without sessions there is nothing whose end would give memory back: it would stay shut for ever.
    if (this.#memoryFull && open > 0)
      standing.push({ code: 'overloaded', message: 'this node is short of memory: try again later' });
    const members = [...this.#members.values()];
    if (members.length > 0 && members.every(({ lagging, heapFull }) => lagging || heapFull))
      standing.push({ code: 'overloaded', message: `this node ${LAG_MESSAGE}` });
    return standing;
  }

  /** Why this worker takes no new connections: the node's reason, or one of its own. */
  door(worker: number): Standing | undefined {
    const [first] = this.standing();
    if (first !== undefined) return first;
    const member = this.#members.get(worker);
    if (member === undefined || !(member.lagging || member.heapFull)) return undefined;
    return { code: 'overloaded', message: `this part of the node ${LAG_MESSAGE}` };
  }

  #weigh(): void {
    const all = [this.#self(), ...this.#members.values()];
    const processes = new Map(all.map(({ pid, rssBytes }) => [pid, rssBytes]));
    const bytes = [...processes.values()].reduce((sum, each) => sum + each, 0);
    this.#memoryFull = bytes > this.#maxMemory * (this.#memoryFull ? RSS_OPEN : 1);
  }
}

/** Limits of open sessions beside those of policies; undefined: none. */
export interface Limits {
  readonly perUser: number | undefined;
  readonly perSource: number | undefined;
  readonly perSystem: number | undefined;
}

/** What was counted against a limit. */
export type Counted = 'user' | 'source' | 'system';

/** What is counted, and what to do about it. */
const WORDS: Readonly<Record<Counted, (name: string) => readonly [what: string, cure: string]>> = {
  user: () => ['sessions of yours', 'end one of them first'],
  source: (name) => [`sessions from ${name}`, 'end one of them first'],
  system: (name) => [`sessions on ${name}`, 'try again when one of them has ended'],
};

/** The refusal where `open` has reached `limit`; undefined: there is room for one more. */
export function limitReached(
  counted: Counted,
  name: string,
  open: number,
  limit: number,
): { readonly code: `${Counted}-full`; readonly message: string } | undefined {
  if (open < limit) return undefined;
  const [what, cure] = WORDS[counted](name);
  return { code: `${counted}-full`, message: `${open} of ${limit} ${what} are open: ${cure}` };
}
