/** `sallyport recordings`: list, replay, export and prove what was recorded. */
import type { Command } from 'commander';
import {
  ContainerError,
  openArchives,
  play,
  type RecordingReader,
  surveyDesktop,
  verifyRecording,
} from '../../recorder/index.ts';
import type { SessionRow } from '../store/port.ts';
import { countOption, numberOption, openStore, withCommon, withConfig } from './common.ts';
import {
  bytesText,
  durationText,
  printable,
  printFields,
  printJson,
  printList,
  timeText,
  UsageError,
} from './output.ts';
import { addExport } from './recordings-export.ts';
import { findRecording } from './recordings-find.ts';
import { addHold } from './recordings-hold.ts';
import { listArchive } from './recordings-list.ts';
import {
  type CommonOptions,
  channelOption,
  checkChannel,
  identitiesOf,
  openOne,
  withArchive,
  withIdentity,
  writeAll,
} from './recordings-open.ts';
import { addPrune } from './recordings-prune.ts';
import { addSearch } from './recordings-search.ts';
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
      const desktop = await desktopOf(reader);
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

  withIdentity(withConfig(recordings.command('play').description('replay a recording in this terminal')))
    .option('--speed <factor>', 'how fast, 2 is twice as fast', '1')
    .option('--max-idle <seconds>', 'shorten longer pauses to this', '2')
    .option('--channel <number>', 'which channel of the session')
    .action(
      async (id: string, options: CommonOptions & { speed: string; maxIdle: string; channel?: string }) => {
        const speed = Number(options.speed);
        if (!(speed > 0 && speed < Number.POSITIVE_INFINITY))
          throw new UsageError(`--speed: wants a number above 0, not ${options.speed}`);
        const maxIdle = numberOption('--max-idle', options.maxIdle) * 1000;
        const channel = channelOption(options.channel);
        await using opened = await openOne(id, options, true);
        if (opened.reader.header().protocol === 'rdp')
          throw new UsageError(
            `session ${opened.id} is a desktop, which a terminal cannot show: export it as a video ` +
              `(sallyport recordings export ${opened.id} --format mp4 --output FILE.mp4) ` +
              'or a picture of it (--format png --at TIME)',
          );
        opened.checkEnd(opened.reader);
        await checkChannel(opened.reader, channel.channel);
        await opened.audit('recording.played', {});
        const stop = new AbortController();
        process.once('SIGINT', () => stop.abort());
        await play(opened.reader, {
          ...channel,
          write: (bytes) => writeAll(process.stdout, bytes),
          sleep: (ms) => pause(ms, stop.signal),
          speed,
          maxIdle,
          signal: stop.signal,
        });
      },
    );

  addSearch(recordings);
  addExport(recordings);
  addHold(recordings);
  addPrune(recordings);

  withIdentity(
    withCommon(recordings.command('verify').description('prove that a recording is whole and unaltered')),
  )
    .option(
      '--node-key <file>',
      'with --archive: public keys of nodes, PEM, that the seal may be signed with',
    )
    .action(async (given: string, options: CommonOptions) => {
      await using found = await findRecording(given, options);
      const { id, row } = found;
      const identities = await identitiesOf(found.dataDir, options.identity, false);
      const publicKeys = await found.publicKeys();
      const report = await verifyRecording(openArchives(found.archive), id, {
        identities,
        ...(publicKeys === undefined ? {} : { publicKeys }),
        ...(row?.headHash === undefined ? {} : { expectedHead: row.headHash }),
      });
      await found.audit('recording.verified', { ok: report.ok });
      if (options.json === true) printJson({ id, ...report });
      else {
        const { segments, truncatedAt } = report;
        const end = truncatedAt === undefined ? '' : `, truncated at segment ${truncatedAt}`;
        process.stdout.write(report.ok ? `ok: ${segments} segments${end}\n` : `NOT OK: ${report.problem}\n`);
        for (const line of report.proved) process.stdout.write(`  proved      ${line}\n`);
        for (const line of report.notProved) process.stdout.write(`  not proved  ${line}\n`);
      }
      if (!report.ok) process.exitCode = 1;
    });
}

/** What a desktop's recording shows: the sizes that it had, µs. Undefined: it is none, or cannot be read. */
async function desktopOf(
  reader: RecordingReader,
): Promise<{ readonly resolution: string; readonly duration: number } | undefined> {
  if (reader.header().protocol !== 'rdp') return undefined;
  try {
    const { sizes, duration } = await surveyDesktop(reader);
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

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
