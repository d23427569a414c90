/** The video of a desktop in a browser: it plays while it loads, and shows what the recording holds. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { type Chromium, type Page, startChromium } from '../support/chromium.ts';
import { xfreerdp } from '../support/freerdp.ts';
import { type Moment, Moments, timesOf } from '../support/moments.ts';
import { testWith } from '../support/packages.ts';
import { lumaDistance, percent } from '../support/picture.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import { readRecording } from '../support/recording.ts';
import { showScene } from '../support/scene.ts';
import { temporaryFolder } from '../support/temp.ts';
import type { Picture } from '../support/x11.ts';

const NEEDS = [
  ...(['xrdp', 'xorgxrdp', 'freerdp2-x11', 'xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm'] as const),
  ...(['imagemagick', 'ffmpeg', 'chromium'] as const),
] as const;
const WIDTH = 640;
const HEIGHT = 480;
/** A frame of the video stands at each multiple of this, µs. */
const FRAME_TIME = 40_000;
/** The last picture comes 80 ms after the one before, if not at the next 40, and stands for 40. */
const LAST_PICTURE_S = 0.12;
/** A fragment of the video is at most this long, ms, where something moves. */
const FRAGMENT_MS = 10_000;

const bed = useRdpBed(NEEDS, {
  size: [WIDTH, HEIGHT],
  async prepare() {
    chromium = await startChromium();
    await record();
    site = await startSite(video);
  },
});
let chromium: Chromium;
let site: Site;
/** The video of the recorded desktop. */
let video: Buffer;
/** How long the recording is. */
let seconds: number;
/** The moments at which the desktop stood still, `at` µs from the start. */
let stills: readonly (Moment & { readonly at: number })[];

after(async () => {
  site?.stop();
  await chromium?.stop();
});

/** Opens a desktop on which text scrolls and a window moves for longer than a fragment. */
async function record(): Promise<void> {
  const client = bed.open(xfreerdp);
  const window = await client.window();
  await bed.xrdp.ready();
  const { display } = bed;
  const desktop = bed.xrdp.desktop();
  const scene = await showScene(desktop);
  const moments = new Moments({ display, window, desktop });
  const { scrolling, moving } = scene;
  const move = async (): Promise<void> => {
    scrolling.resume();
    moving.resume();
    await new Promise((resolve) => setTimeout(resolve, FRAGMENT_MS * 0.7));
    scrolling.pause();
    moving.pause();
  };
  await moments.take('text and a photo');
  await move();
  await moments.take('while text scrolls and a window moves');
  await move();
  await scene.closeMoving();
  await moments.take('without the window');
  const { id } = await bed.evidence.session('alice', 'active');
  await scene.stop();
  await client.stop();
  await bed.evidence.sealed(id);
  const reader = await readRecording(bed.gateway, id);
  seconds = (reader.manifest()?.duration ?? 0) / 1_000_000;
  const times = await timesOf(reader, moments.taken);
  await reader.close();
  stills = moments.taken.map((moment, index) => ({ ...moment, at: times[index] ?? 0 }));
  const file = join(temporaryFolder('export'), 'recording.mp4');
  const args = ['recordings', 'export', id, '--format', 'mp4', '--output', file];
  const { code, stderr } = await bed.gateway.sallyport(args, { timeoutMs: 120_000 });
  assert.equal(code, 0, stderr);
  video = readFileSync(file);
}

interface Site {
  readonly url: string;
  /** Answers that have sent the video's first fragment and hold back the rest. */
  readonly held: ServerResponse[];
  stop(): void;
}

