/** NLA at the front, and launch files: real clients log on with them, and each is refused where it must be. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { after, afterEach, before } from 'node:test';
import { TOTP } from 'otpauth';
import { Evidence } from '../support/evidence.ts';
import {
  type ClientOptions,
  exitWord,
  type RdpClient,
  runXfreerdp,
  xfreerdp,
  xfreerdpFile,
} from '../support/freerdp.ts';
import { type ApplyDocument, type Gateway, startGateway } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { freePort, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';
import { colours, type Display, keyPress, screenshot, startDisplay, typeText } from '../support/x11.ts';
import { startXrdp, type Xrdp } from '../support/xrdp.ts';

const NEEDS = ['xrdp', 'xorgxrdp', 'freerdp2-x11', 'xvfb', 'xauth', 'xdotool', 'xterm'] as const;
const PASSWORD = 'Correct-horse-7 é';
const TOTP_SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
const folder = temporaryFolder('launch');
let xrdp: Xrdp;
let gateway: Gateway;
let evidence: Evidence;
let display: Display;
let client: RdpClient | undefined;
let files = 0;

function applied(): ApplyDocument {
  const { name: account, password } = xrdp.account;
  return {
    users: [
      { name: 'alice', password: PASSWORD, nla: true },
      { name: 'coded', password: PASSWORD, nla: true, totp: TOTP_SECRET },
      { name: 'plain', password: PASSWORD },
      { name: 'outsider', password: PASSWORD },
    ],
    systems: [
      { name: 'win01', protocol: 'rdp', host: xrdp.host, port: xrdp.port, certificate: xrdp.fingerprint },
      { name: 'win02', protocol: 'rdp', host: xrdp.host, port: xrdp.port, certificate: xrdp.fingerprint },
    ],
    accounts: ['win01', 'win02'].map((system) => ({ name: account, system, password })),
    policies: [{ name: 'desktops', users: ['alice', 'coded', 'plain'], accounts: ['*'], allow: ['desktop'] }],
  };
}

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [xrdp, display] = await Promise.all([startXrdp(), startDisplay(1024, 768)]);
  gateway = await startGateway({
    document: applied(),
  });
  evidence = await Evidence.of(gateway);
});
afterEach(async () => {
  await client?.stop();
  client = undefined;
  await xrdp?.endSessions();
});
after(async () => {
  await evidence?.close();
  await gateway?.stop();
  await Promise.all([xrdp?.stop(), display?.stop()]);
});

const loginOf = (user: string, system = 'win01'): string => `${user}+${xrdp.account.name}+${system}`;

function withNla(user: string, password: string, more: Partial<ClientOptions> = {}): ClientOptions {
  const extra = ['/sec:nla', ...(more.extra ?? [])];
  return { port: gateway.rdpPort, user: loginOf(user), password, display, ...more, extra };
}

/** What is typed reaches the target's shell. */
async function typesIntoTarget(window: string, name: string): Promise<void> {
  await xrdp.ready();
  const file = join(xrdp.account.home, name);
  await typeText(display, window, `echo $((6*7)) > ${file}\n`);
  await until('the file that was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') !== '' ? true : undefined,
  );
  assert.equal(readFileSync(file, 'utf8'), '42\n');
}

async function ended(id: string): Promise<string> {
  const row = await until('the session ends, sealed', async () =>
    (await evidence.sessions()).find((each) => each.id === id && each.sealed),
  );
  return row.endCode ?? '';
}

/** A launch file for `user`, with the words that the command says. */
async function launch(
  user: string,
  ...more: string[]
): Promise<{ file: string; credential: string; text: string }> {
  files += 1;
  const file = join(folder, `${files}.rdp`);
  const target = `${xrdp.account.name}@win01`;
  const { code, text } = await gateway.sallyport(['launch', user, target, '--output', file, ...more]);
  assert.equal(code, 0, text);
  const credential = /launch-[0-9a-f]{32}/.exec(
    more.includes('--nla') ? text : readFileSync(file, 'utf16le'),
  )?.[0];
  assert.ok(credential !== undefined);
  return { file, credential, text };
}

