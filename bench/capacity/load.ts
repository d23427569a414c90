/**
 * Process entry: holds many sessions, types in them as people do, and tells its parent every second what
 * became of them.
 */
import { many, sleep } from '../load-process.ts';
import type { Endpoint as Shell } from '../ssh/jobs.ts';
import {
  type FromLoad,
  KEYS_PER_SECOND,
  type Order,
  type Protocol,
  protocolOf,
  type ToLoad,
  type Way,
} from './jobs.ts';
import { ERRANDS, passBy } from './passers-by.ts';
import { type Held, openSession } from './sessions.ts';

const KEY_MS = 1000 / KEYS_PER_SECOND;
const TELL_MS = 1000;
/** A session in which nothing was shown for so long, where something must be, has failed. */
const SILENT_MS = 30_000;
/** Last keys get so long to be answered. */
const LAST_KEYS_MS = 15_000;
/** Connections close within this, or with the process. */
const CLOSE_MS = 5_000;

const byProtocol = (): Record<Protocol, number[]> => ({ ssh: [], rdp: [] });
const byWay = (): Record<Way, Record<Protocol, number[]>> => ({ via: byProtocol(), direct: byProtocol() });

let setUps = byProtocol();
let keys = byWay();
let bytes = 0;
let errors: string[] = [];
let errands = 0;
const seats = new Set<Seat>();

const tell = (message: FromLoad): void => void process.send?.(message);

function tellSecond(): void {
  const now = performance.now();
  for (const seat of seats) seat.look(now);
  const open = [...seats].filter(({ order }) => order.way === 'via').length;
  tell({ kind: 'second', open, setUps, keys, bytes, errors });
  setUps = byProtocol();
  keys = byWay();
  bytes = 0;
  errors = [];
}

/** One open session and who sits at it. */
class Seat {
  readonly order: Order;
  #held: Held | undefined;
  #timer: NodeJS.Timeout | undefined;
  #shownAt = performance.now();
  #over = false;

  constructor(order: Order) {
    this.order = order;
  }

  async open(): Promise<void> {
    const { order } = this;
    const begun = performance.now();
    try {
      this.#held = await openSession(order, {
        answered: (ms) => keys[order.way][protocolOf(order)].push(ms),
        shown: (count) => {
          bytes += count;
          this.#shownAt = performance.now();
        },
        failed: (why) => this.#fail(why),
      });
    } catch (error) {
      this.#fail(String(error));
      return;
    }
    if (this.#over) return this.close();
    if (order.way === 'via') setUps[protocolOf(order)].push(performance.now() - begun);
    seats.add(this);
    // People do not press their keys at the same moment.
    this.#timer = setTimeout(() => {
      this.#timer = setInterval(() => this.#held?.press(), KEY_MS);
    }, Math.random() * KEY_MS);
  }

  /** Types no more, and waits for what was typed. */
  async finish(): Promise<void> {
    clearTimeout(this.#timer);
    const last = performance.now() + LAST_KEYS_MS;
    while (!this.#over && this.#unanswered > 0 && performance.now() < last) await sleep(50);
    if (!this.#over && this.#unanswered > 0) this.#fail(`${this.#unanswered} keys were never answered`);
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    seats.delete(this);
    this.#held?.close();
  }

  look(now: number): void {
    if (now - this.#shownAt > SILENT_MS) this.#fail(`showed nothing for ${SILENT_MS / 1000} s`);
  }

  get #unanswered(): number {
    return this.#held?.unanswered() ?? 0;
  }

  #fail(why: string): void {
    if (this.#over) return;
    errors.push(`${this.order.way}, ${this.order.work}: ${why}`);
    this.close();
  }
}

async function openAll(orders: readonly Order[], concurrency: number): Promise<void> {
  const left = orders.values();
  await many(orders.length, concurrency, async () => {
    const { value } = left.next();
    if (value !== undefined) await new Seat(value).open();
  });
  tell({ kind: 'opened' });
}

/** The sessions that were opened first are renewed first, whatever is done in them. */
async function renew(count: number): Promise<void> {
  const chosen = [...seats].filter(({ order }) => order.way === 'via').slice(0, count);
  for (const seat of chosen) {
    await seat.finish();
    seat.close();
    await new Seat(seat.order).open();
    if (seat.order.work !== 'desktop') await errand(seat.order.endpoint);
  }
}

/** Beside each SSH session that is renewed somebody comes for one thing alone, another each time. */
async function errand(endpoint: Shell): Promise<void> {
  const next = ERRANDS[errands % ERRANDS.length] ?? 'exec';
  errands += 1;
  try {
    const ms = await passBy(endpoint, next);
    if (ms !== undefined) setUps.ssh.push(ms);
  } catch (error) {
    errors.push(`via, ${next}: ${error}`);
  }
}

async function endAll(): Promise<void> {
  const all = [...seats];
  await Promise.all(all.map((seat) => seat.finish()));
  clearInterval(teller);
  tellSecond();
  for (const seat of all) seat.close();
  await sleep(Math.min(CLOSE_MS, 200 + all.length * 5));
  tell({ kind: 'ended' });
}

const teller = setInterval(tellSecond, TELL_MS);
process.once('disconnect', () => process.exit());
process.on('message', (message: ToLoad) => {
  if (message.kind === 'open') void openAll(message.orders, message.concurrency);
  else if (message.kind === 'renew') void renew(message.count);
  else void endAll();
});
