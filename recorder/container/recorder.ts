/** The writing side of a worker: opens recordings and gives them time. */
import type { KeyObject } from 'node:crypto';
import { type Archive, type ArchiveAppender, ArchiveError, type ArchiveForWriters } from '../archive/port.ts';
import { Spool, type SpoolEvent, type SpoolParts } from '../archive/spool.ts';
import type { SpoolSettings } from '../archive/spool-room.ts';
import type { RecordingHeader } from '../format/document.ts';
import { FrameChain, type Signer } from './chain.ts';
import { type Clock, systemClock } from './clock.ts';
import { KeyRing, keyIdOf } from './keys.ts';
import { LiveRecording, READ_AHEAD_BYTES } from './recording.ts';
import type {
  DurabilityWindow,
  RecorderObserver,
  RecorderSignals,
  Recording,
  RecordingLag,
  RecordingSummary,
} from './recording-port.ts';
import { Scribe } from './scribe.ts';
import { ChunkPool } from './segment-buffer.ts';
import { MIN_SHARED_BYTES, SharedWindow } from './shared-window.ts';
import { SIDES_FROM_BYTES } from './side-file.ts';

export interface RecordingInit {
  readonly sessionId: string;
  /** ms since the epoch */
  readonly startedAt: number;
  readonly protocol: 'ssh' | 'rdp';
  readonly user: string;
  readonly account: string;
  readonly system: string;
  readonly policy: string;
}

export interface RecorderOptions {
  readonly archive: ArchiveForWriters;
  /** age recipients; at least one. */
  readonly recipients: readonly string[];
  /** Name of this node. */
  readonly node: string;
  /** Ed25519, private. */
  readonly signingKey: KeyObject;
  readonly window: DurabilityWindow;
  /** What recordings do that the archive refuses or does not answer. Default: pause. */
  readonly onFailure?: OnArchiveFailure;
  /** Memory of all recordings together, bytes. Default: {@link DEFAULT_MEMORY_BYTES}. */
  readonly memoryBytes?: number;
  readonly clock?: Clock;
  /**
   * Told of each recording that is sealed and long enough for something beside it, with its own key, so that
   * that can be made by who has no identity: a node keeps none. To be forgotten when that is done.
   */
  readonly onSealed?: (sessionId: string, key: Uint8Array) => void;
  readonly observer?: RecorderObserver;
}

/** How a recorder stands. `lag`: all bytes, the greatest age and fill. */
export interface RecorderStanding {
  readonly recordings: number;
  readonly paused: number;
  readonly lag: RecordingLag;
  /** Memory that all recordings hold, bytes. */
  readonly heldBytes: number;
}

/** How far the archive has a running recording. */
export interface RecordingHead extends Omit<RecordingSummary, 'sealed' | 'spooled'> {
  readonly sessionId: string;
}

export type OnArchiveFailure =
  /** Sessions wait, for the grace time of the window. */
  | { readonly action: 'pause' }
  /** They end with the first refusal. */
  | { readonly action: 'terminate' }
  /** They go on into a spool on this node, until the archive is back. */
  | {
      readonly action: 'spool';
      readonly spool: SpoolSettings;
      readonly onEvent: (event: SpoolEvent) => void;
      readonly marked: SpoolParts['marked'];
    };

export const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;
export const DEFAULT_WINDOW: DurabilityWindow = { bytes: 4 * 1024 * 1024, ms: 1000, graceSeconds: 30 };

/** How exactly the age of a segment is kept; the timer runs only while bytes wait. */
const TICK_MS = 25;

export class Recorder {
  readonly #archive: Pick<Archive, 'create'>;
  readonly #spool: Spool | undefined;
  /** What is to be done when the archive has everything of a session that was sealed into the spool. */
  readonly #onceDrained = new Map<string, () => void>();
  readonly #failFast: boolean;
  readonly #node: string;
  readonly #signer: Signer;
  readonly #window: DurabilityWindow;
  readonly #clock: Clock;
  readonly #keys: KeyRing;
  readonly #pool = new ChunkPool();
  readonly #scribe = new Scribe(this.#pool);
  readonly #awake = new Set<LiveRecording>();
  readonly #shared: SharedWindow;
  readonly #onSealed: RecorderOptions['onSealed'];
  readonly #observer: RecorderObserver | undefined;
  /** Recordings that run, by session, with what {@link takeHeads} told of each last. */
  readonly #running = new Map<string, { readonly recording: LiveRecording; told?: RecordingSummary }>();
  #stopTicking: (() => void) | undefined;

