/** What operators do to a desktop that runs, as real clients show it: it is covered, told of, and comes back. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rdesktop, xfreerdp } from '../support/freerdp.ts';
import { testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import { temporaryFolder } from '../support/temp.ts';
import { colours, type Picture, screenshot, typeText } from '../support/x11.ts';

const NEEDS = [
  'xrdp',
  'xorgxrdp',
  'freerdp2-x11',
  'freerdp2-shadow-x11',
  'rdesktop',
  'xvfb',
  'xauth',
  'xdotool',
  'xterm',
] as const;
/** Rows that a message takes at most. */
const BANNER_ROWS = 60;
const WIDTH = 640;
const HEIGHT = 480;
const bed = useRdpBed(NEEDS, { size: [WIDTH, HEIGHT], shadow: { certificate: 'pinned' } });

/** What shows once it stands still and is as wanted. */
async function shows(what: string, wanted: (picture: Picture) => boolean): Promise<Picture> {
  let last: Picture | undefined;
  let same = 0;
  return await until(
    what,
    async () => {
      const picture = await screenshot(bed.display);
      same = last !== undefined && picture.rgb.equals(last.rgb) ? same + 1 : 0;
      last = picture;
      return same >= 3 && wanted(picture) ? picture : undefined;
    },
    40_000,
  );
}

/** Pixels of rows `from` to `to` that differ between two pictures. */
function changed(one: Picture, other: Picture, from = 0, to = HEIGHT): number {
  let count = 0;
  for (let at = from * WIDTH * 3; at < to * WIDTH * 3; at += 3)
    if (one.rgb.compare(other.rgb, at, at + 3, at, at + 3) !== 0) count += 1;
  return count;
}

async function order(verb: 'lock' | 'unlock', id: string): Promise<void> {
  const result = await bed.gateway.sallyport(['sessions', verb, id]);
  assert.equal(result.code, 0, result.stderr);
}

for (const [target, program, start, bpp] of [
  ['xrdp', 'xfreerdp', xfreerdp, 32],

  ['xrdp', 'rdesktop', rdesktop, 8],
  ['freerdp-shadow', 'xfreerdp', xfreerdp, 32],
] as const)
  testWith(
    NEEDS,
    `${program} at ${bpp} bits, of ${target}: a lock covers all, an unlock is told of`,
    async () => {
      const onXrdp = target === 'xrdp';
      const client = bed.open(start, {
        bpp,
        ...(onXrdp ? {} : { user: 'alice+operator+nla01', extra: ['/network:lan'] }),
      });
      const window = await client.window();
      if (onXrdp) await bed.xrdp.ready();
      const folder = onXrdp ? bed.xrdp.account.home : temporaryFolder('messages');
      const file = (name: string): string => join(folder, `${name}-${program}-${bpp}`);
      const say = (line: string): Promise<void> => typeText(bed.display, window, `${line}\n`);

      await say(`clear; ls /usr; touch ${file('listed')}`);
      await until('the list', () => (existsSync(file('listed')) ? true : undefined));
      const listed = await shows('the list', () => true);
      // It draws all the time.
      await say(
        `until [ -e ${file('enough')} ]; do date +%N; sleep .1; done; clear; ls /usr; touch ${file('relisted')}`,
      );
      const { id } = await bed.evidence.session('alice', 'active');
      await order('lock', id);
      const locked = await shows('a lock that stands still', (picture) => changed(picture, listed) > 200_000);
      await say(`touch ${file('locked')}`);
      writeFileSync(file('enough'), '');
      await until('the list again', () => (existsSync(file('relisted')) ? true : undefined));
      assert.equal(changed(await screenshot(bed.display), locked), 0, 'something showed through');

      await order('unlock', id);
      await shows(
        'the desktop and the message',
        (picture) =>
          changed(picture, listed, BANNER_ROWS) === 0 && changed(picture, listed, 0, BANNER_ROWS) > 500,
      );
      await shows('the desktop alone', (picture) => changed(picture, listed) === 0);
      await say(`touch ${file('unlocked')}`);
      await until('what is typed now', () => (existsSync(file('unlocked')) ? true : undefined));
      assert.ok(!existsSync(file('locked')), 'what was typed while it was locked');
    },
  );

testWith(
  NEEDS,
  'a drain is told over the desktop, and whoever comes sees why not; the end is told too',
  async () => {
    const client = bed.open(xfreerdp);
    const window = await client.window();
    await bed.xrdp.ready();
    const listed = join(bed.xrdp.account.home, 'drain-listed');
    await typeText(bed.display, window, `clear; ls /usr; touch ${listed}\n`);
    await until('the list', () => (existsSync(listed) ? true : undefined));
    const desktop = await shows('the list', () => true);
    const { id } = await bed.evidence.session('alice', 'active');
    const drain = async (limit: string): Promise<void> => {
      const { code, stderr } = await bed.gateway.sallyport(['node', 'drain', '--for', limit]);
      assert.equal(code, 0, stderr);
    };
    const message = (picture: Picture): boolean =>
      changed(picture, desktop, BANNER_ROWS) === 0 && changed(picture, desktop, 0, BANNER_ROWS) > 500;

    await drain('10m');
    await shows('the desktop and the message', message);
    await shows('the desktop alone', (picture) => changed(picture, desktop) === 0);
    await drain('2s');
    await bed.evidence.sealed(id);
    await client.exited;
    const row = (await bed.evidence.sessions()).find((each) => each.id === id);
    assert.equal(row?.endCode, 'node-stopping');

    const late = bed.open(xfreerdp);
    await late.window();
    await until('words on the screen', async () =>
      colours(await screenshot(bed.display)) > 8 ? true : undefined,
    );
    const refused = await bed.evidence.event('session.refused');
    assert.equal(refused.detail['code'], 'draining');
    await late.stop();
    assert.equal((await bed.gateway.sallyport(['node', 'resume'])).code, 0);
  },
);
