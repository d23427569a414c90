/** `sallyport recordings prune`: deletes recordings whose time is over. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { ArchiveError, openArchives } from '../../recorder/index.ts';
import { archiveSettings } from '../config/archive.ts';
import {
  type Due,
  dueRecordings,
  holdsAny,
  type Pruned,
  type Pruner,
  prune,
  retentionToday,
  unknownRecordings,
} from '../retention/prune.ts';
import { configOf, openStore, operator, withCommon } from './common.ts';
import { bytesText, durationText, printList, timeText, UsageError } from './output.ts';
import { Progress } from './progress.ts';

interface PruneOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly missing?: boolean;
}

/** One recording of the list. */
interface Line {
  readonly id: string;
  /** `prune`: would go. `kept`: stays although its time is over. `missing`: not there. `unknown`: of no session. */
  readonly action: 'prune' | 'failed' | 'unknown' | Pruned;
  readonly user?: string;
  readonly account?: string;
  readonly system?: string;
  /** ms since the epoch. */
  readonly endedAt?: number | undefined;
  /** ms since then. */
  readonly age?: number | undefined;
  readonly bytes: number | undefined;
  readonly rule?: string;
  /** Of what stays, failed or is missing. */
  readonly why?: string | undefined;
}

const WHY: Readonly<Record<Pruned, string | undefined>> = {
  pruned: undefined,
  kept: 'held or deleted meanwhile',
  missing: 'the archive does not hold it',
};
/** An archive that refuses so many one after another refuses all. */
const MAX_FAILURES = 10;
const DAY_MS = 86_400_000;

export function addPrune(recordings: Command): void {
  withCommon(
    recordings
      .command('prune')
      .description('delete recordings whose time is over, by their policy or archive.retention'),
  )
    .option('--dry-run', 'only list what would be deleted')
    .option('--yes', 'delete without asking')
    .option('--missing', 'take what is due and not in the archive for deleted')
    .addHelpText(
      'after',
      '\nA recording stays at least as long as its policy (retention), else archive.retention, said when it was\n' +
        'recorded; where they say longer today, that long. Where neither says anything it stays for ever.\n' +
        'Recordings that are held, not sealed yet, or of no session in the store stay, and are listed with the\n' +
        'reason. What was typed in a session is deleted with its recording; the session and its audit stay.\n' +
        'What is due and not in the archive is listed as missing, with exit code 1, and stays on the list: look\n' +
        'whether archive.url is what it was, or say --missing.\n\n' +
        'No node deletes by itself: run it daily, for example with cron, as who may delete in the archive:\n' +
        '  sallyport recordings prune --yes',
    )
    .action(async (options: PruneOptions) => {
      const config = configOf(options.config);
      await using store = await openStore(options.config);
      const archive = openArchives(archiveSettings(config));
      const pruner: Pruner = {
        store,
        archive,
        node: config.node.name,
        by: operator(),
        settleMissing: options.missing,
      };
      const now = Date.now();
      const today = await retentionToday(store, config.archive.retention);
      const due: Due[] = [];
      for await (const each of dueRecordings(store, today, now)) due.push(each);
      const going = due.filter(({ kept }) => kept === undefined);
      if (options.dryRun !== true && options.yes !== true && going.length > 0) await confirm(going, options);
      const lines =
        options.dryRun === true ? due.map((each) => lineOf(each, now)) : await run(pruner, due, now, options);
      const failed = await addUnknown(lines, pruner);
      print(lines, options);
      // Behind what was done, which an archive that cannot be listed must not hide.
      if (failed !== undefined) throw failed;
      if (lines.some(({ action }) => action === 'failed' || action === 'missing')) process.exitCode = 1;
    });
}

