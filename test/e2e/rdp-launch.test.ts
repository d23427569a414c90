/** NLA at the front, and launch files: real clients log on with them, and each is refused where it must be. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { TOTP } from 'otpauth';
import { type ClientOptions, exitWord, runXfreerdp, xfreerdp, xfreerdpFile } from '../support/freerdp.ts';
import { type ApplyDocument, startGateway } from '../support/gateway.ts';
import { testWith } from '../support/packages.ts';
import { freePort, until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import { temporaryFolder } from '../support/temp.ts';
import { colours, keyPress, screenshot, typeText } from '../support/x11.ts';
import type { Xrdp } from '../support/xrdp.ts';

const NEEDS = ['xrdp', 'xorgxrdp', 'freerdp2-x11', 'xvfb', 'xauth', 'xdotool', 'xterm'] as const;
const PASSWORD = 'Correct-horse-7 é';
const TOTP_SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
const folder = temporaryFolder('launch');
let files = 0;

/** Everything, for a gateway of any kind before `xrdp`. */
function applied({ host, port, account, fingerprint }: Xrdp): Required<ApplyDocument> {
  const systems = ['win01', 'win02'];
  return {
    users: [
      { name: 'alice', password: PASSWORD, nla: true },
      { name: 'coded', password: PASSWORD, nla: true, totp: TOTP_SECRET },
      { name: 'plain', password: PASSWORD },
      { name: 'outsider', password: PASSWORD },
    ],
    systems: systems.map((name) => ({ name, protocol: 'rdp', host, port, certificate: fingerprint })),
    accounts: systems.map((system) => ({ name: account.name, system, password: account.password })),
    policies: [{ name: 'desktops', users: ['alice', 'coded', 'plain'], accounts: ['*'], allow: ['desktop'] }],
  };
}

const bed = useRdpBed(NEEDS, {
  document(xrdp) {
    const { users, systems, accounts, policies } = applied(xrdp);
    // The bed has win01 itself.
    return { users, systems: systems.slice(1), accounts: accounts.slice(1), policies };
  },
});

function withNla(user: string, password: string, more: Pick<ClientOptions, 'bpp'> = {}): ClientOptions {
  return bed.opening({ user: bed.login(user), password, ...more, extra: ['/sec:nla'] });
}

async function ended(id: string): Promise<string> {
  return (await bed.evidence.sealed(id)).endCode ?? '';
}

/** A launch file for `user`, with the words that the command says. */
async function launch(
  user: string,
  ...more: string[]
): Promise<{ file: string; credential: string; text: string }> {
  files += 1;
  const file = join(folder, `${files}.rdp`);
  const target = `${bed.xrdp.account.name}@win01`;
  const { code, text } = await bed.gateway.sallyport(['launch', user, target, '--output', file, ...more]);
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
      const client = bed.keep(xfreerdp(withNla('alice', PASSWORD, { bpp })));
      await bed.typeInto(await client.window(), `nla-${bpp}`);
      const { id } = await bed.evidence.session('alice', 'active');
      await client.stop();
      assert.equal(await ended(id), 'client-closed');
      assert.match(await bed.evidence.keystrokes(id), new RegExp(`echo \\$\\(\\(6\\*7\\)\\) > .*nla-${bpp}`));
    },
  );

testWith(NEEDS, 'with NLA too, a second factor is asked for where the user has one', async () => {
  const client = bed.keep(xfreerdp(withNla('coded', PASSWORD)));
  const window = await client.window();
  await until('a picture', async () => (colours(await screenshot(bed.display)) > 8 ? true : undefined));
  assert.equal((await bed.evidence.sessions()).filter(({ user }) => user === 'coded').length, 0);
  // One that is wrong is asked for again, not the password.
  await typeText(bed.display, window, '000000');
  await keyPress(bed.display, window, 'Return');
  await bed.evidence.event(
    'user.login.failed',
    ({ actor, detail }) => actor === 'coded' && detail['factor'] === 'one-time code',
  );
  await typeText(bed.display, window, new TOTP({ secret: TOTP_SECRET }).generate());
  await keyPress(bed.display, window, 'Return');
  await bed.typeInto(window, 'nla-coded');
});

testWith(NEEDS, 'NLA with a wrong password fails in the words of the client', async () => {
  const { code, text } = await runXfreerdp(withNla('alice', 'wrong'));
  assert.equal(exitWord(code ?? -1), 'log-on failed', text);
  const failed = await bed.evidence.event('user.login.failed', ({ actor }) => actor === 'alice');
  assert.equal(failed.detail['factor'], 'nla');
});

