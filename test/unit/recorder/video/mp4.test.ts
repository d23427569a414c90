import assert from 'node:assert/strict';
import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import {
  ContainerError,
  EventKind,
  exportMp4,
  type RecordingReader,
  VideoError,
} from '../../../../recorder/index.ts';
import { Canvas } from '../../../../recorder/video/canvas.ts';
import { desktopFilm } from '../../../../recorder/video/desktop-player.ts';
import { findFfmpeg } from '../../../../recorder/video/ffmpeg.ts';
import { testWith } from '../../../support/packages.ts';
import { runOk } from '../../../support/process.ts';
import { temporaryFolder } from '../../../support/temp.ts';
import { collect } from '../bed.ts';
import { captures, readCapture } from '../screen/captures.ts';
import { desktop, fill, hidePointer, recorded, type Step } from './bed.ts';

const RED = [255, 0, 0] as const;
const GREEN = [0, 255, 0] as const;
const BLUE = [0, 0, 255] as const;
const HOUR = 3_600_000;

interface Probed {
  readonly streams: readonly Readonly<Record<string, string | number>>[];
  readonly frames: readonly { readonly pts_time: string; readonly key_frame: number }[];
  readonly format: { readonly duration: string; readonly size: string };
}

async function videoOf(reader: RecordingReader): Promise<string> {
  const file = join(temporaryFolder('video'), 'session.mp4');
  await pipeline(exportMp4(reader), createWriteStream(file));
  return file;
}

async function probe(file: string): Promise<Probed> {
  const { text } = await runOk('ffprobe', [
    ...['-v', 'error', '-of', 'json', '-show_streams', '-show_format'],
    ...['-show_entries', 'frame=pts_time,key_frame', file],
  ]);
  return JSON.parse(text) as Probed;
}

