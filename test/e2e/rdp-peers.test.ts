/** The bed of the RDP tests itself, without a gateway: what fails here is no fault of the gateway. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exitWord, rdesktop, runXfreerdp, startShadow, xfreerdp } from '../support/freerdp.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { processesOf, until } from '../support/process.ts';
import { startSpy } from '../support/rdp-spy.ts';
import { loadScreen, loadTrace, MessageSplitter, traceInfo, traceNames } from '../support/rdp-traces.ts';
import { temporaryFolder } from '../support/temp.ts';
import { colours, type Display, screenshot, startDisplay, typeText } from '../support/x11.ts';
import { startXrdp, type Xrdp } from '../support/xrdp.ts';

const DESKTOP = ['xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm', 'imagemagick'] as const;
const XRDP = [...DESKTOP, 'xrdp', 'xorgxrdp', 'freerdp2-x11', 'rdesktop'] as const;
const SHADOW = [...DESKTOP, 'freerdp2-x11', 'freerdp2-shadow-x11', 'winpr-utils'] as const;
/** For a session to come up and show what was typed, on a busy machine. */
const PATIENCE_MS = 30_000;

let display: Display;
let xrdp: Xrdp;

before(async () => {
  if (obstacle(DESKTOP) === undefined) display = await startDisplay(800, 600);
  if (obstacle(XRDP) === undefined) xrdp = await startXrdp();
});
after(async () => {
  await xrdp?.stop();
  await display?.stop();
});

/** Types a command into the session's terminal and returns what it wrote to `file`. */
async function typed(window: string, text: string, file: string): Promise<string> {
  await typeText(display, window, `echo ${text} > ${file}\n`);
  const content = (): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : '') || undefined;
  return until(`what was typed in ${file}`, content, PATIENCE_MS);
}

function credentials(server: Xrdp): { port: number; user: string; password: string; display: Display } {
  return { port: server.port, user: server.account.name, password: server.account.password, display };
}

testWith(XRDP, 'xfreerdp shows a desktop of xrdp and types into it', async () => {
  const client = xfreerdp(credentials(xrdp));
  const window = await client.window();
  await xrdp.ready();
  const file = join(xrdp.account.home, 'from-freerdp');
  assert.equal(await typed(window, 'A$((6*7))', file), 'A42\n');
  const picture = await until('the desktop on the screen', async () => {
    const seen = await screenshot(display, window);
    return colours(seen) > 1 ? seen : undefined;
  });
  assert.deepEqual([picture.width, picture.height], [640, 480]);
  await client.stop();
  await xrdp.endSessions();
  assert.deepEqual(processesOf(xrdp.account.uid, readdirSync('/proc')), []);
});

testWith(XRDP, 'rdesktop shows a desktop of xrdp and types into it', async () => {
  const client = rdesktop(credentials(xrdp));
  const window = await client.window();
  await xrdp.ready();
  const file = join(xrdp.account.home, 'from-rdesktop');
  assert.equal(await typed(window, 'B$((6*7))', file), 'B42\n');
  await client.stop();
  await xrdp.endSessions();
});

testWith(XRDP, 'two xrdp stand side by side; who logs off inside ends the client', async () => {
  const other = await startXrdp({ security: 'tls', maxBpp: 16 });
  const client = xfreerdp(credentials(other));
  const window = await client.window();
  await other.ready();
  await typeText(display, window, 'exit\n');
  assert.equal(exitWord(await client.exited), 'logged off by the user', client.daemon.output());
  assert.doesNotMatch(xrdp.log(), new RegExp(other.account.name));
  await other.stop();
  assert.equal(existsSync(other.account.home), false);
});

testWith(XRDP, 'a spy between client and server sees both directions in plain', async () => {
  const chunks = { client: 0, server: 0 };
  const spy = await startSpy({
    ...xrdp,
    onChunk: (from, bytes) => {
      chunks[from] += bytes.length;
    },
  });
  const client = xfreerdp({ ...credentials(xrdp), port: spy.port });
  await client.window();
  await xrdp.ready();
  await client.stop();
  const [connection] = spy.connections;
  assert.ok(connection);
  await connection.ended;
  assert.equal(connection.selectedProtocol, 1);
  const sent = (from: string): Buffer =>
    Buffer.concat(connection.messages.filter((each) => each.from === from).map((each) => each.bytes));
  // The Client Info PDU carries the credentials in UTF-16.
  assert.ok(sent('client').includes(Buffer.from(xrdp.account.password, 'utf16le')));
  assert.equal(sent('client').length, chunks.client);
  assert.ok(sent('server').length > 1000 && sent('server').length <= chunks.server);
  await spy.stop();
  await xrdp.endSessions();
});

testWith(SHADOW, 'freerdp-shadow checks the password by network level authentication', async () => {
  const account = { user: 'shadow', password: 'right horse battery staple' };
  const shadow = await startShadow(account);
  const spy = await startSpy(shadow);
  const attempt = async (port: number, password: string): Promise<string> => {
    const extra = ['/sec:nla', '+auth-only'];
    return exitWord((await runXfreerdp({ port, user: account.user, password, display, extra })).code);
  };
  assert.equal(await attempt(shadow.port, account.password), 'success', shadow.log());
  assert.equal(await attempt(shadow.port, 'wrong'), 'transport failed', shadow.log());
  // CredSSP is bound to the server's key: only a spy that has it passes.
  assert.equal(await attempt(spy.port, account.password), 'success', shadow.log());
  assert.equal(spy.connections[0]?.selectedProtocol, 2);

  const client = xfreerdp({ port: shadow.port, ...account, display });
  const window = await client.window();
  const file = join(temporaryFolder('typed'), 'from-shadow');
  assert.equal(await typed(window, 'C$((6*7))', file), 'C42\n');
  await client.stop();
  await spy.stop();
  await shadow.stop();
});

testWith(SHADOW, 'freerdp-shadow without network level authentication lets in over TLS', async () => {
  const account = { user: 'shadow', password: 'any' };
  const shadow = await startShadow({ ...account, nla: false });
  const client = xfreerdp({ port: shadow.port, ...account, display, extra: ['/sec:tls'] });
  await client.window();
  await client.stop();
  await shadow.stop();
});

test('every trace is a whole connection, and is cut into the same messages however it arrives', () => {
  const names = traceNames();
  assert.ok(names.length >= 15, `only ${names.length} traces`);
  for (const name of names) {
    const trace = loadTrace(name);
    const info = traceInfo(name);
    // X.224: a Connection Request, then a Connection Confirm (RFC 1006 and ITU-T X.224 13.3, 13.4).
    assert.deepEqual([trace[0]?.from, trace[0]?.bytes[5]], ['client', 0xe0], name);
    assert.deepEqual([trace[1]?.from, trace[1]?.bytes[5]], ['server', 0xd0], name);
    for (const from of ['client', 'server'] as const) {
      const messages = trace.filter((each) => each.from === from);
      const splitter = new MessageSplitter(from);
      const bytes = Buffer.concat(messages.map((each) => each.bytes));
      const again = [];
      for (let at = 0; at < bytes.length; at += 13) again.push(...splitter.push(bytes.subarray(at, at + 13)));
      assert.deepEqual(again, messages, `${name} from the ${from}`);
      assert.equal(splitter.rest, 0);
    }
    if (info.screenAfter === undefined) continue;
    const screen = loadScreen(name);
    const resized = info.client.includes('/dynamic-resolution');
    if (!resized) assert.deepEqual([screen.width, screen.height], [info.width, info.height], name);
    assert.ok(colours(screen) > 1 && info.screenAfter <= trace.length, name);
  }
});
