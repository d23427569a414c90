/** The metrics of a node: what its main thread counts, and what its session workers tell. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { StoreError } from '../store/errors.ts';
import { AccessMetrics } from './access-metrics.ts';
import { maxFds, processFigures } from './processes.ts';
import { STALLS, WORKER_PLAN } from './worker-families.ts';
import { WorkerTotals } from './worker-totals.ts';

/** How exactly stalls of the event loop are seen, and how often they are counted. */
const LAG_MS = 50;
const TURN_MS = 1_000;
/** Seconds. The embedded store answers most calls within one, a store over the network within ten ms. */
const STORE_CALLS = [0.001, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10];

export interface NodeMetricsOptions {
  readonly node: string;
  readonly version: string;
  /** `capacity.maxSessions` */
  readonly maxSessions: number;
}

/** What a scrape gets. */
export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/** A value, and the labels that it has. */
export type Labelled<L extends string> = readonly [Record<L, string>, number];

export class NodeMetrics {
  readonly access: AccessMetrics;
  readonly #registry = new Registry();
  readonly #totals = new WorkerTotals(WORKER_PLAN);
  /** Process of each worker. */
  readonly #pids = new Map<number, number>();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_MS });
  readonly #stalls: Histogram;
  readonly #storeCalls: Histogram<'operation'>;
  readonly #storeErrors: Counter<'code'>;
  readonly #died: Counter;
  readonly #memory: Gauge;
  readonly #fds: Gauge;
  readonly #maxFds: Gauge;
  #turns: NodeJS.Timeout | undefined;

  constructor(options: NodeMetricsOptions) {
    const registers = [this.#registry];
    this.#describe(options);
    this.access = new AccessMetrics(this.#registry);
    this.#died = new Counter({
      name: 'sallyport_workers_died_total',
      help: 'Session workers that ended while the node ran',
      registers,
    });
    this.#stalls = new Histogram({
      name: 'sallyport_main_stall_seconds',
      help: 'Longest stall of the event loop of the main thread in each second',
      buckets: [...STALLS],
      registers,
    });
    this.#storeCalls = new Histogram({
      name: 'sallyport_store_call_seconds',
      help: 'How long the store took to answer, by the name of the call; a transaction is one call',
      labelNames: ['operation'],
      buckets: STORE_CALLS,
      registers,
    });
    this.#storeErrors = new Counter({
      name: 'sallyport_store_errors_total',
      help: 'Calls that the store refused: unavailable, unusable or busy; conflict (of two writers) is none of its own',
      labelNames: ['code'],
      registers,
    });
    for (const code of ['unavailable', 'unusable', 'busy']) this.#storeErrors.inc({ code }, 0);
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
    this.#memory = gauge('sallyport_resident_memory_bytes', 'Resident memory of the processes of the node');
    this.#fds = gauge('sallyport_open_fds', 'Open file descriptors of the processes of the node');
    this.#maxFds = gauge('sallyport_max_fds', 'File descriptors that the processes of the node may open');
  }

  /** Watches the event loop of this thread from now on. */
  start(): void {
    this.#lag.enable();
    this.#turns = setInterval(() => {
      this.#stalls.observe(Math.max(0, this.#lag.max / 1e6 - LAG_MS) / 1000);
      this.#lag.reset();
    }, TURN_MS);
    this.#turns.unref();
  }

  stop(): void {
    clearInterval(this.#turns);
    this.#lag.disable();
  }

  /** Shows what `collect` says at each scrape. */
  gauge(name: string, help: string, collect: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(collect());
      },
    });
  }

  /** The same with labels. INVARIANT: their values are a bounded set. */
  gauges<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    collect: () => Iterable<Labelled<L>>,
  ): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        for (const [labels, value] of collect()) this.set(labels, value);
      },
    });
  }

  /** The same with what others have counted and never counts down. */
  counters<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    collect: () => Iterable<Labelled<L>>,
  ): void {
    new Counter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, value] of collect()) this.inc(labels, value);
      },
    });
  }

  /** @param values of {@link WORKER_PLAN}, counted since the worker began */
  workerTold(worker: number, pid: number, values: Float64Array): void {
    this.#pids.set(worker, pid);
    this.#totals.told(worker, values);
  }

  /** @param died by itself, or killed; otherwise it was stopped */
  workerGone(worker: number, died: boolean): void {
    this.#pids.delete(worker);
    this.#totals.gone(worker);
    if (died) this.#died.inc();
  }

  /** The store has answered, or rejected with `error`. */
  storeCalled(operation: string, seconds: number, error?: unknown): void {
    this.#storeCalls.observe({ operation }, seconds);
    if (error instanceof StoreError && error.code !== 'conflict') this.#storeErrors.inc({ code: error.code });
  }

  /** All metrics in Prometheus' text format. */
  async metrics(): Promise<Exposition> {
    await this.#lookAtProcesses();
    const workers = AggregatorRegistry.aggregate([this.#totals.metrics()]);
    const [own, theirs] = await Promise.all([this.#registry.metrics(), workers.metrics()]);
    return { contentType: this.#registry.contentType, body: `${own}\n${theirs}` };
  }

  #describe({ node, version, maxSessions }: NodeMetricsOptions): void {
    const registers = [this.#registry];
    new Gauge({
      name: 'sallyport_node_info',
      help: 'Always 1; says which node this is, and what it runs',
      labelNames: ['node', 'version', 'node_js'],
      registers,
    }).set({ node, version, node_js: process.versions.node }, 1);
    this.gauge(
      'sallyport_sessions_max',
      'Sessions that the node takes (capacity.maxSessions)',
      () => maxSessions,
    );
    this.gauge('sallyport_workers', 'Session workers that have told how they are', () => this.#pids.size);
    this.gauge(
      'process_start_time_seconds',
      'When the main process began, in seconds since the epoch',
      () => Math.round(performance.timeOrigin) / 1000,
    );
    this.counters(
      'process_cpu_seconds_total',
      'CPU time of the main process, user and system, with all its threads',
      [],
      () => {
        const { user, system } = process.cpuUsage();
        return [[{}, (user + system) / 1e6]];
      },
    );
  }

  /** Of all processes of the node together. */
  async #lookAtProcesses(): Promise<void> {
    const pids = new Set([process.pid, ...this.#pids.values()]);
    const [{ residentBytes, openFds }, limit] = await Promise.all([processFigures(pids), maxFds()]);
    this.#memory.set(residentBytes);
    this.#fds.set(openFds);
    if (limit !== undefined) this.#maxFds.set(limit * pids.size);
  }
}
