/**
 * What is kept of an SSH session: turns the relay's view of a channel into recording
 * events and keystrokes. Every byte that the relay passes on comes by here first.
 */
import { createHash } from 'node:crypto';
import {
  type ChannelOpened,
  EventKind,
  KeystrokeLog,
  type ProgramExited,
  type ProgramStarted,
  type Recording,
  type StreamDigest,
  type StreamHash,
} from '../../recorder/index.ts';
import type { KeystrokeLine } from '../../workers/messages.ts';
import { WaitingRoom } from './wire/file-content.ts';
import type { ObservedOperation } from './wire/file-operation.ts';
import { parseScpCommand } from './wire/scp-command.ts';
import { ScpObserver } from './wire/scp-observer.ts';
import { SftpObserver } from './wire/sftp-observer.ts';

/** The recording's number for events that belong to no channel. */
const NO_CHANNEL = 0xffff_ffff;

export interface RecordOptions {
  readonly sessionId: string;
  /** Undefined: policy does not record (`record: false`). */
  readonly recording: Recording | undefined;
  /** Policy logs keystrokes. */
  readonly keystrokes: boolean;
  /** Bytes of each stream of a command without a terminal that are kept; the rest is counted and hashed. */
  readonly execLimit: number | 'full';
}

/** How a program's streams are to be read. */
export type StreamKind = 'stream' | 'sftp' | 'scp';

export class SessionRecord {
  readonly options: RecordOptions;
  /** For SFTP content that comes out of order, in all channels. */
  readonly waiting = new WaitingRoom();
  readonly #terminals = new Set<ChannelRecord>();
  #channels = 0;

  constructor(options: RecordOptions) {
    this.options = options;
  }

  openChannel(opened: ChannelOpened): ChannelRecord {
    const number = this.#channels++;
    this.note(EventKind.channelOpen, number, opened);
    return new ChannelRecord(this, number, opened.type === 'session');
  }

  refusal(request: string, reason: string): void {
    this.note(EventKind.refusal, NO_CHANNEL, { request, reason });
  }

  note(kind: EventKind, channel: number, value: object): void {
    this.options.recording?.note(kind, channel, value);
  }

  /** Hands over the keystrokes whose echo is decided; to be called every 250 ms. */
  takeKeystrokes(lines: KeystrokeLine[]): void {
    for (const channel of this.#terminals) {
      channel.takeKeystrokes(lines);
      if (channel.closed) this.#terminals.delete(channel);
    }
  }

  terminalOpened(channel: ChannelRecord): void {
    this.#terminals.add(channel);
  }
}

/** Bytes of one stream of a program, and how much of its beginning was recorded. */
interface StreamCount {
  bytes: number;
  recorded: number;
  /** Undefined where all is recorded: the recording itself proves it. */
  readonly hash: StreamHash | undefined;
}

type StreamName = StreamDigest['stream'];

export class ChannelRecord {
  readonly #session: SessionRecord;
  readonly #number: number;
  readonly #recording: Recording | undefined;
  readonly #isSession: boolean;
  #terminal: { columns: number; rows: number } | undefined;
  #fromClient = 0;
  #fromTarget = 0;
  #keys: KeystrokeLog | undefined;
  /** Streams of a program without a terminal, or of what passes before one is started. */
  readonly #streams = new Map<StreamName, StreamCount>();
  /** Bytes of each of them that are kept: each has its own, so that none displaces another. */
  #streamLimit: number;
  /** Digests that are awaited, and the channel itself while it is open. */
  #unfinished = 1;
  #observer: SftpObserver | ScpObserver | undefined;
  #onMismatch: (error: Error) => void = () => {};
  closed = false;

  constructor(session: SessionRecord, number: number, isSession: boolean) {
    this.#session = session;
    this.#number = number;
    this.#recording = session.options.recording;
    this.#isSession = isSession;
    this.#streamLimit = limitOf(session.options.execLimit);
  }

  terminal(size: { term: string; columns: number; rows: number }): void {
    this.#terminal = size;
    // From now on: the target's terminal takes what is typed before the program runs, too.
    if (this.#session.options.keystrokes) {
      this.#keys = new KeystrokeLog({ now: Date.now, columns: size.columns, rows: size.rows });
      this.#session.terminalOpened(this);
    }
    this.#session.note(EventKind.terminal, this.#number, size);
  }

  /** The target refused the terminal: the program's streams are streams. */
  terminalRefused(): void {
    this.#terminal = undefined;
    if (this.#keys !== undefined) {
      this.#keys.end();
      this.#recordKeys(this.#keys);
    }
    this.refusal('pty-req', 'the target refused the terminal');
  }

