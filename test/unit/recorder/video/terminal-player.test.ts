import assert from 'node:assert/strict';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import {
  EventKind,
  exportMp4,
  exportPng,
  type RecordingReader,
  VideoError,
} from '../../../../recorder/index.ts';
import { Emulator, Painter } from '../../../../recorder/terminal/index.ts';
import type { Film } from '../../../../recorder/video/film.ts';
import { encodePng } from '../../../../recorder/video/png.ts';
import { terminalFilm } from '../../../../recorder/video/terminal-player.ts';
import { testWith } from '../../../support/packages.ts';
import { runOk } from '../../../support/process.ts';
import { temporaryFolder } from '../../../support/temp.ts';
import { collect } from '../bed.ts';
import { output, recorded, resize, type Step, terminal } from './bed.ts';

const ssh = (...steps: readonly Step[]): Promise<RecordingReader> => recorded(steps, 'ssh');

/** What a terminal shows that was sent `text`. */
function painted(text: string, columns: number, rows: number): Painter {
  const emulator = new Emulator(columns, rows);
  emulator.write(Buffer.from(text));
  const painter = new Painter(columns, rows);
  painter.paint(emulator);
  return painter;
}

function png({ pixels, width, height }: Painter): Buffer {
  return encodePng(pixels, width, height);
}

async function pictureOf(reader: RecordingReader, at?: number, channel?: number): Promise<Uint8Array> {
  const [picture = assert.fail('nothing came')] = await collect(
    exportPng(reader, { ...(at === undefined ? {} : { at }), ...(channel === undefined ? {} : { channel }) }),
  );
  return picture;
}

/** Times in ms and sizes of the frames. */
async function frames(film: Film): Promise<string[]> {
  const found: string[] = [];
  for await (const { at, width, height } of film.frames()) found.push(`${at / 1000} ${width}x${height}`);
  return found;
}

test('a frame stands where the screen is another, and where it keeps changing no more often than videos need', async () => {
  const film = await terminalFilm(
    await ssh(
      terminal(100, 10, 2),
      output(1000, 'a'),
      output(1001, 'b'),
      output(1041, 'c'),
      output(5000, '\x1b[0m\x07'),
      output(6000, 'x\b \b'),
      [7000, EventKind.input, Buffer.from('typed')],
      resize(8000, 12, 2),
      output(9000, 'd'),
      [9500, EventKind.exit, { status: 0 }],
    ),
    {},
  );
  assert.deepEqual(await frames(film), ['120 80x32', '1000 80x32', '1080 80x32', '8000 96x32', '9000 96x32']);
  assert.deepEqual(await film.survey(), {
    sizes: [
      { width: 80, height: 32 },
      { width: 96, height: 32 },
    ],
    duration: 9_500_000,
  });
  assert.deepEqual(await frames(film), await frames(film));
});

test('a picture holds what came up to its moment, to the microsecond', async () => {
  const reader = await ssh(
    terminal(0, 20, 3),
    output(1000, '$ \x1b[1;31mred'),
    [1500, EventKind.errorOutput, Buffer.from(' error')],
    [2000, EventKind.notice, { text: '\r\nthe session ends' }, 0xffffffff],
  );
  const [command, error] = ['$ \x1b[1;31mred', ' error'];
  assert.deepEqual(await pictureOf(reader, 999_999), png(painted('', 20, 3)));
  assert.deepEqual(await pictureOf(reader, 1_000_000), png(painted(command, 20, 3)));
  assert.deepEqual(await pictureOf(reader, 1_500_000), png(painted(command + error, 20, 3)));
  assert.deepEqual(await pictureOf(reader), png(painted(`${command}${error}\r\nthe session ends`, 20, 3)));
  await assert.rejects(pictureOf(reader, 2_000_001), /the recording ends 2\.000 s after its start/);
});

test('the first channel with a terminal is shown, or the one asked for', async () => {
  const reader = await ssh(
    output(0, 'of a program without a terminal'),
    terminal(10, 20, 2, 1),
    terminal(20, 30, 2, 2),
    output(30, 'one', 1),
    resize(35, 31, 2, 2),
    output(40, 'two', 2),
  );
  assert.deepEqual(await pictureOf(reader), png(painted('one', 20, 2)));
  assert.deepEqual(await pictureOf(reader, undefined, 2), png(painted('two', 31, 2)));
  assert.deepEqual(await frames(await terminalFilm(reader, { channel: 2 })), ['40 248x32']);

  const said: string[] = [];
  const onCut = (text: string) => said.push(text);
  await frames(await terminalFilm(reader, { onCut }));
  await frames(await terminalFilm(reader, { channel: 1, onCut }));
  assert.deepEqual(said, ['the terminal of channel 1 is shown; channel 2 had one too']);
});