/** Deletes what may go; a failure is told, and the others go on. */
async function run(pruner: Pruner, due: readonly Due[], now: number, options: PruneOptions): Promise<Line[]> {
  await requireSome(pruner, due);
  const lines: Line[] = [];
  let failures = 0;
  using progress = new Progress(options, (done, all) => `${done} of ${all} recordings`);
  for (const each of due) {
    progress.show(lines.length, due.length);
    const line = lineOf(each, now);
    if (each.kept !== undefined) lines.push(line);
    else if (failures === MAX_FAILURES)
      lines.push({ ...line, action: 'failed', why: `not tried: the ${MAX_FAILURES} before it failed` });
    else
      try {
        const action = await prune(pruner, each);
        lines.push({ ...line, action, why: WHY[action] });
        failures = 0;
      } catch (error) {
        if (!(error instanceof ArchiveError)) throw error;
        lines.push({ ...line, action: 'failed', why: error.message });
        failures += 1;
      }
  }
  return lines;
}

/** @throws UsageError: an archive that has none of them is probably not the one that they are in */
async function requireSome({ archive, settleMissing }: Pruner, due: readonly Due[]): Promise<void> {
  const going = due.filter(({ kept }) => kept === undefined);
  if (settleMissing === true || (await holdsAny(archive, going))) return;
  throw new UsageError(
    `archive.url: ${archive.description} holds none of the recordings whose time is over (${going.length}): ` +
      'point it at where they are; nothing was deleted (--missing takes them for deleted)',
  );
}

/** @returns why the archive cannot be listed */
async function addUnknown(lines: Line[], { store, archive }: Pruner): Promise<ArchiveError | undefined> {
  try {
    for await (const { sessionId, bytes, why } of unknownRecordings(store, archive))
      lines.push({ id: sessionId, action: 'unknown', bytes, why });
    return undefined;
  } catch (error) {
    if (error instanceof ArchiveError) return error;
    throw error;
  }
}

async function confirm(going: readonly Due[], options: PruneOptions): Promise<void> {
  const bytes = going.reduce((sum, { session }) => sum + (session.recordedBytes ?? 0), 0);
  const what = `${going.length} recording${going.length === 1 ? '' : 's'} (${bytesText(bytes)})`;
  if (options.json === true || !process.stdin.isTTY)
    throw new UsageError(`${what} would be deleted for good: say --yes, or --dry-run to see which`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`Delete ${what} for good? [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new UsageError('nothing was deleted');
  } finally {
    terminal.close();
  }
}

function lineOf({ session, rule, kept }: Due, now: number): Line {
  const { id, user, account, system, endedAt, recordedBytes } = session;
  return {
    id,
    action: kept === undefined ? 'prune' : 'kept',
    user,
    account,
    system,
    endedAt,
    age: endedAt === undefined ? undefined : now - endedAt,
    bytes: recordedBytes,
    rule,
    why: kept,
  };
}

function print(lines: readonly Line[], { json, dryRun }: PruneOptions): void {
  printList(
    lines,
    [
      { title: 'ID', value: (line) => line.id },
      { title: 'ACTION', value: (line) => (line.action === 'prune' ? 'would go' : line.action) },
      { title: 'USER', value: (line) => line.user },
      {
        title: 'TARGET',
        value: (line) => (line.system === undefined ? undefined : `${line.account}@${line.system}`),
      },
      { title: 'ENDED', value: (line) => timeText(line.endedAt) },
      { title: 'AGE', value: (line) => ageText(line.age), align: 'right' },
      { title: 'SIZE', value: (line) => bytesText(line.bytes), align: 'right' },
      { title: 'KEPT FOR', value: (line) => line.rule },
      { title: 'WHY', value: (line) => line.why },
    ],
    { json, empty: 'no recording is due' },
  );
  if (json === true || lines.length === 0) return;
  const gone = lines.filter(({ action }) => action === 'prune' || action === 'pruned');
  const bytes = gone.reduce((sum, line) => sum + (line.bytes ?? 0), 0);
  const verb = dryRun === true ? 'would be deleted' : 'deleted';
  process.stdout.write(`${gone.length} ${verb}, ${bytesText(bytes)}\n`);
}

/** `93d`, or hours, minutes and seconds of what is younger than two days. */
function ageText(ms: number | undefined): string | undefined {
  return ms === undefined || ms < 2 * DAY_MS ? durationText(ms) : `${Math.floor(ms / DAY_MS)}d`;
}
