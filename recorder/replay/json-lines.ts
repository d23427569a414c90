import type { RecordingReader } from '../container/reader.ts';
import { EventKind, type RecordingEvent } from '../format/event.ts';
import { isRaw } from '../format/event-codec.ts';
import { followed, type ReplayOptions } from './channel.ts';

/** By number: the names of {@link EventKind}. */
const KIND_NAMES = new Map<EventKind, string>(Object.entries(EventKind).map(([name, kind]) => [kind, name]));

/** pointerFlags, x and y of a mouse event. */
const MOUSE_BYTES = 6;

/** Payloads that are never text, even where their bytes happen to be some. */
const BINARY: ReadonlySet<EventKind> = new Set([EventKind.fastPathOutput, EventKind.slowPathOutput]);

/**
 * Every event (of one channel, when given) as a JSON line with its line end: `at` (µs since
 * the start), `time` (ISO 8601), `kind`, `channel`, and the payload as `data` (an object),
 * `text` (bytes that are UTF-8) or `base64` (bytes that are not). A mouse event's `data` has `flags`, `x`, `y`.
 */
export async function* exportJsonLines(
  reader: RecordingReader,
  options: ReplayOptions = {},
): AsyncGenerator<string, void, void> {
  const { startedAt } = reader.header();
  for await (const event of followed(reader, options)) {
    if (options.channel !== undefined && event.channel !== options.channel) continue;
    const line = {
      at: event.at,
      time: new Date(startedAt + event.at / 1000).toISOString(),
      kind: KIND_NAMES.get(event.kind),
      channel: event.channel,
      ...payloadFields(event),
    };
    yield `${JSON.stringify(line)}\n`;
  }
}

function payloadFields(event: RecordingEvent): Readonly<Record<string, unknown>> {
  if (event.kind === EventKind.mouse && event.payload.length >= MOUSE_BYTES) {
    const view = new DataView(event.payload.buffer, event.payload.byteOffset, MOUSE_BYTES);
    return {
      data: { flags: view.getUint16(0, true), x: view.getUint16(2, true), y: view.getUint16(4, true) },
    };
  }
  if (BINARY.has(event.kind)) return { base64: Buffer.from(event.payload).toString('base64') };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(event.payload);
  } catch {
    return { base64: Buffer.from(event.payload).toString('base64') };
  }
  if (isRaw(event.kind)) return { text };
  try {
    return { data: JSON.parse(text) as unknown };
  } catch {
    return { text };
  }
}
