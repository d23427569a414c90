/** `sallyport recordings play`: a terminal's recording, replayed in this one. */
import type { Command } from 'commander';
import { play } from '../../recorder/index.ts';
import { numberOption, withConfig } from './common.ts';
import { durationText, UsageError } from './output.ts';
import {
  type CommonOptions,
  channelOption,
  checkChannel,
  momentOption,
  openOne,
  withIdentity,
  writeAll,
} from './recordings-open.ts';

interface PlayOptions extends CommonOptions {
  readonly speed: string;
  readonly maxIdle: string;
  readonly channel?: string;
  readonly from?: string;
}

export function addPlay(recordings: Command): void {
  withIdentity(withConfig(recordings.command('play').description('replay a recording in this terminal')))
    .option('--from <time>', 'the moment to begin at, as 83.5, 1:23 or 00:01:23 from the start')
    .option('--speed <factor>', 'how fast, 2 is twice as fast', '1')
    .option('--max-idle <seconds>', 'shorten longer pauses to this', '2')
    .option('--channel <number>', 'which channel of the session')
    .action(async (id: string, options: PlayOptions) => {
      const speed = Number(options.speed);
      if (!(speed > 0 && speed < Number.POSITIVE_INFINITY))
        throw new UsageError(`--speed: wants a number above 0, not ${options.speed}`);
      const maxIdle = numberOption('--max-idle', options.maxIdle) * 1000;
      const channel = channelOption(options.channel);
      const from = momentOption('--from', options.from);
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
        from,
        write: (bytes) => writeAll(process.stdout, bytes),
        sleep: (ms) => pause(ms, stop.signal),
        speed,
        maxIdle,
        signal: stop.signal,
        onLeftOut: (until) =>
          process.stderr.write(
            `what was drawn before ${durationText(until / 1000)} and not since is missing\n`,
          ),
      });
    });
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
