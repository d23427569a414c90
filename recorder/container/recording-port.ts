/** What a recording is to its session, and what it needs of its recorder. */
import type { ArchiveAppender, ArchiveError } from '../archive/port.ts';
import type { EventKind } from '../format/event.ts';
import type { FrameChain, Signer } from './chain.ts';
import type { Clock } from './clock.ts';
import type { LiveRecording } from './recording.ts';
import type { Scribe, StreamHash } from './scribe.ts';
import type { ChunkPool } from './segment-buffer.ts';
import type { SharedWindow } from './shared-window.ts';

/** Bound of what may be lost: bytes taken by `write` that the archive has not acknowledged. */
export interface DurabilityWindow {
  /** Encoded bytes. */
  readonly bytes: number;
  /** Age of the oldest of them. */
  readonly ms: number;
  /** How long a session may stay paused (or a seal take) before the recording fails. */
  readonly graceSeconds: number;
}

/** What a recording tells its session. Called from `write` or from a timer; must not throw. */
export interface RecorderSignals {
  /** The window is full: take nothing more from either leg. */
  pause(): void;
  resume(): void;
  /** The recording is over, at most once: the session must end. */
  failed(error: ArchiveError): void;
}

export interface RecordingSummary {
  readonly segments: number;
  /** Bytes that the archive acknowledged. */
  readonly bytes: number;
  /** Lower-case hex hash of the last acknowledged frame. */
  readonly head: string;
  /** Whether the manifest is in the archive. */
  readonly sealed: boolean;
  /** It is not, but in the spool of this node, which brings it there. */
  readonly spooled?: true;
}

export interface Recording {
  /** Takes a copy of `payload`. Never throws and never blocks; ignored after seal or failure. */
  write(kind: EventKind, channel: number, payload: Uint8Array): void;
  /** The same with `value` as JSON. */
  note(kind: EventKind, channel: number, value: object): void;
  /**
   * The SHA-256 of a stream that is not written in full. Hashing counts like writing: what
   * is taken faster than it is hashed pauses the session, and {@link seal} waits for digests
   * that were asked for.
   */
  hashStream(): StreamHash;
  /** True between the signals pause and resume, and after a failure. */
  readonly paused: boolean;
  /** Flushes, writes the manifest and closes. Never rejects: `sealed` tells. A second call gives the same answer. */
  seal(reason: string): Promise<RecordingSummary>;
}

/** Is told what an operator counts. Called while sessions wait: it must not throw, nor take long. */
export interface RecorderObserver {
  /** The archive has acknowledged `bytes`, `seconds` after it was given them. */
  appended(seconds: number, bytes: number): void;
  /** The archive has refused an append. */
  refused(): void;
  /** A session has to wait. */
  paused(): void;
  /** It goes on, after `seconds`. */
  resumed(seconds: number): void;
}

/** How far the archive is behind a recording. */
export interface RecordingLag {
  /** Taken and not acknowledged: encoded bytes, and the age of the oldest of them. */
  readonly bytes: number;
  readonly ms: number;
  /** Of the window, the fuller of size and age; from 1 on the session waits. */
  readonly fill: number;
}

export interface RecordingParts {
  readonly chain: FrameChain;
  readonly appender: ArchiveAppender;
  readonly window: DurabilityWindow;
  readonly signals: RecorderSignals;
  readonly signer: Signer;
  readonly clock: Clock;
  /** When the recording began, by that clock. */
  readonly origin: number;
  readonly pool: ChunkPool;
  readonly shared: SharedWindow;
  readonly scribe: Scribe;
  readonly observer: RecorderObserver | undefined;
  /**
   * Whether the first refusal of the archive ends the recording, instead of a whole grace time of them; one that
   * no time helps against (`spool-conflict`) does so always.
   */
  readonly failFast: boolean;
  /** Asks for {@link LiveRecording.tick} until it returns false. */
  wake(recording: LiveRecording): void;
  /** Whether the archive lacks what it has acknowledged last, because that is in a spool. */
  spooled(): boolean;
  /** Called when it is sealed, with its bytes. */
  onSealed(bytes: number): void;
  /** Length of the header frame, already durable. */
  readonly headerBytes: number;
}