testWith(NEEDS, 'where NLA is preferred, people who cannot fail like a wrong password', async () => {
  const strict = await startGateway({ config: { rdp: { nla: 'preferred' } }, document: applied(bed.xrdp) });
  try {
    for (const [user, password] of [
      ['alice', 'wrong'],
      ['nobody', PASSWORD],
      ['plain', PASSWORD],
    ] as const) {
      const options = bed.opening({ port: strict.rdpPort, user: bed.login(user), password });
      const { code, text } = await runXfreerdp(options);
      assert.equal(exitWord(code ?? -1), 'log-on failed', `${user}: ${text}`);
    }
    const client = bed.open(xfreerdp, { port: strict.rdpPort, password: PASSWORD });
    await bed.typeInto(await client.window(), 'nla-preferred');
    await client.stop();
  } finally {
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
    const tap = await startTap(bed.gateway.rdpPort);
    try {
      const client = bed.keep(xfreerdpFile(file, bed.display, [`/v:127.0.0.1:${tap.port}`]));
      await bed.typeInto(await client.window(), 'launched');
      const { id } = await bed.evidence.session('plain', 'active');
      await client.stop();
      assert.equal(await ended(id), 'client-closed');
    } finally {
      tap.close();
    }
    assert.ok(tap.taken().includes('plain+'), 'the tap has seen the first PDU');
    assert.ok(!tap.taken().includes(credential.slice(7)), 'the credential in plain text');
    const { method } = (await bed.evidence.event('user.login.succeeded', ({ actor }) => actor === 'plain'))
      .detail;
    assert.equal(method, 'launch');
    await refusedOnScreen(file, 'was used before');
  },
);

testWith(NEEDS, 'a launch credential is a password for NLA, too', async () => {
  const { file, credential } = await launch('plain', '--nla');
  assert.ok(!readFileSync(file, 'utf16le').includes(credential), 'the file holds the password');
  const client = bed.keep(xfreerdpFile(file, bed.display, [`/p:${credential}`]));
  await bed.typeInto(await client.window(), 'launched-nla');
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
    // All that was refused above came from this address: by now each of its log-ons has to wait for eight
    // seconds, and FreeRDP waits for its desktop for nine. A new process has counted nothing.
    await bed.gateway.stop();
    await bed.gateway.start();
    const elsewhere = await launch('plain', '--from', '10.9.0.0/16');
    await refusedOnScreen(elsewhere.file, 'does not open from 127.0.0.1');
    const { file } = await launch('plain');
    await refusedOnScreen(file, 'is for another person or target', [`/u:${bed.login('alice')}`]);
    await refusedOnScreen(file, 'is for another person or target', [`/u:${bed.login('plain', 'win02')}`]);
    const stolen = await launch('plain', '--nla');
    const { code } = await runXfreerdp(withNla('alice', stolen.credential));
    assert.equal(exitWord(code ?? -1), 'log-on failed');
    // Nobody but its owner has used it up.
    const client = bed.keep(xfreerdpFile(stolen.file, bed.display, [`/p:${stolen.credential}`]));
    await bed.typeInto(await client.window(), 'not-stolen');
  },
);

testWith(NEEDS, 'launch says what is wrong', async () => {
  const target = `${bed.xrdp.account.name}@win01`;
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
    const { code, stderr } = await bed.gateway.sallyport(['launch', ...args]);
    assert.equal(code, 1);
    assert.match(stderr, words);
  }
});

/** The client is shown the logon screen instead of the desktop; the audit log says why. */
async function refusedOnScreen(file: string, why: string, extra: readonly string[] = []): Promise<void> {
  const sessions = (await bed.evidence.sessions()).length;
  const refused = async () =>
    (await bed.evidence.audit('user.login.failed')).filter(({ detail }) =>
      String(detail['reason']).includes(why),
    ).length;
  const before = await refused();
  const client = bed.keep(xfreerdpFile(file, bed.display, extra));
  await client.window();
  await until('a picture', async () => (colours(await screenshot(bed.display)) > 8 ? true : undefined));
  await until('the refusal', async () => ((await refused()) > before ? true : undefined));
  assert.equal((await bed.evidence.sessions()).length, sessions);
  await client.stop();
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
