/** What shows a recording, by its protocol. */
import type { RecordingReader } from '../container/reader.ts';
import { DesktopPlayer, desktopFilm } from './desktop-player.ts';
import type { Film, Player } from './film.ts';
import type { TerminalOptions } from './terminal-player.ts';

/** Rejects with {@link VideoError} where nothing of the recording was a screen. */
export async function filmOf(reader: RecordingReader, options: TerminalOptions): Promise<Film> {
  if (reader.header().protocol === 'rdp') return desktopFilm(reader, options);
  const { terminalFilm } = await terminals();
  return await terminalFilm(reader, options);
}

/** Rejects with {@link VideoError} where nothing of the recording was a screen. */
export async function playerOf(reader: RecordingReader, options: TerminalOptions): Promise<Player> {
  if (reader.header().protocol === 'rdp') return new DesktopPlayer(options.onCut);
  const { chooseTerminal, TerminalPlayer } = await terminals();
  return new TerminalPlayer(await chooseTerminal(reader, options), options);
}

/** Loaded by who needs it: threads that only record would each carry the emulator and its fonts. */
async function terminals(): Promise<typeof import('./terminal-player.ts')> {
  return await import('./terminal-player.ts');
}
