/** What one session worker counts, and how it stands; told to the main thread with each beat. */
import { getHeapStatistics } from 'node:v8';
import { SessionFigures } from '../gateway/metrics/session-figures.ts';
import { type Histogram, Sheet, type Value } from '../gateway/metrics/sheet.ts';
import { CONTROL_REQUESTS, SESSION_STATES, WORKER_PLAN } from '../gateway/metrics/worker-families.ts';
import type { Protocol } from '../gateway/policy/capability.ts';
import type { LiveSession } from '../gateway/session/live.ts';
import type { RecorderObserver, RecorderStanding } from '../recorder/index.ts';
import type { ControlRequests } from './messages.ts';

const PROTOCOLS = ['ssh', 'rdp'] as const;

/** How a worker stands at a beat. */
export interface WorkerStanding {
  readonly sessions: Iterable<LiveSession>;
  readonly connections: Readonly<Record<Protocol, number>>;
  /** Longest stall of the event loop since the last beat. */
  readonly lagMs: number;
  readonly recorder: RecorderStanding;
}

export class WorkerMetrics {
  readonly #sheet = new Sheet(WORKER_PLAN);
  /** Of sessions that are over; in bytes, by protocol. */
  readonly #earlier = {
    ssh: { fromClient: 0, fromTarget: 0 },
    rdp: { fromClient: 0, fromTarget: 0 },
  };
  readonly #requests: Readonly<Record<keyof ControlRequests, Histogram>>;
  readonly figures: Readonly<Record<Protocol, SessionFigures>> = {
    ssh: new SessionFigures('ssh', this.#sheet),
    rdp: new SessionFigures('rdp', this.#sheet),
  };
  readonly observer: RecorderObserver;
  readonly #stalls = this.#sheet.histogram('sallyport_worker_stall_seconds');
  readonly #gauges = new Map<string, Value>();

  constructor() {
    const request = (name: string) =>
      this.#sheet.histogram('sallyport_control_request_seconds', { request: name });
    this.#requests = Object.fromEntries(CONTROL_REQUESTS.map((name) => [name, request(name)])) as Record<
      keyof ControlRequests,
      Histogram
    >;
    const counter = (name: string) => this.#sheet.value(name);
    const appends = this.#sheet.histogram('sallyport_archive_append_seconds');
    const appended = counter('sallyport_archive_appended_bytes_total');
    const refused = counter('sallyport_archive_append_failures_total');
    const pauses = counter('sallyport_recording_pauses_total');
    const paused = counter('sallyport_recording_paused_seconds_total');
    this.observer = {
      appended: (seconds, bytes) => {
        appends.observe(seconds);
        appended.add(bytes);
      },
      refused: () => refused.add(1),
      paused: () => pauses.add(1),
      resumed: (seconds) => paused.add(seconds),
    };
  }

  /** A request to the control plane was answered, after `seconds`. */
  asked(request: keyof ControlRequests, seconds: number): void {
    this.#requests[request].observe(seconds);
  }

  /** The session will not be among the running ones any more. */
  ended({ protocol, traffic }: LiveSession): void {
    this.#earlier[protocol].fromClient += traffic.fromClient;
    this.#earlier[protocol].fromTarget += traffic.fromTarget;
  }

  /** All numbers as they are now, in the order of {@link WORKER_PLAN}; valid until the next call. */
  collect({ sessions, connections, lagMs, recorder }: WorkerStanding): Float64Array {
    this.#sessions(sessions);
    for (const protocol of PROTOCOLS) this.#set('sallyport_connections', connections[protocol], { protocol });
    this.#stalls.observe(lagMs / 1000);
    this.#set('sallyport_worker_lag_seconds', lagMs / 1000);
    this.#set('sallyport_recordings', recorder.recordings);
    this.#set('sallyport_recordings_paused', recorder.paused);
    this.#set('sallyport_archive_lag_seconds', recorder.lag.ms / 1000);
    this.#set('sallyport_archive_unacknowledged_bytes', recorder.lag.bytes);
    this.#set('sallyport_archive_window_fill_ratio', recorder.lag.fill);
    this.#set('sallyport_recording_memory_bytes', recorder.heldBytes);
    const { used_heap_size: heap, heap_size_limit: limit, external_memory: external } = getHeapStatistics();
    this.#set('sallyport_worker_heap_bytes', heap);
    this.#set('sallyport_worker_heap_limit_bytes', limit);
    this.#set('sallyport_worker_external_bytes', external);
    const { user, system } = process.threadCpuUsage();
    this.#set('sallyport_worker_cpu_seconds_total', (user + system) / 1e6);
    return this.#sheet.values;
  }

  #sessions(sessions: Iterable<LiveSession>): void {
    const counts = { ssh: { ...NO_SESSION }, rdp: { ...NO_SESSION } };
    const { ssh, rdp } = this.#earlier;
    const traffic = { ssh: { ...ssh }, rdp: { ...rdp } };
    let all = 0;
    for (const session of sessions) {
      const { protocol, state } = session;
      const { fromClient, fromTarget } = session.traffic;
      counts[protocol][state] += 1;
      traffic[protocol].fromClient += fromClient;
      traffic[protocol].fromTarget += fromTarget;
      all += 1;
    }
    this.#set('sallyport_worker_sessions', all);
    for (const protocol of PROTOCOLS) {
      for (const state of SESSION_STATES)
        this.#set('sallyport_sessions', counts[protocol][state], { protocol, state });
      const { fromClient, fromTarget } = traffic[protocol];
      this.#set('sallyport_relayed_bytes_total', fromClient, { protocol, from: 'client' });
      this.#set('sallyport_relayed_bytes_total', fromTarget, { protocol, from: 'target' });
    }
  }

  #set(name: string, value: number, labels?: Readonly<Record<string, string>>): void {
    const key = labels === undefined ? name : `${name} ${Object.values(labels).join(' ')}`;
    let gauge = this.#gauges.get(key);
    if (gauge === undefined) {
      gauge = this.#sheet.value(name, labels);
      this.#gauges.set(key, gauge);
    }
    gauge.set(value);
  }
}

const NO_SESSION = { opening: 0, active: 0, locked: 0, closing: 0 };
