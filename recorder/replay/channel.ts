/** Which channel of a recording a replay or export is about, and how JSON payloads are read. */
import type { RecordingReader } from '../container/reader.ts';
import { EventKind, type RecordingEvent, type TerminalSize } from '../format/event.ts';

/** Channel of events that belong to none. */
export const NO_CHANNEL = 0xffffffff;

/** Of the screen of a program that was run without a terminal, and of a terminal that has no size. */
export const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

export interface ReplayOptions {
  /** The recording's channel number; by default the first with a terminal, else the first with output. */
  readonly channel?: number;
  /** Events from here, and before there (µs since the start); by default all. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** Told of how much of a sealed recording was read, µs of all. */
  readonly onProgress?: ((at: number, duration: number) => void) | undefined;
}

/** The events that the options ask for. */
export async function* followed(
  reader: RecordingReader,
  { from, to = Number.POSITIVE_INFINITY, onProgress }: ReplayOptions,
): AsyncGenerator<RecordingEvent, void, void> {
  const { duration } = reader.manifest() ?? {};
  for await (const event of reader.events(from)) {
    if (event.at >= to) return;
    if (duration !== undefined) onProgress?.(event.at, Math.min(duration, to));
    yield event;
  }
}

/** The channel to replay; undefined when nothing was ever shown on one. */
export async function chooseChannel(
  reader: RecordingReader,
  options: ReplayOptions,
): Promise<number | undefined> {
  if (options.channel !== undefined) return options.channel;
  let withOutput: number | undefined;
  for await (const event of reader.events()) {
    if (event.kind === EventKind.terminal) return event.channel;
    if (isShown(event.kind)) withOutput ??= event.channel;
  }
  return withOutput;
}

/** The bytes that this event put on the channel's screen, or undefined. */
export function shownBytes(event: RecordingEvent, channel: number): Uint8Array | undefined {
  if (event.kind === EventKind.notice) {
    if (event.channel !== channel && event.channel !== NO_CHANNEL) return undefined;
    const { text } = jsonPayload(event.payload);
    return typeof text === 'string' ? Buffer.from(text) : undefined;
  }
  return event.channel === channel && isShown(event.kind) ? event.payload : undefined;
}

/** The size in a terminal or resize event; undefined when there is none that a terminal can have. */
export function terminalSize(event: RecordingEvent): TerminalSize | undefined {
  const { columns, rows, term } = jsonPayload(event.payload);
  if (!isCells(columns) || !isCells(rows)) return undefined;
  return typeof term === 'string' ? { columns, rows, term } : { columns, rows };
}

/** A payload that should hold a JSON object; an empty object when it holds none. */
export function jsonPayload(payload: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString(),
    );
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function isShown(kind: EventKind): boolean {
  return kind === EventKind.output || kind === EventKind.errorOutput;
}

/** 0 is what clients without a window say; no terminal has a million columns. */
function isCells(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 65_535;
}
