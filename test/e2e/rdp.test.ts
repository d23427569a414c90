/** Real RDP clients through the gateway to real servers, with a credential that the person never sees. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PASSWORD } from '../support/bed.ts';
import { rdesktop, xfreerdp } from '../support/freerdp.ts';
import { testWith } from '../support/packages.ts';
import { startHaproxy } from '../support/peers.ts';
import { freePort, until } from '../support/process.ts';
import { typeAndWait, useRdpBed } from '../support/rdp-bed.ts';
import { temporaryFolder } from '../support/temp.ts';
import { keyPress, typeText } from '../support/x11.ts';

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
const bed = useRdpBed(NEEDS, {
  config: { listen: { proxyProtocol: { from: ['127.0.0.2/32'] } } },
  shadow: { certificate: 'trust-on-first-use' },
  document: () => ({
    users: ['alice', 'masked'].map((name) => ({ name, password: PASSWORD, role: 'requester' })),
    accounts: [{ name: 'wrong', system: 'nla01', password: 'not the password' }],
    policies: [
      {
        name: 'desktops',
        users: ['alice'],
        accounts: ['*'],
        allow: ['desktop'],
        record: true,
        keystrokes: true,
      },
      { name: 'masked', users: ['masked'], accounts: ['*'], allow: ['desktop'], maskKeystrokes: true },
    ],
  }),
});

for (const [name, start] of [
  ['xfreerdp', xfreerdp],
  ['rdesktop', rdesktop],
] as const) {
  testWith(NEEDS, `${name} opens a desktop, and what is typed arrives and is written down`, async () => {
    const client = bed.open(start);
    await bed.typeInto(await client.window(), `typed-by-${name}`);
    const { id } = await bed.evidence.session('alice', 'active');
    await client.stop();
    const ended = await bed.evidence.sealed(id);
    assert.equal(ended.endCode, 'client-closed');
    assert.match(await bed.evidence.keystrokes(id), /echo \$\(\(6\*7\)\) > \/.*typed-by/);
    const verified = await bed.gateway.sallyport(['recordings', 'verify', id]);
    assert.equal(verified.code, 0, verified.text);
  });
}

testWith(NEEDS, "a load balancer's PROXY header names the client in the audit log", async () => {
  const port = await freePort();
  const lines = [
    'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s',
    `listen rdp\n  bind 127.0.0.1:${port}`,
    `  server gateway 127.0.0.1:${bed.gateway.rdpPort} source 127.0.0.2 send-proxy-v2`,
  ];
  const haproxy = await startHaproxy(`${lines.join('\n')}\n`, port);
  try {
    const client = bed.open(xfreerdp, { port });
    await client.window();
    const { source } = await bed.evidence.session('alice', 'active');
    assert.equal(source, '127.0.0.1', 'not the balancer, which is 127.0.0.2');
  } finally {
    await haproxy.stop();
  }
});

testWith(
  NEEDS,
  'a load balancer that goes by cookies reads them, and clients that bring one are served',
  async () => {
    const port = await freePort();
    const { rdpPort } = bed.gateway;
    const lines = [
      'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s',
      `frontend rdp\n  bind 127.0.0.1:${port}`,
      // Without the cookie of the name, or of the server that `persist rdp-cookie` leads to, nobody gets through.
      '  tcp-request inspect-delay 10s\n  tcp-request content accept if RDP_COOKIE',
      '  acl named rdp_cookie(mstshash) -m found\n  acl led rdp_cookie(msts) -m found',
      '  use_backend named if named\n  use_backend led if led',
      `backend named\n  balance rdp-cookie(mstshash)\n  server gateway 127.0.0.1:${rdpPort}`,
      `backend led\n  persist rdp-cookie(msts)\n  server other 127.0.0.1:1`,
      `  server gateway 127.0.0.1:${rdpPort}`,
    ];
    const haproxy = await startHaproxy(`${lines.join('\n')}\n`, port);
    // The address and the port of the server, as numbers whose bytes are the other way round.
    const led = `Cookie: msts=${0x0100007f}.${((rdpPort & 0xff) << 8) | (rdpPort >> 8)}.0000`;
    try {
      for (const extra of [[], [`/load-balance-info:${led}`]]) {
        const client = bed.open(xfreerdp, { port, extra });
        await client.window();
        const { id } = await bed.evidence.session('alice', 'active');
        await client.stop();
        await bed.evidence.sealed(id);
      }
    } finally {
      await haproxy.stop();
    }
  },
);

testWith(NEEDS, 'check tells of each desktop whether its certificate is the right one', async () => {
  const { text } = await bed.gateway.sallyport(['check']);
  assert.match(text, /win01.*reachable and shows the pinned certificate/);
  assert.match(text, /nla01.*(will be pinned on first use|shows the pinned certificate)/);
});

testWith(NEEDS, 'where policy masks what is typed, no file of the gateway holds it', async () => {
  const client = bed.open(xfreerdp, { user: bed.login('masked') });
  const window = await client.window();
  await bed.xrdp.ready();
  await typeText(bed.display, window, 'read -rs x; printf %s "$x" | wc -c > ~/length\n');
  await typeText(bed.display, window, 'unseenZx81\n');
  const file = join(bed.xrdp.account.home, 'length');
  await until('the length of what was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') === '10\n' ? true : undefined,
  );
  const { id } = await bed.evidence.session('masked', 'active');
  await client.stop();
  await bed.evidence.sealed(id);
  assert.match(await bed.evidence.keystrokes(id), /\*{8}<Enter>/);
  const exported = await bed.gateway.sallyport(['recordings', 'export', id, '--format', 'jsonl']);
  assert.ok(!exported.text.includes('unseen'), 'the recording');
  for (const entry of readdirSync(bed.gateway.dataDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    assert.ok(!readFileSync(path).includes('unseenZx81'), path);
  }
});

testWith(NEEDS, 'a target that wants NLA is logged on to, its certificate pinned on first use', async () => {
  const client = bed.open(xfreerdp, { user: 'alice+operator+nla01', extra: ['/network:lan'] });
  const window = await client.window();
  await typeAndWait(bed.display, window, join(temporaryFolder('typed'), 'typed'));
  const pinned = await bed.evidence.event('target.certificate.pinned');
  assert.equal(pinned.detail['certificate'], bed.shadow.fingerprint);
});

testWith(NEEDS, 'a credential that an NLA target refuses ends the session with the reason', async () => {
  const client = bed.open(xfreerdp, { user: 'alice+wrong+nla01' });
  const window = await client.window();
  const { endCode, endReason } = await bed.evidence.session('alice', 'ended');
  assert.equal(endCode, 'target-auth-failed');
  assert.match(endReason ?? '', /nla01 .* does not accept the credential of wrong/);
  // The person has read it.
  await keyPress(bed.display, window, 'Return');
  await client.exited;
});
