/** Recordings of real desktops as videos and pictures: they show what the person's own client showed. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DIRECT, ssh } from '../support/bed.ts';
import { xfreerdp } from '../support/freerdp.ts';
import { testWith } from '../support/packages.ts';
import { type RunResult, runOk, until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import { openTerminal } from '../support/terminal.ts';
import { colours, type Picture, screenshot, typeText } from '../support/x11.ts';

const NEEDS = [
  ...(['openssh-server', 'openssh-client', 'xrdp', 'xorgxrdp', 'freerdp2-x11'] as const),
  ...(['xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm', 'imagemagick', 'ffmpeg'] as const),
] as const;
const WIDTH = 641;
const HEIGHT = 479;
/** Where {@link typeText} leaves the pointer, which no screenshot shows, and how far from it the shape goes. */
const POINTER = { x: 200, y: 200, reach: 32 };
const bed = useRdpBed(NEEDS, { ssh: true });

function gatewayTest(name: string, body: () => Promise<void>): void {
  if (!DIRECT) testWith(NEEDS, name, body, { timeout: 120_000 });
}

function recordings(...args: string[]): Promise<RunResult> {
  return bed.gateway.sallyport(['recordings', ...args]);
}

async function exported(id: string, format: string, ...more: string[]): Promise<string> {
  const file = join(bed.ssh.folder, `${id}${more.length}.${format}`);
  const result = await recordings('export', id, '--format', format, '--output', file, ...more);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stderr, '', 'a progress bar is for terminals');
  return file;
}

/** Pictures of a file as ffmpeg reads it, red, green and blue; of a video only the last one. */
async function lastPicture(file: string, width: number, height: number): Promise<Picture> {
  const args = ['-v', 'error', '-i', file, '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24'];
  const { stdout } = await runOk('ffmpeg', [...args, 'pipe:1']);
  return { width, height, rgb: stdout.subarray(-width * height * 3) };
}

/** Share of the desktop's pixels, those around the pointer left out, in which no colour is further off. */
function sameShare(shown: Picture, found: Picture, tolerance: number): number {
  let all = 0;
  let same = 0;
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      if (Math.abs(x - POINTER.x) < POINTER.reach && Math.abs(y - POINTER.y) < POINTER.reach) continue;
      all += 1;
      const near = [0, 1, 2].every((colour) => {
        const one = shown.rgb[(y * shown.width + x) * 3 + colour] ?? 0;
        return Math.abs(one - (found.rgb[(y * found.width + x) * 3 + colour] ?? 0)) <= tolerance;
      });
      if (near) same += 1;
    }
  }
  return same / all;
}

/** More than these of the 216 that are typed and the screen's own are shown at least. */
const COLOURS = 150;

/** Opens a desktop, types into it and closes it; resolves with what its client showed last. */
async function desktopSession(
  bpp: 16 | 32,
): Promise<{ readonly id: string; readonly shown: Picture; readonly seconds: readonly [number, number] }> {
  const began = performance.now();
  const client = bed.open(xfreerdp, { bpp, size: `${WIDTH}x${HEIGHT}` });
  const window = await client.window();
  await bed.xrdp.ready();
  const typing = performance.now();
  const file = join(bed.xrdp.account.home, `typed-at-${bpp}`);
  const colourful = `for i in $(seq 16 231); do printf '\\e[48;5;%dm%8d' $i $i; done`;
  await typeText(bed.display, window, `${colourful}; echo $((6*7)) > ${file}\n`);
  await until('the file that was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') !== '' ? true : undefined,
  );
  const typed = performance.now();
  let shown = await screenshot(bed.display, window);
  // The target paints on its own time: before it has begun, the screen stands still, too.
  await until('the colours that were typed, on a screen that stands still', async () => {
    const before = shown;
    shown = await screenshot(bed.display, window);
    return colours(shown) > COLOURS && before.rgb.equals(shown.rgb) ? true : undefined;
  });
  const { id } = await bed.evidence.session('alice', 'active');
  await client.stop();
  await bed.evidence.sealed(id);
  return { id, shown, seconds: [(typed - typing) / 1000, (performance.now() - began) / 1000] };
}

