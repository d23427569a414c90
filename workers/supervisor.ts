/**
 * The main thread's hold on its session workers: starts them on shared ports, carries what they say to
 * their owner, and replaces one that dies or no longer answers. What it starts are units: a thread with one
 * worker (`thread.ts`), or a process with several (`process.ts`).
 */
import type { Logger } from 'pino';
import type { Beat, BlockedWorker, DeadWorker, DeathError, DeathReason, WorkerDeath } from './death.ts';
import type { ControlRequests, Ports, WorkerNotice } from './messages.ts';
import { answerRequest, type Port, type ToMain, type ToWorker } from './rpc.ts';
import type { WorkerSettings } from './settings.ts';

/** What the supervisor needs of the control plane. */
export interface WorkerOwner {
  /** The requests of one worker. */
  forWorker(worker: number): ControlRequests;
  notice(worker: number, notice: WorkerNotice): void;
  /** Workers are gone and took their sessions along; never rejects. */
  workersDied(death: WorkerDeath): Promise<void>;
}

/** Where that goes which workers say. */
export interface WorkerLine {
  /** `answer` brings the worker a message. */
  heard(worker: number, message: ToMain, answer: Port): void;
  died(death: WorkerDeath): void;
}

/** What a unit tells of itself. */
export interface UnitEvents {
  /** All its workers take connections. */
  listening(ports: Ports): void;
  /** It is alive. */
  beat(): void;
  heard(worker: number, message: ToMain): void;
  drained(): void;
  /** Some of its workers are gone, and it replaces them itself. */
  died(death: WorkerDeath): void;
  /** It is gone, with all its workers. `cause`: why, as it was thrown. */
  ended(end: UnitEnd, cause: unknown): void;
}

export interface UnitEnd {
  readonly reason: DeathReason;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly error?: DeathError | undefined;
}

export interface Unit {
  send(worker: number, message: ToWorker): void;
  /** As {@link Supervisor.drain}; answered by an event. */
  drain(): void;
  /** Looks into it when it does not answer; never rejects. */
  examine(): Promise<BlockedWorker | undefined>;
  /** Ends it at once, unless it is stuck in native code; resolves when it has ended. */
  end(): Promise<unknown>;
}

export interface UnitKind {
  /** For logs. */
  readonly name: 'worker' | 'process';
  /** `number`: of the unit, one that no other of this process ever had. */
  start(number: number, listen: WorkerSettings['listen'], events: UnitEvents): Unit;
}

/** A pino logger, or what hands on to one. */
export interface SupervisorLog {
  warn(fields: Readonly<Record<string, unknown>>, text: string): void;
  error(fields: Readonly<Record<string, unknown>>, text: string): void;
}

export interface SupervisorOptions {
  readonly kind: UnitKind;
  readonly listen: WorkerSettings['listen'];
  /** How long sessions that are ended may take to seal their recordings. */
  readonly sealMs: number;
  readonly line: WorkerLine;
  readonly log: SupervisorLog;
  /**
   * A unit is stuck in native code and cannot be ended; it has been told of as dead, and replaced. Its listener
   * keeps its share of new connections until `ended` resolves, which may be never.
   */
  readonly onStuck?: (ended: Promise<unknown>) => void;
}

/** How often it is looked whether units have beaten; each does once a second. */
const LOOK_MS = 1_000;
/**
 * A unit that was silent for so many looks is replaced: people wait for it, and its listener still gets a
 * share of new connections. A collection of a whole heap takes a second or two.
 */
const SILENT_LOOKS = 5;
/** One that starts loads all its code first, on a machine that may be busy. */
const STARTING_LOOKS = 60;
/** What has not ended by then is in native code. */
const STUCK_MS = 5_000;
/** Respawn back-off: doubled with each death within a minute. */
const RESPAWN_MS = 100;
const RESPAWN_MAX_MS = 10_000;

interface Member {
  readonly number: number;
  readonly unit: Unit;
  listens: boolean;
  /**
   * Looks since it was heard last. Looks and no clock, since where this thread was stopped, by a machine
   * that slept or had no time, none happened, and nobody could be heard.
   */
  silent: number;
  /** It is being ended for that. */
  condemned: boolean;
  blocked: BlockedWorker | undefined;
  drained: boolean;
  gone: boolean;
}

