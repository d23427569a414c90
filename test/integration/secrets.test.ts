/**
 * Where the secrets of a day's work may lie: sealed in the store, and nowhere else. Looks at
 * logs, store, archive, exports and at the command lines of every process meanwhile.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { ALL_CAPABILITIES, type Bed, openssh, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
/** Of nobody else: tests beside this one may have their own password in a command line. */
const PASSWORD = 'known-to-wanda-alone-Vw63';
/** Typed at a prompt that does not show it. */
const TYPED = 'typed-unseen-Zx81';
const TRIED = 'tried-and-refused-Qy72';
let bed: Bed;
let evidence: Evidence;
let watching: NodeJS.Timeout;
/** Every command line seen. */
const commandLines = new Set<string>();

function look(): void {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      commandLines.add(readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' '));
    } catch {
      // It ended meanwhile.
    }
  }
}

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  watching = setInterval(look, 100);
  bed = await startBed({
    config: { log: { level: 'trace' } },
    document: ({ host, port, hostKey, account, privateKey }) => ({
      users: [{ name: 'wanda', password: PASSWORD, role: 'requester' }],
      systems: [{ name: 'web02', protocol: 'ssh', host, port, hostKey }],
      accounts: [{ name: account.name, system: 'web02', privateKey }],
      policies: [{ name: 'wanda', users: ['wanda'], accounts: ['*'], allow: ALL_CAPABILITIES }],
    }),
  });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  clearInterval(watching);
  await evidence?.close();
  await bed?.stop();
});

testWith(NEEDS, 'a day of sessions leaves no secret lying open', async () => {
  const door = bed.doorFor(bed.targetLogin('wanda'), PASSWORD);
  assert.equal((await ssh(door, ['target', 'echo in'])).text, 'in\n');
  const byKey = bed.doorFor(`wanda@${bed.sshd.account.name}@web02`, PASSWORD);
  assert.equal((await ssh(byKey, ['target', 'echo by key'])).text, 'by key\n');
  assert.equal((await ssh(bed.doorFor(bed.targetLogin('wanda'), TRIED), ['target', 'id'])).code, 255);
  assert.equal((await openssh(door, 'sftp', ['target'], { input: 'ls\n' })).code, 0);
  const terminal = sshTerminal(door, ['target']);
  await terminal.expect('$ ');
  const { id } = await evidence.session('wanda', 'active');
  terminal.type('read -rs -p "Password: " x; printf "got %s\\n" "$(printf %s "$x" | wc -c)"\r');
  await terminal.expect(/\nPassword: $/);
  terminal.type(`${TYPED}\r`);
  // What is typed ahead of the prompt may be masked: nobody can tell yet whether it will be shown.
  await terminal.expect(new RegExp(`got ${TYPED.length}[^]*\\$ $`));
  terminal.type('echo seen-$((20 + 3))\r');
  await terminal.expect('seen-23');
  terminal.type('exit\r');
  await terminal.ended;
  await until('its recording is sealed', async () =>
    (await evidence.sessions()).find((row) => row.id === id && row.sealed),
  );

  const exports = await Promise.all(
    ['txt', 'cast', 'jsonl'].map((format) =>
      bed.gateway.sallyport(['recordings', 'export', id, '--format', format]),
    ),
  );
  const printed = await Promise.all(
    [['audit', '--json'], ['sessions', 'show', id, '--json'], ['recordings', 'show', id], ['check']].map(
      (args) => bed.gateway.sallyport(args),
    ),
  );
  for (const one of exports) assert.equal(one.code, 0, one.stderr);
  assert.match(exports[2]?.text ?? '', /seen-/, 'the exports hold what was to be seen');
  const keystrokes = await evidence.keystrokes(id);
  assert.match(keystrokes, /echo seen-/);

  const places = new Map<string, string | Buffer>([
    ['the log', bed.gateway.log()],
    ['the keystrokes', keystrokes],
    ['the audit', JSON.stringify(await evidence.audit())],
    ['the command lines', [...commandLines].join('\n')],
    ...exports.map((one, at): [string, string] => [`export ${at}`, one.text + one.stderr]),
    ...printed.map((one, at): [string, string] => [`output ${at}`, one.text + one.stderr]),
  ]);
  const files = readdirSync(bed.gateway.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  assert.ok(files.some((file) => file.endsWith('.slr')) && files.some((file) => file.endsWith('.db')));
  for (const file of files) places.set(file, readFileSync(file));
  for (const [what, secret] of [
    ['the password of the target', bed.sshd.account.password],
    ['the password of the person', PASSWORD],
    ['a password that was refused', TRIED],
    ['what was typed unseen', TYPED],
    ['the private key of the target account', bed.sshd.privateKey.split('\n')[3] ?? ''],
  ] as const) {
    assert.ok(secret.length > 10);
    for (const [place, content] of places) assert.ok(!content.includes(secret), `${what} is in ${place}`);
  }
  assert.ok(
    [...commandLines].some((line) => line.includes('serve --config')),
    'the gateway was looked at',
  );
});
