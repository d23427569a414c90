/** The metrics of a node: what its main thread counts, and what its session workers tell. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Fact } from '../control/audit-trail.ts';
import { maxFds, processFigures } from './processes.ts';
import { WORKER_PLAN } from './worker-families.ts';
import { WorkerTotals } from './worker-totals.ts';

/** How often the main thread looks at its event loop, and at most how long a stall is not seen. */
const LAG_MS = 50;
const TURN_MS = 1_000;
/** Reasons come from codes of ours; whatever happens, a label has no more values than this. */
const MAX_REASONS = 64;
const OTHER = 'other';

/** Refusals that are not about a person's rights, but about what the node can bear. */
const ADMISSION = new Set(['node-full', 'lease-lost', 'overloaded']);

export interface NodeMetricsOptions {
  readonly node: string;
  readonly version: string;
  /** `capacity.maxSessions` */
  readonly maxSessions: number;
  readonly leaseHeld: () => boolean;
}

/** What a scrape gets. */
export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

export class NodeMetrics {
  /** For what other parts of the main thread count. */
  readonly registry = new Registry();
  readonly #totals = new WorkerTotals(WORKER_PLAN);
  /** Process of each worker. */
  readonly #pids = new Map<number, number>();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_MS });
  readonly #reasons = new Map<string, Set<string>>();
  readonly #events: Counter<'code'>;
  readonly #logOns: Counter<'protocol' | 'outcome' | 'factor'>;
  readonly #refusals: Counter<'stage' | 'reason'>;
  readonly #ends: Counter<'code'>;
  readonly #probes: Counter;
  readonly #dropped: Counter;
  readonly #died: Counter;
  readonly #memory: Gauge;
  readonly #fds: Gauge;
  readonly #maxFds: Gauge;
  #turns: NodeJS.Timeout | undefined;