// At 16 bits this client widens the 6 bits of green to 8 by a rule of its own: up to 3 of 255 off.
for (const [bpp, tolerance] of [
  [32, 0],
  [16, 3],
] as const) {
  gatewayTest(
    `a desktop of ${bpp} bits: its video and its pictures show what the client showed`,
    async () => {
      const { id, shown, seconds } = await desktopSession(bpp);
      const picture = await lastPicture(await exported(id, 'png'), WIDTH, HEIGHT);
      const same = sameShare(shown, picture, tolerance);
      assert.ok(same >= 0.999, `${(same * 100).toFixed(2)} % of the pixels are those that the client showed`);

      const events = readFileSync(await exported(id, 'jsonl'), 'utf8')
        .trimEnd()
        .split('\n');
      const lines = events.map((line) => JSON.parse(line) as { readonly at: number; readonly kind: string });
      const desktop = lines.find((line) => line.kind === 'desktop')?.at ?? assert.fail('no desktop');
      // To the millisecond that is given, the desktop had not been drawn on: black but for the pointer.
      const at = String(Math.ceil(desktop / 1000) / 1000);
      const first = await lastPicture(await exported(id, 'png', '--at', at), WIDTH, HEIGHT);
      assert.ok(sameShare(first, picture, 32) < 0.75, 'the picture of another moment is another');

      const video = await exported(id, 'mp4');
      assert.equal(statSync(video).mode & 0o777, 0o600);
      const json = ['-v', 'error', '-of', 'json', '-show_streams', '-show_format'];
      const { streams, format } = JSON.parse((await runOk('ffprobe', [...json, video])).text) as {
        readonly streams: readonly Readonly<Record<string, unknown>>[];
        readonly format: { readonly duration: string };
      };
      const { codec_name, width, height } = streams[0] ?? {};
      assert.deepEqual([codec_name, width, height], ['h264', WIDTH + 1, HEIGHT + 1]);
      const duration = Number(format.duration);
      assert.ok(
        duration >= seconds[0] && duration <= seconds[1],
        `${duration} s, not ${seconds.join(' to ')}`,
      );
      const lastAt = (lines.at(-1)?.at ?? 0) / 1_000_000;
      // The last picture comes 80 ms after the one before, if not at the next 40, and stands for 40.
      assert.ok(Math.abs(duration - lastAt) <= 0.12, `${duration} s of ${lastAt}`);
      const end = await lastPicture(video, WIDTH + 1, HEIGHT + 1);
      // The video keeps the colours of four pixels as one, which blurs text on coloured ground.
      const near = sameShare(picture, end, 32);
      assert.ok(near > 0.9, `${(near * 100).toFixed(2)} % of the video's last picture are near the PNG`);

      const summary = await bed.gateway.json<Record<string, unknown>>(['recordings', 'show', id]);
      assert.equal(summary['resolution'], `${WIDTH}x${HEIGHT}`);
      // Milliseconds; the recording goes on a little after its last event.
      assert.ok(
        Number(summary['duration']) >= Math.floor(lastAt * 1000),
        `${summary['duration']} ms of ${lastAt} s`,
      );
    },
  );
}

gatewayTest('a desktop is not played in a terminal, and each kind of session names its formats', async () => {
  const { id } = await desktopSession(32);
  const played = await recordings('play', id);
  assert.equal(played.code, 1);
  assert.match(played.stderr, /is a desktop.*recordings export \S+ --format mp4 --output/);
  const cast = await recordings('export', id, '--format', 'cast');
  assert.equal(cast.code, 1);
  assert.match(cast.stderr, /is a desktop, which becomes mp4, png, jsonl, not cast/);
  for (const [option, said] of [
    [['mp4', '--at', '1'], /--at: only a picture is of one moment/],
    [['png', '--at', '1:2:3:4'], /--at: 1:2:3:4 is no time, give it as 83\.5, 1:23 or 00:01:23/],
    [['png', '--at', '10:00:00'], /the recording ends .* after its start, before 36000\.000 s/],
    [['mp4', '--channel', '0'], /--channel: a desktop has none/],
    [['jsonl', '--channel', '0'], /--channel: a desktop has none/],
    [['webm'], /webm is none of cast, txt, jsonl, mp4, png/],
  ] as const) {
    const refused = await recordings('export', id, '--format', ...option);
    assert.deepEqual([refused.code, refused.text], [1, '']);
    assert.match(refused.stderr, said);
  }

  const file = join(bed.ssh.folder, 'in-terminal.mp4');
  const { gateway } = bed;
  const args = [
    'recordings',
    'export',
    id,
    '--format',
    'mp4',
    '--output',
    file,
    '--config',
    gateway.configFile,
  ];
  // Long enough for a bar on any machine: its first picture is taken late.
  const late = join(bed.ssh.folder, 'late-ffmpeg');
  writeFileSync(late, '#!/bin/sh\nsleep 1\nexec ffmpeg "$@"\n', { mode: 0o755 });
  const script = join(import.meta.dirname, '../../bin/sallyport.js');
  const terminal = openTerminal(process.execPath, [script, ...args], { env: { FFMPEG_PATH: late } });
  assert.equal(await terminal.ended, 0);
  assert.match(terminal.screen.toString(), /\[#*\.*\] +\d+ % {2}\d:\d\d of \d:\d\d.*\r.*in-terminal\.mp4: /s);

  assert.equal((await ssh(bed.ssh.door, ['target', 'echo in'])).text, 'in\n');
  const [shell] = await bed.gateway.json<{ readonly id: string }[]>(['recordings', 'ls']);
  const refused = await recordings('export', shell?.id ?? '', '--format', 'mp4', '--output', file);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /no channel of the session had a terminal.*: export .*txt, cast.*jsonl/);
});
