/**
 * Two minutes of ordinary desktop work as an RDP server shows them, made up: somebody types, a log
 * scrolls by, a window is moved, and for almost half of the time somebody reads. 32 bits per pixel,
 * planar; the server has no way but to paint anew what moved.
 */

import { Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { encodeFastPathUpdate } from '../../gateway/rdp/pdu/fast-path.ts';
import { bitmapUpdates, type Picture } from '../../gateway/rdp/pdu/output.ts';
import { EventKind } from '../../recorder/index.ts';
import type { Step } from '../../test/unit/recorder/video/bed.ts';
import { CELL, DESKTOP, logLine, textPicture } from './content.ts';

export const WORK_SECONDS = 120;
/** Typing, a log, moving, reading: seconds of each in every round. */
const ROUND = { typing: 12, log: 3, moving: 3, reading: 12 } as const;
const ROUND_SECONDS = 30;

const KEYS_PER_SECOND = 6;
const LINES_PER_SECOND = 10;
const MOVES_PER_SECOND = 20;

const BACKGROUND = 0x2b5278;
const TERMINAL = { left: 40, top: 40, columns: 100, lines: 40 } as const;
const EDITOR = { left: 200, top: 720, columns: 120 } as const;
const WINDOW = { width: 400, height: 300, top: 200 } as const;

/** What is recorded of it. */
export function desktopWork(): Step[] {
  const steps: Step[] = [[0, EventKind.desktop, { ...DESKTOP, bitsPerPixel: 32 }]];
  const screen = new Uint32Array(DESKTOP.width * DESKTOP.height).fill(BACKGROUND);
  const put = ({ width, height, pixels }: Picture, left: number, top: number): void => {
    for (let y = 0; y < height; y += 1)
      screen.set(pixels.subarray(y * width, (y + 1) * width), (top + y) * DESKTOP.width + left);
  };
  const show = (at: number, left: number, top: number, width: number, height: number): void => {
    const pixels = new Uint32Array(width * height);
    for (let y = 0; y < height; y += 1) {
      const from = (top + y) * DESKTOP.width + left;
      pixels.set(screen.subarray(from, from + width), y * width);
    }
    for (const update of bitmapUpdates({ width, height, pixels }, 32, left, top)) {
      const writer = new Writer(update.data.length + 8);
      encodeFastPathUpdate(writer, update.code, update.data);
      steps.push([at, EventKind.fastPathOutput, writer.done()]);
    }
  };
  let firstLine = 0;
  const terminal = (): void => {
    for (let n = 0; n < TERMINAL.lines; n += 1)
      put(
        textPicture(logLine(firstLine + n, TERMINAL.columns), 0xd0d0d0, 0x101010),
        TERMINAL.left,
        TERMINAL.top + n * CELL.height,
      );
  };
  const [terminalWidth, terminalHeight] = [TERMINAL.columns * CELL.width, TERMINAL.lines * CELL.height];

  terminal();
  show(0, 0, 0, DESKTOP.width, DESKTOP.height);
  let typed = 0;
  for (let start = 0; start < WORK_SECONDS; start += ROUND_SECONDS) {
    let now = start * 1000;
    for (let n = 0; n < ROUND.typing * KEYS_PER_SECOND; n += 1, typed += 1) {
      const left = EDITOR.left + (typed % EDITOR.columns) * CELL.width;
      put(textPicture(String.fromCharCode(0x61 + (typed % 26))), left, EDITOR.top);
      show(now, left, EDITOR.top, CELL.width, CELL.height);
      now += 1000 / KEYS_PER_SECOND;
    }
    for (let n = 0; n < ROUND.log * LINES_PER_SECOND; n += 1) {
      firstLine += 1;
      terminal();
      show(now, TERMINAL.left, TERMINAL.top, terminalWidth, terminalHeight);
      now += 1000 / LINES_PER_SECOND;
    }
    const below = screen.slice();
    const caption = textPicture(
      'a window that somebody moves'.padEnd(WINDOW.width / CELL.width),
      0xffffff,
      0x1f4e79,
    );
    for (let n = 0; n < ROUND.moving * MOVES_PER_SECOND; n += 1) {
      const left = 100 + n * 10;
      const before = n === 0 ? left : left - 10;
      screen.set(below);
      for (let y = 0; y < WINDOW.height; y += 1) {
        const from = (WINDOW.top + y) * DESKTOP.width + left;
        screen.fill(0xf0f0f0, from, from + WINDOW.width);
      }
      put(caption, left, WINDOW.top);
      show(now, before, WINDOW.top, WINDOW.width + left - before, WINDOW.height);
      now += 1000 / MOVES_PER_SECOND;
    }
    screen.set(below);
    show(now, 100, WINDOW.top, DESKTOP.width - 100, WINDOW.height);
  }
  steps.push([WORK_SECONDS * 1000 - 1, EventKind.fastPathOutput, lastSign()]);
  return steps;
}

/** Something that is drawn at the very end, so that the recording lasts as long. */
function lastSign(): Uint8Array {
  const [update] = bitmapUpdates(textPicture('.'), 32, 0, 0);
  if (update === undefined) throw new Error('a picture without an update');
  const writer = new Writer(update.data.length + 8);
  encodeFastPathUpdate(writer, update.code, update.data);
  return writer.done();
}
