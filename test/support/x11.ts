/** X servers without a screen, and what a person does at one: look, type, click. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type RunResult, run, runOk, startDaemon, until } from './process.ts';
import { temporaryFolder } from './temp.ts';

export interface XServer {
  /** DISPLAY and XAUTHORITY, for programs that show something here. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Display extends XServer {
  /** `:N`, for DISPLAY. */
  readonly name: string;
  /** Xauthority file with the display's cookie. */
  readonly authority: string;
  stop(): Promise<void>;
}

/**
 * Starts an X server in memory, `width` by `height` pixels of `depth` bits, on a display number
 * that it finds free itself. It lets in only who knows its cookie.
 */
export async function startDisplay(width = 640, height = 480, depth = 24): Promise<Display> {
  const folder = temporaryFolder('display');
  const authority = join(folder, 'Xauthority');
  const served = join(folder, 'served');
  const cookie = (await runOk('mcookie', [])).text.trim();
  mkdirSync('/tmp/.X11-unix', { recursive: true, mode: 0o1777 });
  // The server looks at the cookie alone; clients look it up by the number, known only afterwards.
  await runOk('xauth', ['-q', '-f', served, 'add', ':0', '.', cookie]);
  const daemon = startDaemon('/usr/bin/Xvfb', [
    ...['-displayfd', '1', '-screen', '0', `${width}x${height}x${depth}`],
    ...['-nolisten', 'tcp', '-auth', served, '-noreset'],
  ]);
  const number = await until(
    'the number of the X display',
    () => /^(\d+)$/m.exec(daemon.output())?.[1],
    30_000,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${daemon.output()}`);
  });
  const name = `:${number}`;
  await runOk('xauth', ['-q', '-f', authority, 'add', name, '.', cookie]);
  const env = { DISPLAY: name, XAUTHORITY: authority };
  await runOk('xdpyinfo', [], { env });
  return {
    name,
    authority,
    env,
    async stop(): Promise<void> {
      await daemon.stop();
    },
  };
}

/** Puts the pointer at (x, y) of a window, or of the whole display. */
export async function movePointer(display: XServer, window: string, x: number, y: number): Promise<void> {
  await xdotool(display, ['mousemove', '--window', window, String(x), String(y)]);
}

/** Where the pointer is on the whole display. */
export async function pointerAt(display: XServer): Promise<{ readonly x: number; readonly y: number }> {
  const { text } = await xdotool(display, ['getmouselocation']);
  const [, x, y] = /^x:(\d+) y:(\d+) /.exec(text) ?? [];
  return { x: Number(x), y: Number(y) };
}

function xdotool(display: XServer, args: readonly string[]): Promise<RunResult> {
  return runOk('xdotool', args, { env: display.env, timeoutMs: 60_000 });
}

/** Waits until a window whose title matches the regular expression `title` is shown; returns its id. */
export function waitForWindow(display: XServer, title: string, timeoutMs = 30_000): Promise<string> {
  const look = async (): Promise<string | undefined> => {
    const found = await run('xdotool', ['search', '--onlyvisible', '--name', title], { env: display.env });
    return found.text.trim().split('\n').at(-1) || undefined;
  };
  return until(`a window called ${title}`, look, timeoutMs);
}

/**
 * Puts the keyboard's focus on a window and the pointer at (x, y) of it: there is no window
 * manager, and in a remote session the keys go to the window below the pointer.
 */
export async function focus(display: XServer, window: string, x = 200, y = 200): Promise<void> {
  await xdotool(display, ['windowfocus', '--sync', window]);
  await movePointer(display, window, x, y);
}

/** Types `text` into a window, a newline as Return, at a pace that remote sessions follow. */
export async function typeText(display: Display, window: string, text: string): Promise<void> {
  await focus(display, window);
  // xdotool types a newline before the line's last keys are through: Return goes apart.
  for (const [index, line] of text.split('\n').entries()) {
    if (index > 0) await xdotool(display, ['key', 'Return']);
    if (line !== '') await xdotool(display, ['type', '--delay', '20', '--', line]);
  }
}

/** Presses and releases keys one after the other, by their X names: `Return`, `ctrl+c`, `F5`. */
export async function keyPress(display: Display, window: string, ...keys: string[]): Promise<void> {
  await focus(display, window);
  await xdotool(display, ['key', '--delay', '20', ...keys]);
}

/** Clicks at (x, y) of a window; button 1 is left, 2 middle, 3 right, 4 and 5 the wheel. */
export async function click(
  display: Display,
  window: string,
  x: number,
  y: number,
  button = 1,
): Promise<void> {
  await focus(display, window, x, y);
  await xdotool(display, ['click', String(button)]);
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Row by row from the top, three bytes per pixel: red, green, blue. */
  readonly rgb: Buffer;
}

/** What a window shows, or the whole display. */
export async function screenshot(display: XServer, window = 'root'): Promise<Picture> {
  const args = ['-silent', '-window', window, '-depth', '8', 'ppm:-'];
  return parsePixmap((await runOk('import', args, { env: display.env })).stdout);
}

/** The picture that the bytes of a PNG file are. */
export async function readPicture(input: Uint8Array): Promise<Picture> {
  return parsePixmap((await runOk('convert', ['png:-', '-depth', '8', 'ppm:-'], { input })).stdout);
}

function parsePixmap(bytes: Buffer): Picture {
  const header = /^P6\s(\d+) (\d+)\s255\s/.exec(bytes.subarray(0, 64).toString('latin1'));
  if (header === null) throw new Error('no portable pixmap was written');
  const width = Number(header[1]);
  const height = Number(header[2]);
  const rgb = bytes.subarray(header[0].length);
  if (rgb.length !== width * height * 3) throw new Error(`${rgb.length} bytes for ${width}x${height} pixels`);
  return { width, height, rgb };
}

/** How many colours a picture has; 1: nothing was painted. */
export function colours(picture: Picture): number {
  const seen = new Set<number>();
  for (let at = 0; at < picture.rgb.length; at += 3) seen.add(picture.rgb.readUIntBE(at, 3));
  return seen.size;
}
