/** How the screen looks: flat colours and sizes that follow the resolution. */
import { doubled, type Font, type FontSize, font } from '../../../recorder/font/font.ts';

/** 0x00RRGGBB. Text keeps a contrast of at least 4.5:1 on what it is drawn on. */
const COLOURS = {
  panel: 0xf6f7f9,
  background: 0x1d2833,
  header: 0x26415c,
  headerText: 0xffffff,
  headerMark: 0x8fb4d9,
  border: 0x101820,
  text: 0x1b242e,
  muted: 0x55616e,
  line: 0xdde2e8,
  field: 0xffffff,
  fieldLine: 0x98a4b1,
  accent: 0x2763a5,
  accentHover: 0x3272b8,
  accentPressed: 0x1d4f87,
  onAccent: 0xffffff,
  button: 0xe6eaef,
  buttonHover: 0xdbe1e8,
  buttonPressed: 0xc9d1db,
  rowHover: 0xeaf1f8,
  error: 0xfbe9e7,
  errorMark: 0xb3261e,
  errorText: 0x8a1c16,
  warning: 0xfdf1d6,
  warningMark: 0xb97a00,
  warningText: 0x664400,
} as const;

type ColourName = keyof typeof COLOURS;
const NAMES = Object.keys(COLOURS) as ColourName[];

export const PALETTE: readonly number[] = NAMES.map((name) => COLOURS[name]);
export const BACKGROUND: number = COLOURS.background;
/** Indices into `PALETTE`. */
export const COLOUR = Object.fromEntries(NAMES.map((name, index) => [name, index])) as Readonly<
  Record<ColourName, number>
>;

export interface Theme {
  readonly font: Font;
  readonly bold: Font;
  readonly title: Font;
  /** Pixels of `length` pixels at the smallest size. */
  readonly px: (length: number) => number;
}

const TITLES: Readonly<Record<FontSize, Font>> = {
  16: font(24, 'bold'),
  24: font(32, 'bold'),
  32: doubled(font(24, 'bold')),
};

/** The theme for a monitor of `width` × `height` pixels. */
export function themeFor(width: number, height: number): Theme {
  const size: FontSize = width >= 2800 && height >= 1600 ? 32 : width >= 1800 && height >= 1200 ? 24 : 16;
  return {
    font: font(size),
    bold: font(size, 'bold'),
    title: TITLES[size],
    px: (length) => Math.round((length * size) / 16),
  };
}
