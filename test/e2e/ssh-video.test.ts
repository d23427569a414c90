/** Recordings of real shells as videos and pictures: they show what another terminal emulator showed. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { glyphOf } from '../../recorder/terminal/glyphs.ts';
import { widthOf } from '../../recorder/terminal/width.ts';
import { type Bed, DIRECT, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type RunResult, run, runOk, until } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'tmux', 'ffmpeg'] as const;
const [CELL_WIDTH, CELL_HEIGHT] = [8, 16];
let bed: Bed;
before(async () => {
  if (!DIRECT && obstacle(NEEDS) === undefined) bed = await startBed();
});
after(() => bed?.stop());

function gatewayTest(name: string, body: () => Promise<void>): void {
  if (!DIRECT) testWith(NEEDS, name, body, { timeout: 240_000 });
}

/** A person's terminal, which can be read: tmux without its own line. */
class Window {
  readonly #socket = join(bed.folder, 'tmux.socket');

  tmux(...args: string[]): Promise<RunResult> {
    return runOk('tmux', ['-S', this.#socket, ...args], { env: bed.door.env });
  }

  async open(columns: number, rows: number): Promise<void> {
    const configuration = join(bed.folder, 'tmux.conf');
    writeFileSync(configuration, 'set -g status off\nset -g default-terminal xterm-256color\n');
    const size = ['-x', String(columns), '-y', String(rows)];
    const client = `ssh -F ${bed.door.sshConfig} -q target`;
    await this.tmux('-f', configuration, 'new-session', '-d', ...size, client);
    await this.shows('$ ');
  }

  /** Types a line. */
  async type(line: string): Promise<void> {
    await this.tmux('send-keys', '-l', line);
    await this.tmux('send-keys', 'Enter');
  }

  async text(): Promise<string> {
    return (await this.tmux('capture-pane', '-p', '-N')).text;
  }

  shows(text: string): Promise<string> {
    return until(`${text} in the terminal`, async () => {
      const shown = await this.text();
      return shown.includes(text) ? shown : undefined;
    });
  }

  async close(): Promise<void> {
    await run('tmux', ['-S', this.#socket, 'kill-server']);
  }
}

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Buffer;
}

/** The last picture of a file as ffmpeg reads it. */
async function lastPicture(file: string, width: number, height: number): Promise<Picture> {
  const args = ['-v', 'error', '-i', file, '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24'];
  const { stdout } = await runOk('ffmpeg', [...args, 'pipe:1']);
  assert.equal(stdout.length % (width * height * 3), 0, 'the picture has another size');
  return { width, height, rgb: stdout.subarray(-width * height * 3) };
}

function colourAt({ width, rgb }: Picture, x: number, y: number): number {
  return rgb.readUIntBE((y * width + x) * 3, 3);
}

/** Whether a character's place shows its glyph and nothing else, in two colours, regular or bold. */
function holds(picture: Picture, column: number, row: number, character: string, cells: number): boolean {
  const [left, top] = [column * CELL_WIDTH, row * CELL_HEIGHT];
  return [false, true].some((bold) => {
    const glyph = glyphOf(character.codePointAt(0) ?? 0, cells, bold);
    const colours: [Set<number>, Set<number>] = [new Set(), new Set()];
    for (let y = 0; y < CELL_HEIGHT; y++)
      for (let x = 0; x < cells * CELL_WIDTH; x++) {
        const set = ((glyph[y * cells + (x >> 3)] ?? 0) & (0x80 >> (x & 7))) !== 0;
        colours[set ? 1 : 0].add(colourAt(picture, left + x, top + y));
      }
    const [ground, ink] = colours;
    return ground.size <= 1 && ink.size <= 1 && ![...ink].some((colour) => ground.has(colour));
  });
}

/** That the picture is the text, character for character in its place. */
function assertShows(picture: Picture, text: string): void {
  for (const [row, line] of text.replace(/\n$/, '').split('\n').entries()) {
    let column = 0;
    for (const character of line) {
      const cells = widthOf(character.codePointAt(0) ?? 0);
      assert.ok(
        holds(picture, column, row, character, cells),
        `${character} at ${column}, ${row} of:\n${text}`,
      );
      column += cells;
    }
  }
}

/** Share of the pixels whose brightness is another by more than the codec makes it. */
function offShare(a: Picture, b: Picture): number {
  const luma = ({ rgb }: Picture, at: number): number =>
    0.2126 * (rgb[at] ?? 0) + 0.7152 * (rgb[at + 1] ?? 0) + 0.0722 * (rgb[at + 2] ?? 0);
  let off = 0;
  for (let at = 0; at < a.rgb.length; at += 3) if (Math.abs(luma(a, at) - luma(b, at)) > 40) off++;
  return (3 * off) / a.rgb.length;
}

function recordings(...args: string[]): Promise<RunResult> {
  return bed.gateway.sallyport(['recordings', ...args]);
}

async function exported(id: string, format: string, ...more: string[]): Promise<string> {
  const file = join(bed.folder, `${id}${more.join('')}.${format}`);
  const result = await recordings('export', id, '--format', format, '--output', file, ...more);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stderr, '');
  return file;
}

/** The newest recording, once it is sealed. */
function newest(): Promise<string> {
  return until('the newest recording is sealed', async () => {
    const [first] = await bed.gateway.json<{ readonly id: string; readonly sealed: boolean }[]>([
      'recordings',
      'ls',
    ]);
    return first?.sealed === true ? first.id : undefined;
  });
}

gatewayTest(
  'a shell with colours, a full-screen program and a resize: pictures and video show it',
  async () => {
    const window = new Window();
    await window.open(90, 24);
    await window.type(
      'export LC_ALL=C.UTF-8; printf "\\033[1;31mred\\033[0m gr\\303\\274n %s\\n" first-$((1+1))',
    );
    await window.shows('first-2');
    await window.tmux('resize-window', '-x', '120', '-y', '36');
    await window.type(
      'until [ "$(stty size)" = "36 120" ]; do sleep 0.05; done; clear; seq 300 | less; clear',
    );
    await window.shows('35\n:');
    await window.tmux('send-keys', 'G');
    await window.shows('300\n(END)');
    await window.tmux('send-keys', 'q');
    // Boxes, blocks, wide characters, colours of every kind, and all of it in the screen's second half.
    await window.type(
      'printf "\\033[20;1H\\342\\224\\214\\342\\224\\200\\342\\224\\220 \\346\\227\\245\\346\\234\\254 x\\n' +
        '\\033[7minverse\\033[0m \\033[48;5;196m  \\033[0m \\033[38;2;1;200;3mtrue\\033[0m\\n%s\\n" last-$((1+1))',
    );
    const shown = await window.shows('last-2\n');
    await window.close();
    const id = await newest();

    const [width, height] = [120 * CELL_WIDTH, 36 * CELL_HEIGHT];
    const end = await lastPicture(await exported(id, 'png'), width, height);
    assertShows(end, shown);
    const inverse = shown.split('\n').findIndex((line) => line.startsWith('inverse'));
    assert.equal(colourAt(end, 8 * CELL_WIDTH, inverse * CELL_HEIGHT), 0xff0000);

    const lines = readFileSync(await exported(id, 'jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const first = events.find(({ kind, text }) => kind === 'output' && String(text).includes('first-2\r\n'));
    const at = Number(first?.['at'] ?? assert.fail('the first command printed nothing'));
    const moment = (time: number): Promise<Picture> =>
      exported(id, 'png', '--at', (time / 1_000_000).toFixed(6)).then((file) =>
        lastPicture(file, 90 * CELL_WIDTH, 24 * CELL_HEIGHT),
      );
    const [before, then] = [await moment(at - 1), await moment(at)];
    assert.notDeepEqual(before.rgb, then.rgb, 'the picture changes with its event');

    const video = await exported(id, 'mp4');
    const json = ['-v', 'error', '-of', 'json', '-show_streams', '-show_format', '-show_frames'];
    const probed = JSON.parse((await runOk('ffprobe', [...json, video])).text) as {
      readonly streams: readonly Readonly<Record<string, unknown>>[];
      readonly format: { readonly duration: string };
      readonly frames: readonly { readonly pts_time: string }[];
    };
    const { codec_name, width: wide, height: high } = probed.streams[0] ?? {};
    assert.deepEqual([codec_name, wide, high], ['h264', width, height]);
    const duration = Number(events.at(-1)?.['at']) / 1_000_000;
    assert.ok(
      Math.abs(Number(probed.format.duration) - duration) <= 0.1,
      `${probed.format.duration} s of ${duration}`,
    );
    const due = Math.ceil(at / 40_000) * 0.04;
    assert.ok(
      probed.frames.some(
        ({ pts_time }) => Number(pts_time) >= due - 0.001 && Number(pts_time) <= due + 0.081,
      ),
      `no frame shortly after ${due} s`,
    );
    const off = offShare(end, await lastPicture(video, width, height));
    assert.ok(off < 0.01, `${(100 * off).toFixed(2)} % of the video's last picture are off`);
  },
);

gatewayTest('of two shells on one connection each can be shown', async () => {
  const control = ['-S', join(bed.folder, 'control.socket')];
  const first = sshTerminal(bed.door, ['-M', ...control, 'target'], { columns: 40, rows: 5 });
  await first.expect('$ ');
  const second = sshTerminal(bed.door, [...control, 'target'], { columns: 50, rows: 5 });
  await second.expect('$ ');
  for (const shell of [second, first]) {
    shell.type('exit\r');
    await shell.ended;
  }
  const id = await newest();
  const file = join(bed.folder, 'two.png');
  const told = await recordings('export', id, '--format', 'png', '--output', file);
  assert.deepEqual(
    [told.code, told.stderr],
    [0, 'the terminal of channel 0 is shown; channel 1 had one too\n'],
  );
  await lastPicture(file, 40 * CELL_WIDTH, 5 * CELL_HEIGHT);
  await lastPicture(await exported(id, 'png', '--channel', '1'), 50 * CELL_WIDTH, 5 * CELL_HEIGHT);
});

gatewayTest('a command without a terminal has no picture, and is told what it has', async () => {
  assert.equal((await ssh(bed.door, ['target', 'echo in'])).text, 'in\n');
  const id = await newest();
  for (const format of ['mp4', 'png']) {
    const file = join(bed.folder, `none.${format}`);
    const refused = await recordings('export', id, '--format', format, '--output', file);
    assert.deepEqual([refused.code, refused.text], [1, '']);
    assert.match(refused.stderr, /no channel of the session had a terminal.*\(txt, cast\).*\(jsonl\)/);
    assert.doesNotMatch(refused.stderr, /\n\s+at /, 'words, not a stack');
  }
  const refused = await recordings('export', id, '--format', 'png', '--channel', '9');
  assert.match(refused.stderr, /the session had no channel 9/);
});
