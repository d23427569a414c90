/**
 * asciicast v2 (https://docs.asciinema.org/manual/asciicast/v2/): a JSON header line,
 * then one line per event: `[seconds, "o" | "i" | "r", data]`.
 */
import type { RecordingReader } from '../container/reader.ts';
import { EventKind, type RecordingEvent, type TerminalSize } from '../format/event.ts';
import {
  chooseChannel,
  DEFAULT_SIZE,
  followed,
  type ReplayOptions,
  shownBytes,
  terminalSize,
} from './channel.ts';

/**
 * The recording of one channel as lines of asciicast v2, each with its line end. What is left out before
 * `from` counts for the terminal's size only; times begin there.
 */
export async function* exportCast(
  reader: RecordingReader,
  options: ReplayOptions = {},
): AsyncGenerator<string, void, void> {
  const channel = await chooseChannel(reader, options);
  const { from = 0 } = options;
  const lines = new CastLines(reader, from);
  if (channel !== undefined) {
    for await (const event of followed(reader, { ...options, from: 0 })) {
      if (event.at < from) lines.pass(event, channel);
      else yield* lines.event(event, channel);
    }
  }
  yield* lines.end();
}

type Code = 'o' | 'i' | 'r';

class CastLines {
  readonly #reader: RecordingReader;
  /** A character may be split over events: each stream keeps its unfinished bytes. */
  readonly #streams = new Map<EventKind, { readonly decoder: TextDecoder; readonly code: Code }>();
  readonly #from: number;
  #size: TerminalSize | undefined;
  #begun = false;
  #lastAt: number;

  /** `from`: µs since the recording's start, from which times count. */
  constructor(reader: RecordingReader, from: number) {
    this.#reader = reader;
    this.#from = from;
    this.#lastAt = from;
  }

  /** Takes from an event that is not shown what it says of the terminal. */
  pass(event: RecordingEvent, channel: number): void {
    if (event.channel !== channel) return;
    if (event.kind === EventKind.terminal) this.#size ??= terminalSize(event);
    if (event.kind !== EventKind.resize) return;
    const size = terminalSize(event);
    if (size !== undefined) this.#size = { ...this.#size, ...size };
  }

  *event(event: RecordingEvent, channel: number): Generator<string, void, void> {
    if (event.kind === EventKind.terminal && event.channel === channel) {
      this.pass(event, channel);
      if (!this.#begun) yield this.#header();
    } else if (event.kind === EventKind.resize && event.channel === channel) {
      const size = terminalSize(event);
      if (size !== undefined) yield* this.#line(event.at, 'r', `${size.columns}x${size.rows}`);
    } else if (event.kind === EventKind.input && event.channel === channel) {
      yield* this.#text(event, 'i', event.payload);
    } else {
      const shown = shownBytes(event, channel);
      if (shown !== undefined) yield* this.#text(event, 'o', shown);
    }
  }

  /** Characters that never were finished, and the header if nothing came. */
  *end(): Generator<string, void, void> {
    if (!this.#begun) yield this.#header();
    for (const { decoder, code } of this.#streams.values())
      yield* this.#line(this.#lastAt, code, decoder.decode());
  }

  *#text(event: RecordingEvent, code: Code, bytes: Uint8Array): Generator<string, void, void> {
    let stream = this.#streams.get(event.kind);
    if (stream === undefined) {
      stream = { decoder: new TextDecoder('utf-8', { ignoreBOM: true }), code };
      this.#streams.set(event.kind, stream);
    }
    yield* this.#line(event.at, code, stream.decoder.decode(bytes, { stream: true }));
  }

  *#line(at: number, code: Code, data: string): Generator<string, void, void> {
    if (!this.#begun) yield this.#header();
    this.#lastAt = at;
    if (data !== '') yield `${JSON.stringify([(at - this.#from) / 1_000_000, code, data])}\n`;
  }

  #header(): string {
    this.#begun = true;
    const { startedAt, account, system } = this.#reader.header();
    const { columns, rows, term } = this.#size ?? DEFAULT_SIZE;
    return `${JSON.stringify({
      version: 2,
      width: columns,
      height: rows,
      timestamp: Math.floor((startedAt + this.#from / 1000) / 1000),
      title: `${account}@${system}`,
      ...(term === undefined ? {} : { env: { TERM: term } }),
    })}\n`;
  }
}
