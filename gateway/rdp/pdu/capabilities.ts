/**
 * Capability sets, [MS-RDPBCGR] 2.2.1.13.1.1.1: in Demand Active and Confirm Active. They are kept
 * as they came; the layouts of capability-*.ts read one and change one, so that all others stay
 * byte for byte what the peer sent.
 *
 * ```
 * capabilitySetType (2)  lengthCapability (2, with this header)  capabilityData
 * ```
 */
import { PduError, Reader, Writer } from './cursor.ts';

/** CAPSTYPE_*. */
export const CapabilityType = {
  general: 1,
  bitmap: 2,
  order: 3,
  bitmapCache: 4,
  control: 5,
  bitmapCacheV3: 6,
  windowActivation: 7,
  pointer: 8,
  share: 9,
  colorCache: 10,
  sound: 12,
  input: 13,
  font: 14,
  brush: 15,
  glyphCache: 16,
  offscreenCache: 17,
  bitmapCacheHostSupport: 18,
  bitmapCacheRev2: 19,
  virtualChannel: 20,
  drawNineGridCache: 21,
  drawGdiPlus: 22,
  rail: 23,
  windowList: 24,
  desktopComposition: 25,
  multifragmentUpdate: 26,
  largePointer: 27,
  surfaceCommands: 28,
  bitmapCodecs: 29,
  frameAcknowledge: 30,
} as const;

const HEADER_BYTES = 4;

/** One set, undecoded. */
export interface CapabilitySet {
  /** One of {@link CapabilityType}, or one that is unknown here. */
  readonly type: number;
  /** Without the header; a copy. */
  readonly body: Uint8Array;
}

/** @throws PduError when a set says it is longer than what is left */
export function decodeCapabilitySets(reader: Reader, count: number): CapabilitySet[] {
  const sets: CapabilitySet[] = [];
  for (let n = 0; n < count; n += 1) {
    const type = reader.u16le('capabilitySetType');
    const length = reader.u16le('lengthCapability');
    if (length < HEADER_BYTES) reader.fail('lengthCapability', `is ${length}, less than its header`, 2);
    sets.push({ type, body: new Uint8Array(reader.bytes('capabilityData', length - HEADER_BYTES)) });
  }
  return sets;
}

export function encodeCapabilitySets(writer: Writer, sets: readonly CapabilitySet[]): void {
  for (const { type, body } of sets)
    writer
      .u16le(type)
      .u16le(body.length + HEADER_BYTES)
      .bytes(body);
}

/** Reads and writes the body of one type of set. */
export interface CapabilityCodec<T> {
  readonly type: number;
  readonly decode: (reader: Reader) => T;
  readonly encode: (writer: Writer, value: T) => void;
}

/** Name of the field as the specification has it, and its size: an unsigned integer or so many bytes. */
type Field = readonly [name: string, size: 'u8' | 'u16' | 'u32' | number];

type Values<F extends readonly Field[]> = {
  readonly [P in F[number] as P[0]]: P[1] extends number ? Uint8Array : number;
};

/** The fields of a set; what old peers leave out is absent; `rest` is what newer ones append. */
export type Fields<R extends readonly Field[], O extends readonly Field[]> = Values<R> &
  Partial<Values<O>> & { readonly rest?: Uint8Array };

/** What a codec's set looks like decoded. */
export type Decoded<C> = C extends CapabilityCodec<infer T> ? T : never;

/**
 * A set of fixed fields one after the other. A body that ends before or in the `optional` ones has
 * ended there; encoding writes them up to the first that is missing.
 */
export function layout<const R extends readonly Field[], const O extends readonly Field[] = []>(
  type: number,
  required: R,
  optional?: O,
): CapabilityCodec<Fields<R, O>> {
  const fields: readonly Field[] = [...required, ...(optional ?? [])];
  return {
    type,
    decode: (reader) => {
      const values: Record<string, number | Uint8Array> = {};
      for (const [index, field] of fields.entries()) {
        if (index >= required.length && reader.left < sizeOf(field)) break;
        values[field[0]] = readField(reader, field);
      }
      if (reader.left > 0) values['rest'] = new Uint8Array(reader.rest());
      // The loop above has filled exactly the fields that the type lists.
      return values as Fields<R, O>;
    },
    encode: (writer, set) => {
      const values: Readonly<Record<string, number | Uint8Array | undefined>> = set;
      for (const field of fields) {
        const value = values[field[0]];
        if (value === undefined) break;
        writeField(writer, field, value);
      }
      if (set.rest !== undefined) writer.bytes(set.rest);
    },
  };
}

function sizeOf([, size]: Field): number {
  return typeof size === 'number' ? size : { u8: 1, u16: 2, u32: 4 }[size];
}

function readField(reader: Reader, [name, size]: Field): number | Uint8Array {
  if (size === 'u8') return reader.u8(name);
  if (size === 'u16') return reader.u16le(name);
  if (size === 'u32') return reader.u32le(name);
  return new Uint8Array(reader.bytes(name, size));
}

function writeField(writer: Writer, [name, size]: Field, value: number | Uint8Array): void {
  if (typeof value !== 'number') {
    if (value.length !== size)
      throw new PduError(name, writer.length, `has ${value.length} bytes, must have ${size}`);
    writer.bytes(value);
  } else if (size === 'u8') writer.u8(value);
  else if (size === 'u16') writer.u16le(value);
  else writer.u32le(value);
}

/**
 * The set that `codec` reads, or undefined when the peer has not sent it.
 *
 * @throws PduError when the set is too short
 */
export function findCapability<T>(sets: readonly CapabilitySet[], codec: CapabilityCodec<T>): T | undefined {
  const set = sets.find(({ type }) => type === codec.type);
  return set === undefined ? undefined : codec.decode(new Reader(set.body));
}

/** The sets with that one changed, in the same order; as they were when it is not among them. */
export function changeCapability<T>(
  sets: readonly CapabilitySet[],
  codec: CapabilityCodec<T>,
  change: (value: T) => T,
): CapabilitySet[] {
  return sets.map((set) =>
    set.type === codec.type ? makeCapability(codec, change(codec.decode(new Reader(set.body)))) : set,
  );
}

/** A set for {@link encodeCapabilitySets}. */
export function makeCapability<T>(codec: CapabilityCodec<T>, value: T): CapabilitySet {
  const writer = new Writer(96);
  codec.encode(writer, value);
  return { type: codec.type, body: writer.done() };
}

/** The sets without those of `types`. */
export function withoutCapabilities(
  sets: readonly CapabilitySet[],
  types: readonly number[],
): CapabilitySet[] {
  return sets.filter(({ type }) => !types.includes(type));
}
