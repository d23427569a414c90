/** The logon screen that the gateway draws itself, used by real clients with mouse and keyboard. */
import assert from 'node:assert/strict';
import { TOTP } from 'otpauth';
import { PASSWORD } from '../support/bed.ts';
import { rdesktop, xfreerdp } from '../support/freerdp.ts';
import { testWith } from '../support/packages.ts';
import { freePort, until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import { colours, keyPress, screenshot, typeText } from '../support/x11.ts';

const NEEDS = ['xrdp', 'xorgxrdp', 'freerdp2-x11', 'rdesktop', 'xvfb', 'xauth', 'xdotool', 'xterm'] as const;
const TOTP_SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
const bed = useRdpBed(NEEDS, {
  document: async ({ host, account, fingerprint }) => ({
    users: [
      { name: 'alice', password: PASSWORD, role: 'requester' },
      { name: 'coded', password: PASSWORD, totp: TOTP_SECRET, role: 'requester' },
      { name: 'asked', password: PASSWORD, role: 'requester' },
    ],
    systems: [{ name: 'down01', protocol: 'rdp', host, port: await freePort(), certificate: fingerprint }],
    accounts: [{ name: account.name, system: 'down01', password: account.password }],
    policies: [
      { name: 'desktops', users: ['alice', 'coded'], accounts: ['*'], allow: ['desktop'] },
      { name: 'with-reason', users: ['asked'], accounts: ['*'], allow: ['desktop'], reasonRequired: true },
    ],
  }),
});

/** The logon screen is there: something was painted. */
async function painted(): Promise<void> {
  await until('a picture', async () => (colours(await screenshot(bed.display)) > 8 ? true : undefined));
}

/** The picture stands still: nothing is waited for (the indicator of waiting moves). */
async function still(): Promise<void> {
  let last: Uint8Array = new Uint8Array();
  let same = 0;
  await until('a picture that stands still', async () => {
    const { rgb } = await screenshot(bed.display);
    same = rgb.equals(last) ? same + 1 : 0;
    last = rgb;
    return same >= 3 ? true : undefined;
  });
}

for (const [name, start, bpp] of [
  ['xfreerdp at 32 bits', xfreerdp, 32],
  ['xfreerdp at 16 bits', xfreerdp, 16],
  ['rdesktop at 24 bits', rdesktop, 24],
  ['rdesktop at 8 bits', rdesktop, 8],
] as const) {
  testWith(NEEDS, `${name}: a wrong password, the right one, a target from the list`, async () => {
    const client = bed.open(start, { user: 'alice', password: 'wrong', bpp });
    const window = await client.window();
    await painted();
    const before = (await bed.evidence.audit('user.login.succeeded')).length;
    await typeText(bed.display, window, `${PASSWORD}\n`);
    await until('the log-on', async () =>
      (await bed.evidence.audit('user.login.succeeded')).length > before ? true : undefined,
    );
    await still();
    // down01 stands first in the list.
    await typeText(bed.display, window, 'win\n');
    await bed.typeInto(window, `by-${name.replaceAll(' ', '-')}`);
    const session = await bed.evidence.session('alice', 'active');
    assert.equal(session.system, 'win01');
    assert.ok((await bed.evidence.audit('user.login.failed')).length > 0);
  });
}

testWith(NEEDS, 'a one-time code is asked for where the user has one', async () => {
  const client = bed.open(xfreerdp, { user: bed.login('coded') });
  const window = await client.window();
  await painted();
  const code = new TOTP({ secret: TOTP_SECRET }).generate();
  await typeText(bed.display, window, `${code}\n`);
  await bed.typeInto(window, 'by-code');
});

testWith(NEEDS, 'a reason is asked for where policy wants one, and kept', async () => {
  const client = bed.open(xfreerdp, { user: bed.login('asked') });
  const window = await client.window();
  await painted();
  await typeText(bed.display, window, 'CHG-4711 disk full\n');
  await bed.typeInto(window, 'by-reason');
  assert.equal((await bed.evidence.session('asked', 'active')).reason, 'CHG-4711 disk full');
});

testWith(
  NEEDS,
  'a target that cannot be reached is said on the screen, which the person closes',
  async () => {
    const client = bed.open(xfreerdp, { user: bed.login('alice', 'down01') });
    const window = await client.window();
    await painted();
    const { endCode, endReason } = await bed.evidence.session('alice', 'ended');
    assert.equal(endCode, 'target-unreachable');
    assert.match(endReason ?? '', /cannot reach down01 .*connection refused/);
    await keyPress(bed.display, window, 'Return');
    await client.exited;
  },
);

testWith(NEEDS, 'a target that policy does not allow is said on the screen', async () => {
  const client = bed.open(xfreerdp, { user: 'alice+nobody+win01' });
  const window = await client.window();
  await painted();
  await bed.evidence.event('session.denied', (row) => row.detail['account'] === 'nobody');
  await keyPress(bed.display, window, 'Escape');
  await client.exited;
});