  /** Throws when there is no recipient or the signing key is no private Ed25519 key. */
  constructor(options: RecorderOptions) {
    if (options.recipients.length === 0) {
      throw new ArchiveError('archive-recipient', 'archive.recipients: at least one age recipient is needed');
    }
    if (options.signingKey.type !== 'private' || options.signingKey.asymmetricKeyType !== 'ed25519') {
      throw new TypeError('signing key: it must be a private Ed25519 key');
    }
    this.#node = options.node;
    this.#signer = { key: options.signingKey, keyId: keyIdOf(options.signingKey) };
    this.#window = options.window;
    this.#clock = options.clock ?? systemClock;
    this.#onSealed = options.onSealed;
    this.#observer = options.observer;
    const onFailure = options.onFailure ?? { action: 'pause' };
    this.#failFast = onFailure.action === 'terminate';
    if (onFailure.action === 'spool')
      this.#spool = new Spool({
        archive: options.archive,
        settings: onFailure.spool,
        onEvent: (event) => {
          onFailure.onEvent(event);
          if (event.type === 'drained') this.#onceDrained.get(event.sessionId)?.();
          if (event.type !== 'spooling') this.#onceDrained.delete(event.sessionId);
        },
        marked: onFailure.marked,
        // A segment waits for a quarter of the window, and the spool's disk has the last one.
        patienceMs: this.#window.ms / 2,
        clock: this.#clock,
        pool: this.#pool,
      });
    this.#archive = this.#spool ?? options.archive;
    const memory = Math.max(options.memoryBytes ?? DEFAULT_MEMORY_BYTES, MIN_SHARED_BYTES);
    this.#shared = new SharedWindow(memory, READ_AHEAD_BYTES, this.#pool, this.#awake);
    this.#keys = new KeyRing(options.recipients, () => this.#clock.now());
  }

  /**
   * Starts a recording: its header is durable when this resolves. Rejects with
   * {@link ArchiveError} when the archive cannot take it; the session is then refused.
   */
  async open(init: RecordingInit, signals: RecorderSignals): Promise<Recording> {
    // Events count from `startedAt`, however long the archive takes to begin.
    const origin = this.#clock.now();
    const { key, wrappedKey, salt } = await this.#keys.keyFor(init.sessionId);
    const chain = new FrameChain(init.sessionId, key);
    const { sessionId, startedAt, protocol, user, account, system, policy } = init;
    const header: RecordingHeader = {
      sessionId,
      node: this.#node,
      startedAt,
      protocol,
      user,
      account,
      system,
      policy,
      wrappedKey,
      salt,
    };
    const frame = chain.header(header);
    const appender = await this.#inGrace(this.#archive.create(sessionId, startedAt, frame));
    const recording = new LiveRecording({
      chain,
      appender,
      window: this.#window,
      signals: {
        pause: () => signals.pause(),
        resume: () => signals.resume(),
        failed: (error) => {
          this.#running.delete(sessionId);
          signals.failed(error);
        },
      },
      signer: this.#signer,
      clock: this.#clock,
      origin,
      pool: this.#pool,
      shared: this.#shared,
      failFast: this.#failFast,
      scribe: this.#scribe,
      observer: this.#observer,
      wake: this.#wake,
      spooled: () => this.#spool?.holds(sessionId) ?? false,
      onSealed: (bytes) => {
        this.#running.delete(sessionId);
        const sealed = (): void => {
          if (bytes >= SIDES_FROM_BYTES) this.#onSealed?.(sessionId, key);
        };
        if (this.#spool?.holds(sessionId)) this.#onceDrained.set(sessionId, sealed);
        else sealed();
      },
      headerBytes: frame.length,
    });
    this.#running.set(sessionId, { recording });
    return recording;
  }

  /** Memory that all recordings hold now, bytes. */
  get heldBytes(): number {
    return this.#pool.lent;
  }

  /** How far the archive is behind now. */
  standing(): RecorderStanding {
    const now = this.#clock.now();
    let [paused, bytes, ms, fill] = [0, 0, 0, 0];
    for (const { recording } of this.#running.values()) {
      const lag = recording.lag(now);
      if (recording.paused) paused += 1;
      bytes += lag.bytes;
      ms = Math.max(ms, lag.ms);
      fill = Math.max(fill, lag.fill);
    }
    const { size: recordings } = this.#running;
    return { recordings, paused, lag: { bytes, ms, fill }, heldBytes: this.heldBytes };
  }

  /** Of every running recording that the archive has more of than at the last call. */
  takeHeads(): RecordingHead[] {
    const heads: RecordingHead[] = [];
    for (const [sessionId, running] of this.#running) {
      const { progress } = running.recording;
      if (progress === running.told) continue;
      running.told = progress;
      const { segments, bytes, head } = progress;
      heads.push({ sessionId, segments, bytes, head });
    }
    return heads;
  }

  /** A mount that hangs must not leave the person waiting without an answer. */
  #inGrace(creation: Promise<ArchiveAppender>): Promise<ArchiveAppender> {
    const { promise, resolve, reject } = Promise.withResolvers<ArchiveAppender>();
    const seconds = this.#window.graceSeconds;
    let late = false;
    const cancel = this.#clock.after(seconds * 1000, () => {
      late = true;
      reject(
        new ArchiveError(
          'archive-timeout',
          `the archive did not take the recording within ${seconds} seconds`,
        ),
      );
    });
    creation.then(
      (appender) => {
        cancel();
        if (late) void appender.close().catch(() => {});
        resolve(appender);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
    return promise;
  }

  readonly #wake = (recording: LiveRecording): void => {
    this.#awake.add(recording);
    this.#stopTicking ??= this.#clock.every(TICK_MS, () => this.#tick());
  };

  #tick(): void {
    const now = this.#clock.now();
    for (const recording of this.#awake) {
      if (!recording.tick(now)) this.#awake.delete(recording);
    }
    if (this.#awake.size === 0) {
      this.#stopTicking?.();
      this.#stopTicking = undefined;
    }
  }
}
