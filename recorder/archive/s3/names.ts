/**
 * Keys of a recording's objects, below the sink's prefix:
 *
 *     yyyy/mm/dd/<session>/<offset>-<end>.<era>.<p|z>.<instance>.<writer>   bytes of a recording: a part
 *     yyyy/mm/dd/<session>/seal                                            manifest of another than its writer
 *     yyyy/mm/dd/<session>.slr                                             the whole recording, once compacted
 *     yyyy/mm/dd/<session>.index …                                         what stands beside it
 *     journal/<writer>/<instance>/<number>                                 small appends of many recordings
 *
 * The name of a part says all that is to be known of it. Who goes on with a recording begins an *era*:
 * what earlier ones hold from there on is given up, whenever it arrives. The *instance* is the journal that
 * the era's small appends go to; behind a part `z` none come.
 */
import { randomBytes } from 'node:crypto';
import { ArchiveError, type Side } from '../port.ts';

export interface Part {
  /** Of its bytes in the recording; `end` is behind them. */
  readonly start: number;
  readonly end: number;
  /** Eras sort as they follow each other. */
  readonly era: string;
  /** Whether the era's writer has closed behind it. */
  readonly last: boolean;
  readonly journal: JournalName;
}

/** One writer's journal; it is never shared between threads. */
export interface JournalName {
  readonly instance: string;
  /** Name of the node. */
  readonly writer: string;
}

const PART = /^(\d{15})-(\d{15})\.([0-9a-f]{12})\.([pz])\.([0-9a-f]{24})\.([A-Za-z0-9][A-Za-z0-9._-]{0,62})$/;
const SEAL = 'seal';
const WHOLE = '.slr';

/** Keys of one recording. `day`: `yyyy/mm/dd`. */
export class RecordingNames {
  /** Where its parts are; ends with a slash. */
  readonly folder: string;
  /** Before every key of it, and of other sessions whose ids begin so. */
  readonly stem: string;

  constructor(prefix: string, day: string, sessionId: string) {
    this.stem = `${prefix}${day}/${sessionId}`;
    this.folder = `${this.stem}/`;
  }

  get whole(): string {
    return this.stem + WHOLE;
  }

  get seal(): string {
    return this.folder + SEAL;
  }

  side(side: Side): string {
    return `${this.stem}.${side}`;
  }

  /** Whether a key that begins with the stem is of this recording: ids have neither slash nor dot. */
  owns(key: string): boolean {
    return key.startsWith('/', this.stem.length) || key.startsWith('.', this.stem.length);
  }

  /** Whether a key of it is that of a side. */
  isBeside(key: string): boolean {
    return !key.startsWith(this.folder) && key !== this.whole;
  }

  part({ start, end, era, last, journal }: Part): string {
    const range = `${digits(start, 15)}-${digits(end, 15)}`;
    return `${this.folder}${range}.${era}.${last ? 'z' : 'p'}.${journal.instance}.${journal.writer}`;
  }
}

/** Where the objects of a journal are; ends with a slash. */
export function journalFolder(prefix: string, { writer, instance }: JournalName): string {
  return `${prefix}journal/${writer}/${instance}/`;
}

/** Where all journals of a writer are. */
export function writerFolder(prefix: string, writer: string): string {
  return `${prefix}journal/${writer}/`;
}

export function journalKey(prefix: string, name: JournalName, number: number): string {
  return journalFolder(prefix, name) + digits(number, 12);
}

/** `name`: behind the folder. Undefined: it is no part. */
export function parsePart(name: string): Part | undefined {
  const [, from = '', to = '', era = '', kind = '', instance = '', writer = ''] = PART.exec(name) ?? [];
  const [start, end] = [Number(from), Number(to)];
  if (era === '' || end < start) return undefined;
  return { start, end, era, last: kind === 'z', journal: { instance, writer } };
}

/** Whose whole recording a key of a day is, or what is `inFolder` of it; `rest`: behind the folder of the day. */
export function sessionOf(
  rest: string,
): { readonly sessionId: string; readonly inFolder: boolean } | undefined {
  const slash = rest.indexOf('/');
  if (slash > 0) return { sessionId: rest.slice(0, slash), inFolder: true };
  return rest.endsWith(WHOLE) && rest.length > WHOLE.length
    ? { sessionId: rest.slice(0, -WHOLE.length), inFolder: false }
    : undefined;
}

/** Of a new journal; sorts by time. */
export function newInstance(now = Date.now()): string {
  return now.toString(16).padStart(12, '0').slice(-12) + randomBytes(6).toString('hex');
}

/**
 * An era behind `before`, the latest that there is. Of two that begin at once, one is the later.
 * @param doubtful one that may come to be yet: the next is behind it, too, if only by one, however often it is tried
 */
export function newEra(before?: string, doubtful?: string): string {
  if (doubtful !== undefined && (before === undefined || doubtful > before))
    return era(Number.parseInt(doubtful, 16) + 1);
  const number = before === undefined ? 0 : Number.parseInt(before.slice(0, 4), 16) + 1;
  return era(number * 2 ** 32 + randomBytes(4).readUInt32BE());
}

function era(number: number): string {
  if (number >= 2 ** 48) throw new ArchiveError('archive-io', 'the recording was begun anew too often');
  return number.toString(16).padStart(12, '0');
}

function digits(value: number, length: number): string {
  return String(value).padStart(length, '0');
}
