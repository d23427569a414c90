/** What travels beside the picture of an RDP session: real clients, real xrdp, one user per policy. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach } from 'node:test';
import { PASSWORD } from '../support/bed.ts';
import { type ClientOptions, type RdpClient, rdesktop, xfreerdp } from '../support/freerdp.ts';
import { testWith } from '../support/packages.ts';
import { type Daemon, run, runOk, startDaemon, until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import { startSpy } from '../support/rdp-spy.ts';
import { temporaryFolder } from '../support/temp.ts';
import { click, type Display, startDisplay, typeText } from '../support/x11.ts';

const NEEDS = [
  ...(['xrdp', 'xorgxrdp', 'freerdp2-x11', 'rdesktop', 'xvfb', 'xauth', 'x11-utils'] as const),
  ...(['xdotool', 'xterm', 'xclip', 'fuse3', 'x11-xserver-utils'] as const),
] as const;
/** For what has to go through client, gateway, target and back, on a busy machine. */
const PATIENCE_MS = 20_000;

/** What each user's policy allows beside the desktop. */
const ALLOW: Readonly<Record<string, readonly string[]>> = {
  plain: [],
  inbound: ['clipboard-to-target'],
  outbound: ['clipboard-from-target'],
  drives: ['drives'],
  // Sound opens the channel of the drives, without a drive in it.
  listener: ['audio'],
};

let copier: Daemon | undefined;

const bed = useRdpBed(NEEDS, {
  size: [800, 600],
  document: () => ({
    users: Object.keys(ALLOW).map((user) => ({ name: user, password: PASSWORD, role: 'requester' })),
    policies: Object.entries(ALLOW).map(([user, allow]) => ({
      name: `for-${user}`,
      users: [user],
      accounts: ['*'],
      allow: ['desktop', ...allow],
      record: true,
      keystrokes: true,
    })),
  }),
});
let client: RdpClient;
afterEach(async () => {
  await copier?.stop();
  copier = undefined;
});

/** Opens win01 as `user`, and waits until its shell reads the keyboard. */
async function open(
  start: (options: ClientOptions) => RdpClient,
  user: string,
  more: Partial<ClientOptions> = {},
): Promise<string> {
  client = bed.open(start, { user: bed.login(user), ...more });
  const window = await client.window();
  await bed.xrdp.ready();
  return window;
}

let commands = 0;
/** Types a command into the session's terminal; returns what it printed, once it has ended. */
async function command(window: string, text: string, on: Display = bed.display): Promise<string> {
  commands += 1;
  const output = join(bed.xrdp.account.home, `output-${commands}`);
  const name = output.slice(output.lastIndexOf('/') + 1);
  await typeText(on, window, `(${text}) > ~/t 2>&1; mv ~/t ~/${name}\n`);
  await until(`the output of ${text}`, () => (existsSync(output) ? true : undefined), PATIENCE_MS);
  return readFileSync(output, 'utf8');
}

const PASTE = 'xclip -selection clipboard -o';

/** Copies a text on the client's display. */
function copy(text: string): void {
  const file = join(temporaryFolder('copied'), 'text');
  writeFileSync(file, text);
  // Who copied must stay to be asked for it.
  const args = ['-quiet', '-selection', 'clipboard', '-i', file];
  copier = startDaemon('xclip', args, { env: bed.display.env });
}

/** What the client's display has on its clipboard; '' when nothing. */
async function clipboard(): Promise<string> {
  return (await run('xclip', ['-selection', 'clipboard', '-o'], { env: bed.display.env })).text.trim();
}

interface Line {
  readonly kind: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** Closes the client; returns what the sealed recording of `user`'s session holds. */
async function recorded(user: string): Promise<readonly Line[]> {
  const { id } = await bed.evidence.session(user, 'active');
  await client.stop();
  await bed.evidence.sealed(id);
  const exported = await bed.gateway.sallyport(['recordings', 'export', id, '--format', 'jsonl']);
  assert.equal(exported.code, 0, exported.stderr);
  const lines = exported.text.trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Line);
}

