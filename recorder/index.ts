/**
 * The recorder's door: sessions are recorded through {@link Recorder}, and read back
 * with {@link openRecording}, {@link verifyRecording} and the exports.
 */
export { openArchive } from './archive/open.ts';
export {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveErrorCode,
  type ArchiveReader,
} from './archive/port.ts';
export {
  type ArchiveIdentity,
  generateIdentity,
  loadIdentities,
  parseIdentities,
} from './container/identity.ts';
export { keyIdOf } from './container/keys.ts';
export { DEFAULT_WINDOW, Recorder, type RecorderOptions, type RecordingInit } from './container/recorder.ts';
export type {
  DurabilityWindow,
  RecorderSignals,
  Recording,
  RecordingSummary,
} from './container/recording.ts';
export type { IndexEntry, RecordingHeader, RecordingManifest } from './format/document.ts';
export { ContainerError, type ContainerErrorCode } from './format/error.ts';
export * from './format/event.ts';
