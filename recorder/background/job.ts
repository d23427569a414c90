/** What the background pool's owner and its threads say to each other; structured-cloned. */
import type { MessagePort } from 'node:worker_threads';
import type { ArchiveSettings } from '../archive/open.ts';
import { ArchiveError, type ArchiveErrorCode, type Side } from '../archive/port.ts';
import type { Opener } from '../container/reader.ts';
import type { SealedRecording, Sealing } from '../container/seal.ts';
import type { VerifyOptions, VerifyReport } from '../container/verify.ts';
import { ContainerError, type ContainerErrorCode } from '../format/error.ts';
import { VideoError } from '../video/error.ts';
import type { JobKind } from './queue.ts';

/** A recording as another thread can find it. */
export interface RecordingSource {
  readonly archive: ArchiveSettings;
  readonly sessionId: string;
  readonly opener: Opener;
}

/** Which part of a recording is shown. */
export interface RenderedPart {
  /** SSH: the recording's channel number; by default the first that had a terminal. */
  readonly channel?: number;
  /** Of a picture: µs since the recording's start; by default its end. */
  readonly at?: number;
}

/** As {@link Sealing}, for another thread: the key is PKCS #8 PEM. */
export type SealingOrder = Omit<Sealing, 'signingKey'> & { readonly signingKey: string };

export type Job =
  | { readonly type: 'sides'; readonly source: RecordingSource }
  | {
      readonly type: 'seal';
      readonly archive: ArchiveSettings;
      readonly sessionId: string;
      readonly order: SealingOrder;
    }
  | { readonly type: 'compact'; readonly archive: ArchiveSettings; readonly sessionId: string }
  | {
      readonly type: 'verify';
      readonly archive: ArchiveSettings;
      readonly sessionId: string;
      readonly options: Omit<VerifyOptions, 'onProgress'>;
      /** Takes {@link Verified}. */
      readonly port: MessagePort;
    }
  | {
      readonly type: 'mp4' | 'png';
      readonly source: RecordingSource;
      readonly part: RenderedPart;
      /** Takes {@link Rendered}, gives one {@link NEXT} for each chunk; closed: nobody reads on. */
      readonly port: MessagePort;
    };

/** A job on its way to its thread. */
export interface JobOrder {
  readonly job: Job;
  /** Memory of the {@link Cancellation} of the job. */
  readonly cancellation: SharedArrayBuffer;
}

export const kindOf = ({ type }: Job): JobKind => (type === 'mp4' || type === 'png' ? 'render' : type);

/** How a job ended. */
export interface JobEnd {
  readonly error?: JobError;
  readonly made?: readonly Side[];
  readonly sealed?: SealedRecording;
  readonly report?: VerifyReport;
}

/** How much of a recording is verified, bytes. */
export interface Verified {
  readonly checked: number;
  readonly all: number;
}

export type Rendered =
  | { readonly type: 'chunk'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'progress'; readonly at: number; readonly duration: number }
  | { readonly type: 'cut'; readonly text: string };

export const NEXT = 'next';

/** What a job rejected with: errors lose their class on the way between threads. */
export interface JobError {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly stack: string | undefined;
}

export function encodeJobError(error: unknown): JobError {
  if (!(error instanceof Error)) return { name: 'Error', code: undefined, message: String(error), stack: '' };
  const code = error instanceof ContainerError || error instanceof ArchiveError ? error.code : undefined;
  return { name: error.name, code, message: error.message, stack: error.stack };
}

/** The error again, of its own class where that says what is wrong. */
export function decodeJobError({ name, code, message, stack }: JobError): Error {
  switch (name) {
    case 'ArchiveError':
      return new ArchiveError(code as ArchiveErrorCode, message);
    case 'ContainerError':
      return new ContainerError(code as ContainerErrorCode, message);
    case 'VideoError':
      return new VideoError(message);
    default: {
      const error = new Error(message);
      if (stack !== undefined) error.stack = stack;
      return error;
    }
  }
}
