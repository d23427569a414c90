/**
 * A recording shows what the person's client showed, pixel by pixel: text, a photo, scrolling and a moving
 * window on real desktops, pictures exported of the very moments at which the client was looked at.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, type TestContext } from 'node:test';
import { Evidence } from '../support/evidence.ts';
import { type RdpClient, type Shadow, startShadow, xfreerdp } from '../support/freerdp.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { type Moment, Moments, timesOf } from '../support/moments.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { percent, sameShare } from '../support/picture.ts';
import { until } from '../support/process.ts';
import { type Scene, showScene } from '../support/scene.ts';
import { temporaryFolder } from '../support/temp.ts';
import {
  colours,
  type Display,
  type Picture,
  readPicture,
  startDisplay,
  type XServer,
} from '../support/x11.ts';
import { startXrdp, type Xrdp } from '../support/xrdp.ts';

const NEEDS = [
  ...(['xrdp', 'xorgxrdp', 'freerdp2-x11', 'freerdp2-shadow-x11', 'winpr-utils', 'ffmpeg'] as const),
  ...(['xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm', 'imagemagick'] as const),
] as const;
const PASSWORD = 'Correct-horse-7';
const TARGET_PASSWORD = 'Target-only-9';

let xrdp: Xrdp;
let shadow: Shadow;
let gateway: Gateway;
let evidence: Evidence;
let display: Display;
let client: RdpClient | undefined;
let scene: Scene | undefined;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [xrdp, shadow, display] = await Promise.all([
    startXrdp(),
    startShadow({ user: 'operator', password: TARGET_PASSWORD }),
    startDisplay(800, 600),
  ]);
  const { host, port, fingerprint, account } = xrdp;
  gateway = await startGateway({
    document: {
      users: [{ name: 'alice', password: PASSWORD, role: 'requester' }],
      systems: [
        { name: 'xrdp', protocol: 'rdp', host, port, certificate: fingerprint },
        { name: 'shadow', protocol: 'rdp', host, port: shadow.port, certificate: shadow.fingerprint },
      ],
      accounts: [
        { name: account.name, system: 'xrdp', password: account.password },
        { name: 'operator', system: 'shadow', password: TARGET_PASSWORD },
      ],
      policies: [{ name: 'desktops', users: ['alice'], accounts: ['*'], allow: ['desktop'], record: true }],
    },
  });
  evidence = await Evidence.of(gateway);
});
afterEach(async () => {
  await scene?.stop();
  scene = undefined;
  await client?.stop();
  client = undefined;
  await xrdp?.endSessions();
});
after(async () => {
  await evidence?.close();
  await gateway?.stop();
  await Promise.all([xrdp?.stop(), shadow?.stop(), display?.stop()]);
});

const SERVERS = {
  xrdp: {
    account: () => xrdp.account.name,
    async desktop(): Promise<XServer> {
      await xrdp.ready();
      return xrdp.desktop();
    },
  },
  shadow: { account: () => 'operator', desktop: async () => shadow.display },
} as const;

/** Lets everything happen that a desktop shows, and looks at the client in between. */
async function watch(moments: Moments, { scrolling, moving, closeMoving }: Scene): Promise<void> {
  await moments.take('text and a photo');
  scrolling.resume();
  await moments.change();
  scrolling.pause();
  await moments.take('text while it scrolls');
  moving.resume();
  await moments.change();
  moving.pause();
  await moments.take('a window while it moves');
  scrolling.resume();
  moving.resume();
  await moments.change();
  scrolling.pause();
  moving.pause();
  await moments.take('both together');
  await closeMoving();
  await moments.change();
  await moments.take('what was behind the window');
}

async function exported(id: string, format: string, ...more: string[]): Promise<string> {
  const args = ['recordings', 'export', id, '--format', format, ...more];
  const result = await gateway.sallyport(args, { timeoutMs: 120_000 });
  assert.equal(result.code, 0, result.stderr);
  return result.text;
}

/** A picture of 16 bits in this client's colours: its rule for 6 bits of green on 8 is its own, up to 4 of 255 off. */
function greenOfFreerdp(picture: Picture): Picture {
  const rgb = Buffer.from(picture.rgb);
  for (let at = 1; at < rgb.length; at += 3) {
    const green = rgb.readUInt8(at) >> 2;
    rgb[at] = Math.min(255, (green << 2) + (green >> 3));
  }
  return { ...picture, rgb };
}

// freerdp-shadow agrees on 24 bits, and sends 16.
for (const [server, bpp, sent] of [
  ['xrdp', 32, 32],
  ['xrdp', 24, 24],
  ['xrdp', 16, 16],
  ['shadow', 32, 32],
  ['shadow', 24, 16],
  ['shadow', 16, 16],
] as const) {
  const name = `${server} at ${bpp} bits: the recording's pictures are what the client showed`;
  const body = async (context: TestContext): Promise<void> => {
    const { account, desktop } = SERVERS[server];
    client = xfreerdp({
      port: gateway.rdpPort,
      user: `alice+${account()}+${server}`,
      password: PASSWORD,
      display,
      bpp,
      extra: ['/network:lan'],
    });
    const window = await client.window();
    const shown = await desktop();
    scene = await showScene(shown);
    const moments = new Moments({ display, window, desktop: shown });
    await watch(moments, scene);
    const { id } = await evidence.session('alice', 'active');
    await client.stop();
    await until('the session ends, sealed', async () =>
      (await evidence.sessions()).find((row) => row.id === id && row.sealed),
    );

    const times = timesOf(await exported(id, 'jsonl'), moments.taken);
    const file = join(temporaryFolder('pictures'), 'moment.png');
    let last: Moment | undefined;
    for (const [index, moment] of moments.taken.entries()) {
      const at = ((times[index] ?? 0) / 1_000_000).toFixed(6);
      await exported(id, 'png', '--at', at, '--output', file);
      const exact = await readPicture(file);
      const picture = sent === 16 ? greenOfFreerdp(exact) : exact;
      const same = sameShare(moment.shown, picture, 0, moment.pointer);
      context.diagnostic(`${moment.name}: ${percent(same)} of the pixels equal`);
      assert.ok(colours(moment.shown) > 150, `the client showed ${colours(moment.shown)} colours`);
      assert.equal(same, 1, `${moment.name}: ${percent(same)} of the pixels equal`);
      // The measure tells moments apart: the picture is not the one before.
      if (last !== undefined) assert.ok(sameShare(last.shown, picture, 0, last.pointer) < 0.999);
      last = moment;
    }
  };
  testWith(NEEDS, name, body, { timeout: 180_000 });
}