/** The picture at a time, s: a function from a place to red, green and blue. */
async function pictureAt(
  file: string,
  at: number,
): Promise<(x: number, y: number, expected: readonly number[]) => void> {
  const { width = 0 } = (await probe(file)).streams[0] ?? {};
  const { stdout } = await runOk('ffmpeg', [
    ...['-v', 'error', '-i', file, '-vf', `select=lte(t\\,${at})`, '-fps_mode', 'passthrough'],
    ...['-update', '1', '-f', 'image2pipe', '-c:v', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
  ]);
  const height = Number((await probe(file)).streams[0]?.['height']);
  const last = stdout.subarray(-Number(width) * height * 3);
  return (x, y, expected) => {
    const from = (y * Number(width) + x) * 3;
    const found = [...last.subarray(from, from + 3)];
    // Lossy, and the colours of four pixels are one.
    const near = found.every((value, index) => Math.abs(value - (expected[index] ?? 0)) <= 12);
    assert.ok(near, `${x}, ${y} at ${at} s is ${found.join(' ')}, not ${expected.join(' ')}`);
  };
}

testWith(
  ['ffmpeg'],
  'a video shows each picture at its time, and as long as the recording lasts',
  async () => {
    const file = await videoOf(
      await recorded([
        desktop(1000, 128, 96),
        hidePointer(1000),
        fill(1500, [0, 0, 128, 96], RED),
        fill(1990, [0, 0, 64, 96], GREEN),
        fill(4000, [0, 0, 64, 96], BLUE),
        [5100, EventKind.notice, { text: 'the end' }],
      ]),
    );
    const { streams, frames, format } = await probe(file);
    const { codec_name, pix_fmt, width, height, color_space } = streams[0] ?? {};
    assert.equal(streams.length, 1);
    assert.deepEqual(
      [codec_name, pix_fmt, width, height, color_space],
      ['h264', 'yuv420p', 128, 96, 'bt709'],
    );
    assert.deepEqual(
      frames.map((frame) => Number(frame.pts_time)),
      [0, 1, 1.52, 2, 4, 5.08],
    );
    assert.equal(Number(format.duration), 5.12);
    (await pictureAt(file, 0.9))(64, 48, [0, 0, 0]);
    (await pictureAt(file, 1.99))(32, 48, RED);
    const both = await pictureAt(file, 3.99);
    both(32, 48, GREEN);
    both(96, 48, RED);
    (await pictureAt(file, 4))(32, 48, BLUE);
  },
);

/** Planes of a video's frames as they are decoded, I420. */
async function decoded(file: string): Promise<Buffer> {
  const args = [
    '-v',
    'error',
    '-i',
    file,
    '-fps_mode',
    'passthrough',
    '-f',
    'rawvideo',
    '-pix_fmt',
    'yuv420p',
  ];
  return (await runOk('ffmpeg', [...args, 'pipe:1'])).stdout;
}

for (const name of ['xrdp-planar-32', 'shadow-interleaved-16'] as const) {
  testWith(['ffmpeg'], `every frame of ${name} as a video is the picture that was painted`, async () => {
    const capture = captures.find((each) => each.name === name) ?? assert.fail(name);
    const { width, height, bitsPerPixel } = capture;
    const reader = await recorded([
      [0, EventKind.desktop, { width, height, bitsPerPixel }],
      ...readCapture(name).map(({ type, body }, i): Step => {
        if (type === 0) return [100 * i, EventKind.fastPathOutput, body];
        return [100 * i, EventKind.slowPathOutput, Buffer.concat([Buffer.of(type, 0, 0, 0), body])];
      }),
    ]);
    const frames = await decoded(await videoOf(reader));
    const canvas = new Canvas(await desktopFilm(reader).survey());
    let at = 0;
    for await (const frame of desktopFilm(reader).frames()) {
      canvas.draw({ ...frame, changed: [{ left: 0, top: 0, right: width, bottom: height }] });
      const found = frames.subarray(at, at + canvas.bytes.length);
      at += canvas.bytes.length;
      let squares = 0;
      let far = 0;
      canvas.bytes.forEach((value, i) => {
        const off = Math.abs(value - (found[i] ?? 1000));
        squares += off * off;
        if (off > 40) far += 1;
      });
      // Text is read well from 40 dB on.
      const decibel = 10 * Math.log10(255 ** 2 / (squares / canvas.bytes.length));
      assert.ok(decibel > 40, `the frame at ${frame.at / 1000} ms: ${decibel.toFixed(1)} dB`);
      assert.ok(
        far < canvas.bytes.length / 1000,
        `the frame at ${frame.at / 1000} ms: ${far} values are far off`,
      );
    }
    assert.ok(at > canvas.bytes.length, 'there are frames');
  });
}

testWith(['ffmpeg'], 'three days without a change cost next to nothing', async () => {
  const file = await videoOf(
    await recorded([
      desktop(0, 1280, 800),
      fill(0, [0, 0, 64, 64], RED),
      fill(72 * HOUR, [64, 64, 64, 64], GREEN),
    ]),
  );
  const { frames, format } = await probe(file);
  assert.equal(Number(format.duration), 72 * 3600 + 0.04);
  assert.ok(frames.length < 500, `${frames.length} frames`);
  assert.ok(Number(format.size) < 2 * 1024 * 1024, `${format.size} bytes`);
});

testWith(['ffmpeg'], 'a resize letterboxes what is smaller; odd sides become even', async () => {
  const file = await videoOf(
    await recorded([
      desktop(0, 64, 64),
      fill(0, [0, 0, 64, 64], RED),
      desktop(1000, 127, 99),
      fill(1000, [0, 0, 127, 99], GREEN),
      desktop(2000, 64, 64),
      fill(2000, [0, 0, 64, 64], BLUE),
      hidePointer(3000),
    ]),
  );
  const { streams } = await probe(file);
  assert.deepEqual([streams[0]?.['width'], streams[0]?.['height']], [128, 100]);
  const first = await pictureAt(file, 0);
  first(64, 50, RED);
  first(16, 50, [0, 0, 0]);
  first(64, 10, [0, 0, 0]);
  const second = await pictureAt(file, 1);
  second(16, 50, GREEN);
  second(120, 90, GREEN);
  const third = await pictureAt(file, 2);
  third(64, 50, BLUE);
  third(16, 50, [0, 0, 0]);
  third(120, 90, [0, 0, 0]);
});

testWith(['ffmpeg'], 'progress goes to the end, and a video that nobody reads on is given up', async () => {
  const reader = await recorded([
    desktop(0, 640, 480),
    ...Array.from({ length: 100 }, (_, index) =>
      fill(80 * index, [0, 0, 64, 64], [(index * 37) % 256, (index * 91) % 256, 0]),
    ),
  ]);
  const seen: number[] = [];
  await collect(exportMp4(reader, { onProgress: (at, duration) => seen.push(at / duration) }));
  assert.equal(seen.length, 100);
  assert.equal(seen.at(-1), 1);
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
  for await (const chunk of exportMp4(reader)) {
    assert.ok(chunk.length > 0);
    break;
  }
});

testWith(['ffmpeg'], 'an altered recording is told, not shown as if it ended there', async () => {
  const whole = await recorded([desktop(0, 64, 48), fill(0, [0, 0, 8, 8], RED)]);
  let passes = 0;
  const altered: RecordingReader = {
    head: undefined,
    truncatedAt: undefined,
    header: () => whole.header(),
    manifest: () => whole.manifest(),
    segments: (place) => whole.segments(place),
    keyFrame: (at) => whole.keyFrame(at),
    putIndex: (keyFrames) => whole.putIndex(keyFrames),
    openSide: (side) => whole.openSide(side),
    putSide: (side, encode) => whole.putSide(side, encode),
    close: () => whole.close(),
    async *events() {
      yield* whole.events();
      passes += 1;
      if (passes === 2) throw new ContainerError('broken-chain', 'segment 2: it was altered');
    },
  };
  await assert.rejects(collect(exportMp4(altered)), ContainerError);
});

testWith(['ffmpeg'], 'an encoder that fails is quoted', async () => {
  const reader = await recorded([desktop(0, 64, 48), fill(0, [0, 0, 8, 8], RED)]);
  const broken = join(temporaryFolder('ffmpeg'), 'ffmpeg');
  writeFileSync(broken, '#!/bin/sh\necho out of luck >&2\nexit 3\n', { mode: 0o700 });
  process.env['FFMPEG_PATH'] = broken;
  try {
    await assert.rejects(collect(exportMp4(reader)), {
      name: 'VideoError',
      message: 'ffmpeg: ended with 3: out of luck',
    });
  } finally {
    delete process.env['FFMPEG_PATH'];
  }
});

testWith(
  ['ffmpeg'],
  'a recording without a desktop, or with one that no video holds, is refused',
  async () => {
    await assert.rejects(collect(exportMp4(await recorded([]))), /never showed a screen/);
    const reader = await recorded([desktop(0, 16_000, 16), desktop(1, 16, 16_000)]);
    await assert.rejects(collect(exportMp4(reader)), /16000 × 16000 pixels, more than a video has/);
  },
);

test('ffmpeg is FFMPEG_PATH, else the first on the PATH; without one it says how to get it', () => {
  const folder = temporaryFolder('ffmpeg');
  const file = join(folder, 'ffmpeg');
  writeFileSync(file, '', { mode: 0o700 });
  assert.equal(findFfmpeg({ PATH: `/nowhere::${folder}:/usr/bin` }), file);
  assert.equal(findFfmpeg({ PATH: '/nowhere', FFMPEG_PATH: file }), file);
  assert.throws(() => findFfmpeg({ PATH: folder, FFMPEG_PATH: '/nowhere/ffmpeg' }), VideoError);
  assert.throws(() => findFfmpeg({ PATH: '/nowhere' }), /apt install ffmpeg.*ffmpeg-static.*FFMPEG_PATH/);
});