/** As what a search finds `text` in the sessions of `user`. */
async function foundAs(text: string, user: string): Promise<readonly string[]> {
  const hits = await bed.gateway.json<{ readonly kind: string; readonly offset: number }[]>([
    'recordings',
    'search',
    text,
    '--user',
    user,
  ]);
  assert.ok(hits.every(({ offset }) => offset > 0));
  return [...new Set(hits.map(({ kind }) => kind))].sort();
}

const dataOf = (lines: readonly Line[], kind: string): NonNullable<Line['data']>[] =>
  lines.filter((line) => line.kind === kind).map(({ data }) => data ?? {});

/** What policy refused in sessions of `user` so far. */
async function refusals(user: string, request: RegExp): Promise<number> {
  const rows = await bed.evidence.audit('session.request.refused');
  return rows.filter((row) => row.actor === user && request.test(String(row.detail['request']))).length;
}

/** Waits until policy has refused more than the `before` that were counted. */
async function refused(user: string, request: RegExp, before = 0): Promise<void> {
  const more = async (): Promise<true | undefined> =>
    (await refusals(user, request)) > before ? true : undefined;
  await until(`${user} is refused ${request}`, more, PATIENCE_MS);
}

testWith(NEEDS, 'a clipboard towards the target passes text that way, and none back', async () => {
  const window = await open(xfreerdp, 'inbound', { extra: ['+clipboard'] });
  copy('copied at the client');
  const pasted = await command(window, `until ${PASTE} 2>&-; do sleep 0.2; done`);
  assert.equal(pasted.trim(), 'copied at the client');
  const before = await refusals('inbound', /^clipboard fromTarget: /);
  await command(window, 'echo of the session | xclip -selection clipboard -i >&-');
  await refused('inbound', /^clipboard fromTarget: /, before);
  assert.equal((await command(window, PASTE)).trim(), 'of the session');
  assert.equal(await clipboard(), 'copied at the client');

  const lines = await recorded('inbound');
  const [copied, ...others] = dataOf(lines, 'clipboard');
  assert.deepEqual(others, []);
  assert.equal(copied?.['direction'], 'to-target');
  assert.equal(String(copied?.['text']).trim(), 'copied at the client');
  const requests = dataOf(lines, 'refusal').map(({ request }) => String(request));
  assert.ok(
    requests.some((each) => each.startsWith('clipboard fromTarget')),
    requests.join(),
  );
  assert.deepEqual(await foundAs('copied client', 'inbound'), ['clipboard']);
  assert.deepEqual(await foundAs('copied client', 'plain'), []);
  assert.deepEqual(await foundAs('xclip', 'inbound'), ['command', 'keys']);
});

testWith(NEEDS, 'a clipboard from the target passes text that way, and none to it', async () => {
  const window = await open(xfreerdp, 'outbound', { extra: ['+clipboard'] });
  await command(window, 'echo copied in the session | xclip -selection clipboard -i >&-');
  const arrived = async (): Promise<true | undefined> =>
    (await clipboard()) === 'copied in the session' ? true : undefined;
  await until('the clipboard of the client', arrived, PATIENCE_MS);
  const before = await refusals('outbound', /^clipboard toTarget: /);
  copy('of the client');
  await refused('outbound', /^clipboard toTarget: /, before);
  assert.equal((await command(window, PASTE)).trim(), 'copied in the session');
  assert.equal(await clipboard(), 'of the client');

  const [copied, ...others] = dataOf(await recorded('outbound'), 'clipboard');
  assert.deepEqual(others, []);
  assert.equal(copied?.['direction'], 'from-target');
  assert.equal(String(copied?.['text']).trim(), 'copied in the session');
});

testWith(NEEDS, 'without either policy no clipboard passes', async () => {
  copy('of the client');
  const window = await open(xfreerdp, 'plain', { extra: ['+clipboard'] });
  assert.match(await command(window, PASTE), /^Error: /);
  await command(window, 'echo of the session | xclip -selection clipboard -i >&-');
  assert.equal((await command(window, PASTE)).trim(), 'of the session');
  assert.equal(await clipboard(), 'of the client');
  assert.deepEqual(dataOf(await recorded('plain'), 'clipboard'), []);
});

