/** The figures as tables for people. */
import { type Goal, goalTable } from '../figures/goals.ts';
import { figure, type Table } from '../figures/table.ts';
import { idleTable } from '../idle.ts';
import { latencyTable } from '../latency.ts';
import { setUpTable } from '../set-ups.ts';
import type { SshFigures } from '../ssh.ts';
import { type Bed, ONE_WAY_MS } from './bed.ts';
import { throughputTable } from './bulk.ts';

const NAMES = { direct: 'direct', jump: 'ssh -J', haproxy: 'HAProxy, tcp', gateway: 'Sallyport, recorded' };

const mib = (bytes: number): string => `${figure(bytes / 2 ** 20)} MiB`;

export function tablesOf(figures: SshFigures, goals: readonly Goal[], bed: Bed): Table[] {
  const tables: Table[] = [];
  if (figures.throughput !== undefined)
    tables.push(
      throughputTable(
        'Bulk throughput',
        `${mib(bed.bulk.bytes)} of random bytes, \`cat\` at the target, AES-128-GCM, no compression; log-on not counted. CPU: of the server that the client connects to, with what is made of a recording afterwards, and of its busiest thread, which bounds one stream where cores are free.`,
        figures.throughput,
      ),
    );
  if (figures.longLine !== undefined)
    tables.push(
      throughputTable(
        `Bulk throughput, ${2 * ONE_WAY_MS} ms of added round trip`,
        `${mib(bed.short.bytes)}; the client's line is the long one. The relay that delays is not the bottleneck: its last row.`,
        figures.longLine,
      ),
    );
  if (figures.setUps !== undefined)
    tables.push(
      setUpTable(
        'client and path',
        'TCP, key exchange (Curve25519), public-key log-on, `true`, exit status; 8 at once. Through the gateway that is both legs, policy, vault, recording and audit. CPU: of the server that the client connects to, after 1,000 log-ons that are not counted.',
        figures.setUps,
        ({ client, path }) => `${client === 'light' ? 'ssh2' : 'OpenSSH'}, ${NAMES[path]}`,
      ),
    );
  if (figures.echo !== undefined)
    tables.push(latencyTable('Keystroke echo', "echoed by the target's terminal", figures.echo, NAMES));
  if (figures.idle !== undefined)
    tables.push(idleTable(figures.idle, 'shells, each on a connection of its own,'));
  tables.push(goalTable(goals));
  return tables;
}
