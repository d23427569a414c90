/**
 * The node's standing among its peers: it holds a lease and renews it, watches the leases of others,
 * finishes what lost runs left, and has recordings compacted. Where peers took this node for lost, it
 * gives up everything that it held and begins a new run.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type BackgroundPool, openArchives } from '../../recorder/index.ts';
import { EmbeddedVault } from '../../vault-client/index.ts';
import { monotonicMs } from '../../workers/deadline.ts';
import type { Bootstrapped } from '../bootstrap/bootstrap.ts';
import { archiveSettings } from '../config/archive.ts';
import { AuditTrail } from '../control/audit-trail.ts';
import type { Clock } from '../control/clock.ts';
import { Compaction } from '../control/compaction.ts';
import { Lease, type LeaseOptions } from '../control/lease.ts';
import { Recovery } from '../control/recovery.ts';
import { type Home, holdHome } from './home.ts';

/** How long a stop waits for what is being finished for others, and compacted. */
const FINISH_MS = 5_000;

/** What becomes of a node that its peers took for lost. */
export interface TenureOwner {
  /** Ends all that this run holds, before a new one begins. */
  lost(): Promise<void>;
  /** Serves again, as a new run. */
  begun(): Promise<void>;
  /** It cannot begin again: another process has its name, or its ports. */
  over(error: unknown): void;
}

export class Tenure {
  readonly #home: Home;
  readonly #lasting: LeaseOptions;
  readonly #log: Logger;
  /** A recording that is being compacted waits for the next run of the node; one that is sealed does not. */
  readonly #stopping = new AbortController();
  readonly #recovery: Recovery;
  readonly #compaction: Compaction | undefined;
  #lease: Lease;
  readonly #timer: NodeJS.Timeout;
  #owner: TenureOwner | undefined;
  #turning: Promise<void> | undefined;
  #looking: Promise<void> | undefined;
  #failing = false;

  private constructor(
    parts: Bootstrapped,
    background: BackgroundPool,
    drain: (sessionId: string) => Promise<void>,
    home: Home,
    lasting: LeaseOptions,
    lease: Lease,
  ) {
    const { config, store, masterKey, signingKey } = parts;
    const { log, clock, monotonic } = lasting;
    const archive = () => archiveSettings(config, this.#lease.run);
    const node = config.node.name;
    this.#home = home;
    this.#lasting = lasting;
    this.#log = log;
    this.#lease = lease;
    // At once, because a node may take longer to start than its lease.
    this.#timer = setInterval(() => this.turn(), lasting.leaseMs / 3);
    this.#recovery = new Recovery({
      store,
      node,
      vault: new EmbeddedVault(store, masterKey),
      audit: new AuditTrail({ store, node, clock, log }),
      workshop: {
        seal: async (sessionId, reason, knownHead) => {
          await drain(sessionId);
          return await background.seal(archive(), sessionId, { node, signingKey, reason, knownHead });
        },
        open: (sessionId) => openArchives(archive()).open(sessionId),
        tidy: (run) => openArchives(archive()).tidy(run),
      },
      lease: () => this.#lease,
      clock,
      monotonic,
      log,
    });
    const compact = (sessionId: string) => background.compact(archive(), sessionId, this.#stopping.signal);
    this.#compaction = compacts(parts) ? new Compaction({ store, node, compact, monotonic, log }) : undefined;
  }

  /**
   * Takes the node's lease and ends what earlier runs of its data folder left open.
   *
   * @param background seals and compacts; whoever closes it stops this before
   * @param drain brings into the archive what this node holds of a recording, before that is sealed
   * @param standing what the node says of itself
   * @throws ConfigurationError: the folder or the node's name is in use
   */
  static async begin(
    parts: Bootstrapped,
    background: BackgroundPool,
    drain: (sessionId: string) => Promise<void>,
    standing: () => string,
    clock: Clock,
    log: Logger,
  ): Promise<Tenure> {
    const { config, store } = parts;
    const home = holdHome(config.node.dataDir);
    let tenure: Tenure | undefined;
    try {
      const lasting = {
        store,
        node: config.node.name,
        home: home.id,
        leaseMs: config.node.leaseSeconds * 1000,
        standing,
        clock,
        monotonic: monotonicMs,
        log,
      };
      tenure = new Tenure(parts, background, drain, home, lasting, await Lease.take(lasting));
      await tenure.#recovery.endEarlier(home.id);
      return tenure;
    } catch (error) {
      if (tenure !== undefined) clearInterval(tenure.#timer);
      home.release();
      throw error;
    }
  }

  /** Of the run that new sessions belong to. */
  get lease(): Lease {
    return this.#lease;
  }

  /** The node serves: peers are watched from now on. */
  start(owner: TenureOwner): void {
    this.#owner = owner;
    this.look();
  }

  /** Looks now for what there is to finish. */
  look(): void {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Gives the lease up; the workers must have ended before. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([this.#turning, this.#looking]);
    const compacted = this.#compaction?.stop();
    this.#stopping.abort();
    const finished = Promise.all([this.#recovery.stop(), compacted]).then(() => true);
    // What hangs in an archive that does not answer is left to peers, or to the next start.
    const tidy = await Promise.race([finished, sleep(FINISH_MS, false, { ref: false })]);
    try {
      await this.#lease.giveUp(!tidy || this.#compaction !== undefined);
    } finally {
      this.#home.release();
    }
  }

  /** Whether the store did not take the last renewal. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Renews the lease now, which also tells the others how this node is. */
  turn(): void {
    this.#turning ??= this.#renew().finally(() => {
      this.#turning = undefined;
    });
    if (this.#owner !== undefined) this.look();
  }

  async #renew(): Promise<void> {
    try {
      const renewed = await this.#lease.renew();
      this.#failing = false;
      if (renewed || this.#owner === undefined) return;
    } catch (error) {
      if (!this.#failing) this.#log.error({ err: error }, 'lease not renewed, trying again');
      this.#failing = true;
      return;
    }
    this.#log.error({ run: this.#lease.run }, 'peers took this node for lost: its sessions end');
    try {
      await this.#owner.lost();
      this.#lease = await Lease.take(this.#lasting);
      await this.#owner.begun();
      this.#log.warn({ run: this.#lease.run }, 'this node goes on as a new run');
    } catch (error) {
      this.#owner.over(error);
    }
  }

  async #look(): Promise<void> {
    try {
      await this.#recovery.turn();
      if (this.#lease.held) this.#compaction?.turn();
    } catch (error) {
      this.#log.warn({ err: error }, 'store out of reach, peers are not watched');
    }
  }
}

/** Whether the archive keeps a recording as many objects while it is written. */
export const compacts = ({ config }: Pick<Bootstrapped, 'config'>): boolean =>
  config.archive.urls.some((url) => url.startsWith('s3:'));
