/**
 * What a video encoder is given: pictures as I420, brightness (Y) of every pixel and colour (U, V) of every
 * four, in the colours of BT.709 (limited range) that players assume for large pictures. Converting here
 * what changed, and nothing else, is most of an encoder's work saved: a screen mostly stands still.
 */
import type { Rectangle } from '../screen/index.ts';
import { VideoError } from './error.ts';
import type { FilmSurvey, Picture } from './film.ts';

/** Most pixels of a frame: what level 6.2 of H.264 allows (139,264 macroblocks of 16 × 16). */
const MAX_PIXELS = 139_264 * 256;
/** As a picture has it, RGBA. */
const BLACK = 0xff000000;
const BLACK_Y = 16;
const GREY = 128;

/** ITU-R BT.709-6 §3 with 8 bits, in parts of 65,536. Each row of colour adds up to 0: grey has none. */
const Y = { red: 11_966, green: 40_254, blue: 4_064 } as const;
const U = { red: -6_596, green: -22_189, blue: 28_785 } as const;
const V = { red: 28_785, green: -26_145, blue: -2_640 } as const;
/** Rounds, and lifts black to 16. */
const Y_OFFSET = (BLACK_Y << 16) + (1 << 15);
/** The same for colour, of which four pixels are added up. */
const COLOUR_OFFSET = (GREY << 18) + (1 << 17);

/** As large as the largest picture of a film, its sides even as 4:2:0 needs; smaller ones stand in its middle. */
export class Canvas {
  readonly width: number;
  readonly height: number;
  /** The planes Y, U and V, one after the other. */
  readonly bytes: Uint8Array;
  readonly #y: Uint8Array;
  /** The same memory as {@link #y}, two pixels at a time. */
  readonly #pairs: Uint16Array;
  readonly #u: Uint8Array;
  readonly #v: Uint8Array;
  /** Of the picture that was drawn last. */
  #size = { width: 0, height: 0 };

  /** Black. @throws VideoError: there is no picture, or one that no video can hold */
  constructor(survey: FilmSurvey) {
    const even = (side: number): number => side + (side % 2);
    this.width = even(Math.max(0, ...survey.sizes.map((size) => size.width)));
    this.height = even(Math.max(0, ...survey.sizes.map((size) => size.height)));
    const pixels = this.width * this.height;
    if (pixels === 0) throw new VideoError('the session never showed a screen');
    if (pixels > MAX_PIXELS)
      throw new VideoError(
        `the screens need ${this.width} × ${this.height} pixels, more than a video has: export pictures (png)`,
      );
    this.bytes = new Uint8Array((pixels * 3) / 2);
    this.#y = this.bytes.subarray(0, pixels);
    this.#pairs = new Uint16Array(this.bytes.buffer, 0, pixels / 2);
    this.#u = this.bytes.subarray(pixels, (pixels * 5) / 4);
    this.#v = this.bytes.subarray((pixels * 5) / 4);
    this.#clear();
  }

  draw(picture: Picture): void {
    const { width, height } = picture;
    if (width === this.#size.width && height === this.#size.height) {
      for (const part of picture.changed) this.#convert(picture, part);
      return;
    }
    this.#clear();
    this.#size = { width, height };
    this.#convert(picture, { left: 0, top: 0, right: width, bottom: height });
  }

  #clear(): void {
    this.#y.fill(BLACK_Y);
    this.#u.fill(GREY);
    this.#v.fill(GREY);
  }

  /** Converts squares of four pixels; an odd side repeats its last ones. */
  #convert({ width, height, pixels }: Picture, part: Rectangle): void {
    const pairs = this.width >> 1;
    // Even, so that squares stay squares.
    const offsetX = ((this.width - width) >> 1) & ~1;
    const offsetY = ((this.height - height) >> 1) & ~1;
    const [pairsY, planeU, planeV] = [this.#pairs, this.#u, this.#v];
    // Most of a screen is plain, in few colours: the last one is kept.
    let plain = BLACK;
    let [plainY, plainU, plainV] = [BLACK_Y | (BLACK_Y << 8), GREY, GREY];
    for (let y = part.top & ~1; y < part.bottom; y += 2) {
      const line = y * width;
      const below = y + 1 < height ? line + width : line;
      let luma = (offsetY + y) * pairs + ((offsetX + part.left) >> 1);
      let chroma = ((offsetY + y) >> 1) * pairs + ((offsetX + part.left) >> 1);
      for (let x = part.left & ~1; x < part.right; x += 2, luma += 1, chroma += 1) {
        const next = x + 1 < width ? x + 1 : x;
        const a = pixels[line + x] as number;
        const b = pixels[line + next] as number;
        const c = pixels[below + x] as number;
        const d = pixels[below + next] as number;
        if (a === b && a === c && a === d) {
          if (a !== plain) {
            plain = a;
            const [red, green, blue] = [4 * (a & 0xff), 4 * ((a >> 8) & 0xff), 4 * ((a >> 16) & 0xff)];
            const value = brightness(a);
            plainY = value | (value << 8);
            plainU = (U.red * red + U.green * green + U.blue * blue + COLOUR_OFFSET) >> 18;
            plainV = (V.red * red + V.green * green + V.blue * blue + COLOUR_OFFSET) >> 18;
          }
          pairsY[luma] = plainY;
          pairsY[luma + pairs] = plainY;
          planeU[chroma] = plainU;
          planeV[chroma] = plainV;
          continue;
        }
        pairsY[luma] = brightness(a) | (brightness(b) << 8);
        pairsY[luma + pairs] = brightness(c) | (brightness(d) << 8);
        const red = (a & 0xff) + (b & 0xff) + (c & 0xff) + (d & 0xff);
        const green = ((a >> 8) & 0xff) + ((b >> 8) & 0xff) + ((c >> 8) & 0xff) + ((d >> 8) & 0xff);
        const blue = ((a >> 16) & 0xff) + ((b >> 16) & 0xff) + ((c >> 16) & 0xff) + ((d >> 16) & 0xff);
        planeU[chroma] = (U.red * red + U.green * green + U.blue * blue + COLOUR_OFFSET) >> 18;
        planeV[chroma] = (V.red * red + V.green * green + V.blue * blue + COLOUR_OFFSET) >> 18;
      }
    }
  }
}

function brightness(pixel: number): number {
  return (
    (Y.red * (pixel & 0xff) + Y.green * ((pixel >> 8) & 0xff) + Y.blue * ((pixel >> 16) & 0xff) + Y_OFFSET) >>
    16
  );
}
