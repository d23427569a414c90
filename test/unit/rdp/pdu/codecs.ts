/** All capability codecs, for the tests that must miss none. */
import * as base from '../../../../gateway/rdp/pdu/capability-base.ts';
import * as cache from '../../../../gateway/rdp/pdu/capability-cache.ts';
import * as graphics from '../../../../gateway/rdp/pdu/capability-graphics.ts';
import type { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';

/** A codec whose value only itself understands. */
export interface AnyCodec {
  readonly type: number;
  readonly decode: (reader: Reader) => unknown;
  readonly encode: (writer: Writer, value: unknown) => void;
}

function isCodec(value: unknown): value is AnyCodec {
  return typeof value === 'object' && value !== null && 'decode' in value && 'encode' in value;
}

export const ALL_CODECS: readonly AnyCodec[] = [base, cache, graphics]
  .flatMap((module) => Object.values(module))
  .filter((value: unknown): value is AnyCodec => isCodec(value));
