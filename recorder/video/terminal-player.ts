/** A terminal of an SSH recording as pictures over time. */
import type { RecordingReader } from '../container/reader.ts';
import { EventKind, type RecordingEvent, type TerminalSize } from '../format/event.ts';
import { DEFAULT_SIZE, type ReplayOptions, shownBytes, terminalSize } from '../replay/channel.ts';
import { Emulator, Painter, pixelsOf, sizeWithin } from '../terminal/index.ts';
import { VideoError } from './error.ts';
import { type Film, framesOf, type Picture, type Player } from './film.ts';

export interface TerminalOptions extends Pick<ReplayOptions, 'channel'> {
  /**
   * Told once of each kind of thing that is not shown as it was: sizes that no picture has, what cannot be
   * decoded, terminals of other channels.
   */
  readonly onCut?: (text: string) => void;
}

/** Of more terminals than this in one session nobody is told each. */
const MAX_OTHERS = 20;

/** Follows one channel's terminal. */
export class TerminalPlayer implements Player {
  readonly #channel: number;
  readonly #options: TerminalOptions;
  #terminal: Emulator | undefined;
  #painter: Painter | undefined;
  #cut = false;
  /** Other channels that had a terminal. */
  readonly #others = new Set<number>();
  /** Whether something came since the last picture. */
  #touched = false;

  /** Where the options name no channel, it tells of other terminals than that of `channel`. */
  constructor(channel: number, options: TerminalOptions = {}) {
    this.#channel = channel;
    this.#options = options;
  }

  apply(event: RecordingEvent): void {
    const size = sizeIn(event, this.#channel, this.#terminal !== undefined);
    if (size !== undefined) return this.#resize(size);
    if (event.kind === EventKind.terminal) return this.#passOver(event.channel);
    if (this.#terminal === undefined) return;
    const bytes = shownBytes(event, this.#channel);
    if (bytes === undefined) return;
    this.#terminal.write(bytes);
    this.#touched = true;
  }

  /** With the cursor. */
  takePicture(): Picture | undefined {
    const terminal = this.#terminal;
    if (terminal === undefined || !this.#touched) return undefined;
    this.#touched = false;
    const { columns, rows } = terminal;
    let painter = this.#painter;
    if (painter?.columns !== columns || painter.rows !== rows)
      painter = this.#painter = new Painter(columns, rows);
    const changed = painter.paint(terminal);
    if (changed.length === 0) return undefined;
    const { width, height, pixels } = painter;
    return { width, height, pixels, changed };
  }

  #resize(size: TerminalSize): void {
    const { columns, rows } = sizeWithin(size.columns, size.rows);
    if (!this.#cut && (columns !== size.columns || rows !== size.rows)) {
      this.#cut = true;
      this.#options.onCut?.(
        `the terminal had ${size.columns} × ${size.rows} characters, it is shown as one of ${columns} × ${rows}`,
      );
    }
    if (this.#terminal === undefined) this.#terminal = new Emulator(columns, rows);
    else this.#terminal.resize(columns, rows);
    this.#touched = true;
  }

  #passOver(channel: number): void {
    const told = this.#options.channel !== undefined || this.#others.has(channel);
    if (channel === this.#channel || told || this.#others.size === MAX_OTHERS) return;
    this.#others.add(channel);
    this.#options.onCut?.(
      `the terminal of channel ${this.#channel} is shown; channel ${channel} had one too`,
    );
  }
}

/**
 * The channel whose terminal is shown: the one asked for, else the first that had one.
 * Rejects with {@link VideoError} where there is none.
 */
export async function chooseTerminal(reader: RecordingReader, options: ReplayOptions): Promise<number> {
  const { channel } = options;
  for await (const event of reader.events())
    if (event.kind === EventKind.terminal && (channel === undefined || event.channel === channel))
      return event.channel;
  throw noTerminal(channel);
}

/** The film of a terminal. Rejects as {@link chooseTerminal} does. */
export async function terminalFilm(reader: RecordingReader, options: TerminalOptions): Promise<Film> {
  let { channel } = options;
  let duration = 0;
  /** By their text: a window may have been dragged between the same sizes all day. */
  const sizes = new Map<string, { readonly width: number; readonly height: number }>();
  for await (const event of reader.events()) {
    duration = event.at;
    if (event.kind === EventKind.terminal) channel ??= event.channel;
    const size = channel === undefined ? undefined : sizeIn(event, channel, sizes.size > 0);
    if (size === undefined) continue;
    const pixels = pixelsOf(sizeWithin(size.columns, size.rows));
    sizes.set(`${pixels.width}x${pixels.height}`, pixels);
  }
  if (channel === undefined || sizes.size === 0) throw noTerminal(channel);
  const shown = channel;
  return {
    survey: async () => ({ sizes: [...sizes.values()], duration }),
    frames: () => framesOf(reader.events(), new TerminalPlayer(shown, options)),
  };
}

/** The size that an event gives a channel's terminal; undefined: none. `begun`: it has one already. */
function sizeIn(event: RecordingEvent, channel: number, begun: boolean): TerminalSize | undefined {
  if (event.channel !== channel) return undefined;
  if (event.kind === EventKind.terminal && !begun) return terminalSize(event) ?? DEFAULT_SIZE;
  return event.kind === EventKind.resize && begun ? terminalSize(event) : undefined;
}

function noTerminal(channel: number | undefined): VideoError {
  const which =
    channel === undefined ? 'no channel of the session' : `channel ${channel} of the session never`;
  return new VideoError(
    `${which} had a terminal, so there is no screen to show: export what programs wrote (txt, cast) ` +
      'or every event, transfers of files included (jsonl)',
  );
}