test('without a terminal the words say what suits', async () => {
  const reader = await ssh(output(0, 'no terminal'));
  const none = /no channel of the session had a terminal.*: export .*\(txt, cast\).*\(jsonl\)/;
  await assert.rejects(
    collect(exportMp4(reader)),
    (error) => error instanceof VideoError && none.test(error.message),
  );
  await assert.rejects(pictureOf(reader), none);
  const other = await ssh(terminal(0, 20, 2, 1));
  await assert.rejects(pictureOf(other, undefined, 7), /channel 7 of the session never had a terminal/);
  await assert.rejects(terminalFilm(other, { channel: 7 }), VideoError);
});

test('a terminal without a size is shown as one of 80 × 24', async () => {
  const reader = await ssh(terminal(0, 0, 0), output(1, 'x'), resize(2, 0, 0));
  assert.deepEqual(await pictureOf(reader), png(painted('x', 80, 24)));
});

test('a terminal larger than any screen is cut, and that is said once', async () => {
  const reader = await ssh(
    terminal(0, 5000, 100),
    output(1, 'x'),
    resize(2, 80, 24),
    resize(3, 60_000, 60_000),
  );
  const said: string[] = [];
  const film = await terminalFilm(reader, { onCut: (text) => said.push(text) });
  assert.deepEqual((await film.survey()).sizes, [
    { width: 4096, height: 1600 },
    { width: 640, height: 384 },
    { width: 4096, height: 3072 },
  ]);
  assert.equal((await frames(film)).length, 2);
  assert.deepEqual(said, ['the terminal had 5000 × 100 characters, it is shown as one of 512 × 100']);
});

test('a window that is dragged all day makes a list of its sizes, not of its moves', async () => {
  const steps = Array.from({ length: 300 }, (_, at) => resize(at + 1, 80 + (at % 3), 24));
  const film = await terminalFilm(await ssh(terminal(0, 80, 24), ...steps), {});
  assert.equal((await film.survey()).sizes.length, 3);
});

testWith(['ffmpeg'], 'a video shows the painted terminal, pixel by pixel but for the codec', async () => {
  const text = '\x1b[1;32malice@web01\x1b[0m:\x1b[34m~\x1b[0m$ ls\r\n\x1b[7m inverse \x1b[0m grün │ 日本\r\n';
  const file = join(temporaryFolder('video'), 'session.mp4');
  const reader = await ssh(
    terminal(0, 40, 6),
    output(1000, text),
    resize(3000, 44, 8),
    output(3001, 'the end'),
    [4980, EventKind.exit, { status: 0 }],
  );
  await pipeline(exportMp4(reader), createWriteStream(file));
  const [width, height] = [44 * 8, 8 * 16];
  const probe = [
    '-v',
    'error',
    '-of',
    'json',
    '-show_entries',
    'stream=width,height:format=duration:frame=pts_time',
  ];
  const { streams, frames, format } = JSON.parse((await runOk('ffprobe', [...probe, file])).text) as {
    readonly streams: readonly unknown[];
    readonly frames: readonly { readonly pts_time: string }[];
    readonly format: { readonly duration: string };
  };
  assert.deepEqual(streams, [{ width, height }]);
  assert.deepEqual(
    frames.map((frame) => Number(frame.pts_time)),
    [0, 1, 3, 3.08, 4.96],
  );
  assert.equal(Number(format.duration), 5);

  const raw = ['-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
  const { stdout } = await runOk('ffmpeg', ['-v', 'error', '-i', file, ...raw]);
  const small = painted(text, 40, 6);
  const [left, top] = [(width - small.width) >> 1, (height - small.height) >> 1];
  let off = 0;
  for (let y = 0; y < small.height; y++)
    for (let x = 0; x < small.width; x++) {
      const pixel = small.pixels[y * small.width + x] ?? 0;
      const at = ((height + top + y) * width + left + x) * 3;
      // Colours are shared by four pixels, brightness is each pixel's own.
      const luma = (r: number, g: number, b: number): number => 0.2126 * r + 0.7152 * g + 0.0722 * b;
      const wanted = luma(pixel & 0xff, (pixel >> 8) & 0xff, (pixel >> 16) & 0xff);
      const found = luma(stdout[at] ?? 0, stdout[at + 1] ?? 0, stdout[at + 2] ?? 0);
      if (Math.abs(wanted - found) > 40) off++;
    }
  const share = off / (small.width * small.height);
  assert.ok(share < 0.01, `${(100 * share).toFixed(2)} % of the pixels have another brightness`);
});
