/** `sallyport recordings`: list, replay, export and prove what was recorded. */
import type { Command } from 'commander';
import { ContainerError, type RecordingReader, surveyDesktop } from '../../recorder/index.ts';
import type { SessionRow } from '../store/port.ts';
import { countOption, openStore, withCommon } from './common.ts';
import { bytesText, durationText, printable, printFields, printJson, printList, timeText } from './output.ts';
import { Progress } from './progress.ts';
import { addExport } from './recordings-export.ts';
import { addHold } from './recordings-hold.ts';
import { addIndex } from './recordings-index.ts';
import { listArchive } from './recordings-list.ts';
import { type CommonOptions, openOne, withArchive, withIdentity } from './recordings-open.ts';
import { addPlay } from './recordings-play.ts';
import { addPrune } from './recordings-prune.ts';
import { addSearch } from './recordings-search.ts';
import { addVerify } from './recordings-verify.ts';
import { sealText } from './sessions.ts';

export function addRecordings(program: Command): void {
  const recordings = program.command('recordings').description('list, replay, export and verify recordings');

  withArchive(withCommon(recordings.command('ls').description('list recordings, newest first')))
    .option('--limit <count>', 'at most this many', '100')
    .action(async (options: CommonOptions & { limit: string }) => {
      const limit = countOption('--limit', options.limit);
      if (options.archive !== undefined) return await listArchive(options.archive, limit, options);
      await using store = await openStore(options.config);
      const rows = await store.sessions({ recorded: true }, { limit });
      printList(
        rows,
        [
          { title: 'ID', value: (row) => row.id },
          { title: 'USER', value: (row) => row.user },
          { title: 'TARGET', value: (row) => `${row.account}@${row.system}` },
          { title: 'OPENED', value: (row) => timeText(row.openedAt) },
          { title: 'DURATION', value: (row) => durationText((row.endedAt ?? Date.now()) - row.openedAt) },
          { title: 'SIZE', value: (row) => bytesText(row.recordedBytes), align: 'right' },
          { title: 'STATE', value: stateOf },
        ],
        { json: options.json, empty: 'no recordings yet' },
      );
    });

  withIdentity(withCommon(recordings.command('show').description('show what a recording holds'))).action(
    async (id: string, options: CommonOptions) => {
      await using opened = await openOne(id, options, false);
      const { id: sessionId, reader, row } = opened;
      const { user, account, system, policy } = row ?? reader.header();
      const manifest = reader.manifest();
      const desktop = await desktopOf(reader, options);
      const micros = manifest?.duration ?? desktop?.duration;
      const { startedAt } = reader.header();
      const duration = micros === undefined ? undefined : Math.round(micros / 1000);
      const fields = {
        id: sessionId,
        state: reader.truncatedAt === undefined ? 'sealed' : `truncated at segment ${reader.truncatedAt}`,
        user,
        account,
        system,
        protocol: reader.header().protocol,
        policy,
        source: row?.source,
        node: reader.header().node,
        started: timeText(startedAt),
        duration: durationText(duration),
        resolution: desktop?.resolution,
        segments: manifest?.segments,
        events: manifest?.events,
        bytes: opened.bytes,
        end: manifest?.reason,
        head: row?.headHash ?? reader.head,
        ...(await opened.retention()),
      };
      const commands = await opened.commands();
      if (options.json === true) {
        const { started: _, ...rest } = fields;
        return printJson({ ...rest, startedAt, duration, commands });
      }
      printFields(fields, false);
      if (commands.length > 0) process.stdout.write('commands\n');
      for (const { at, text } of commands) process.stdout.write(`  ${timeText(at)}  ${printable(text)}\n`);
    },
  );

  addPlay(recordings);
  addSearch(recordings);
  addExport(recordings);
  addHold(recordings);
  addPrune(recordings);

  addVerify(recordings);
  addIndex(recordings);
}

/** What a desktop's recording shows: the sizes that it had, µs. Undefined: it is none, or cannot be read. */
async function desktopOf(
  reader: RecordingReader,
  options: CommonOptions,
): Promise<{ readonly resolution: string; readonly duration: number } | undefined> {
  if (reader.header().protocol !== 'rdp') return undefined;
  using progress = new Progress(
    options,
    (done, all) => `looked through ${durationText(done / 1000)} of ${durationText(all / 1000)}`,
  );
  try {
    const { sizes, duration } = await surveyDesktop(reader, progress.show);
    return {
      resolution: sizes.map(({ width, height }) => `${width}x${height}`).join(', ') || 'none',
      duration,
    };
  } catch (error) {
    // Without an identity the rest can be shown all the same; what is damaged, `verify` tells.
    if (error instanceof ContainerError) return undefined;
    throw error;
  }
}

function stateOf(row: SessionRow): string {
  if (row.state !== 'ended') return 'running';
  if (row.prunedAt !== undefined) return 'pruned';
  const state = sealText(row);
  return row.heldAt === undefined ? state : `${state}, held`;
}