for (const bpp of [32, 24, 16] as const)
  testWith(
    NEEDS,
    `a client that insists on NLA logs on with the password of its user, ${bpp} bpp`,
    async () => {
      client = xfreerdp(withNla('alice', PASSWORD, { bpp }));
      await typesIntoTarget(await client.window(), `nla-${bpp}`);
      const { id } = await evidence.session('alice', 'active');
      await client.stop();
      assert.equal(await ended(id), 'client-closed');
      assert.match(await evidence.keystrokes(id), new RegExp(`echo \\$\\(\\(6\\*7\\)\\) > .*nla-${bpp}`));
    },
  );

testWith(NEEDS, 'with NLA too, a second factor is asked for where the user has one', async () => {
  client = xfreerdp(withNla('coded', PASSWORD));
  const window = await client.window();
  await until('a picture', async () => (colours(await screenshot(display)) > 8 ? true : undefined));
  assert.equal((await evidence.sessions()).filter(({ user }) => user === 'coded').length, 0);
  // One that is wrong is asked for again, not the password.
  await typeText(display, window, '000000');
  await keyPress(display, window, 'Return');
  await evidence.event(
    'user.login.failed',
    ({ actor, detail }) => actor === 'coded' && detail['factor'] === 'one-time code',
  );
  await typeText(display, window, new TOTP({ secret: TOTP_SECRET }).generate());
  await keyPress(display, window, 'Return');
  await typesIntoTarget(window, 'nla-coded');
});

testWith(NEEDS, 'NLA with a wrong password fails in the words of the client', async () => {
  const { code, text } = await runXfreerdp(withNla('alice', 'wrong'));
  assert.equal(exitWord(code ?? -1), 'log-on failed', text);
  const failed = await evidence.event('user.login.failed', ({ actor }) => actor === 'alice');
  assert.equal(failed.detail['factor'], 'nla');
});

testWith(NEEDS, 'where NLA is preferred, people who cannot fail like a wrong password', async () => {
  const strict = await startGateway({ config: { rdp: { nla: 'preferred' } }, document: applied() });
  try {
    for (const [user, password] of [
      ['alice', 'wrong'],
      ['nobody', PASSWORD],
      ['plain', PASSWORD],
    ] as const) {
      const options = { port: strict.rdpPort, user: loginOf(user), password, display };
      const { code, text } = await runXfreerdp(options);
      assert.equal(exitWord(code ?? -1), 'log-on failed', `${user}: ${text}`);
    }
    const options = { port: strict.rdpPort, user: loginOf('alice'), password: PASSWORD, display };
    client = xfreerdp(options);
    await typesIntoTarget(await client.window(), 'nla-preferred');
  } finally {
    await client?.stop();
    await strict.stop();
  }
});

testWith(
  NEEDS,
  'a launch file opens the desktop once, without asking, and says nothing of itself in plain text',
  async () => {
    const { file, credential, text } = await launch('plain');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(text, /signed by.*tls\.crt/);
    const tap = await startTap(gateway.rdpPort);
    try {
      client = xfreerdpFile(file, display, [`/v:127.0.0.1:${tap.port}`]);
      await typesIntoTarget(await client.window(), 'launched');
      const { id } = await evidence.session('plain', 'active');
      await client.stop();
      assert.equal(await ended(id), 'client-closed');
    } finally {
      tap.close();
    }
    assert.ok(tap.taken().includes('plain+'), 'the tap has seen the first PDU');
    assert.ok(!tap.taken().includes(credential.slice(7)), 'the credential in plain text');
    const { method } = (await evidence.event('user.login.succeeded', ({ actor }) => actor === 'plain'))
      .detail;
    assert.equal(method, 'launch');
    await refusedOnScreen(file, 'was used before');
  },
);

