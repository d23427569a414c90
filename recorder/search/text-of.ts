/** The text of a recording: what somebody could look for in it, whatever it was recorded from. */
import type { RecordingReader } from '../container/reader.ts';
import { type ClipboardCopied, EventKind, type FileOperation, type RecordingEvent } from '../format/event.ts';
import { DEFAULT_SIZE, jsonPayload, NO_CHANNEL, shownBytes, terminalSize } from '../replay/channel.ts';
import type { TextEntry, TextKind } from './entry.ts';
import type { ShownText } from './shown-text.ts';
import { StreamText } from './stream-text.ts';

/** Screens that are drawn at a time, some MB each; of more terminals the output is read as a stream. */
const MAX_SCREENS = 64;
/** Streams that are followed at a time; a line that is cut where one is given up is two. */
const MAX_STREAMS = 1024;
/** How an RDP recording names the keys that matter for a line. */
const ENTER = /<Enter>/g;
const BACKSPACE = /<Backspace>/g;

/**
 * The text of a recording, in batches, one for each segment; about in the order of its times. Rejects with
 * {@link ContainerError} at a segment that was altered, with {@link ArchiveError}.
 */
export async function* textOf(reader: RecordingReader): AsyncGenerator<readonly TextEntry[], void, void> {
  // Who only records carries no emulator.
  const { ShownText } = await import('./shown-text.ts');
  const text = new Text(reader.header().protocol, ShownText);
  for await (const { events } of reader.segments()) {
    for (const event of events) text.apply(event);
    yield text.take();
  }
  text.end();
  yield text.take();
}

class Text {
  readonly #protocol: 'ssh' | 'rdp';
  readonly #Screen: typeof ShownText;
  readonly #screens = new Map<number, ShownText>();
  readonly #streams = new Map<string, StreamText>();
  #entries: TextEntry[] = [];

  constructor(protocol: 'ssh' | 'rdp', screen: typeof ShownText) {
    this.#protocol = protocol;
    this.#Screen = screen;
  }

  take(): readonly TextEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    return entries;
  }

  apply(event: RecordingEvent): void {
    const { at, kind, channel, payload } = event;
    switch (kind) {
      case EventKind.terminal:
        return this.#terminal(event);
      case EventKind.resize: {
        const size = terminalSize(event);
        if (size !== undefined) this.#screens.get(channel)?.resize(size.columns, size.rows);
        return;
      }
      case EventKind.output:
      case EventKind.errorOutput:
      case EventKind.notice:
        return this.#shown(event);
      case EventKind.input:
        return this.#stream(channel, kind, 'typed').write(at, this.#typed(payload));
      case EventKind.start: {
        const { request, command } = jsonPayload(payload);
        if (request === 'exec') this.#once(at, channel, 'command', command);
        return;
      }
      case EventKind.file: {
        const { operation, path, to } = jsonPayload(payload) as Partial<FileOperation>;
        if (typeof path !== 'string') return;
        const named = to === undefined ? path : `${path} → ${to}`;
        return this.#once(at, channel, 'file', `${operation} ${named}`);
      }
      case EventKind.clipboard: {
        const { text, files } = jsonPayload(payload) as Partial<ClipboardCopied>;
        this.#once(at, channel, 'clipboard', text);
        for (const file of Array.isArray(files) ? files : []) this.#once(at, channel, 'clipboard', file);
        return;
      }
      case EventKind.channelClose:
        return this.#close(channel);
    }
  }

  end(): void {
    for (const screen of this.#screens.values()) screen.end();
    for (const stream of this.#streams.values()) stream.end();
    this.#screens.clear();
    this.#streams.clear();
  }

  #terminal(event: RecordingEvent): void {
    const { channel } = event;
    if (this.#screens.has(channel) || this.#screens.size >= MAX_SCREENS) return;
    const { columns, rows } = terminalSize(event) ?? DEFAULT_SIZE;
    this.#screens.set(channel, new this.#Screen(columns, rows, this.#finder(channel, 'shown')));
  }

  #shown(event: RecordingEvent): void {
    const { at, kind, channel } = event;
    // What the gateway says to all is on every screen.
    const channels = channel === NO_CHANNEL && this.#screens.size > 0 ? [...this.#screens.keys()] : [channel];
    for (const each of channels) {
      const bytes = shownBytes(event, each);
      if (bytes === undefined) continue;
      const screen = this.#screens.get(each);
      if (screen !== undefined) screen.write(at, bytes);
      else if (kind === EventKind.notice) this.#once(at, each, 'shown', Buffer.from(bytes).toString());
      else this.#stream(each, kind, 'shown').write(at, bytes);
    }
  }

  #typed(payload: Uint8Array): Uint8Array {
    if (this.#protocol === 'ssh') return payload;
    const text = Buffer.from(payload).toString();
    return Buffer.from(text.replace(ENTER, '\r').replace(BACKSPACE, '\x7f'));
  }

  /** A text that is there at once. */
  #once(at: number, channel: number, kind: TextKind, text: unknown): void {
    if (typeof text !== 'string') return;
    const stream = new StreamText(this.#finder(channel, kind));
    stream.write(at, Buffer.from(text));
    stream.end();
  }

  #stream(channel: number, of: EventKind, kind: TextKind): StreamText {
    const name = `${channel} ${of}`;
    let stream = this.#streams.get(name);
    if (stream !== undefined) return stream;
    if (this.#streams.size >= MAX_STREAMS) {
      for (const each of this.#streams.values()) each.end();
      this.#streams.clear();
    }
    stream = new StreamText(this.#finder(channel, kind));
    this.#streams.set(name, stream);
    return stream;
  }

  #close(channel: number): void {
    this.#screens.get(channel)?.end();
    this.#screens.delete(channel);
    for (const kind of [EventKind.output, EventKind.errorOutput, EventKind.input]) {
      const name = `${channel} ${kind}`;
      this.#streams.get(name)?.end();
      this.#streams.delete(name);
    }
  }

  #finder(channel: number, kind: TextKind): (at: number, text: string) => void {
    return (at, text) => void this.#entries.push({ at, channel, kind, text });
  }
}
