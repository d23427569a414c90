/** The figures as tables for people. */
import { figure, type Table } from '../figures/table.ts';
import type { SshFigures } from '../ssh.ts';
import { type Bed, ONE_WAY_MS } from './bed.ts';
import { throughputTable } from './bulk.ts';
import { type Goal, goalTable } from './goals.ts';
import type { Echo, Idle, SetUps } from './sessions.ts';

const NAMES = { direct: 'direct', jump: 'ssh -J', haproxy: 'HAProxy, tcp', gateway: 'Sallyport, recorded' };

const mib = (bytes: number): string => `${figure(bytes / 2 ** 20)} MiB`;

export function tablesOf(figures: SshFigures, goals: readonly Goal[], bed: Bed): Table[] {
  const tables: Table[] = [];
  if (figures.throughput !== undefined)
    tables.push(
      throughputTable(
        'Bulk throughput',
        `${mib(bed.bulk.bytes)} of random bytes, \`cat\` at the target, AES-128-GCM, no compression; log-on not counted. CPU: of the server that the client connects to, and of its busiest thread, which bounds one stream where cores are free.`,
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
  if (figures.setUps !== undefined) tables.push(setUpTable(figures.setUps));
  if (figures.echo !== undefined) tables.push(echoTable(figures.echo));
  if (figures.idle !== undefined) tables.push(idleTable(figures.idle));
  tables.push(goalTable(goals));
  return tables;
}

function setUpTable(rows: readonly SetUps[]): Table {
  return {
    title: 'Connection set-up',
    note: 'TCP, key exchange (Curve25519), public-key log-on, `true`, exit status; 8 at once. Through the gateway that is both legs, policy, vault, recording and audit. CPU: of the server that the client connects to, after 1,000 log-ons that are not counted.',
    columns: [
      'client and path',
      'per s',
      'ratio',
      'p50 ms',
      'p99 ms',
      'CPU ms each',
      'per s and core',
      'failed',
    ],
    rows: rows.map((row) => [
      `${row.client === 'light' ? 'ssh2' : 'OpenSSH'}, ${NAMES[row.path]}`,
      figure(row.perSecond),
      figure(row.ratioToDirect),
      figure(row.p50Ms),
      figure(row.p99Ms),
      figure(row.cpuMsPerSetUp),
      figure(row.perSecondAndCore),
      `${row.failures} of ${row.count}`,
    ]),
  };
}

function echoTable(rows: readonly Echo[]): Table {
  return {
    title: 'Keystroke echo',
    note: `${rows[0]?.keys ?? 0} keys a path, one every 20 ms, echoed by the target's terminal; all paths at the same time from one client.`,
    columns: ['path', 'p50 ms', 'p99 ms', 'added p50', 'added p99'],
    rows: rows.map((row) => [
      NAMES[row.path],
      figure(row.p50Ms),
      figure(row.p99Ms),
      figure(row.addedP50Ms),
      figure(row.addedP99Ms),
    ]),
  };
}

function idleTable(idle: Idle): Table {
  const { before, after, earlier, sessions } = idle;
  return {
    title: 'Idle sessions',
    note: `${sessions} shells, each on a connection of its own, beside ${earlier} that were open before; opened in ${figure(idle.openedInSeconds)} s, ${idle.failures} failed; CPU of the gateway while all of them rest: ${figure(idle.idleCpuMsPerSecond)} ms a second. Garbage was collected before each look.`,
    columns: ['memory of the gateway', 'before', 'after', 'KB per session'],
    rows: [
      ['resident', mib(before.rssBytes), mib(after.rssBytes), figure(idle.rssBytesPerSession / 1000)],
      ['proportional', mib(before.pssBytes), mib(after.pssBytes), figure(idle.pssBytesPerSession / 1000)],
    ],
  };
}