testWith(NEEDS, 'a launch credential is a password for NLA, too', async () => {
  const { file, credential } = await launch('plain', '--nla');
  assert.ok(!readFileSync(file, 'utf16le').includes(credential), 'the file holds the password');
  client = xfreerdpFile(file, display, [`/p:${credential}`]);
  await typesIntoTarget(await client.window(), 'launched-nla');
  await client.stop();
  // Another is open: NLA is made, and finds that this one is not.
  await launch('plain', '--nla');
  const again = await runXfreerdp(withNla('plain', credential));
  assert.equal(exitWord(again.code ?? -1), 'log-on failed');
});

testWith(NEEDS, 'an expired launch file says so', async () => {
  const { file } = await launch('plain', '--valid', '1s');
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await refusedOnScreen(file, 'has expired');
});

testWith(
  NEEDS,
  'a stolen launch file opens nothing: elsewhere, as another person, for another target',
  async () => {
    const elsewhere = await launch('plain', '--from', '10.9.0.0/16');
    await refusedOnScreen(elsewhere.file, 'does not open from 127.0.0.1');
    const { file } = await launch('plain');
    await refusedOnScreen(file, 'is for another person or target', [`/u:${loginOf('alice')}`]);
    await refusedOnScreen(file, 'is for another person or target', [`/u:${loginOf('plain', 'win02')}`]);
    const stolen = await launch('plain', '--nla');
    const { code } = await runXfreerdp(withNla('alice', stolen.credential));
    assert.equal(exitWord(code ?? -1), 'log-on failed');
    // Nobody but its owner has used it up.
    client = xfreerdpFile(stolen.file, display, [`/p:${stolen.credential}`]);
    await typesIntoTarget(await client.window(), 'not-stolen');
  },
);

testWith(NEEDS, 'launch says what is wrong', async () => {
  const target = `${xrdp.account.name}@win01`;
  const cases: readonly [args: string[], words: RegExp][] = [
    [['outsider', target], /outsider may not open it: /],
    [['nobody', target], /there is no user nobody/],
    [['plain', 'nobody@win01'], /there is no account nobody on a system win01/],
    [['plain', 'win01'], /wants account@system/],
    [['plain', target, '--valid', 'soon'], /wants a duration/],
    [['plain', target, '--from', 'home'], /wants an address/],
    [['plain', target, '--output', '/nowhere/x.rdp'], /cannot be written/],
    [['plain', target, '--output', '-', '--nla'], /--nla: name a file/],
  ];
  for (const [args, words] of cases) {
    const { code, stderr } = await gateway.sallyport(['launch', ...args]);
    assert.equal(code, 1);
    assert.match(stderr, words);
  }
});

/** The client is shown the logon screen instead of the desktop; the audit log says why. */
async function refusedOnScreen(file: string, why: string, extra: readonly string[] = []): Promise<void> {
  const sessions = (await evidence.sessions()).length;
  const refused = async () =>
    (await evidence.audit('user.login.failed')).filter(({ detail }) => String(detail['reason']).includes(why))
      .length;
  const before = await refused();
  client = xfreerdpFile(file, display, extra);
  await client.window();
  await until('a picture', async () => (colours(await screenshot(display)) > 8 ? true : undefined));
  await until('the refusal', async () => ((await refused()) > before ? true : undefined));
  assert.equal((await evidence.sessions()).length, sessions);
  await client.stop();
  client = undefined;
}

interface Tap {
  readonly port: number;
  /** What clients have sent before TLS. */
  taken(): string;
  close(): void;
}

/** Passes connections on to `port`, and keeps what is sent in plain text. */
async function startTap(port: number): Promise<Tap> {
  let plain = '';
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const there = connect(port, '127.0.0.1');
    let secure = false;
    client.on('data', (bytes: Buffer) => {
      // A TLS record begins with 22 (handshake).
      secure ||= bytes[0] === 22;
      if (!secure) plain += bytes.toString('latin1');
    });
    sockets.add(client).add(there);
    // Both sides end however one ends: a pipe alone would keep the other when it is reset.
    pipeline(client, there, client, () => {});
  });
  const listening = await freePort();
  await new Promise<void>((resolve) => server.listen(listening, '127.0.0.1', resolve));
  return {
    port: listening,
    taken: () => plain,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
