/** The logon screen that the gateway draws itself, used by real clients with mouse and keyboard. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { TOTP } from 'otpauth';
import { Evidence } from '../support/evidence.ts';
import { type ClientOptions, type RdpClient, rdesktop, xfreerdp } from '../support/freerdp.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { freePort, until } from '../support/process.ts';
import { colours, type Display, keyPress, screenshot, startDisplay, typeText } from '../support/x11.ts';
import { startXrdp, type Xrdp } from '../support/xrdp.ts';

const NEEDS = ['xrdp', 'xorgxrdp', 'freerdp2-x11', 'rdesktop', 'xvfb', 'xauth', 'xdotool', 'xterm'] as const;
const PASSWORD = 'Correct-horse-7';
const TOTP_SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
let xrdp: Xrdp;
let gateway: Gateway;
let evidence: Evidence;
let display: Display;
let client: RdpClient | undefined;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [xrdp, display] = await Promise.all([startXrdp(), startDisplay(1024, 768)]);
  const at = (name: string, port: number): Record<string, unknown> => ({
    name,
    protocol: 'rdp',
    host: xrdp.host,
    port,
    certificate: xrdp.fingerprint,
  });
  const { name: account, password } = xrdp.account;
  gateway = await startGateway({
    document: {
      users: [
        { name: 'alice', password: PASSWORD, role: 'requester' },
        { name: 'coded', password: PASSWORD, totp: TOTP_SECRET, role: 'requester' },
        { name: 'asked', password: PASSWORD, role: 'requester' },
      ],
      systems: [at('win01', xrdp.port), at('down01', await freePort())],
      accounts: [
        { name: account, system: 'win01', password },
        { name: account, system: 'down01', password },
      ],
      policies: [
        { name: 'desktops', users: ['alice', 'coded'], accounts: ['*'], allow: ['desktop'] },
        { name: 'with-reason', users: ['asked'], accounts: ['*'], allow: ['desktop'], reasonRequired: true },
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
  await Promise.all([xrdp?.stop(), display?.stop()]);
});

function opening(user: string, password: string, more: Partial<ClientOptions> = {}): ClientOptions {
  return { port: gateway.rdpPort, user, password, display, ...more };
}

const onTarget = (user: string, system: string): string => `${user}+${xrdp.account.name}+${system}`;

/** The logon screen is there: something was painted. */
async function painted(): Promise<void> {
  await until('a picture', async () => (colours(await screenshot(display)) > 8 ? true : undefined));
}

/** The picture stands still: nothing is waited for (the indicator of waiting moves). */
async function still(): Promise<void> {
  let last: Uint8Array = new Uint8Array();
  let same = 0;
  await until('a picture that stands still', async () => {
    const { rgb } = await screenshot(display);
    same = rgb.equals(last) ? same + 1 : 0;
    last = rgb;
    return same >= 3 ? true : undefined;
  });
}

/** The target's shell reads the keyboard. */
async function typesIntoTarget(window: string, name: string): Promise<void> {
  await xrdp.ready();
  const file = join(xrdp.account.home, name);
  await typeText(display, window, `echo $((6*7)) > ${file}\n`);
  await until('the file that was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') !== '' ? true : undefined,
  );
}

for (const [name, start, bpp] of [
  ['xfreerdp at 32 bits', xfreerdp, 32],
  ['xfreerdp at 16 bits', xfreerdp, 16],
  ['rdesktop at 24 bits', rdesktop, 24],
  ['rdesktop at 8 bits', rdesktop, 8],
] as const) {
  testWith(NEEDS, `${name}: a wrong password, the right one, a target from the list`, async () => {
    client = start(opening('alice', 'wrong', { bpp }));
    const window = await client.window();
    await painted();
    const before = (await evidence.audit('user.login.succeeded')).length;
    await typeText(display, window, `${PASSWORD}\n`);
    await until('the log-on', async () =>
      (await evidence.audit('user.login.succeeded')).length > before ? true : undefined,
    );
    await still();
    // down01 stands first in the list.
    await typeText(display, window, 'win\n');
    await typesIntoTarget(window, `by-${name.replaceAll(' ', '-')}`);
    const session = await evidence.session('alice', 'active');
    assert.equal(session.system, 'win01');
    assert.ok((await evidence.audit('user.login.failed')).length > 0);
  });
}

testWith(NEEDS, 'a one-time code is asked for where the user has one', async () => {
  client = xfreerdp(opening(onTarget('coded', 'win01'), PASSWORD));
  const window = await client.window();
  await painted();
  const code = new TOTP({ secret: TOTP_SECRET }).generate();
  await typeText(display, window, `${code}\n`);
  await typesIntoTarget(window, 'by-code');
});

testWith(NEEDS, 'a reason is asked for where policy wants one, and kept', async () => {
  client = xfreerdp(opening(onTarget('asked', 'win01'), PASSWORD));
  const window = await client.window();
  await painted();
  await typeText(display, window, 'CHG-4711 disk full\n');
  await typesIntoTarget(window, 'by-reason');
  assert.equal((await evidence.session('asked', 'active')).reason, 'CHG-4711 disk full');
});

testWith(
  NEEDS,
  'a target that cannot be reached is said on the screen, which the person closes',
  async () => {
    client = xfreerdp(opening(onTarget('alice', 'down01'), PASSWORD));
    const window = await client.window();
    await painted();
    const { endCode, endReason } = await evidence.session('alice', 'ended');
    assert.equal(endCode, 'target-unreachable');
    assert.match(endReason ?? '', /cannot reach down01 .*connection refused/);
    await keyPress(display, window, 'Return');
    await client.exited;
  },
);

testWith(NEEDS, 'a target that policy does not allow is said on the screen', async () => {
  client = xfreerdp(opening('alice+nobody+win01', PASSWORD));
  const window = await client.window();
  await painted();
  await evidence.event('session.denied', (row) => row.detail['account'] === 'nobody');
  await keyPress(display, window, 'Escape');
  await client.exited;
});