/** A drive with a file in it, and rdesktop's arguments that share it. */
function drive(): { readonly folder: string; readonly extra: readonly string[] } {
  const folder = join(temporaryFolder('drive'), 'share');
  mkdirSync(folder);
  writeFileSync(join(folder, 'hello.txt'), 'hello from the drive\n');
  return { folder, extra: ['-r', `disk:share=${folder}`, '-r', 'clipboard:off'] };
}
const SHARE = '~/thinclient_drives/share';

testWith(NEEDS, 'a drive that policy allows is there, and what is done with it is recorded', async () => {
  const { folder, extra } = drive();
  const window = await open(rdesktop, 'drives', { extra });
  const fetch = `until cat ${SHARE}/hello.txt 2>&-; do sleep 0.2; done`;
  assert.equal(await command(window, fetch), 'hello from the drive\n');
  await command(window, `echo sent back > ${SHARE}/back.txt`);
  assert.equal(readFileSync(join(folder, 'back.txt'), 'utf8'), 'sent back\n');
  await command(window, `mv ${SHARE}/back.txt ${SHARE}/kept.txt; rm ${SHARE}/hello.txt`);
  assert.deepEqual(readdirSync(folder), ['kept.txt']);

  const files = dataOf(await recorded('drives'), 'file');
  const has = (operation: string, path: RegExp, more: Readonly<Record<string, unknown>> = {}): void =>
    assert.ok(
      files.some(
        (file) =>
          file['protocol'] === 'rdpdr' &&
          file['operation'] === operation &&
          path.test(String(file['path'])) &&
          Object.entries(more).every(([key, value]) => file[key] === value),
      ),
      `${operation} ${path} is not in ${JSON.stringify(files)}`,
    );
  has('open', /share.*hello\.txt$/);
  has('close', /share.*hello\.txt$/, { bytes: 'hello from the drive\n'.length });
  has('close', /share.*back\.txt$/, { bytes: 'sent back\n'.length });
  has('rename', /share.*back\.txt$/);
  has('delete', /share.*hello\.txt$/);
  assert.deepEqual(await foundAs('hello.txt', 'drives'), ['command', 'file', 'keys']);
});

for (const user of ['listener', 'plain'])
  testWith(NEEDS, `a drive that policy does not allow (${user}) is not there`, async () => {
    const { folder, extra } = drive();
    const window = await open(rdesktop, user, { extra: [...extra, '-r', 'sound:local'] });
    // In the channel that sound opens the drive itself is refused; otherwise there is no channel.
    if (user === 'listener') await refused(user, /^device share/);
    assert.match(await command(window, `cat ${SHARE}/hello.txt`), /No such file/);
    await command(window, `echo x > ${SHARE}/new.txt`);
    assert.deepEqual(readdirSync(folder), ['hello.txt']);
    assert.deepEqual(dataOf(await recorded(user), 'file'), []);
  });

testWith(NEEDS, 'a window that is resized resizes the desktop, which works on', async () => {
  const window = await open(xfreerdp, 'plain', { extra: ['/dynamic-resolution'] });
  const dimensions = "xdpyinfo | sed -n 's/.*dimensions: *//p' | cut -d' ' -f1";
  assert.equal(await command(window, dimensions), '640x480\n');
  await runOk('xdotool', ['windowsize', window, '560', '400'], { env: bed.display.env });
  const followed = async (): Promise<true | undefined> =>
    (await command(window, dimensions)) === '560x400\n' ? true : undefined;
  await until('the new size', followed, PATIENCE_MS);
  const sizes = dataOf(await recorded('plain'), 'desktop').map(({ width, height }) => `${width}x${height}`);
  assert.deepEqual([...new Set(sizes)], ['640x480', '560x400']);
});