interface KnownWorker {
  readonly member: Member;
  readonly since: number;
  lastBeatAt: number;
  lastBeat: Beat | undefined;
}

export class Supervisor {
  /** No two units of a process have one number, whoever supervises them. */
  static #nextNumber = 1;
  readonly #options: SupervisorOptions;
  readonly #members = new Set<Member>();
  readonly #workers = new Map<number, KnownWorker>();
  /** 0: any free one, until the first unit has bound it. */
  #listen: WorkerSettings['listen'];
  /** Units that die are replaced. */
  #replacing = false;
  #stopped = false;
  #recentDeaths = 0;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#listen = options.listen;
  }

  /** Resolves to the ports once `count` units listen; rejects when the first cannot. */
  async start(count: number): Promise<Ports> {
    this.#watchdog = setInterval(() => this.#look(), LOOK_MS);
    // The first binds the ports, the others share them.
    const ports = await this.#spawn();
    const { ssh, rdp } = this.#listen;
    this.#listen = { ssh: { ...ssh, port: ports.ssh }, rdp: { ...rdp, port: ports.rdp ?? rdp.port } };
    this.#replacing = true;
    await Promise.all(Array.from({ length: count - 1 }, () => this.#spawn()));
    return ports;
  }

  /** Brings a worker a message; one that is gone gets none. */
  send(worker: number, message: ToWorker): void {
    this.#workers.get(worker)?.member.unit.send(worker, message);
  }

  /** Takes no new connections and ends every session; resolves when none is left, or cannot be sealed. */
  async drain(): Promise<void> {
    this.#replacing = false;
    for (const { unit } of this.#members) unit.drain();
    // Ending sessions seal their recordings; the archive's grace bounds that.
    const last = performance.now() + this.#options.sealMs;
    while (performance.now() < last && [...this.#members].some((member) => !member.drained))
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Ends all units at once; does not wait for one that is stuck in native code. */
  async stop(): Promise<void> {
    this.#replacing = false;
    this.#stopped = true;
    clearInterval(this.#watchdog);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const patience = setTimeout(resolve, STUCK_MS);
    await Promise.race([Promise.all([...this.#members].map(({ unit }) => unit.end())), late]);
    clearTimeout(patience);
  }

  /** Starts one unit; resolves to its ports when it listens. */
  #spawn(): Promise<Ports> {
    const { kind, line } = this.#options;
    const number = Supervisor.#nextNumber++;
    const { promise, resolve, reject } = Promise.withResolvers<Ports>();
    const unit = this.#start(number, {
      listening: (ports) => {
        member.listens = true;
        member.silent = 0;
        resolve(ports);
      },
      beat: () => {
        member.silent = 0;
      },
      heard: (worker, message) => this.#heard(member, worker, message),
      drained: () => {
        member.drained = true;
      },
      died: (death) => {
        for (const { worker } of death.workers) this.#workers.delete(worker);
        line.died(death);
      },
      ended: (end, cause) => {
        this.#ended(member, end, cause);
        reject(cause ?? new Error(`a session ${kind.name} ended before it listened`));
      },
    });
    const member: Member = {
      number,
      unit,
      listens: false,
      silent: 0,
      condemned: false,
      blocked: undefined,
      drained: false,
      gone: false,
    };
    this.#members.add(member);
    return promise;
  }

  /** A unit that cannot even be started, because the system has no more threads, has ended. */
  #start(number: number, events: UnitEvents): Unit {
    try {
      return this.#options.kind.start(number, this.#listen, events);
    } catch (error) {
      setImmediate(() => events.ended({ reason: 'exit', exitCode: 1 }, error));
      return {
        send() {},
        drain: () => events.drained(),
        examine: () => Promise.resolve(undefined),
        end: () => Promise.resolve(),
      };
    }
  }

  #heard(member: Member, worker: number, message: ToMain): void {
    const now = performance.now();
    let known = this.#workers.get(worker);
    if (known === undefined) {
      known = { member, since: now, lastBeatAt: now, lastBeat: undefined };
      this.#workers.set(worker, known);
    }
    if (message.type === 'beat') {
      const { sessions, connections, lagMs, heapShare, rssBytes } = message;
      known.lastBeat = { sessions, connections, lagMs, heapShare, rssBytes };
      known.lastBeatAt = now;
    }
    this.#options.line.heard(worker, message, {
      postMessage: (answer) => member.unit.send(worker, answer as ToWorker),
    });
  }

  #ended(member: Member, end: UnitEnd, cause: unknown): void {
    if (member.gone) return;
    member.gone = true;
    this.#members.delete(member);
    const { line, log, kind } = this.#options;
    const reason = this.#stopped ? 'stopped' : reasonOf(member, end);
    if (reason !== 'stopped')
      log.error({ [kind.name]: member.number, reason, err: cause }, `a session ${kind.name} failed`);
    const workers = this.#bury(member);
    // Of one that never listened whoever started it is told.
    if (member.listens) line.died({ ...end, reason, workers, blocked: member.blocked });
    if (this.#replacing) void this.#replace(member.number);
  }

  #bury(member: Member): DeadWorker[] {
    const now = performance.now();
    const dead: DeadWorker[] = [];
    for (const [worker, known] of this.#workers) {
      if (known.member !== member) continue;
      this.#workers.delete(worker);
      const [aliveMs, silentMs] = [Math.round(now - known.since), Math.round(now - known.lastBeatAt)];
      dead.push({ worker, aliveMs, silentMs, lastBeat: known.lastBeat });
    }
    return dead;
  }

  async #replace(number: number): Promise<void> {
    const wait = Math.min(RESPAWN_MAX_MS, RESPAWN_MS * 2 ** this.#recentDeaths);
    this.#recentDeaths += 1;
    setTimeout(() => {
      this.#recentDeaths -= 1;
    }, 60_000).unref();
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (!this.#replacing) return;
    const { kind, log } = this.#options;
    log.warn({ [kind.name]: number }, `a session ${kind.name} is replaced`);
    await this.#spawn().catch(() => {
      // That it ended has been seen and brings the next try.
    });
  }

  #look(): void {
    for (const member of this.#members) {
      member.silent += 1;
      const patience = member.listens ? SILENT_LOOKS : STARTING_LOOKS;
      if (member.silent > patience && !member.condemned) void this.#condemn(member);
    }
  }

  /** Ends a unit that does not answer, unless it does while it is looked at: one that was only short of CPU. */
  async #condemn(member: Member): Promise<void> {
    member.condemned = true;
    const { kind, log, onStuck } = this.#options;
    const fields = { [kind.name]: member.number, seconds: member.silent };
    member.blocked = await member.unit.examine();
    const where = member.blocked?.stack?.[0];
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref());
    if (member.gone) return;
    if (member.silent <= 1) {
      log.warn({ ...fields, where }, `a session ${kind.name} did not answer for a while`);
      member.condemned = false;
      return;
    }
    log.error({ ...fields, where }, `a session ${kind.name} is blocked and is ended`);
    const ended = member.unit.end();
    await new Promise((resolve) => setTimeout(resolve, STUCK_MS).unref());
    if (member.gone || this.#stopped) return;
    log.error(
      { [kind.name]: member.number },
      `a session ${kind.name} is stuck in native code and cannot be ended: it still takes its share of new ` +
        'connections until this process ends, so restart the node (workers.processes would contain it)',
    );
    this.#ended(member, { reason: 'blocked' }, undefined);
    onStuck?.(ended);
  }
}

/** A worker whose heap is full does nothing but collect it, and is found blocked before it ends. */
const reasonOf = ({ condemned }: Member, { reason }: UnitEnd): DeathReason =>
  condemned && reason !== 'out-of-memory' ? 'blocked' : reason;

/** Answers what workers ask, and hands on the rest. */
export function answering(owner: WorkerOwner, log: Logger): WorkerLine {
  return {
    heard(worker, message, answer) {
      if (message.type === 'request') {
        void answerRequest(message, owner.forWorker(worker), answer, (name, error, session) =>
          log.error({ worker, session, request: name, err: error }, 'a request of a worker failed'),
        );
        return;
      }
      if (message.type === 'fault')
        log.error({ worker, session: message.sessionId, fault: message.text }, 'an error cost a session');
      owner.notice(worker, message);
    },
    died: (death) => void owner.workersDied(death),
  };
}

/** How long a session that is ended may take to seal its recording: the archive's grace, and somewhat longer. */
export const sealMsOf = (graceSeconds: number): number => (graceSeconds + 5) * 1_000;
