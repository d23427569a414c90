/** The figures as tables for people. */
import { type Goal, goalTable } from '../figures/goals.ts';
import type { Leak } from '../figures/leak.ts';
import { figure, type Table } from '../figures/table.ts';
import { LETTERS } from '../people/typist.ts';
import type { Cost, SubjectName } from './compare.ts';
import type { CapacityFigures } from './goals.ts';
import type { Held } from './hold.ts';
import { BULK_BYTES_PER_SECOND, KEYS_PER_SECOND, PRINTED_LINES, PROTOCOLS } from './jobs.ts';

const mib = (bytes: number): string => `${figure(bytes / 2 ** 20)} MiB`;
const NAMES: Readonly<Record<SubjectName, string>> = {
  gateway: 'Sallyport, recorded',
  script: 'OpenSSH with script',
  tlog: 'OpenSSH with tlog',
};

export function tablesOf({ held, leak, costs }: CapacityFigures, goals: readonly Goal[]): Table[] {
  return [
    ...(held === undefined ? [] : [sessionTable(held), keyTable(held), useTable(held)]),
    ...(leak === undefined ? [] : [leakTable(leak)]),
    ...(costs === undefined || costs.length === 0 ? [] : [costTable(costs)]),
    goalTable(goals),
  ];
}

function sessionTable({ plan, ...held }: Held): Table {
  const rows: (readonly [string, string])[] = [
    ['open at once', String(held.sessions)],
    ['SSH, typing at synthetic targets', String(plan.type)],
    ['SSH, typing at a real sshd', `${plan.typeSshd + plan.openssh} (${plan.openssh} with OpenSSH's client)`],
    ['SSH, output that scrolls', String(plan.watch)],
    ['SSH, bulk transfers', String(plan.bulk)],
    ['RDP, synthetic desktops', String(plan.desktop)],
    ['RDP, xfreerdp to xrdp', String(plan.xfreerdp)],
    ['opened over the run', String(held.opened)],
    ['failed', String(held.failures)],
    ['from none to all', `${figure(held.noneToAllSeconds)} s`],
    ...PROTOCOLS.flatMap((protocol) => {
      const setUp = held.setUps[protocol];
      const name = `set-up, ${protocol.toUpperCase()}, p50 / p99`;
      return setUp === undefined
        ? []
        : ([[name, `${figure(setUp.p50Ms)} / ${figure(setUp.p99Ms)} ms`]] as const);
    }),
    ['recordings sealed', `${held.recordings.sealed} of ${held.recordings.count}`],
    ['recordings verified', `${held.recordings.verified} of ${held.recordings.tried}`],
    ['sealed after the last session', `${figure(held.recordings.sealedAfterSeconds)} s`],
  ];
  return {
    title: 'Sessions',
    note: `All recorded and archived. Who types does so ${KEYS_PER_SECOND} times a second, ${LETTERS} letters to a line, and each line prints ${PRINTED_LINES} more; a desktop answers each key and shows ten lines of text a second for two of ten seconds; a bulk transfer takes ${mib(BULK_BYTES_PER_SECOND)} a second. Failed: did not come up, ended early or lost a key. Beside them ${plan.directType + plan.directSshd + plan.directDesktop} sessions without the gateway.`,
    columns: ['sessions', 'count'],
    rows,
  };
}

function keyTable({ keys, added }: Held): Table {
  const rows = PROTOCOLS.flatMap((protocol) => {
    const [via, direct, more] = [keys.via[protocol], keys.direct[protocol], added[protocol]];
    const name = protocol.toUpperCase();
    const row = (what: string, of: typeof via): string[][] =>
      of === undefined
        ? []
        : [[`${name}, ${what}`, figure(of.p50), figure(of.p99), figure(of.max), String(of.count)]];
    return [
      ...row('through the gateway', via),
      ...row('direct', direct),
      ...(more === undefined
        ? []
        : [[`${name}, added`, figure(more.p50Ms), figure(more.p99Ms), figure(more.maxMs), '']]),
    ];
  });
  return {
    title: 'Key to answer',
    note: 'While all sessions were open: the same targets, the same load processes, at the same time. Added: the percentile, or the largest, through the gateway less that of the direct ones.',
    columns: ['keys', 'p50 ms', 'p99 ms', 'max ms', 'keys'],
    rows,
  };
}

function useTable(held: Held): Table {
  return {
    title: 'What it takes',
    note: 'CPU: mean while all sessions were open. Memory: of all processes of the gateway, the most that was seen; the archive is a folder, asked every 5 s.',
    columns: ['what', 'measured'],
    rows: [
      ['CPU of the gateway', `${figure(held.gatewayCores)} cores`],
      ['keys pressed, to those meant', figure(held.keysToMeant)],
      ['CPU of those who make the load', `${figure(held.loadCores)} cores`],
      ['CPU of the synthetic targets', `${figure(held.targetCores)} cores`],
      ['CPU that the host of this machine spent on others', `${figure(100 * held.stolen)} %`],
      ['shown by the targets', `${figure(held.shownBytesPerSecond / 1000)} KB/s`],
      ['resident', mib(held.rssBytes)],
      ['proportional', mib(held.pssBytes)],
      ['oldest byte that the archive did not have', `${figure(held.archiveLagMs)} ms`],
      ['recordings', mib(held.recordings.bytes)],
    ],
  };
}

function leakTable(leak: Leak): Table {
  return {
    title: 'Memory over time',
    note: `Least squares through means of ${leak.blocks} stretches of proportional memory, from second ${figure(leak.fromSecond)} to ${figure(leak.toSecond)}; sessions ended and others began meanwhile.`,
    columns: ['memory', 'mean MiB', 'MiB an hour', 'standard error', 'at most (95 %)'],
    rows: [
      [
        'the gateway',
        figure(leak.meanMib),
        figure(leak.mibPerHour),
        figure(leak.standardError),
        figure(leak.atMostMibPerHour),
      ],
    ],
  };
}

function costTable(costs: readonly Cost[]): Table {
  const gateway = costs.find(({ subject }) => subject === 'gateway');
  const ratio = (value: number, own: number | undefined): string =>
    own === undefined || own === value ? '' : ` (${figure(own / value)})`;
  return {
    title: 'Beside a recording OpenSSH bastion',
    note: `One after the other, ${costs[0]?.sessions ?? 0} sessions that type ${KEYS_PER_SECOND} keys a second each at synthetic targets. The bastion is OpenSSH as it is installed, with PAM, whose forced command records what the terminal shows and goes on with ssh. CPU and memory: of the server with all that it starts; CPU of a key: with what runs without any; memory: before the first session, and what each adds; log-on: with OpenSSH's client, to the target too, and off again. In brackets the gateway to it.`,
    columns: [
      'server',
      'CPU µs a key',
      'MiB a session',
      'CPU ms a log-on',
      'MiB before',
      'CPU ms a second before',
      'p50 ms',
      'p99 ms',
      'failed',
    ],
    rows: costs.map((cost) => [
      NAMES[cost.subject],
      `${figure(cost.cpuUsPerKey)}${ratio(cost.cpuUsPerKey, gateway?.cpuUsPerKey)}`,
      `${figure(cost.mibPerSession)}${ratio(cost.mibPerSession, gateway?.mibPerSession)}`,
      `${figure(cost.cpuMsPerLogOn)}${ratio(cost.cpuMsPerLogOn, gateway?.cpuMsPerLogOn)}`,
      figure(cost.mibBefore),
      figure(cost.idleCpuMsPerSecond),
      figure(cost.keys?.p50),
      figure(cost.keys?.p99),
      String(cost.failures),
    ]),
  };
}
