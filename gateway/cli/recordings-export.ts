/** `sallyport recordings export`: a recording as a file that other programs read. */
import { type FileHandle, open, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import {
  BackgroundPool,
  exportCast,
  exportJsonLines,
  exportText,
  type RecordingHeader,
  type RecordingSource,
  type RenderOptions,
  type ReplayOptions,
} from '../../recorder/index.ts';
import { withCommon } from './common.ts';
import { bytesText, durationText, printJson, UsageError } from './output.ts';
import { Progress } from './progress.ts';
import {
  type CommonOptions,
  channelOption,
  checkChannel,
  momentOption,
  type Opened,
  openOne,
  withIdentity,
  writeAll,
} from './recordings-open.ts';

interface ExportOptions extends CommonOptions {
  readonly format: string;
  readonly output?: string;
  readonly channel?: string;
  readonly at?: string;
  readonly from?: string;
  readonly to?: string;
}

interface Part extends Pick<ReplayOptions, 'channel' | 'from' | 'to'> {
  /** µs since the start. */
  readonly at?: number;
  /** µs of all. */
  readonly onProgress: (at: number, duration: number) => void;
}
type Export = (opened: Opened, part: Part) => AsyncIterable<Uint8Array | string>;

const VIDEO: Export = ({ source }, part) => rendered(source, 'mp4', { ...part, onCut: warn });
const PICTURE: Export = ({ source }, part) => rendered(source, 'png', { ...part, onCut: warn });

/** What a recording can become, by its protocol. */
const FORMATS: Readonly<Record<RecordingHeader['protocol'], Readonly<Record<string, Export>>>> = {
  ssh: {
    cast: ({ reader }, part) => exportCast(reader, part),
    txt: ({ reader }, part) => exportText(reader, part),
    jsonl: ({ reader }, part) => exportJsonLines(reader, part),
    mp4: VIDEO,
    png: PICTURE,
  },
  rdp: {
    mp4: VIDEO,
    png: PICTURE,
    jsonl: ({ reader }, part) => exportJsonLines(reader, part),
  },
};
const KNOWN = [...new Set(Object.values(FORMATS).flatMap((formats) => Object.keys(formats)))];
/** Formats that are no text: a terminal would only beep. */
const BINARY = ['mp4', 'png'];

export function addExport(recordings: Command): void {
  withIdentity(withCommon(recordings.command('export').description('write a recording in a standard format')))
    .requiredOption(
      '--format <format>',
      'mp4 (video), png (a picture), jsonl (every event); of SSH sessions also cast (asciicast v2) and ' +
        'txt (what the screen was sent)',
    )
    .option('--output <file>', 'where to write (default: standard output)')
    .option('--channel <number>', 'SSH: which channel (default: the first that had a terminal)')
    .option('--at <time>', 'png: the moment, as 83.5, 1:23 or 00:01:23 from the start (default: the end)')
    .option('--from <time>', 'cast, txt, jsonl: only from this moment on')
    .option('--to <time>', 'cast, txt, jsonl: only before this moment')
    .action(async (id: string, options: ExportOptions) => {
      const { format, output } = options;
      if (!KNOWN.includes(format)) throw new UsageError(`--format: ${format} is none of ${KNOWN.join(', ')}`);
      if (options.at !== undefined && format !== 'png')
        throw new UsageError('--at: only a picture is of one moment, add --format png');
      const from = momentOption('--from', options.from);
      const to = momentOption('--to', options.to);
      if ((from ?? to) !== undefined && BINARY.includes(format))
        throw new UsageError(
          `--${from === undefined ? 'to' : 'from'}: cast, txt and jsonl can be parts, ${format} cannot`,
        );
      if (output === undefined && BINARY.includes(format) && process.stdout.isTTY)
        throw new UsageError(`--output: ${format} is nothing for a terminal, name a file`);
      if (output === undefined && options.json === true)
        throw new UsageError('--json: name a file with --output, standard output has the data');
      const at = momentOption('--at', options.at);
      const channel = channelOption(options.channel);
      await using opened = await openOne(id, options, true);
      const { protocol } = opened.reader.header();
      const toFormat = FORMATS[protocol][format];
      if (toFormat === undefined)
        throw new UsageError(
          `--format: session ${opened.id} is ${protocol === 'ssh' ? 'an SSH session' : 'a desktop'}, ` +
            `which becomes ${Object.keys(FORMATS[protocol]).join(', ')}, not ${format}`,
        );
      opened.checkEnd(opened.reader);
      await checkChannel(opened.reader, channel.channel);
      await opened.audit('recording.exported', { format });
      using progress = new Progress(
        // Where the terminal gets the data, a bar would stand in it.
        { json: options.json === true || (output === undefined && process.stdout.isTTY) },
        (done, all) => `${durationText(done / 1000)} of ${durationText(all / 1000)}`,
      );
      const part: Part = {
        ...channel,
        ...(at === undefined ? {} : { at }),
        from,
        to,
        onProgress: progress.show,
      };
      const bytes = await writeTo(output, toFormat(opened, part));
      progress[Symbol.dispose]();
      if (options.json === true) printJson({ id: opened.id, format, bytes });
      else if (output !== undefined)
        process.stdout.write(`${output}: ${bytesText(bytes)} of session ${opened.id}\n`);
    });
}

/** In a process of its own, so that the bar moves while pictures are painted. */
async function* rendered(
  source: RecordingSource,
  format: 'mp4' | 'png',
  options: RenderOptions,
): AsyncGenerator<Uint8Array, void, void> {
  await using pool = new BackgroundPool();
  yield* pool.render(source, format, options);
}

function warn(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * Writes everything; the file is made when there is something to write, and goes again where not all
 * could be: half an export must not pass for one. Resolves with the bytes, rejects with
 * {@link UsageError} where the file cannot be written.
 */
async function writeTo(
  file: string | undefined,
  chunks: AsyncIterable<Uint8Array | string>,
): Promise<number> {
  let bytes = 0;
  if (file === undefined) {
    for await (const chunk of chunks) {
      bytes += Buffer.byteLength(chunk);
      await writeAll(process.stdout, chunk);
    }
    return bytes;
  }
  let out: FileHandle | undefined;
  try {
    for await (const chunk of chunks) {
      bytes += Buffer.byteLength(chunk);
      out ??= await inWords(file, open(file, 'w', 0o600));
      await inWords(file, out.writeFile(chunk));
    }
    out ??= await inWords(file, open(file, 'w', 0o600));
    await inWords(file, out.close());
  } catch (error) {
    if (out !== undefined) await discard(file, out);
    throw error;
  }
  return bytes;
}

/** Best effort: what went wrong before is told. Devices and pipes are left alone. */
async function discard(file: string, out: FileHandle): Promise<void> {
  try {
    const own = (await out.stat()).isFile();
    await out.close();
    if (own) await rm(file, { force: true });
  } catch {
    // Closed already, or nothing that can be removed.
  }
}

async function inWords<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new UsageError(`${file}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}
