/**
 * The recorder's door: sessions are recorded through {@link Recorder}, and read back
 * with {@link openRecording}, {@link verifyRecording} and the exports.
 */
export { type ArchiveCredentials, type ArchiveSettings, openArchive, openArchives } from './archive/open.ts';
export {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveErrorCode,
  type ArchiveReader,
} from './archive/port.ts';
export type { SpoolEvent } from './archive/spool.ts';
export { type Drained, drainSpool, spooledBytes, spooledSessions } from './archive/spool-drain.ts';
export type { SpoolSettings } from './archive/spool-room.ts';
export type { RecordingSource, SealingOrder } from './background/job.ts';
export { BackgroundPool, type PoolOptions, type RenderOptions } from './background/pool.ts';
export { JOB_KINDS, type JobFigures, type JobKind, QueueFullError } from './background/queue.ts';
export {
  type ArchiveIdentity,
  generateIdentity,
  loadIdentities,
  parseIdentities,
} from './container/identity.ts';
export { keyIdOf } from './container/keys.ts';
export { type Opener, openRecording, type RecordingReader } from './container/reader.ts';
export {
  DEFAULT_WINDOW,
  type OnArchiveFailure,
  Recorder,
  type RecorderOptions,
  type RecorderStanding,
  type RecordingHead,
  type RecordingInit,
} from './container/recorder.ts';
export type {
  DurabilityWindow,
  RecorderObserver,
  RecorderSignals,
  Recording,
  RecordingSummary,
} from './container/recording-port.ts';
export type { StreamHash } from './container/scribe.ts';
export type { SealedRecording } from './container/seal.ts';
export {
  type VerifyCode,
  type VerifyOptions,
  type VerifyReport,
  verifyRecording,
} from './container/verify.ts';
export type { IndexEntry, RecordingHeader, RecordingManifest } from './format/document.ts';
export { ContainerError, type ContainerErrorCode } from './format/error.ts';
export * from './format/event.ts';
export {
  Keyboard,
  type KeyEvent,
  type KeystrokeMask,
  RdpKeystrokeLog,
  Toggle,
  type Typed,
} from './keyboard/index.ts';
export { KeystrokeLog } from './keystroke/index.ts';
export { exportCast } from './replay/cast.ts';
export type { ReplayOptions } from './replay/channel.ts';
export { exportJsonLines } from './replay/json-lines.ts';
export { type PlayOptions, play } from './replay/play.ts';
export { exportText } from './replay/text.ts';
export type { TextKind } from './search/entry.ts';
export type { Hit } from './search/matcher.ts';
export { type Found, type SearchOptions, searchRecordings } from './search/search.ts';
export { indexDesktop } from './video/desktop-index.ts';
export { surveyDesktop } from './video/desktop-player.ts';
export { VideoError } from './video/error.ts';
export { exportMp4 } from './video/export.ts';
export type { FilmSurvey } from './video/film.ts';
export type { VideoOptions } from './video/mp4.ts';
export { exportPng, type PictureOptions } from './video/picture.ts';
