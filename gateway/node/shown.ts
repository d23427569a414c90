/** What metrics show of a node's standing, beside what its parts count. */
import type { BackgroundPool, JobFigures } from '../../recorder/index.ts';
import type { PasswordPool } from '../apply/password-pool.ts';
import type { Config } from '../config/config.ts';
import { REASONS } from '../health/report.ts';
import type { Labelled, NodeMetrics } from '../metrics/node-metrics.ts';
import type { NodeHealth } from './health.ts';
import type { NodeSpool } from './spool.ts';
import type { Tenure } from './tenure.ts';

export interface ShownParts {
  readonly config: Config;
  readonly background: BackgroundPool;
  readonly passwords: PasswordPool;
  readonly tenure: Tenure;
  readonly spool: NodeSpool;
  readonly health: NodeHealth;
}

export function showStanding(metrics: NodeMetrics, parts: ShownParts): void {
  const { config, tenure, spool, health } = parts;
  metrics.gauge('sallyport_ready', 'Whether the node takes sessions (1), as /readyz says', () =>
    health.report().ready ? 1 : 0,
  );
  metrics.gauges(
    'sallyport_not_ready',
    'Why the node takes no sessions: 1 for each reason of /readyz',
    ['reason'],
    () => {
      const reasons = new Set<string>(health.report().reasons.map(({ code }) => code));
      return Object.keys(REASONS).map((code) => [{ reason: code }, reasons.has(code) ? 1 : 0] as const);
    },
  );
  metrics.gauge(
    'sallyport_lease_held',
    'Whether the node has its lease in the store (1): without it no session is opened',
    () => (tenure.lease.held ? 1 : 0),
  );
  metrics.gauge('sallyport_spool_bytes', 'Bytes of recordings in the spool of the node', () => spool.used);
  metrics.gauge(
    'sallyport_spool_max_bytes',
    'Bytes that the spool takes (archive.spool.bytes)',
    () => config.archive.spool.bytes,
  );
  metrics.gauge(
    'sallyport_memory_max_bytes',
    'Resident memory from which on the node takes no sessions (capacity.maxMemory)',
    () => config.capacity.maxMemory,
  );
  metrics.gauge(
    'sallyport_password_checks_waiting',
    'Passwords that wait for a thread to be checked on: log-ons come faster than they can be',
    () => parts.passwords.queued,
  );
  showBackground(metrics, parts.background);
}

/** What waits and runs in the background pool, and what became of the rest. */
function showBackground(metrics: NodeMetrics, background: BackgroundPool): void {
  const counts = <L extends string>(label: L, names: readonly Counted[]) =>
    Object.entries(background.figures()).flatMap(([kind, figures]) =>
      names.map((name): Labelled<'kind' | L> => {
        const labels = { kind, [label]: name } as Record<'kind' | L, string>;
        return [labels, figures[name]];
      }),
    );
  const seconds = (name: 'waitedMs' | 'ranMs') =>
    Object.entries(background.figures()).map(([kind, figures]) => [{ kind }, figures[name] / 1000] as const);
  metrics.gauges(
    'sallyport_background_jobs',
    'Jobs of the background pool: rendering, sealing, compaction, what stands beside recordings, verification',
    ['kind', 'state'],
    () => counts('state', ['queued', 'running']),
  );
  metrics.counters(
    'sallyport_background_jobs_total',
    'Jobs of the background pool that are over; refused: the queue was full',
    ['kind', 'outcome'],
    () => counts('outcome', ['done', 'failed', 'cancelled', 'refused']),
  );
  metrics.counters(
    'sallyport_background_wait_seconds_total',
    'How long jobs of the background pool waited for their turn, all together',
    ['kind'],
    () => seconds('waitedMs'),
  );
  metrics.counters(
    'sallyport_background_run_seconds_total',
    'How long jobs of the background pool ran, all together',
    ['kind'],
    () => seconds('ranMs'),
  );
}

type Counted = Exclude<keyof JobFigures, 'waitedMs' | 'ranMs'>;
