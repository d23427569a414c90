/** The parent's hold on the load processes that sit at many sessions. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { atExit } from '../../test/support/temp.ts';
import { type FromLoad, type Order, PROTOCOLS, type Protocol, type Second, type Way } from './jobs.ts';

const FILE = join(import.meta.dirname, 'load.ts');
/** Sessions that one process holds: a few milliseconds of its own work at most stand before a key. */
const SESSIONS_PER_PROCESS = 300;
/** Opened at once, over all processes: about as many as two cores work on. */
const CONCURRENCY = 16;
/** Processes end by themselves well before. */
const END_MS = 60_000;

interface Member {
  readonly child: ChildProcess;
  readonly orders: readonly Order[];
  readonly opened: PromiseWithResolvers<void>;
  readonly ended: PromiseWithResolvers<void>;
  readonly exited: Promise<void>;
  open: number;
}

export class Crew {
  readonly #members: Member[];
  #tally = emptyTally();
  #turn = 0;

  /** @param orders the sessions; every process gets some of each kind */
  constructor(orders: readonly Order[]) {
    const processes = Math.ceil(orders.length / SESSIONS_PER_PROCESS);
    this.#members = Array.from({ length: processes }, (_, index) =>
      this.#start(orders.filter((_order, at) => at % processes === index)),
    );
  }

  get pids(): readonly number[] {
    return this.#members.flatMap(({ child }) => child.pid ?? []);
  }

  /** Opens all sessions; resolves when each was tried. */
  async open(): Promise<void> {
    const concurrency = Math.max(1, Math.floor(CONCURRENCY / this.#members.length));
    for (const { child, orders } of this.#members) child.send({ kind: 'open', orders, concurrency });
    await Promise.all(this.#members.map(({ opened }) => opened.promise));
  }

  /** Some sessions end, and others like them begin: of another process each time. */
  renew(count: number): void {
    const member = this.#members[this.#turn % this.#members.length];
    this.#turn += 1;
    if (member?.child.connected) member.child.send({ kind: 'renew', count });
  }

  /** What was told since the last call; `open` as of now. */
  take(): Second {
    const { open: _, ...tally } = this.#tally;
    this.#tally = emptyTally();
    return { ...tally, open: this.#members.reduce((sum, { open }) => sum + open, 0) };
  }

  /** Lets the last keys be answered and closes everything. */
  async end(): Promise<void> {
    for (const { child } of this.#members) if (child.connected) child.send({ kind: 'end' });
    const late = setTimeout(() => this.kill(), END_MS);
    await Promise.all(this.#members.map(({ ended }) => ended.promise));
    clearTimeout(late);
    for (const { child } of this.#members) if (child.connected) child.disconnect();
    await Promise.all(this.#members.map(({ exited }) => exited));
  }

  kill(): void {
    for (const { child } of this.#members) child.kill('SIGKILL');
  }

  #start(orders: readonly Order[]): Member {
    const child = fork(FILE);
    const withdraw = atExit(() => child.kill('SIGKILL'));
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const member: Member = {
      child,
      orders,
      opened: Promise.withResolvers(),
      ended: Promise.withResolvers(),
      exited,
      open: 0,
    };
    let over = false;
    child.on('message', (message: FromLoad) => {
      if (message.kind === 'opened') member.opened.resolve();
      else if (message.kind === 'ended') {
        over = true;
        member.ended.resolve();
      } else {
        member.open = message.open;
        add(this.#tally, message);
      }
    });
    child.once('exit', (code, signal) => {
      withdraw();
      member.open = 0;
      // All that it held has failed with it.
      if (!over)
        for (const order of orders)
          this.#tally.errors.push(`${order.way}, ${order.work}: its load process ended (${code ?? signal})`);
      member.opened.resolve();
      member.ended.resolve();
    });
    return member;
  }
}

interface Growing {
  open: number;
  setUps: Record<Protocol, number[]>;
  keys: Record<Way, Record<Protocol, number[]>>;
  bytes: number;
  errors: string[];
}

function emptyTally(): Growing {
  const lists = (): Record<Protocol, number[]> => ({ ssh: [], rdp: [] });
  return { open: 0, setUps: lists(), keys: { via: lists(), direct: lists() }, bytes: 0, errors: [] };
}

function add(tally: Growing, second: Second): void {
  for (const protocol of PROTOCOLS) {
    tally.setUps[protocol].push(...second.setUps[protocol]);
    for (const way of ['via', 'direct'] as const)
      tally.keys[way][protocol].push(...second.keys[way][protocol]);
  }
  tally.bytes += second.bytes;
  tally.errors.push(...second.errors);
}
