/**
 * Makes the fixtures of test/fixtures/rdp anew, from real clients and servers of this machine:
 *
 *   node test/support/rdp-capture.ts [WORD…]   only traces whose name contains one of the words
 *
 * Beside the packages of the tests it needs x11-xserver-utils (xrandr divides a display into monitors).
 */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ClientOptions,
  type RdpClient,
  rdesktop,
  type ShadowOptions,
  startShadow,
  xfreerdp,
} from './freerdp.ts';
import type { Package } from './packages.ts';
import { run, runOk, startDaemon, until } from './process.ts';
import { type SpyConnection, startSpy } from './rdp-spy.ts';
import { encodeScreen, encodeTrace, type TraceInfo } from './rdp-traces.ts';
import { temporaryFolder } from './temp.ts';
import { click, type Display, type Picture, screenshot, startDisplay, typeText } from './x11.ts';
import { startXrdp, TERMINAL, type Xrdp, type XrdpOptions } from './xrdp.ts';

const FOLDER = join(import.meta.dirname, '../fixtures/rdp');
const PASSWORD = 'Shadow-Password-1';
const SIZE_LIMIT = 150_000;
const words = process.argv.slice(2);
const wanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));

/** A desktop with text, lines, areas and a photograph-like picture, the terminal beside them. */
const SCENERY = [
  'xlogo -geometry 120x120+510+0 &',
  'xclock -geometry 120x120+510+140 -update 86400 &',
  'convert -size 150x110 -seed 7 plasma:orange-navy /tmp/plasma-$$.png',
  'display -geometry +480+280 /tmp/plasma-$$.png &',
  'xcalc -geometry 160x150+300+325 &',
  ...TERMINAL,
];

/** A client at work on a server behind a spy. */
interface Scene {
  readonly name: string;
  readonly display: Display;
  readonly client: RdpClient;
  readonly connection: () => SpyConnection;
  readonly window: string;
}

/** Waits until nothing was sent for a second; then the client has painted it, and is photographed. */
async function settled(scene: Scene): Promise<{ picture: Picture; screenAfter: number }> {
  const count = (): number => scene.connection().messages.length;
  for (;;) {
    const before = count();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (count() !== before) continue;
    const picture = await screenshot(scene.display, scene.window);
    if (count() === before) return { picture, screenAfter: before };
  }
}

const CLIENT_PACKAGES = { xfreerdp: 'freerdp2-x11', rdesktop: 'rdesktop' } as const;

/** `program 1.2.3`, by the version of the package that it is from. */
async function programVersion(program: string, name: Package): Promise<string> {
  const { text } = await runOk('dpkg', ['-s', name]);
  return `${program} ${/^Version: ([\d.]+)/m.exec(text)?.[1]}`;
}

interface Capture {
  readonly name: string;
  readonly program?: 'xfreerdp' | 'rdesktop';
  readonly bpp?: NonNullable<ClientOptions['bpp']>;
  readonly size?: string;
  readonly extra?: readonly string[];
  /** Monitors that the display is divided into, as xrandr's --setmonitor spells them. */
  readonly monitors?: readonly string[];
  /** What the person does; by default types a command. */
  readonly act?: (scene: Scene, account: { readonly home: string }) => Promise<void>;
  /** A picture is taken once it is quiet; default true. */
  readonly picture?: boolean;
  /** Password that the client is given instead of the right one. */
  readonly wrongPassword?: string;
}

interface Server {
  readonly port: number;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly fingerprint: string;
  readonly user: string;
  readonly password: string;
  readonly home: string;
  readonly text: string;
  /** Waits until what the session shows can be typed into. */
  ready(): Promise<void>;
  /** Ends the session from the server's side, or has the person end it; false: the client is closed. */
  end(scene: Scene): Promise<boolean>;
}

