// Makes the data modules of recorder/font from the X11 fonts of the Terminus family:
//   apt-get download xfonts-terminus && dpkg-deb -x xfonts-terminus_*.deb x
//   node scripts/make-font.ts x/usr/share/fonts/X11/misc
// Run `biome check --write recorder/font` afterwards.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

type Range = readonly [first: number, last: number];

/** Terminals show anything: all that the fonts have but a glyph of their own for private use. */
const ALL: readonly Range[] = [
  [0x20, 0xf5ff],
  [0xfffd, 0xfffd],
];
/** What names, banners and errors are written in. */
const WORDS: readonly Range[] = [
  [0x20, 0x7e],
  [0xa0, 0x17f], // Latin-1, Latin Extended-A
  [0x218, 0x21b], // Romanian
  [0x384, 0x3ce], // Greek
  [0x401, 0x45f], // Cyrillic
  [0x490, 0x491],
  [0x1e9e, 0x1e9e], // capital sharp s
  [0x2010, 0x2026], // dashes, quotes, bullet, ellipsis
  [0x2030, 0x203a],
  [0x20ac, 0x20ac], // euro
  [0x2122, 0x2122],
  [0x2190, 0x2193], // arrows
  [0x25a0, 0x25cf], // boxes, triangles, the dot of a password
  [0xfffd, 0xfffd],
];
/** Headings and buttons are the project's own words. */
const ASCII: readonly Range[] = [[0x20, 0x7e]];
/** Of a cell's height in pixels: what there is in regular and in bold. The smallest draws terminals too. */
const SIZES = [
  [16, ALL, ALL],
  [24, WORDS, ASCII],
  [32, WORDS, ASCII],
] as const;

interface Glyphs {
  readonly width: number;
  readonly height: number;
  /** Rows of whole bytes, the leftmost pixel in the highest bit; undefined where the font has none. */
  readonly glyph: (codePoint: number) => Uint8Array | undefined;
}

/** The tables of a PCF file ("X11 Portable Compiled Format") that a character-cell font needs. */
function readPcf(path: string): Glyphs {
  const file = gunzipSync(readFileSync(path));
  if (file.readUInt32LE(0) !== 0x70636601) throw new Error(`${path} is no PCF file`);
  const tables = new Map<number, { format: number; at: number }>();
  for (let i = 0; i < file.readUInt32LE(4); i++) {
    const entry = 8 + 16 * i;
    tables.set(file.readUInt32LE(entry), {
      format: file.readUInt32LE(entry + 4),
      at: file.readUInt32LE(entry + 12) + 4,
    });
  }
  const table = (type: number) => {
    const found = tables.get(type);
    if (found === undefined) throw new Error(`${path} has no table ${type}`);
    const big = (found.format & 4) !== 0;
    return {
      ...found,
      u16: (offset: number) =>
        big ? file.readUInt16BE(found.at + offset) : file.readUInt16LE(found.at + offset),
      u32: (offset: number) =>
        big ? file.readUInt32BE(found.at + offset) : file.readUInt32LE(found.at + offset),
    };
  };

  // Compressed metrics: bearings, width, ascent, descent as bytes with a bias of 128; every glyph fills its cell.
  const metrics = table(4);
  if ((metrics.format & 0x100) === 0) throw new Error(`${path} has no compressed metrics`);
  const first = metrics.at + 2;
  const width = file.readUInt8(first + 2) - 128;
  const height = file.readUInt8(first + 3) - 128 + (file.readUInt8(first + 4) - 128);

  const bitmaps = table(8);
  const count = bitmaps.u32(0);
  const rowBytes = Math.ceil(width / 8);
  const pad = 1 << (bitmaps.format & 3);
  const stride = Math.ceil(rowBytes / pad) * pad;
  if ((bitmaps.format & 8) === 0) throw new Error(`${path} has its lowest bit first`);
  const data = bitmaps.at + 4 + 4 * count + 16;

  const encodings = table(32);
  const [firstLow, lastLow, firstHigh, lastHigh] = [0, 2, 4, 6].map(encodings.u16) as [
    number,
    number,
    number,
    number,
  ];
  return {
    width,
    height,
    glyph: (codePoint) => {
      const [high, low] = [codePoint >> 8, codePoint & 0xff];
      if (low < firstLow || low > lastLow || high < firstHigh || high > lastHigh) return undefined;
      const index = encodings.u16(10 + 2 * ((high - firstHigh) * (lastLow - firstLow + 1) + low - firstLow));
      if (index === 0xffff) return undefined;
      const at = data + bitmaps.u32(4 + 4 * index);
      const rows = new Uint8Array(rowBytes * height);
      for (let y = 0; y < height; y++)
        rows.set(file.subarray(at + y * stride, at + y * stride + rowBytes), y * rowBytes);
      return rows;
    },
  };
}

/** One constant: the code points as ranges, and the rows of their glyphs one after the other. */
function constant(name: string, glyphs: Glyphs, wanted: readonly Range[]): string {
  const ranges: [number, number][] = [];
  const rows: Uint8Array[] = [];
  for (const [from, to] of wanted) {
    for (let codePoint = from; codePoint <= to; codePoint++) {
      const glyph = glyphs.glyph(codePoint);
      if (glyph === undefined) continue;
      rows.push(glyph);
      const range = ranges.at(-1);
      if (range !== undefined && range[1] === codePoint - 1) range[1] = codePoint;
      else ranges.push([codePoint, codePoint]);
    }
  }
  const base64 = Buffer.concat(rows).toString('base64');
  const lines = base64.match(/.{1,160}/g) ?? [];
  return `export const ${name}: FontData = {
  width: ${glyphs.width},
  height: ${glyphs.height},
  ranges: ${JSON.stringify(ranges)},
  rows: [
${lines.map((line) => `    '${line}',`).join('\n')}
  ].join(''),
};
`;
}

const from = process.argv[2];
if (from === undefined) throw new Error('name the folder that holds ter-u16n_unicode.pcf.gz and its kin');
const to = join(import.meta.dirname, '../recorder/font');
const head = `// Generated by scripts/make-font.ts; origin and licence: LICENSE in this folder.
import type { FontData } from './font.ts';
`;
const read = (size: number, weight: 'n' | 'b') => readPcf(join(from, `ter-u${size}${weight}_unicode.pcf.gz`));
for (const [size, regular, bold] of SIZES) {
  const text = [
    constant(`REGULAR_${size}`, read(size, 'n'), regular),
    constant(`BOLD_${size}`, read(size, 'b'), bold),
  ];
  writeFileSync(join(to, `size-${size}.ts`), `${head}\n${text.join('\n')}`);
}
