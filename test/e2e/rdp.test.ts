/** Real RDP clients through the gateway to real servers, with a credential that the person never sees. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { Evidence } from '../support/evidence.ts';
import {
  type ClientOptions,
  type RdpClient,
  rdesktop,
  type Shadow,
  startShadow,
  xfreerdp,
} from '../support/freerdp.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { startHaproxy } from '../support/peers.ts';
import { freePort, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';
import { type Display, keyPress, startDisplay, typeText } from '../support/x11.ts';
import { startXrdp, type Xrdp } from '../support/xrdp.ts';

const NEEDS = [
  'xrdp',
  'xorgxrdp',
  'freerdp2-x11',
  'freerdp2-shadow-x11',
  'rdesktop',
  'haproxy',
  'xvfb',
  'xauth',
  'xdotool',
  'xterm',
] as const;
const PASSWORD = 'Correct-horse-7';
const TARGET_PASSWORD = 'Target-only-9';
let xrdp: Xrdp;
/** A target that wants NLA; its screen is a display of its own. */
let shadow: Shadow;
let gateway: Gateway;
let evidence: Evidence;
let display: Display;
let client: RdpClient | undefined;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [xrdp, shadow, display] = await Promise.all([
    startXrdp(),
    startShadow({ user: 'operator', password: TARGET_PASSWORD }),
    startDisplay(1024, 768),
  ]);
  gateway = await startGateway({
    config: { listen: { proxyProtocol: { from: ['127.0.0.2/32'] } } },
    document: {
      users: [
        { name: 'alice', password: PASSWORD, role: 'requester' },
        { name: 'masked', password: PASSWORD, role: 'requester' },
      ],
      systems: [
        { name: 'win01', protocol: 'rdp', host: xrdp.host, port: xrdp.port, certificate: xrdp.fingerprint },
        {
          name: 'nla01',
          protocol: 'rdp',
          host: '127.0.0.1',
          port: shadow.port,
          certificate: 'trust-on-first-use',
        },
      ],
      accounts: [
        { name: xrdp.account.name, system: 'win01', password: xrdp.account.password },
        { name: 'operator', system: 'nla01', password: TARGET_PASSWORD },
        { name: 'wrong', system: 'nla01', password: 'not the password' },
      ],
      policies: [
        {
          name: 'desktops',
          users: ['alice'],
          accounts: ['*'],
          allow: ['desktop'],
          record: true,
          keystrokes: true,
        },
        {
          name: 'masked',
          users: ['masked'],
          accounts: ['*'],
          allow: ['desktop'],
          maskKeystrokes: true,
        },
      ],
    },
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
  await Promise.all([xrdp?.stop(), shadow?.stop(), display?.stop()]);
});

/** A client's options, as a person fills them in who opens win01. */
function opening(more: Partial<ClientOptions> = {}): ClientOptions {
  const user = `alice+${xrdp.account.name}+win01`;
  return { port: gateway.rdpPort, user, password: PASSWORD, display, ...more };
}

for (const [name, start] of [
  ['xfreerdp', xfreerdp],
  ['rdesktop', rdesktop],
] as const) {
  testWith(NEEDS, `${name} opens a desktop, and what is typed arrives and is written down`, async () => {
    client = start(opening());
    const window = await client.window();
    await xrdp.ready();
    const file = join(xrdp.account.home, `typed-by-${name}`);
    await typeText(display, window, `echo $((6*7)) > ${file}\n`);
    await until('the file that was typed', () =>
      existsSync(file) && readFileSync(file, 'utf8') !== '' ? true : undefined,
    );
    assert.equal(readFileSync(file, 'utf8'), '42\n');
    const { id } = await evidence.session('alice', 'active');
    await client.stop();
    const ended = await until('the session ends, sealed', async () =>
      (await evidence.sessions()).find((row) => row.id === id && row.sealed),
    );
    assert.equal(ended.endCode, 'client-closed');
    assert.match(await evidence.keystrokes(id), /echo \$\(\(6\*7\)\) > \/.*typed-by/);
    const verified = await gateway.sallyport(['recordings', 'verify', id]);
    assert.equal(verified.code, 0, verified.text);
  });
}

testWith(NEEDS, "a load balancer's PROXY header names the client in the audit log", async () => {
  const port = await freePort();
  const lines = [
    'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s',
    `listen rdp\n  bind 127.0.0.1:${port}`,
    `  server gateway 127.0.0.1:${gateway.rdpPort} source 127.0.0.2 send-proxy-v2`,
  ];
  const haproxy = await startHaproxy(`${lines.join('\n')}\n`, port);
  try {
    client = xfreerdp(opening({ port }));
    await client.window();
    const { source } = await evidence.session('alice', 'active');
    assert.equal(source, '127.0.0.1', 'not the balancer, which is 127.0.0.2');
  } finally {
    await haproxy.stop();
  }
});

testWith(NEEDS, 'check tells of each desktop whether its certificate is the right one', async () => {
  const { text } = await gateway.sallyport(['check']);
  assert.match(text, /win01.*reachable and shows the pinned certificate/);
  assert.match(text, /nla01.*(will be pinned on first use|shows the pinned certificate)/);
});

testWith(NEEDS, 'where policy masks what is typed, no file of the gateway holds it', async () => {
  client = xfreerdp(opening({ user: `masked+${xrdp.account.name}+win01` }));
  const window = await client.window();
  await xrdp.ready();
  await typeText(display, window, 'read -rs x; printf %s "$x" | wc -c > ~/length\n');
  await typeText(display, window, 'unseenZx81\n');
  const file = join(xrdp.account.home, 'length');
  await until('the length of what was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') === '10\n' ? true : undefined,
  );
  const { id } = await evidence.session('masked', 'active');
  await client.stop();
  await until('the session ends, sealed', async () =>
    (await evidence.sessions()).find((row) => row.id === id && row.sealed),
  );
  assert.match(await evidence.keystrokes(id), /\*{8}<Enter>/);
  const exported = await gateway.sallyport(['recordings', 'export', id, '--format', 'jsonl']);
  assert.ok(!exported.text.includes('unseen'), 'the recording');
  for (const entry of readdirSync(gateway.dataDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    assert.ok(!readFileSync(path).includes('unseenZx81'), path);
  }
});

testWith(NEEDS, 'a target that wants NLA is logged on to, its certificate pinned on first use', async () => {
  client = xfreerdp(opening({ user: 'alice+operator+nla01', extra: ['/network:lan'] }));
  const window = await client.window();
  const file = join(temporaryFolder('typed'), 'typed');
  await typeText(display, window, `echo $((6*7)) > ${file}\n`);
  await until('the file that was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') !== '' ? true : undefined,
  );
  assert.equal(readFileSync(file, 'utf8'), '42\n');
  const pinned = await evidence.event('target.certificate.pinned');
  assert.equal(pinned.detail['certificate'], shadow.fingerprint);
});

testWith(NEEDS, 'a credential that an NLA target refuses ends the session with the reason', async () => {
  client = xfreerdp(opening({ user: 'alice+wrong+nla01' }));
  const window = await client.window();
  const { endCode, endReason } = await evidence.session('alice', 'ended');
  assert.equal(endCode, 'target-auth-failed');
  assert.match(endReason ?? '', /nla01 .* does not accept the credential of wrong/);
  // The person has read it.
  await keyPress(display, window, 'Return');
  await client.exited;
});
