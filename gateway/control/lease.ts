/**
 * The lease of this run of the node: a row in the store that it renews. Peers that have not seen the row
 * change for longer than the lease, by their own monotonic time, take the run for lost and finish its
 * sessions. By then it has long stopped by itself: it may write only until its deadline.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { Deadline } from '../../workers/deadline.ts';
import { ConfigurationError } from '../config/problems.ts';
import { StoreError } from '../store/errors.ts';
import type { NodeRow, Store } from '../store/port.ts';
import type { Clock } from './clock.ts';

export interface LeaseOptions {
  readonly store: Store;
  /** `node.name` */
  readonly node: string;
  /** Names the data folder, which this process holds. */
  readonly home: string;
  /** `node.leaseSeconds` in ms. */
  readonly leaseMs: number;
  /** What the node says of itself, told with each renewal. */
  readonly standing: () => string;
  readonly clock: Clock;
  /** ms that no clock's setting changes. */
  readonly monotonic: () => number;
  readonly log: Logger;
}

/** How often a node that wants to start looks whether another of its name renews. */
const LOOK_MS = 500;

/** How long a run must have been silent to be lost: its lease, and time for what it had under way. */
export function silenceOf({ leaseMs }: NodeRow): number {
  return leaseMs + Math.max(1000, leaseMs / 3);
}

export class Lease {
  /** Id of this run. */
  readonly run = randomUUID();
  /** Until when this run may write. */
  readonly deadline = new Deadline();
  readonly #options: LeaseOptions;
  #until = 0;
  #renewals = 0;

  private constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /**
   * Takes the lease of the node's name; waits for one that nobody renews to run out.
   *
   * @throws ConfigurationError: another process renews it
   */
  static async take(options: LeaseOptions): Promise<Lease> {
    const { store, node, home, clock, monotonic, log } = options;
    const lease = new Lease(options);
    let watched: { readonly id: string; readonly renewals: number; readonly since: number } | undefined;
    for (;;) {
      const holder = (await store.nodes()).find(({ name, state }) => name === node && state === 'running');
      if (holder === undefined) {
        if (await lease.#insert()) return lease;
        continue;
      }
      const { id, renewals } = holder;
      if (id !== watched?.id) {
        watched = { id, renewals, since: monotonic() };
        if (holder.home !== home)
          log.warn({ run: id }, 'another run of this node has a lease: waiting whether it is renewed');
      }
      if (renewals !== watched.renewals) {
        throw new ConfigurationError('node.name', [
          `node ${node} is running already, with another data folder: stop it, or give this node another name`,
        ]);
      }
      // Whoever had this very folder is gone: this process holds it now.
      if (holder.home === home || monotonic() - watched.since >= silenceOf(holder)) {
        await store.updateNode(id, { state: 'running', renewals }, { state: 'lost' });
        continue;
      }
      await clock.sleep(LOOK_MS);
    }
  }

  /** Whether this run may hold sessions. */
  get held(): boolean {
    return this.#options.monotonic() < this.#until;
  }

  /** @returns false when peers took this run for lost: it never gets its lease back; rejects as the store does */
  async renew(): Promise<boolean> {
    const { store, monotonic, clock, standing } = this.#options;
    const asked = monotonic();
    // Counted up in any case: a renewal that was written and not answered must not be taken for none.
    this.#renewals += 1;
    const renewed = await store.updateNode(
      this.run,
      { state: 'running' },
      { renewals: this.#renewals, standing: standing(), standingAt: clock.now() },
    );
    this.#setUntil(renewed ? asked + this.#options.leaseMs : 0);
    return renewed;
  }

  /**
   * The node stops: what is unfinished is for others to finish at once.
   *
   * @param untidy its writers may have left something in the archive beside their recordings
   */
  async giveUp(untidy = false): Promise<void> {
    const { store } = this.#options;
    this.#setUntil(0);
    const left = await store.sessions({ run: this.run, unfinished: true }, { limit: 1 });
    if (left.length === 0 && !untidy) await store.deleteNode(this.run);
    else await store.updateNode(this.run, { state: 'running' }, { state: 'lost' });
  }

  async #insert(): Promise<boolean> {
    const { store, node: name, home, leaseMs, clock, monotonic, standing } = this.#options;
    const startedAt = clock.now();
    const asked = monotonic();
    try {
      await store.insertNode({
        id: this.run,
        name,
        home,
        startedAt,
        renewals: 0,
        leaseMs,
        state: 'running',
        heir: undefined,
        standing: standing(),
        standingAt: startedAt,
      });
    } catch (error) {
      // Another process of this name was faster.
      if (error instanceof StoreError && error.code === 'conflict') return false;
      throw error;
    }
    this.#setUntil(asked + leaseMs);
    return true;
  }

  #setUntil(ms: number): void {
    this.#until = ms;
    this.deadline.set(ms);
  }
}
