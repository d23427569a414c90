/** What this node tells load balancers: its listeners, and the facts behind what they say. */
import type { Logger } from 'pino';
import type { Archive } from '../../recorder/index.ts';
import type { Config, Endpoint } from '../config/config.ts';
import { AgentServer } from '../health/agent.ts';
import { ArchiveWatch } from '../health/archive-watch.ts';
import { Beats } from '../health/beats.ts';
import { type Phase, type Reason, type Report, reason, reportOf } from '../health/report.ts';
import { HealthServer } from '../health/server.ts';
import { ListenError } from '../listener/free-port.ts';
import type { Exposition } from '../metrics/node-metrics.ts';

/** What a node that has started knows of itself. */
export interface NodeFacts {
  phase(): Exclude<Phase, 'starting'>;
  /** Sessions open now. */
  sessions(): number;
  /** The store failed when it was needed last, or does not answer. */
  storeDown(): boolean;
  leaseHeld(): boolean;
  /** A session worker that cannot be ended still gets its share of new connections. */
  workerStuck(): boolean;
  /** Why no session is admitted, as far as load and capacity say. */
  admission(): readonly Reason[];
}

export interface HealthPorts {
  readonly health: number | undefined;
  readonly agentCheck: number | undefined;
}

/** A balancer asks every few seconds. */
const ASKED_MS = 60_000;

export class NodeHealth {
  readonly beats = new Beats();
  readonly #config: Config;
  readonly #archive: ArchiveWatch;
  readonly #http: HealthServer;
  readonly #agent: AgentServer;
  #facts: NodeFacts | undefined;
  #metrics: (() => Promise<Exposition>) | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  private constructor(config: Config, archive: Archive, log: Logger) {
    this.#config = config;
    this.#archive = new ArchiveWatch({
      check: () => archive.check(),
      // A look at a bucket writes an object and deletes it, which one with versions keeps for a while.
      everyMs: config.archive.urls.some((url) => url.startsWith('s3:')) ? 30_000 : 10_000,
      onChange: (error) => {
        if (error === undefined) log.warn('the archive is back');
        else log.error({ err: error }, 'the archive takes no recordings');
      },
    });
    const onAsked = (): void => {
      this.#askedAt = performance.now();
    };
    const report = (): Report => this.report();
    this.#http = new HealthServer({
      report,
      metrics: async () => (await this.#metrics?.()) ?? { contentType: 'text/plain', body: '' },
      onAsked,
      onFault: (error) => log.error({ err: error }, 'a request of a load balancer failed'),
    });
    this.#agent = new AgentServer({ report, onAsked });
  }

  /**
   * Answers from now on; until {@link started} it says that the node starts.
   * @throws ListenError
   */
  static async open(
    config: Config,
    archive: Archive,
    log: Logger,
  ): Promise<{ health: NodeHealth; ports: HealthPorts }> {
    const health = new NodeHealth(config, archive, log);
    const { listen } = config;
    try {
      const ports = {
        health: await listenAt('listen.health', listen.health, health.#http),
        agentCheck: await listenAt('listen.agentCheck', listen.agentCheck, health.#agent),
      };
      health.#archive.look();
      return { health, ports };
    } catch (error) {
      health.close();
      throw error;
    }
  }

  /** The node serves. */
  started(facts: NodeFacts, metrics?: () => Promise<Exposition>): void {
    this.#facts = facts;
    this.#metrics = metrics;
  }

  /** Something says that the archive may be down, or back. */
  suspectArchive(): void {
    this.#archive.look();
  }

  /** Whether a load balancer looks at this node. */
  get watched(): boolean {
    return performance.now() - this.#askedAt < ASKED_MS;
  }

  report(): Report {
    const { node, capacity, workers, archive } = this.#config;
    const facts = this.#facts;
    const spooling = archive.onFailure === 'spool';
    const archiveDown = this.#archive.down ? [reason('archive-down')] : [];
    const reasons: Reason[] = [];
    if (facts !== undefined) {
      reasons.push(...facts.admission());
      if (facts.storeDown()) reasons.push(reason('store-down'));
      if (!facts.leaseHeld()) reasons.push(reason('lease-lost'));
      if (this.beats.beating === 0) reasons.push(reason('workers-down'));
      if (facts.workerStuck()) reasons.push(reason('worker-stuck'));
    }
    // With a spool sessions go on without the archive.
    if (!spooling) reasons.push(...archiveDown);
    return reportOf({
      node: node.name,
      phase: facts?.phase() ?? 'starting',
      sessions: facts?.sessions() ?? 0,
      maxSessions: capacity.maxSessions,
      lagMs: this.beats.lagMs,
      workers: { beating: this.beats.beating, expected: workers.sessions },
      reasons,
      warnings: spooling ? archiveDown : [],
    });
  }

  close(): void {
    this.#archive.stop();
    this.#http.close();
    this.#agent.close();
  }
}

async function listenAt(
  key: string,
  endpoint: Endpoint | undefined,
  server: { listen(endpoint: Endpoint): Promise<number> },
): Promise<number | undefined> {
  if (endpoint === undefined) return undefined;
  return await server.listen(endpoint).catch((error: NodeJS.ErrnoException) => {
    throw new ListenError(key, endpoint, error);
  });
}
