/** `sallyport recordings verify`: proves recordings. */
import type { Command } from 'commander';
import {
  ArchiveError,
  type ArchiveSettings,
  BackgroundPool,
  openArchives,
  type VerifyOptions,
  type VerifyReport,
  verifyRecording,
} from '../../recorder/index.ts';
import { withCommon } from './common.ts';
import { bytesText, printJson, printList } from './output.ts';
import { Progress } from './progress.ts';
import { copiesIn, type Found, findRecording } from './recordings-find.ts';
import { chosen, jobsOf, type ManyOptions, withMany, workOnEach } from './recordings-many.ts';
import { identitiesOf } from './recordings-open.ts';

/** What is there to say of a copy that cannot be read. */
interface NotRead {
  readonly ok: false;
  readonly segments?: undefined;
  readonly problem: string;
}
type Verdict = VerifyReport | NotRead;

/** Of a recording: that of its first copy that is not right, else of its first. */
type Result = Verdict & {
  /** Where recordings go to several places: of each, by its name. */
  readonly copies?: readonly (Verdict & { readonly archive: string })[];
};
type Row = { readonly id: string } & Result;

type Check = (archive: ArchiveSettings, id: string, options: VerifyOptions) => Promise<VerifyReport>;
const here: Check = (archive, id, options) => verifyRecording(openArchives(archive), id, options);

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
  const { id, result } = await verify(given, options, here, progress.show);
  progress[Symbol.dispose]();
  if (options.json === true) printJson({ id, ...result });
  else if (result.copies === undefined) process.stdout.write(verdictText(result));
  else for (const copy of result.copies) process.stdout.write(`${copy.archive}: ${verdictText(copy)}`);
  return result.ok;
}

/** In processes of their own, below the priority of a gateway that runs here. */
async function verifyAll(ids: readonly string[], options: ManyOptions): Promise<boolean> {
  const jobs = jobsOf(options, ids.length);
  await using pool = new BackgroundPool({ processes: jobs });
  const there: Check = (archive, id, how) => pool.verify(archive, id, how);
  const rows = await workOnEach<Row>(
    ids,
    jobs,
    options,
    async (given, told) => {
      const { id, result } = await verify(given, options, there, (checked, all) =>
        told(all === 0 ? 1 : checked / all),
      );
      return { id, ...result };
    },
    (id, problem) => ({ id, ok: false, problem }),
  );
  printList(
    rows,
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'RESULT', value: rowText },
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
): Promise<{ readonly id: string; readonly result: Result }> {
  await using found = await findRecording(given, options);
  const { id, row } = found;
  const publicKeys = await found.publicKeys();
  const how: VerifyOptions = {
    identities: await identitiesOf(found.dataDir, options.identity, false),
    ...(publicKeys === undefined ? {} : { publicKeys }),
    ...(row?.headHash === undefined ? {} : { expectedHead: row.headHash }),
  };
  const result = await verifyCopies(found, check, how, onProgress);
  await found.audit('recording.verified', { ok: result.ok });
  return { id, result };
}

/** Rejects with {@link ArchiveError} where there is one place, and it cannot give the recording. */
async function verifyCopies(
  { archive: settings, id }: Found,
  check: Check,
  how: VerifyOptions,
  onProgress: (checked: number, all: number) => void,
): Promise<Result> {
  const places = copiesIn(settings);
  const [first, ...more] = places;
  if (first === undefined || more.length === 0) return await check(settings, id, { ...how, onProgress });
  const verify = async ({ name, archive }: (typeof places)[number], before: number) => {
    // They are about as long as each other.
    const told = (checked: number, all: number): void =>
      onProgress(before * all + checked, places.length * all);
    const verdict = await check(archive, id, { ...how, onProgress: told }).catch(
      (error: unknown): NotRead => {
        if (error instanceof ArchiveError) return { ok: false, problem: error.message };
        throw error;
      },
    );
    return { archive: name, ...verdict };
  };
  const one = await verify(first, 0);
  const copies = [one];
  for (const place of more) copies.push(await verify(place, copies.length));
  const { archive: _, ...shown } = copies.find(({ ok }) => !ok) ?? one;
  return { ...shown, copies };
}

function verdictText(verdict: Verdict): string {
  const lines = [verdict.ok ? resultText(verdict) : `NOT OK: ${verdict.problem}`];
  if ('proved' in verdict) {
    lines.push(...verdict.proved.map((line) => `  proved      ${line}`));
    lines.push(...verdict.notProved.map((line) => `  not proved  ${line}`));
  }
  return `${lines.join('\n')}\n`;
}

function rowText(row: Row): string {
  if (row.ok) return resultText(row);
  const bad = row.copies?.filter(({ ok }) => !ok) ?? [];
  if (bad.length === 0) return `NOT OK: ${row.problem}`;
  return `NOT OK: ${bad.map(({ archive, problem }) => `${archive}: ${problem}`).join('; ')}`;
}

function resultText({ segments, truncatedAt }: VerifyReport): string {
  return `ok: ${segments} segments${truncatedAt === undefined ? '' : `, truncated at segment ${truncatedAt}`}`;
}
