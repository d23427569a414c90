/** `sallyport recordings verify`: proves recordings. */
import type { Command } from 'commander';
import {
  BackgroundPool,
  openArchives,
  type VerifyOptions,
  type VerifyReport,
  verifyRecording,
} from '../../recorder/index.ts';
import { withCommon } from './common.ts';
import { bytesText, printJson, printList } from './output.ts';
import { Progress } from './progress.ts';
import { type Found, findRecording } from './recordings-find.ts';
import { chosen, jobsOf, type ManyOptions, withMany, workOnEach } from './recordings-many.ts';
import { identitiesOf } from './recordings-open.ts';

/** One of several. */
type Row = { readonly id: string } & (
  | VerifyReport
  | { readonly ok: false; readonly segments?: undefined; readonly problem: string }
);

type Check = (found: Found, options: VerifyOptions) => Promise<VerifyReport>;
const here: Check = ({ archive, id }, options) => verifyRecording(openArchives(archive), id, options);

export function addVerify(recordings: Command): void {
  withMany(
    withCommon(recordings.command('verify').description('prove that recordings are whole and unaltered')),
  )
    .option(
      '--node-key <file>',
      'with --archive: public keys of nodes, PEM, that the seal may be signed with',
    )
    .action(async (given: readonly string[], options: ManyOptions) => {
      const ids = await chosen(given, options);
      const [only] = options.all === true || ids.length > 1 ? [] : ids;
      const ok = only === undefined ? await verifyAll(ids, options) : await verifyOne(only, options);
      if (!ok) process.exitCode = 1;
    });
}

async function verifyOne(given: string, options: ManyOptions): Promise<boolean> {
  using progress = new Progress(options, (done, all) => `checked ${bytesText(done)} of ${bytesText(all)}`);
  const { id, report } = await verify(given, options, here, progress.show);
  progress[Symbol.dispose]();
  if (options.json === true) printJson({ id, ...report });
  else {
    process.stdout.write(`${report.ok ? resultText(report) : `NOT OK: ${report.problem}`}\n`);
    for (const line of report.proved) process.stdout.write(`  proved      ${line}\n`);
    for (const line of report.notProved) process.stdout.write(`  not proved  ${line}\n`);
  }
  return report.ok;
}

/** On threads of their own, below the priority of a gateway that runs here. */
async function verifyAll(ids: readonly string[], options: ManyOptions): Promise<boolean> {
  const jobs = jobsOf(options, ids.length);
  await using pool = new BackgroundPool({ threads: jobs });
  const there: Check = ({ archive, id }, how) => pool.verify(archive, id, how);
  const rows = await workOnEach<Row>(
    ids,
    jobs,
    options,
    async (given, told) => {
      const { id, report } = await verify(given, options, there, (checked, all) =>
        told(all === 0 ? 1 : checked / all),
      );
      return { id, ...report };
    },
    (id, problem) => ({ id, ok: false, problem }),
  );
  printList(
    rows,
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'RESULT', value: (row) => (row.ok ? resultText(row) : `NOT OK: ${row.problem}`) },
    ],
    { json: options.json, empty: 'no recordings yet' },
  );
  const bad = rows.filter(({ ok }) => !ok).length;
  if (options.json !== true && rows.length > 0)
    process.stdout.write(bad === 0 ? `all ${rows.length} ok\n` : `${bad} of ${rows.length} NOT OK\n`);
  return bad === 0;
}

async function verify(
  given: string,
  options: ManyOptions,
  check: Check,
  onProgress: (checked: number, all: number) => void,
): Promise<{ readonly id: string; readonly report: VerifyReport }> {
  await using found = await findRecording(given, options);
  const { id, row } = found;
  const publicKeys = await found.publicKeys();
  const report = await check(found, {
    identities: await identitiesOf(found.dataDir, options.identity, false),
    onProgress,
    ...(publicKeys === undefined ? {} : { publicKeys }),
    ...(row?.headHash === undefined ? {} : { expectedHead: row.headHash }),
  });
  await found.audit('recording.verified', { ok: report.ok });
  return { id, report };
}

function resultText({ segments, truncatedAt }: VerifyReport): string {
  return `ok: ${segments} segments${truncatedAt === undefined ? '' : `, truncated at segment ${truncatedAt}`}`;
}
