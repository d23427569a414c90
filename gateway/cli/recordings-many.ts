/** Commands on one recording, on several, or on every one that there is. */
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { ArchiveError, ContainerError, openArchives } from '../../recorder/index.ts';
import type { SessionRow } from '../store/port.ts';
import { countOption, openStore, SESSION_ID } from './common.ts';
import { UsageError } from './output.ts';
import { Progress } from './progress.ts';
import { type CommonOptions, IDENTITY, withArchive } from './recordings-open.ts';

export interface ManyOptions extends CommonOptions {
  readonly all?: boolean;
  readonly jobs?: string;
}

const PAGE = 500;

export function withMany(command: Command): Command {
  return withArchive(command.argument('[id...]', SESSION_ID))
    .option('--identity <file>', IDENTITY)
    .option('--all', 'every recording that has ended, newest first')
    .option('--jobs <count>', 'of several, how many at a time (default: one for each core)');
}

/** The ids that were given, or with `--all` those that there are. @throws UsageError: neither, or both */
export async function chosen(given: readonly string[], options: ManyOptions): Promise<readonly string[]> {
  if (options.all !== true) {
    if (given.length === 0) throw new UsageError('which recordings? give their ids, or --all');
    return given;
  }
  if (given.length > 0) throw new UsageError('--all: takes every recording, leave the ids out');
  if (options.archive === undefined) return await idsInStore(options);
  const ids: string[] = [];
  for await (const { sessionId } of openArchives({ urls: [options.archive] }).list()) ids.push(sessionId);
  return ids;
}

async function idsInStore(options: ManyOptions): Promise<readonly string[]> {
  await using store = await openStore(options.config);
  const ids: string[] = [];
  for (let before: string | undefined; ; ) {
    const page = { limit: PAGE, ...(before === undefined ? {} : { before }) };
    const rows = await store.sessions({ recorded: true, state: ['ended'] }, page);
    before = rows.at(-1)?.id;
    if (before === undefined) return ids;
    ids.push(...rows.filter(isThere).map(({ id }) => id));
  }
}

/** Deleted ones are gone, and of a session that never started there may be none. */
const isThere = ({ prunedAt, unsealable, startedAt, headHash }: SessionRow): boolean =>
  prunedAt === undefined && (unsealable === undefined || (startedAt ?? headHash) !== undefined);

/** How many are worked on at a time. @throws UsageError: `--jobs` is no such number */
export function jobsOf({ jobs }: ManyOptions, count: number): number {
  const most = jobs === undefined ? availableParallelism() : countOption('--jobs', jobs);
  return Math.max(1, Math.min(most, count));
}

/**
 * Does `work` with each id, `jobs` at a time; resolves with the results in the order of the ids. `told` is to
 * be called with how much of this one is done, from 0 to 1. What is wrong with one recording is its result, as
 * `failed` makes it of the words; anything else ends it all.
 */
export async function workOnEach<Row>(
  ids: readonly string[],
  jobs: number,
  options: ManyOptions,
  work: (id: string, told: (part: number) => void) => Promise<Row>,
  failed: (id: string, problem: string) => Row,
): Promise<Row[]> {
  using progress = new Progress(options, (done, all) => `${Math.floor(done)} of ${all} recordings`);
  const rows: Row[] = [];
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < ids.length; at = next++) {
      const id = ids[at];
      if (id === undefined) return;
      let part = 0;
      const told = (now: number): void => {
        done += now - part;
        part = now;
        progress.show(done, ids.length);
      };
      rows[at] = await work(id, told).catch((error: unknown) => {
        if (!isOfRecording(error)) throw error;
        return failed(id, error.message);
      });
      told(1);
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  return rows;
}

const isOfRecording = (error: unknown): error is Error =>
  error instanceof ArchiveError || error instanceof ContainerError || error instanceof UsageError;