  constructor(options: NodeMetricsOptions) {
    const registers = [this.registry];
    const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter({ name, help, labelNames, registers });
    this.#events = counter('sallyport_audit_events_total', 'Audit events by their code', ['code']);
    this.#logOns = counter('sallyport_log_ons_total', 'Log-ons of people: accepted, refused or blocked', [
      'protocol',
      'outcome',
      'factor',
    ]);
    this.#refusals = counter(
      'sallyport_refusals_total',
      'What was refused: connections at the door, log-ons, sessions for what the node can bear (admission) or by policy, requests inside of sessions',
      ['stage', 'reason'],
    );
    this.#ends = counter('sallyport_sessions_ended_total', 'Sessions that ended, by the code of why', [
      'code',
    ]);
    this.#probes = counter(
      'sallyport_probes_total',
      'Connections that left without a word, as probes of load balancers do',
    );
    this.#dropped = counter(
      'sallyport_dropped_connections_total',
      'Connections that spoke and ended before their log-on was complete',
    );
    this.#died = counter('sallyport_workers_died_total', 'Session workers that ended while the node ran');
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
    this.#memory = gauge('sallyport_resident_memory_bytes', 'Resident memory of the processes of the node');
    this.#fds = gauge('sallyport_open_fds', 'Open file descriptors of the processes of the node');
    this.#maxFds = gauge('sallyport_max_fds', 'File descriptors that the processes of the node may open');
    this.#gauges(options);
  }

  /** Watches the event loop of this thread from now on. */
  start(): void {
    const stalls = new Histogram({
      name: 'sallyport_main_stall_seconds',
      help: 'Longest stall of the event loop of the main thread in each second',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers: [this.registry],
    });
    this.#lag.enable();
    this.#turns = setInterval(() => {
      stalls.observe(Math.max(0, this.#lag.max / 1e6 - LAG_MS) / 1000);
      this.#lag.reset();
    }, TURN_MS);
    this.#turns.unref();
  }

  stop(): void {
    clearInterval(this.#turns);
    this.#lag.disable();
  }

  /** @param values of {@link WORKER_PLAN}, counted since the worker began */
  workerTold(worker: number, pid: number, values: Float64Array): void {
    this.#pids.set(worker, pid);
    this.#totals.told(worker, values);
  }

  workerDied(worker: number): void {
    this.#pids.delete(worker);
    this.#totals.gone(worker);
    this.#died.inc();
  }

  probed(): void {
    this.#probes.inc();
  }

  dropped(): void {
    this.#dropped.inc();
  }

  /** A connection was turned away at the door. */
  turnedAway(reason: string): void {
    this.#refused('door', reason);
  }

  /** Counts what the audit trail hears, whether or not each has a row of its own there. */
  heard({ code, detail = {} }: Fact): void {
    this.#events.inc({ code });
    const text = (key: string): string => String(detail[key] ?? OTHER);
    switch (code) {
      case 'user.login.succeeded':
        this.#loggedOn('accepted', text('protocol'), text('method'));
        return;
      case 'user.login.failed':
        this.#loggedOn('refused', text('protocol'), text('factor'));
        this.#refused('log-on', text('factor'));
        return;
      case 'user.login.blocked':
        this.#loggedOn('blocked', text('protocol'), 'any');
        this.#refused('log-on', 'blocked');
        return;
      case 'session.denied': {
        const reason = text('code');
        this.#refused(ADMISSION.has(reason) ? 'admission' : 'policy', reason);
        return;
      }
      case 'session.request.refused':
        this.#refused('session', 'request');
        return;
      case 'session.ended':
        this.#ends.inc({ code: this.#bounded('end', text('code')) });
    }
  }

  /** All metrics in Prometheus' text format. */
  async metrics(): Promise<Exposition> {
    await this.#lookAtProcesses();
    const workers = AggregatorRegistry.aggregate([this.#totals.metrics()]);
    const [own, theirs] = await Promise.all([this.registry.metrics(), workers.metrics()]);
    return { contentType: this.registry.contentType, body: `${own}\n${theirs}` };
  }

  #loggedOn(outcome: string, protocol: string, factor: string): void {
    this.#logOns.inc({ outcome, protocol, factor: this.#bounded('factor', factor) });
  }

  #refused(stage: string, reason: string): void {
    this.#refusals.inc({ stage, reason: this.#bounded(stage, reason) });
  }

  /** INVARIANT: a label of a kind never has more than {@link MAX_REASONS} values. */
  #bounded(kind: string, value: string): string {
    let known = this.#reasons.get(kind);
    if (known === undefined) {
      known = new Set();
      this.#reasons.set(kind, known);
    }
    if (!known.has(value) && known.size >= MAX_REASONS) return OTHER;
    known.add(value);
    return value;
  }

  #gauges({ node, version, maxSessions, leaseHeld }: NodeMetricsOptions): void {
    const registers = [this.registry];
    new Gauge({
      name: 'sallyport_node_info',
      help: 'Always 1; says which node this is, and what it runs',
      labelNames: ['node', 'version', 'node_js'],
      registers,
    }).set({ node, version, node_js: process.versions.node }, 1);
    new Gauge({
      name: 'sallyport_sessions_max',
      help: 'Sessions that the node takes (capacity.maxSessions)',
      registers,
    }).set(maxSessions);
    const gauge = (name: string, help: string, collect: () => number): void => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(collect());
        },
      });
    };
    gauge(
      'sallyport_lease_held',
      'Whether the node has its lease in the store: without it no session is opened',
      () => (leaseHeld() ? 1 : 0),
    );
    gauge('sallyport_workers', 'Session workers that have told how they are', () => this.#pids.size);
    gauge(
      'process_start_time_seconds',
      'When the main process began, in seconds since the epoch',
      () => Math.round(performance.timeOrigin) / 1000,
    );
    new Counter({
      name: 'process_cpu_seconds_total',
      help: 'CPU time of the main process, user and system, with all its threads',
      registers,
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    });
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
