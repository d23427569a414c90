/** What the background pool and its processes say to each other; structured-cloned. */
import type { ArchiveSettings } from '../archive/open.ts';
import { ArchiveError, type ArchiveErrorCode, type Side } from '../archive/port.ts';
import type { Opener } from '../container/reader.ts';
import type { SealedRecording, Sealing } from '../container/seal.ts';
import type { VerifyOptions, VerifyReport } from '../container/verify.ts';
import { ContainerError, type ContainerErrorCode } from '../format/error.ts';
import { VideoError } from '../video/error.ts';
import type { JobKind } from './queue.ts';

/** A recording as another process can find it. */
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

/** As {@link Sealing}, for another process: the key is PKCS #8 PEM. */
export type SealingOrder = Omit<Sealing, 'signingKey'> & { readonly signingKey: string };

/** As {@link VerifyOptions}, for another process: keys are PEM, or SubjectPublicKeyInfo in DER. */
export type VerifyOrder = Omit<VerifyOptions, 'onProgress' | 'publicKeys'> & {
  readonly publicKeys?: ReadonlyMap<string, string | Uint8Array>;
};

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
      readonly options: VerifyOrder;
    }
  | {
      readonly type: 'mp4' | 'png';
      readonly source: RecordingSource;
      readonly part: RenderedPart;
    };

export const kindOf = ({ type }: Job): JobKind => (type === 'mp4' || type === 'png' ? 'render' : type);

/** How a job ended. */
export interface JobEnd {
  readonly error?: JobError;
  readonly made?: readonly Side[];
  readonly sealed?: SealedRecording;
  readonly report?: VerifyReport;
}

/** What a job says before it ends. */
export type Told =
  /** How much of a recording is verified, bytes. */
  | { readonly type: 'verified'; readonly checked: number; readonly all: number }
  /** A part of what is rendered; the job goes on when it is asked for more. */
  | { readonly type: 'chunk'; readonly bytes: Uint8Array }
  | { readonly type: 'progress'; readonly at: number; readonly duration: number }
  | { readonly type: 'cut'; readonly text: string };

/** To a process of the pool, which does one job at a time; `next` and `cancel` are about that one. */
export type ToProcess =
  | { readonly type: 'job'; readonly job: Job }
  | { readonly type: 'next' }
  | { readonly type: 'cancel' };

export type FromProcess = Told | { readonly type: 'end'; readonly end: JobEnd };

/** What a job rejected with: errors lose their class on the way between processes. */
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