/** A page with a video, which comes whole (`/whole`) or stops behind its first fragment (`/held`). */
async function startSite(bytes: Buffer): Promise<Site> {
  const held: ServerResponse[] = [];
  const server: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://localhost');
    if (pathname.endsWith('.mp4')) {
      const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
      if (pathname === '/held.mp4') {
        response.writeHead(200, { 'content-type': 'video/mp4' });
        response.write(bytes.subarray(0, secondFragment(bytes)));
        held.push(response);
        return;
      }
      const from = Number(range?.[1] ?? 0);
      const to = Math.min(Number(range?.[2] || bytes.length - 1), bytes.length - 1);
      response.writeHead(range === null ? 200 : 206, {
        'content-type': 'video/mp4',
        'accept-ranges': 'bytes',
        'content-length': to - from + 1,
        ...(range && { 'content-range': `bytes ${from}-${to}/${bytes.length}` }),
      });
      response.end(bytes.subarray(from, to + 1));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<!doctype html><video muted preload=auto src="${pathname}.mp4"></video>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held,
    stop(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Where the second `moof` box of an MP4 file begins (ISO/IEC 14496-12 8.8.4). */
function secondFragment(bytes: Buffer): number {
  let fragments = 0;
  for (let at = 0; at + 8 <= bytes.length; at += bytes.readUInt32BE(at)) {
    if (bytes.toString('latin1', at + 4, at + 8) === 'moof' && ++fragments === 2) return at;
  }
  return assert.fail(`the video has ${fragments} fragments`);
}

/** The frame of the page's video that stands at `time` and came later than `after`, seconds. */
async function shownAt(page: Page, after: number, time: number): Promise<Picture> {
  const rgba = await page.run<string>(`
    const video = document.querySelector('video');
    video.currentTime = ${time};
    // The page has the frame a little later than the news that it was sought.
    for (;; await new Promise((resolve) => setTimeout(resolve, 20))) {
      let frame;
      try {
        frame = new VideoFrame(video);
      } catch {
        continue;
      }
      const at = frame.timestamp / 1e6;
      if (at > ${after} && at <= ${time}) {
        const context = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext('2d');
        context.drawImage(frame, 0, 0);
        frame.close();
        const { data } = context.getImageData(0, 0, video.videoWidth, video.videoHeight);
        return new Uint8Array(data.buffer).toBase64();
      }
      frame.close();
    }
  `);
  const pixels = Buffer.from(rgba, 'base64');
  const rgb = Buffer.alloc(WIDTH * HEIGHT * 3);
  for (let i = 0; i < WIDTH * HEIGHT; i++) pixels.copy(rgb, 3 * i, 4 * i, 4 * i + 3);
  return { width: WIDTH, height: HEIGHT, rgb };
}

function browserTest(name: string, body: (context: TestContext) => Promise<void>): void {
  testWith(NEEDS, name, body, { timeout: 180_000 });
}

/** Brightness of this many pixels may be further off in a video: edges of coloured text on coloured ground. */
const FAR = 0.01;
const DISTANCE = 24;
/** Peak signal-to-noise ratio of a desktop and its video; another moment of it has less than 20. */
const LEAST_DB = 30;

browserTest('in Chromium, the video shows at each moment what the client showed', async (context) => {
  const page = await chromium.open(`${site.url}/whole`);
  const { width, height, duration, error } = await page.run<Readonly<Record<string, unknown>>>(`
    const video = document.querySelector('video');
    if (video.readyState < 1 && video.error === null)
      await new Promise((resolve) => video.addEventListener('loadedmetadata', resolve, { once: true }));
    const { videoWidth: width, videoHeight: height, duration } = video;
    return { width, height, duration: String(duration), error: video.error?.message };
  `);
  assert.deepEqual([width, height, error], [WIDTH, HEIGHT, undefined]);
  assert.ok(Math.abs(Number(duration) - seconds) <= LAST_PICTURE_S, `${duration} s of ${seconds}`);

  const seen: Picture[] = [];
  // Backwards, so that every place is sought.
  for (const [index, { at }] of [...stills.entries()].toReversed()) {
    // A frame is of its time or before, never of what comes; what came to be seen did so after the last moment.
    const time = Math.floor(at / FRAME_TIME) * FRAME_TIME + FRAME_TIME / 4;
    seen.unshift(await shownAt(page, (stills[index - 1]?.at ?? 0) / 1_000_000, time / 1_000_000));
  }
  for (const { name, shown } of stills) {
    const distances = seen.map((picture) => lumaDistance(shown, picture, DISTANCE));
    for (const [index, { psnr, near }] of distances.entries()) {
      const same = stills[index]?.name === name;
      const text = `${name}: ${same ? '' : 'another moment '}${psnr.toFixed(1)} dB, ${percent(near)} near`;
      context.diagnostic(text);
      assert.equal(psnr >= LEAST_DB, same, text);
      assert.equal(near >= 1 - FAR, same, text);
    }
  }
});

browserTest('in Chromium, the video plays while it is loaded', async () => {
  const page = await chromium.open(`${site.url}/held`);
  const error = await page.run<string | undefined>(`
    const video = document.querySelector('video');
    await video.play();
    while (video.currentTime < 0.5 && video.error === null)
      await new Promise((resolve) => setTimeout(resolve, 20));
    return video.error?.message;
  `);
  assert.equal(error, undefined);
  assert.ok(site.held.length > 0 && site.held.every((answer) => !answer.writableEnded));

  for (const answer of site.held) answer.end(video.subarray(secondFragment(video)));
  const end = await page.run<number>(`
    const video = document.querySelector('video');
    const ended = new Promise((resolve) => video.addEventListener('ended', resolve, { once: true }));
    video.playbackRate = 8;
    await ended;
    return video.currentTime;
  `);
  assert.ok(Math.abs(end - seconds) <= LAST_PICTURE_S, `${end} s of ${seconds}`);
});