  resize(size: { columns: number; rows: number }): void {
    if (this.#terminal !== undefined) this.#keys?.resize(size.columns, size.rows);
    this.#session.note(EventKind.resize, this.#number, size);
  }

  /**
   * A program was asked for; again only when the target refused the one before.
   * @param kind how its streams are read
   * @param onMismatch the stream is not what `kind` says: the caller ends the channel
   */
  start(
    request: ProgramStarted['request'],
    command: string | undefined,
    kind: StreamKind,
    onMismatch: (error: Error) => void,
  ): void {
    this.#session.note(
      EventKind.start,
      this.#number,
      command === undefined ? { request } : { request, command },
    );
    this.#onMismatch = onMismatch;
    // The program before, if any, was refused by the target: what it was sent takes nothing of this one's room.
    this.#observer = undefined;
    this.#endStreams();
    // A shell is a person at work, with a terminal or without.
    this.#streamLimit =
      request === 'shell' ? Number.POSITIVE_INFINITY : limitOf(this.#session.options.execLimit);
    if (kind === 'sftp' || kind === 'scp') {
      const sink = { operation: (operation: ObservedOperation) => this.#file(operation, kind) };
      const hash = (): { update(bytes: Uint8Array): void; digestHex(): string } => {
        const sha256 = createHash('sha256');
        return { update: (bytes) => void sha256.update(bytes), digestHex: () => sha256.digest('hex') };
      };
      const scp = kind === 'scp' ? parseScpCommand(command ?? '') : undefined;
      this.#observer =
        scp === undefined
          ? new SftpObserver(sink, hash, this.#session.waiting)
          : new ScpObserver(scp, sink, hash);
    }
  }

  input(data: Uint8Array): void {
    this.#fromClient += data.length;
    if (this.#observer !== undefined) this.#observe(() => this.#observer?.fromClient(data));
    else if (this.#terminal !== undefined) {
      if (this.#keys === undefined) return;
      this.#keys.input(data);
      this.#recordKeys(this.#keys);
    } else if (this.#isSession) this.#stream('input', EventKind.input, data);
  }

  output(data: Uint8Array): void {
    this.#fromTarget += data.length;
    if (this.#observer !== undefined) this.#observe(() => this.#observer?.fromTarget(data));
    else if (this.#terminal !== undefined) {
      this.#recording?.write(EventKind.output, this.#number, data);
      if (this.#keys !== undefined) {
        this.#keys.output(data);
        this.#recordKeys(this.#keys);
      }
    } else if (this.#isSession) this.#stream('output', EventKind.output, data);
  }

  errorOutput(data: Uint8Array): void {
    this.#fromTarget += data.length;
    if (this.#terminal !== undefined) this.#recording?.write(EventKind.errorOutput, this.#number, data);
    else if (this.#isSession) this.#stream('errorOutput', EventKind.errorOutput, data);
  }

  exit(exited: ProgramExited): void {
    this.#session.note(EventKind.exit, this.#number, exited);
  }

  notice(text: string): void {
    this.#session.note(EventKind.notice, this.#number, { text });
  }

  refusal(request: string, reason: string): void {
    this.#session.note(EventKind.refusal, this.#number, { request, reason });
  }

  takeKeystrokes(lines: KeystrokeLine[]): void {
    if (this.#keys === undefined) return;
    this.#keys.tick();
    this.#recordKeys(this.#keys);
    const { sessionId } = this.#session.options;
    for (const piece of this.#keys.take()) lines.push({ sessionId, channel: this.#number, ...piece });
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.#keys !== undefined) {
      this.#keys.end();
      this.#recordKeys(this.#keys);
    }
    if (this.#observer !== undefined) this.#observe(() => this.#observer?.end());
    this.#endStreams();
    this.#finished();
  }

  /** Tells the digests of streams that were limited. */
  #endStreams(): void {
    for (const [stream, { bytes, recorded, hash }] of this.#streams) {
      if (hash === undefined) continue;
      this.#unfinished += 1;
      hash.digest((sha256) => {
        this.#session.note(EventKind.digest, this.#number, { stream, bytes, recorded, sha256 });
        this.#finished();
      });
    }
    this.#streams.clear();
  }

  #finished(): void {
    this.#unfinished -= 1;
    if (this.#unfinished > 0) return;
    this.#session.note(EventKind.channelClose, this.#number, {
      fromClient: this.#fromClient,
      fromTarget: this.#fromTarget,
    });
  }

  #file(operation: ObservedOperation, protocol: 'sftp' | 'scp'): void {
    this.#session.note(EventKind.file, this.#number, { ...operation, protocol });
  }

  #observe(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#observer = undefined;
      this.#onMismatch(error as Error);
    }
  }

  #recordKeys(keys: KeystrokeLog): void {
    for (const typed of keys.maskedInput()) this.#recording?.write(EventKind.input, this.#number, typed);
  }

  #stream(name: StreamName, kind: EventKind, data: Uint8Array): void {
    if (this.#recording === undefined) return;
    let count = this.#streams.get(name);
    if (count === undefined) {
      const limited = this.#streamLimit !== Number.POSITIVE_INFINITY;
      count = { bytes: 0, recorded: 0, hash: limited ? this.#recording.hashStream() : undefined };
      this.#streams.set(name, count);
    }
    count.bytes += data.length;
    count.hash?.update(data);
    const room = this.#streamLimit - count.recorded;
    if (room <= 0) return;
    const kept = data.length <= room ? data : data.subarray(0, room);
    count.recorded += kept.length;
    this.#recording.write(kind, this.#number, kept);
  }
}

function limitOf(execLimit: number | 'full'): number {
  return execLimit === 'full' ? Number.POSITIVE_INFINITY : execLimit;
}
