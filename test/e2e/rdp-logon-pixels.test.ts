/** The logon screen on real clients: pixel by pixel what was drawn, however it was compressed on the way. */
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { LogonScreen } from '../../gateway/rdp/screen/logon-screen.ts';
import { type RdpClient, rdesktop, xfreerdp } from '../support/freerdp.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { type Display, type Picture, screenshot, startDisplay } from '../support/x11.ts';

const NEEDS = ['freerdp2-x11', 'rdesktop', 'xvfb', 'xauth', 'xdotool'] as const;
const HEIGHT = 479;
let gateway: Gateway;
let display: Display;
let client: RdpClient | undefined;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [gateway, display] = await Promise.all([
    startGateway({
      document: { users: [{ name: 'alice', password: 'Correct-horse-7', role: 'requester' }] },
    }),
    startDisplay(644, HEIGHT),
  ]);
});
afterEach(async () => {
  await client?.stop();
  client = undefined;
});
after(async () => {
  await gateway?.stop();
  await display?.stop();
});

/** What the gateway draws for someone whose password was wrong, 0xRRGGBB. */
function drawn(width: number, height: number): Uint32Array {
  const screen = new LogonScreen({ width, height, keyboardLayout: 0x409, banner: '' });
  screen.show({
    kind: 'log-on',
    user: 'alice',
    error: 'The user name, the password or the code is wrong.',
  });
  const pixels = new Uint32Array(width * height);
  for (const dirty of screen.takeDirty())
    for (let y = 0; y < dirty.height; y += 1)
      pixels.set(
        dirty.pixels.subarray(y * dirty.width, (y + 1) * dirty.width),
        (dirty.y + y) * width + dirty.x,
      );
  return pixels;
}

/** How far a channel of a client's picture may be from what was drawn: what the depth costs it. */
const TOLERANCE: Readonly<Record<number, number>> = { 8: 63, 15: 7, 16: 7, 24: 0, 32: 0 };

function farthest({ rgb }: Picture, pixels: Uint32Array): number {
  return pixels.reduce(
    (most, pixel, at) =>
      Math.max(
        most,
        ...[16, 8, 0].map((shift, n) => Math.abs((rgb[3 * at + n] ?? 0) - ((pixel >> shift) & 0xff))),
      ),
    0,
  );
}

for (const [program, start, width] of [
  ['xfreerdp', xfreerdp, 641],
  // It takes multiples of four only.
  ['rdesktop', rdesktop, 644],
] as const)
  for (const bpp of [8, 15, 16, 24, 32] as const)
    testWith(NEEDS, `${program} at ${bpp} bits shows what was drawn`, async () => {
      const size = `${width}x${HEIGHT}`;
      client = start({ port: gateway.rdpPort, user: 'alice', password: 'wrong', display, bpp, size });
      const window = await client.window();
      const expected = drawn(width, HEIGHT);
      let far = 255;
      await until(
        'the picture',
        async () => {
          const picture = await screenshot(display, window);
          far = picture.width === width ? farthest(picture, expected) : 255;
          return far <= (TOLERANCE[bpp] ?? 0) ? true : undefined;
        },
        10_000,
      ).catch((error: Error) => assert.fail(`${error.message}: ${far} off`));
    });
