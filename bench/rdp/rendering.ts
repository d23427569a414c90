/** What a recording costs those who watch it: rendering to MP4, and how fast each codec is painted. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { BITS_PER_PIXEL, bitmapUpdates, type Picture } from '../../gateway/rdp/pdu/output.ts';
import { Screen } from '../../recorder/screen/index.ts';
import { atExit } from '../../test/support/temp.ts';
import { captures, type Pdu, readCapture, show } from '../../test/unit/recorder/screen/captures.ts';
import { median } from '../figures/statistics.ts';
import type { BenchOptions } from '../report.ts';
import { CELL, DESKTOP, logLine, textPicture } from './content.ts';

export interface Rendered {
  readonly recordingSeconds: number;
  /** Of all updates. */
  readonly drawnBytes: number;
  readonly videoBytes: number;
  readonly seconds: number;
  /** Of the process and of ffmpeg. */
  readonly cpuSeconds: number;
  /** Seconds of the recording per CPU second. */
  readonly perCore: number;
}

/** In a process of its own, so that its CPU time and ffmpeg's are all there is; the round with the median per core. */
export async function measureRendering(options: BenchOptions): Promise<Rendered> {
  const child = fork(join(import.meta.dirname, 'render-process.ts'), [String(options.rounds)]);
  const withdraw = atExit(() => child.kill('SIGKILL'));
  const rounds: Rendered[] = [];
  child.on('message', (message) => {
    rounds.push(message as Rendered);
    options.progress(`video: round ${rounds.length} of ${options.rounds}`);
  });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  withdraw();
  if (code !== 0) throw new Error(`rendering ended with ${code}`);
  const middle = median(rounds.map(({ perCore }) => perCore));
  const found = rounds.find(({ perCore }) => perCore === middle);
  if (found === undefined) throw new Error('an even number of rounds has no round in the middle');
  return found;
}

export interface Painted {
  /** As [MS-RDPBCGR] names them. */
  readonly codec: 'interleaved' | 'planar' | 'raw';
  readonly bitsPerPixel: number;
  /** `session`: what xrdp sent; `text`: a page full of text, as the gateway's own encoder has it. */
  readonly content: 'session' | 'text';
  /** Bytes of an update to those of its pixels in 32 bits. */
  readonly size: number;
  readonly megapixelsPerSecond: number;
}

const PAINT_MS = 300;

/** CPU time of this thread in ms: whatever else the machine does then does not count. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Paints each stream over and over for a while, decoding included, once for the compiler, then the median of the rounds. */
export function measureCodecs(options: BenchOptions): Painted[] {
  const streams = [...sessions(), ...pages()];
  const rates = streams.map(() => [] as number[]);
  for (let round = 0; round <= options.rounds; round += 1) {
    streams.forEach(({ pdus, width, height, bitsPerPixel, pixels }, index) => {
      const screen = new Screen(width, height, bitsPerPixel);
      const started = threadMs();
      let painted = 0;
      let elapsed = 0;
      do {
        for (const pdu of pdus) show(screen, pdu);
        painted += pixels;
        elapsed = threadMs() - started;
      } while (elapsed < PAINT_MS);
      if (screen.problems.size > 0)
        throw new Error(`problems while painting: ${[...screen.problems.keys()].join(', ')}`);
      if (round > 0) rates[index]?.push(painted / elapsed / 1000);
    });
    if (round > 0) options.progress(`codecs: round ${round} of ${options.rounds}`);
  }
  return streams.map(({ codec, content, bitsPerPixel, bytes, pixels }, index) => ({
    codec,
    bitsPerPixel,
    content,
    size: bytes / (pixels * 4),
    megapixelsPerSecond: median(rates[index] ?? []),
  }));
}

interface Stream extends Pick<Painted, 'codec' | 'content' | 'bitsPerPixel'> {
  readonly width: number;
  readonly height: number;
  readonly pdus: readonly Pdu[];
  readonly bytes: number;
  /** That its rectangles paint. */
  readonly pixels: number;
}

/** Captures of xrdp, by their names: `xrdp-<codec>-<bits>`. */
function sessions(): Stream[] {
  return captures.flatMap(({ name, bitsPerPixel, width, height }) => {
    const codec = /^xrdp-(interleaved|planar|raw)-/.exec(name)?.[1] as Painted['codec'] | undefined;
    if (codec === undefined) return [];
    const pdus = readCapture(name);
    return [{ codec, content: 'session' as const, bitsPerPixel, width, height, pdus, ...volume(pdus) }];
  });
}

/** A whole desktop of text at each depth. */
function pages(): Stream[] {
  const page = pageOfText();
  return BITS_PER_PIXEL.map((bitsPerPixel) => {
    const pdus = [...bitmapUpdates(page, bitsPerPixel, 0, 0)].map(({ data }) => ({
      type: UPDATE,
      body: data,
    }));
    const codec = bitsPerPixel === 32 ? 'planar' : 'interleaved';
    return { codec, content: 'text' as const, bitsPerPixel, ...DESKTOP, pdus, ...volume(pdus) };
  });
}

function pageOfText(): Picture {
  const { width, height } = DESKTOP;
  const pixels = new Uint32Array(width * height);
  for (let line = 0; line < height / CELL.height; line += 1)
    pixels.set(textPicture(logLine(line, width / CELL.width)).pixels, line * CELL.height * width);
  return { width, height, pixels };
}

/** pduType2 of a slow-path update, and updateType of one with bitmaps (2.2.9.1.1.3). */
const UPDATE = 2;
const BITMAP = 1;
/** Of TS_BITMAP_DATA up to its data, and where in it the fields stand (2.2.9.1.1.3.1.2.2). */
const TILE_BYTES = 18;
const Tile = { width: 8, height: 10, length: 16 } as const;

/** Bytes of slow-path bitmap updates, and the pixels of their rectangles. */
function volume(pdus: readonly Pdu[]): { readonly bytes: number; readonly pixels: number } {
  let [bytes, pixels] = [0, 0];
  for (const { type, body } of pdus) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    if (type !== UPDATE || view.getUint16(0, true) !== BITMAP) continue;
    bytes += body.length;
    for (let at = 4; at < body.length; at += TILE_BYTES + view.getUint16(at + Tile.length, true))
      pixels += view.getUint16(at + Tile.width, true) * view.getUint16(at + Tile.height, true);
  }
  return { bytes, pixels };
}
