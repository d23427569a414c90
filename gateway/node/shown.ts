/** What metrics show of a node's standing, beside what its parts count. */
import type { Config } from '../config/config.ts';
import { REASONS } from '../health/report.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { NodeHealth } from './health.ts';
import type { NodeSpool } from './spool.ts';
import type { Tenure } from './tenure.ts';

export interface ShownParts {
  readonly config: Config;
  readonly tenure: Tenure;
  readonly spool: NodeSpool;
  readonly health: NodeHealth;
}

export function showStanding(metrics: NodeMetrics, { config, tenure, spool, health }: ShownParts): void {
  metrics.gauge('sallyport_ready', 'Whether the node takes sessions (1), as /readyz says', () =>
    health.report().ready ? 1 : 0,
  );
  metrics.gauges(
    'sallyport_not_ready',
    'Why the node takes no sessions: 1 for each reason of /readyz',
    'reason',
    () => {
      const reasons = new Set<string>(health.report().reasons.map(({ code }) => code));
      return Object.keys(REASONS).map((code) => [code, reasons.has(code) ? 1 : 0] as const);
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
}
