/** What a person has on a desktop: coloured text, a photo, text that scrolls, a window that moves over all. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, killGroup, runOk, startDaemon } from './process.ts';
import { temporaryFolder } from './temp.ts';
import { waitForWindow, type XServer } from './x11.ts';

/** Something that changes the picture all the time; what is shown while it is paused stands still. */
export interface Motion {
  pause(): void;
  resume(): void;
}

export interface Scene {
  /** Lines run through a terminal, about 50 a second. */
  readonly scrolling: Motion;
  /** A window jumps over the photo and the text, about 25 times a second. */
  readonly moving: Motion;
  /** Closes the window that moves. */
  closeMoving(): Promise<void>;
  stop(): Promise<void>;
}

/** All colours of a terminal's palette as ground, black and white text on it, and the shapes of letters. */
const TEXT = [
  "for i in $(seq 16 231); do printf '\\e[48;5;%d;38;5;%dm%4d' $i $((247 - i)) $i; done",
  "printf '\\e[0m\\n\\e[1mbold\\e[0m \\e[4munderlined\\e[0m \\e[7mreverse\\e[0m \\e[31mred \\e[32mgreen \\e[34mblue\\e[0m\\n'",
  'exec sleep infinity',
];
/** Fills a terminal of 13 lines before it takes its time: from then on the lines scroll. */
const SCROLL = [
  "for ((i = 1; ; i++)); do printf '\\e[3%dm%6d \\e[4%dm%0*d\\e[0m\\n' $((1 + i % 6)) $i $((i % 7)) $((25 + i % 41)) $i; ((i < 14)) || sleep 0.02; done",
];
/** Begins where it covers some of the text and some of the photo. */
const MOVE = [
  'for ((i = 17; ; i++)); do xdotool windowmove "$1" $((i * 13 % 430)) $((i * 7 % 330)); sleep 0.04; done',
];
/** Where the photo stands, and how large it is; the rest of the scene fits 640 by 480. */
const PHOTO = { width: 300, height: 220 };

function script(folder: string, name: string, lines: readonly string[]): string {
  const file = join(folder, name);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

function motion(daemon: Daemon): Motion {
  return {
    pause: () => killGroup(daemon.pid, 'SIGSTOP'),
    resume: () => killGroup(daemon.pid, 'SIGCONT'),
  };
}

/** Writes a picture with fine detail, smooth changes and noise, as photos have them. */
async function takePhoto(file: string): Promise<void> {
  const source = `mandelbrot=size=${PHOTO.width}x${PHOTO.height}:start_scale=1.2:start_x=-0.7`;
  const noise = 'hue=s=2,noise=all_seed=7:alls=14:allf=u';
  await runOk('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, '-vf', noise, '-frames:v', '1', file]);
}

/** Shows the scene on a desktop of at least 640 by 480 pixels; both motions are paused. */
export async function showScene(desktop: XServer): Promise<Scene> {
  const folder = temporaryFolder('scene');
  const env = { ...desktop.env, HOME: folder, LC_ALL: 'C.UTF-8' };
  const photo = join(folder, 'photo.png');
  const lines = join(folder, 'lines');
  await Promise.all([takePhoto(photo), runOk('mkfifo', [lines])]);
  const terminal = (title: string, geometry: string, command: readonly string[]): Daemon =>
    startDaemon('xterm', ['-geometry', geometry, '-fa', '', '-fn', 'fixed', '-T', title, '-e', ...command], {
      env,
    });
  const viewer = startDaemon(
    'display',
    ['-immutable', '-title', 'photo', '-geometry', `${PHOTO.width}x${PHOTO.height}+330+10`, photo],
    { env },
  );
  const text = terminal('text', '52x20+0+0', ['/bin/bash', script(folder, 'text.sh', TEXT)]);
  const scroll = terminal('scroll', '80x13+60+270', ['/bin/cat', lines]);
  await Promise.all(['^photo$', '^text$', '^scroll$'].map((title) => waitForWindow(desktop, title)));
  // Shown last, it stands before the others: there is no window manager to ask.
  const mover = terminal('mover', '24x6+0+0', ['/bin/bash', script(folder, 'mover.sh', TEXT)]);
  const window = await waitForWindow(desktop, '^mover$');
  const writer = startDaemon(
    '/bin/bash',
    ['-c', 'exec /bin/bash "$0" > "$1"', script(folder, 'scroll.sh', SCROLL), lines],
    { env },
  );
  const hand = startDaemon('/bin/bash', [script(folder, 'move.sh', MOVE), window], { env });
  const scrolling = motion(writer);
  const moving = motion(hand);
  scrolling.pause();
  moving.pause();
  const end = async (daemon: Daemon): Promise<void> => {
    // What is paused does not hear that it is to end.
    killGroup(daemon.pid, 'SIGKILL');
    await daemon.stop();
  };
  return {
    scrolling,
    moving,
    async closeMoving(): Promise<void> {
      await end(hand);
      await end(mover);
    },
    async stop(): Promise<void> {
      for (const each of [hand, writer, mover, scroll, text, viewer]) await end(each);
    },
  };
}
