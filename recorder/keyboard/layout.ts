/** A keyboard layout made ready for use: scancode → what the key types. */
import { FALLBACK, LAYOUT_TABLES, type LayoutTable, type Rows } from './layout-tables.ts';

export interface Stroke {
  readonly char: string;
  /** Waits for the character behind it. */
  readonly dead: boolean;
}

export interface LayoutKey {
  /** Plain, Shift, AltGr, Shift+AltGr. */
  readonly levels: readonly (Stroke | undefined)[];
  /** What Caps Lock does without AltGr, and with it. */
  readonly caps: 'shift' | 'upper' | 'none';
  readonly capsAltGr: boolean;
}

export interface Layout {
  /** By scancode (set 1, without a prefix). */
  readonly keys: ReadonlyMap<number, LayoutKey>;
  /** The right Alt is AltGr, which counts as Ctrl+Alt. */
  readonly altGr: boolean;
  readonly decimal: string;
  readonly oem: 437 | 850;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Scancodes of the rows of a table. */
const POSITIONS: readonly (readonly number[])[] = [
  [0x29, ...range(0x02, 0x0d)],
  range(0x10, 0x1b),
  [...range(0x1e, 0x28), 0x2b],
  [0x56, ...range(0x2c, 0x35)],
  [0x73, 0x7e],
];

function strokeOf(token: string): Stroke | undefined {
  if (token === '--') return undefined;
  const [char = '', second] = Array.from(token);
  return { char, dead: second === char };
}

function strokesOf(rows: Rows): Map<number, Stroke> {
  const strokes = new Map<number, Stroke>();
  for (const [r, row] of rows.entries()) {
    for (const [i, token] of row.split(' ').entries()) {
      const stroke = strokeOf(token);
      const scancode = POSITIONS[r]?.[i];
      if (stroke !== undefined && scancode !== undefined) strokes.set(scancode, stroke);
    }
  }
  return strokes;
}

/** `q@`: plain character → token behind it. */
function pairsOf(pairs: string | undefined): Map<string, Stroke | undefined> {
  const tokens = pairs === undefined ? [] : pairs.split(' ');
  return new Map(tokens.map((token) => [token.slice(0, 1), strokeOf(token.slice(1))]));
}

const isCapitalOf = (capital: Stroke | undefined, small: Stroke | undefined) =>
  small !== undefined && capital?.char !== small.char && capital?.char === small.char.toUpperCase();

function build(table: LayoutTable): Layout {
  const shifted = strokesOf(table.shift);
  const altGr = pairsOf(table.altGr);
  const shiftAltGr = pairsOf(table.shiftAltGr);
  const keys = new Map<number, LayoutKey>();
  for (const [scancode, plain] of strokesOf(table.plain)) {
    const levels = [plain, shifted.get(scancode), altGr.get(plain.char), shiftAltGr.get(plain.char)];
    // One key has it: the backslash stands on two keys of an ISO board, and AltGr on the first only.
    altGr.delete(plain.char);
    shiftAltGr.delete(plain.char);
    const shifts = isCapitalOf(levels[1], plain) || table.caps?.includes(plain.char) === true;
    const caps = table.capsUpper?.includes(plain.char) === true ? 'upper' : shifts ? 'shift' : 'none';
    keys.set(scancode, { levels, caps, capsAltGr: isCapitalOf(levels[3], levels[2]) });
  }
  return {
    keys,
    altGr: table.altGr !== undefined,
    decimal: table.decimal ?? '.',
    oem: table.oem ?? 850,
  };
}

const built = new Map<LayoutTable, Layout>();

function tableFor(id: number): LayoutTable | undefined {
  return LAYOUT_TABLES.find((table) => table.ids.includes(id));
}

/**
 * The layout that a client names in `keyboardLayout` of its core data ([MS-RDPBCGR]
 * 2.2.1.3.2): a KLID (00020409), or an HKL with the language in its low and the layout in
 * its high half (0407 0C07: German in Austria). `fallback`: it is not known, and the
 * language's own layout or that of the United States stands in.
 */
export function layoutFor(keyboardLayout: number): { readonly layout: Layout; readonly fallback: boolean } {
  const id = keyboardLayout >>> 0;
  const high = id >>> 16;
  const named = tableFor(id) ?? (high === 0 ? undefined : tableFor(high));
  const table = named ?? tableFor(id & 0xffff) ?? FALLBACK;
  let layout = built.get(table);
  if (layout === undefined) {
    layout = build(table);
    built.set(table, layout);
  }
  return { layout, fallback: named === undefined };
}