async function capture(server: Server, options: Capture): Promise<void> {
  const { name, program = 'xfreerdp', size = '640x480', bpp = 32, extra = [] } = options;
  const [width = 640, height = 480] = size.split('x').map(Number);
  const display = await startDisplay(width, height);
  for (const [index, geometry] of (options.monitors ?? []).entries()) {
    // The first takes the place of the monitor that the display has by itself.
    const args = ['--setmonitor', `monitor${index}`, geometry, index === 0 ? 'screen' : 'none'];
    await runOk('xrandr', args, { env: display.env });
  }
  const spy = await startSpy(server);
  const password = options.wrongPassword ?? server.password;
  const start = program === 'xfreerdp' ? xfreerdp : rdesktop;
  const client = start({ port: spy.port, user: server.user, password, display, size, bpp, extra });
  const connection = (): SpyConnection => {
    const last = spy.connections.at(-1);
    if (last === undefined) throw new Error(`${name}: the client did not connect`);
    return last;
  };
  let seen: { picture: Picture; screenAfter: number } | undefined;
  if (options.wrongPassword === undefined) {
    const scene: Scene = { name, display, client, connection, window: await client.window() };
    await server.ready();
    await (options.act ?? typeCommand)(scene, server);
    if (options.picture ?? true) seen = await settled(scene);
    if (!(await server.end(scene))) await client.stop();
  }
  await client.exited;
  await connection().ended;
  await spy.stop();
  await display.stop();

  const key = new X509Certificate(readFileSync(server.certificateFile)).publicKey;
  const info: TraceInfo = {
    client: [await programVersion(program, CLIENT_PACKAGES[program]), ...extra].join(' '),
    server: server.text,
    user: server.user,
    password,
    width,
    height,
    bpp,
    fingerprint: server.fingerprint,
    publicKey: key.export({ type: 'spki', format: 'der' }).toString('base64'),
    ...(seen === undefined ? {} : { screenAfter: seen.screenAfter }),
  };
  let messages = [...connection().messages];
  let file = encodeTrace(info, messages);
  while (file.length > SIZE_LIMIT) {
    messages = messages.slice(0, Math.floor(messages.length * 0.9));
    const { screenAfter = 0, ...rest } = info;
    if (screenAfter > messages.length) seen = undefined;
    file = encodeTrace({ ...(seen === undefined ? rest : info), cut: true }, messages);
  }
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${name}.trace.zst`), file);
  if (seen !== undefined) writeFileSync(join(FOLDER, `${name}.screen.zst`), encodeScreen(seen.picture));
  process.stdout.write(`${name}: ${messages.length} messages, ${file.length} bytes\n`);
}

/** Types a command into the terminal, and waits for what it does. */
async function typeAndWait(scene: Scene, command: string, file: string): Promise<string> {
  await typeText(scene.display, scene.window, `${command}\n`);
  const read = (): string | undefined => {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return text.endsWith('\n') ? text : undefined;
  };
  return until(`${scene.name}: ${command}`, read, 20_000);
}

async function typeCommand(scene: Scene, account: { readonly home: string }): Promise<void> {
  await click(scene.display, scene.window, 100, 100);
  const file = join(account.home, `typed-${scene.name}`);
  await typeAndWait(scene, `seq 1 200; echo Typed $((6*7)) | tee ~/typed-${scene.name}`, file);
}

async function xrdpServer(options: XrdpOptions, text: string): Promise<{ xrdp: Xrdp; server: Server }> {
  const xrdp = await startXrdp(options);
  const server: Server = {
    ...xrdp,
    user: xrdp.account.name,
    password: xrdp.account.password,
    home: xrdp.account.home,
    text,
    ready: () => xrdp.ready(),
    async end(scene) {
      await typeText(scene.display, scene.window, 'exit\n');
      await scene.client.exited;
      await xrdp.endSessions();
      return true;
    },
  };
  return { xrdp, server };
}

const PLAIN = ['/sec:tls', '-compression'];
const DRIVE = temporaryFolder('drive');

/** Text both ways over the clipboard. */
async function useClipboard(scene: Scene, account: { readonly home: string }): Promise<void> {
  const { env } = scene.display;
  const copied = join(DRIVE, 'copied.txt');
  writeFileSync(copied, 'copied at the client\n');
  // Who copied must stay to be asked for it.
  const owner = startDaemon('xclip', ['-quiet', '-selection', 'clipboard', '-i', copied], { env });
  const pasted = join(account.home, 'pasted');
  const text = await typeAndWait(scene, 'xclip -selection clipboard -o > ~/pasted', pasted);
  // The clipboard of RDP ends lines with CR LF.
  if (text.trim() !== 'copied at the client') throw new Error(`pasted ${text}`);
  await typeText(scene.display, scene.window, 'echo copied in the session | xclip -selection clipboard -i\n');
  await until('the clipboard of the client', async () => {
    const got = await run('xclip', ['-selection', 'clipboard', '-o'], { env });
    return got.text.trim() === 'copied in the session' ? true : undefined;
  });
  await owner.stop();
}

/** Makes the client's window smaller: the server deactivates and activates the session anew. */
async function resize(scene: Scene, account: { readonly home: string }): Promise<void> {
  // The Confirm Active PDU names its sender.
  const activations = (): number =>
    scene.connection().messages.filter((each) => each.from === 'client' && each.bytes.includes('FREERDP'))
      .length;
  const before = activations();
  await runOk('xdotool', ['windowsize', scene.window, '560', '400'], { env: scene.display.env });
  await until('the new size', () => (activations() > before ? true : undefined));
  await typeCommand(scene, account);
}

/** Files both ways over a drive of the client. */
async function useDrive(scene: Scene, account: { readonly home: string }): Promise<void> {
  writeFileSync(join(DRIVE, 'hello.txt'), 'hello from the drive\n');
  const shared = '~/thinclient_drives/share';
  await typeAndWait(scene, `cat ${shared}/hello.txt > ~/fetched`, join(account.home, 'fetched'));
  await typeAndWait(scene, `echo sent back > ${shared}/back.txt`, join(DRIVE, 'back.txt'));
  await typeAndWait(scene, `ls -l ${shared} > ~/listed`, join(account.home, 'listed'));
}

const XRDP: readonly Capture[] = [
  // xrdp sends 8 bpp clients a colour table that they did not ask for, as a drawing order.
  { name: 'xrdp-8', bpp: 8, extra: [...PLAIN, '/relax-order-checks'] },
  ...([15, 16, 24, 32] as const).map((bpp) => ({ name: `xrdp-${bpp}`, bpp, extra: PLAIN })),
  { name: 'xrdp-rfx', extra: [...PLAIN, '/rfx'] },
  { name: 'xrdp-resize', extra: [...PLAIN, '/dynamic-resolution'], act: resize },
  {
    name: 'xrdp-monitors',
    size: '1280x480',
    monitors: ['640/170x480/127+0+0', '640/170x480/127+640+0'],
    extra: [...PLAIN, '/multimon'],
  },
  {
    name: 'xrdp-shell',
    extra: [
      ...[...PLAIN, '/d:EXAMPLE', '/shell-dir:/var'],
      "/shell:sh -c 'exec xterm -geometry 78x24+0+0 -e bash --rcfile ~/.session'",
    ],
  },
  { name: 'xrdp-32-bulk', extra: ['/sec:tls', '+compression'] },
  // FreeRDP withholds its drives until the server says that the user is logged on: xrdp never does.
  { name: 'xrdp-clipboard', extra: [...PLAIN, '+clipboard', `/drive:share,${DRIVE}`], act: useClipboard },
  {
    name: 'rdesktop-xrdp-drive',
    program: 'rdesktop',
    bpp: 16,
    extra: ['-r', `disk:share=${DRIVE}`, '-r', 'clipboard:off'],
    act: useDrive,
  },
  ...([8, 16, 24] as const).map((bpp) => ({
    name: `rdesktop-xrdp-${bpp}`,
    program: 'rdesktop' as const,
    bpp,
  })),
];

const SHADOW_LAN = ['/network:lan', '-compression'];
const SHADOW_TLS: readonly Capture[] = [
  { name: 'shadow-tls-32', extra: [...SHADOW_LAN, '/sec:tls'] },
  { name: 'shadow-tls-16', bpp: 16, extra: [...SHADOW_LAN, '/sec:tls'] },
  { name: 'shadow-tls-avc', extra: ['/sec:tls', '/gfx:AVC444'], picture: false },
  { name: 'shadow-tls-gfx', extra: ['/sec:tls', '/gfx:RFX'], picture: false },
];
const SHADOW_NLA: readonly Capture[] = [
  { name: 'shadow-nla', extra: [...SHADOW_LAN, '/sec:nla'] },
  { name: 'shadow-nla-wrong', extra: [...SHADOW_LAN, '/sec:nla'], wrongPassword: 'Shadow-Password-2' },
];

async function shadowCaptures(captures: readonly Capture[], options: Partial<ShadowOptions>): Promise<void> {
  for (const each of captures.filter(({ name }) => wanted(name))) {
    const version = await programVersion('freerdp-shadow', 'freerdp2-shadow-x11');
    const shadow = await startShadow({ user: 'shadow', password: PASSWORD, ...options });
    const home = temporaryFolder('shadow-home');
    const server: Server = {
      ...shadow,
      user: 'shadow',
      password: PASSWORD,
      home,
      text: `${version}${options.nla === false ? ' without log-on' : ''}`,
      ready: async () => {},
      end: async () => false,
    };
    const act = async (scene: Scene): Promise<void> => {
      const file = join(home, 'typed');
      await typeAndWait(scene, `seq 1 200; echo Typed $((6*7)) | tee ${file}`, file);
    };
    await capture(server, { ...each, act });
    await shadow.stop();
  }
}

// What the helpers start does not keep this program running.
const alive = setInterval(() => {}, 60_000);
const chosen = XRDP.filter(({ name }) => wanted(name));
if (chosen.length > 0) {
  const { xrdp, server } = await xrdpServer({ startwm: SCENERY }, await programVersion('xrdp', 'xrdp'));
  for (const each of chosen) await capture(server, each);
  await xrdp.stop();
}
await shadowCaptures(SHADOW_TLS, { nla: false });
await shadowCaptures(SHADOW_NLA, {});
clearInterval(alive);
