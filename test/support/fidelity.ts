/**
 * A recording shows what the person's client showed, pixel by pixel: text, a photo, scrolling and a moving
 * window on real desktops, pictures exported of the very moments at which the client was looked at.
 */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { after, afterEach, before, type TestContext } from 'node:test';
import { exportPng } from '../../recorder/index.ts';
import { Evidence } from './evidence.ts';
import { type RdpClient, xfreerdp } from './freerdp.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { type Glimpse, type Mark, type Moment, Moments, sharesOf, timesOf } from './moments.ts';
import { obstacle, type Package, testWith } from './packages.ts';
import { percent, sameShare } from './picture.ts';
import { until } from './process.ts';
import { readRecording } from './recording.ts';
import { type Scene, showScene } from './scene.ts';
import { colours, type Display, type Picture, readPicture, startDisplay, type XServer } from './x11.ts';

const NEEDS = [
  ...(['freerdp2-x11', 'ffmpeg', 'xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm', 'imagemagick'] as const),
] as const;
/** How often the client is looked at while everything moves. */
const GLIMPSES = 5;
const PASSWORD = 'Correct-horse-7';

export interface Target {
  readonly port: number;
  /** `sha256:…` */
  readonly fingerprint: string;
  readonly account: { readonly name: string; readonly password: string };
  /** Resolves with the desktop of the session that was just opened. */
  desktop(): Promise<XServer>;
  endSessions(): Promise<void>;
  stop(): Promise<void>;
}

export interface FidelityOptions {
  /** What the server is called. */
  readonly server: string;
  readonly needs: readonly Package[];
  /** Bits per pixel: what the client asks for, and what the server sends then. */
  readonly depths: readonly (readonly [asked: 16 | 24 | 32, sent: 16 | 24 | 32])[];
  start(): Promise<Target>;
}

/** What was seen while everything moved, and a mark before. */
interface Moved {
  readonly since: Mark;
  readonly glimpses: readonly Glimpse[];
}

/** Lets everything happen that a desktop shows, and looks at the client in between. */
async function watch(moments: Moments, { scrolling, moving, closeMoving }: Scene): Promise<Moved> {
  await moments.take('text and a photo');
  scrolling.resume();
  await moments.change();
  scrolling.pause();
  await moments.take('text while it scrolls');
  moving.resume();
  await moments.change();
  moving.pause();
  const { pointer: since } = await moments.take('a window while it moves');
  scrolling.resume();
  moving.resume();
  await moments.change();
  const glimpses: Glimpse[] = [];
  while (glimpses.length < GLIMPSES) glimpses.push(await moments.glimpse());
  scrolling.pause();
  moving.pause();
  await moments.take('both together');
  await closeMoving();
  await moments.change();
  await moments.take('what was behind the window');
  return { since, glimpses };
}

/** A picture of 16 bits in this client's colours: its rule for 6 bits of green on 8 is its own, up to 4 of 255 off. */
function greenOfFreerdp(picture: Picture): Picture {
  const rgb = Buffer.from(picture.rgb);
  for (let at = 1; at < rgb.length; at += 3) {
    const green = (rgb[at] as number) >> 2;
    rgb[at] = Math.min(255, (green << 2) + (green >> 3));
  }
  return { ...picture, rgb };
}

/** One test for each depth of a server. */
export function fidelityTests({ server, needs, depths, start }: FidelityOptions): void {
  const packages = [...NEEDS, ...needs];
  let target: Target;
  let gateway: Gateway;
  let evidence: Evidence;
  let display: Display;
  let client: RdpClient | undefined;
  let scene: Scene | undefined;

  before(async () => {
    if (obstacle(packages) !== undefined) return;
    [target, display] = await Promise.all([start(), startDisplay(800, 600)]);
    const { port, fingerprint, account } = target;
    gateway = await startGateway({
      document: {
        users: [{ name: 'alice', password: PASSWORD, role: 'requester' }],
        systems: [{ name: 'win01', protocol: 'rdp', host: '127.0.0.1', port, certificate: fingerprint }],
        accounts: [{ name: account.name, system: 'win01', password: account.password }],
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
    await target?.endSessions();
  });
  after(async () => {
    await evidence?.close();
    await gateway?.stop();
    await Promise.all([target?.stop(), display?.stop()]);
  });

  const exported = async (id: string, at: number): Promise<Buffer> => {
    const moment = ['--format', 'png', '--at', (at / 1_000_000).toFixed(6)];
    const result = await gateway.sallyport(['recordings', 'export', id, ...moment], { timeoutMs: 120_000 });
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  };

  for (const [bpp, sent] of depths) {
    const name = `${server} at ${bpp} bits: the recording's pictures are what the client showed`;
    const body = async (context: TestContext): Promise<void> => {
      const user = `alice+${target.account.name}+win01`;
      const extra = ['/network:lan'];
      client = xfreerdp({ port: gateway.rdpPort, user, password: PASSWORD, display, bpp, extra });
      const window = await client.window();
      const desktop = await target.desktop();
      scene = await showScene(desktop);
      const moments = new Moments({ display, window, desktop });
      const { since, glimpses } = await watch(moments, scene);
      const { id } = await evidence.session('alice', 'active');
      await client.stop();
      await evidence.sealed(id);

      const inClient = sent === 16 ? greenOfFreerdp : (picture: Picture): Picture => picture;
      await until('its key frames to be made in the background', () =>
        globSync(`archive/**/${id}.index`, { cwd: gateway.dataDir }).length === 1 ? true : undefined,
      );
      const reader = await readRecording(gateway, id);
      const times = await timesOf(reader, moments.taken);
      let last: Moment | undefined;
      for (const [index, moment] of moments.taken.entries()) {
        // A picture comes in one piece.
        const png = (await exportPng(reader, { at: times[index] ?? 0 }).next()).value;
        assert.ok(png);
        const picture = inClient(await readPicture(png));
        const same = sameShare(moment.shown, picture, 0, moment.pointer);
        context.diagnostic(`${moment.name}: ${percent(same)} of the pixels equal`);
        assert.ok(colours(moment.shown) > 150, `the client showed ${colours(moment.shown)} colours`);
        assert.equal(same, 1, `${moment.name}: ${percent(same)} of the pixels equal`);
        // The measure tells moments apart: the picture is not the one before.
        if (last !== undefined) assert.ok(sameShare(last.shown, picture, 0, last.pointer) < 0.999);
        last = moment;
        if (index === 0)
          assert.ok((await exported(id, times[index] ?? 0)).equals(png), 'the command gives it too');
      }

      const shares = await sharesOf(reader, since, glimpses, inClient);
      await reader.close();
      context.diagnostic(`while everything moves: ${shares.map(percent).join(', ')} of the pixels equal`);
      assert.equal(shares.length, GLIMPSES);
      assert.ok(Math.min(...shares) >= 0.999, `while everything moves: ${shares.map(percent).join(', ')}`);
    };
    testWith(packages, name, body, { timeout: 180_000 });
  }
}