testWith(NEEDS, 'two monitors of the client are two monitors of the session', async () => {
  const wide = await startDisplay(1280, 480);
  for (const [index, geometry] of ['640/170x480/127+0+0', '640/170x480/127+640+0'].entries()) {
    // The first takes the place of the monitor that the display has by itself.
    const args = ['--setmonitor', `monitor${index}`, geometry, index === 0 ? 'screen' : 'none'];
    await runOk('xrandr', args, { env: wide.env });
  }
  const window = await open(xfreerdp, 'plain', { display: wide, size: '1280x480', extra: ['/multimon'] });
  await click(wide, window, 100, 100);
  const monitors = await command(window, 'xrandr --listactivemonitors', wide);
  assert.match(monitors, /640\/\d+x480\/\d+\+0\+0/);
  assert.match(monitors, /640\/\d+x480\/\d+\+640\+0/);
  const [desktop] = dataOf(await recorded('plain'), 'desktop');
  assert.deepEqual([desktop?.['width'], desktop?.['height']], [1280, 480]);
  await wide.stop();
});

for (const bpp of [8, 15, 16, 24, 32] as const)
  testWith(NEEDS, `at ${bpp} bits per pixel what is typed arrives, and the recording says so`, async () => {
    // xrdp sends 8 bpp clients a colour table that they did not ask for, as a drawing order.
    const window = await open(xfreerdp, 'plain', { bpp, extra: bpp === 8 ? ['/relax-order-checks'] : [] });
    assert.equal(await command(window, 'echo $((6*7))'), '42\n');
    const lines = await recorded('plain');
    assert.equal(dataOf(lines, 'desktop')[0]?.['bitsPerPixel'], bpp);
    assert.ok(lines.some(({ kind }) => kind === 'slowPathOutput' || kind === 'fastPathOutput'));
  });

/** Whether bytes hold a text in a form that credentials travel or are stored in. */
function holds(bytes: Buffer, text: string): boolean {
  const plain = [Buffer.from(text), Buffer.from(text, 'utf16le'), Buffer.from(text, 'utf16le').swap16()];
  const coded = plain.flatMap((form) => [
    form.toString('base64').replaceAll('=', ''),
    form.toString('base64url'),
    form.toString('hex'),
  ]);
  return [...plain, ...coded].some((form) => bytes.includes(form));
}

testWith(NEEDS, "the target's password is neither on the client's wire nor in the data folder", async () => {
  const wire: Record<'client' | 'server', Buffer[]> = { client: [], server: [] };
  const spy = await startSpy({
    port: bed.gateway.rdpPort,
    certificateFile: join(bed.gateway.dataDir, 'keys/tls.crt'),
    keyFile: join(bed.gateway.dataDir, 'keys/tls.key'),
    onChunk: (from, bytes) => wire[from].push(Buffer.from(bytes)),
  });
  const window = await open(xfreerdp, 'inbound', { port: spy.port, extra: ['+clipboard'] });
  assert.equal(await command(window, 'echo $((6*7))'), '42\n');
  await recorded('inbound');
  await spy.stop();

  const { name, password } = bed.xrdp.account;
  const [sent, received] = [Buffer.concat(wire.client), Buffer.concat(wire.server)];
  // The person's own password shows that the wire is seen in plain, and read in the right form;
  // the source of the target's Demand Active PDU does for the other direction.
  assert.ok(holds(sent, PASSWORD));
  assert.ok(received.includes('RDP\0'));
  for (const bytes of [sent, received]) assert.equal(holds(bytes, password), false);

  const files = readdirSync(bed.gateway.dataDir, { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  );
  const contents = files.map((each) => ({
    file: each.name,
    bytes: readFileSync(join(each.parentPath, each.name)),
  }));
  assert.ok(contents.some(({ bytes }) => holds(bytes, name)));
  for (const secret of [password, PASSWORD])
    assert.deepEqual(
      contents.filter(({ bytes }) => holds(bytes, secret)).map(({ file }) => file),
      [],
    );
  for (const secret of [password, PASSWORD]) assert.ok(!bed.gateway.log().includes(secret));
});
