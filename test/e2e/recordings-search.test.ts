/** Looking for what was typed and shown, over real sessions and with the real command line. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, DIRECT, openssh, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const SECRET = 'Qv7-unechoed-secret';

interface Hit {
  readonly id: string;
  readonly at: number;
  readonly offset?: number;
  readonly kind: string;
  readonly text: string;
}

interface Session {
  readonly id: string;
  readonly sealed: boolean;
}

let bed: Bed;
/** Sessions of the tests, by what they are. */
const ids: Record<'terminal' | 'exec' | 'files' | 'long', string> = {
  terminal: '',
  exec: '',
  files: '',
  long: '',
};

before(async () => {
  if (DIRECT || obstacle(NEEDS) !== undefined) return;
  bed = await startBed();
  await terminalSession();
  ids.terminal = await sealed();
  await ssh(bed.door, ['target', 'echo said-by-exec; echo warned-by-exec >&2']);
  ids.exec = await sealed();
  const file = join(bed.folder, 'quarterly-figures.csv');
  writeFileSync(file, 'no-content-of-files\n');
  await openssh(bed.door, 'sftp', ['target'], { input: `put ${file}\n` });
  ids.files = await sealed();
  // Random lines pack badly: long enough for a text beside the recording.
  await ssh(bed.door, [
    'target',
    'for i in $(seq 400); do head -c 90 /dev/urandom | base64; done; echo last-$((1+1))-line',
  ]);
  ids.long = await sealed();
});
after(() => bed?.stop());

/** Every session is another: the newest recording, once it is sealed. */
function sealed(): Promise<string> {
  return until('the newest recording is sealed', async () => {
    const [first] = await bed.gateway.json<Session[]>(['recordings', 'ls']);
    return first?.sealed === true && !Object.values(ids).includes(first.id) ? first.id : undefined;
  });
}

async function terminalSession(): Promise<void> {
  const terminal = sshTerminal(bed.door, ['target'], { columns: 90, rows: 30 });
  await terminal.expect('$ ');
  terminal.type('echo typed-$((40+2))-and-shown\r');
  await terminal.expect('typed-42-and-shown');
  await terminal.expect('$ ');
  terminal.type('read -rsp "Enter value: " value; echo\r');
  await terminal.expect('Enter value: ');
  terminal.type(`${SECRET}\r`);
  await terminal.expect('$ ');
  terminal.type(
    'printf "\\033[?1049h\\033[2J\\033[5;5Hmenu of \\033[7mGr\\303\\274n\\033[0m things"; sleep 1; printf "\\033[?1049l"\r',
  );
  await terminal.expect('1049l');
  await terminal.expect('$ ');
  terminal.type('exit\r');
  await terminal.ended;
}

function gatewayTest(name: string, body: () => Promise<void>): void {
  if (!DIRECT) testWith(NEEDS, name, body);
}

function search(...args: readonly string[]): Promise<Hit[]> {
  return bed.gateway.json<Hit[]>(['recordings', 'search', ...args]);
}

function kindsOf(hits: readonly Hit[], id: string): string[] {
  return hits.filter((hit) => hit.id === id).map(({ kind }) => kind);
}

gatewayTest('what was typed and what was shown is found, each with its moment', async () => {
  assert.deepEqual(
    new Set(kindsOf(await search('echo typed'), ids.terminal)),
    new Set(['shown', 'command', 'keys']),
  );
  const [shown, ...more] = await search('typed-42-and');
  assert.deepEqual(more, []);
  assert.deepEqual([shown?.id, shown?.kind, shown?.text], [ids.terminal, 'shown', 'typed-42-and-shown']);

  // The moment is that of the event which showed it.
  const file = join(bed.folder, 'terminal.jsonl');
  const exported = await bed.gateway.sallyport([
    'recordings',
    'export',
    ids.terminal,
    '--format',
    'jsonl',
    '--output',
    file,
  ]);
  assert.equal(exported.code, 0, exported.stderr);
  const events = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { at: number; time: string; kind: string; text?: string });
  const event = events.find(({ kind, text }) => kind === 'output' && text?.includes('typed-42-and-shown'));
  assert.equal(shown?.offset, (event?.at ?? 0) / 1e6);
  assert.equal(shown?.at, Date.parse(event?.time ?? ''));

  assert.deepEqual(kindsOf(await search('menu grun thing'), ids.terminal), ['shown']);
});

gatewayTest('output, commands and names of files are found', async () => {
  assert.deepEqual(kindsOf(await search('said-by-exec'), ids.exec).sort(), ['command', 'shown']);
  assert.deepEqual(kindsOf(await search('warned-by'), ids.exec).sort(), ['command', 'shown']);
  assert.deepEqual([...new Set(kindsOf(await search('quarterly-fig'), ids.files))], ['file']);
  assert.deepEqual(await search('no-content-of-files'), []);
});

gatewayTest('a password that was not echoed is not found, nor where it was typed', async () => {
  assert.deepEqual(await search(SECRET), []);
  assert.deepEqual(await search('unechoed'), []);
  assert.notDeepEqual(await search('Enter value'), []);
});

gatewayTest('recordings, times and numbers of hits can be chosen', async () => {
  const all = await search('exec');
  assert.ok(all.length > 2);
  assert.deepEqual(await search('exec', '--limit', '2'), all.slice(0, 2));
  assert.deepEqual(await search('exec', '--user', 'alice', '--system', 'web01'), all);
  assert.deepEqual(await search('exec', '--user', 'bob'), []);
  assert.deepEqual(await search('exec', '--since', new Date(Date.now() + 1000).toISOString()), []);
  assert.deepEqual(await search('exec', '--until', new Date(0).toISOString()), []);
  const wrong = await bed.gateway.sallyport(['recordings', 'search', '"."']);
  assert.deepEqual([wrong.code, wrong.stderr], [1, 'sallyport: TEXT: there is no word in "\\".\\""\n']);
});

gatewayTest('on a machine that has only the archive and the identity the same is found', async () => {
  const archive = join(bed.gateway.dataDir, 'archive');
  const beside = await until('the text of the long recording is beside it', async () =>
    readdirSync(archive, { recursive: true, withFileTypes: true })
      .map((entry) => join(entry.parentPath, entry.name))
      .find((path) => path.endsWith(`${ids.long}.text`)),
  );
  assert.ok(!readFileSync(beside).includes('last'));

  const elsewhere = join(bed.folder, 'elsewhere');
  mkdirSync(elsewhere);
  const identity = join(bed.gateway.dataDir, 'keys', 'archive.identity');
  assert.ok(existsSync(identity));
  const alone = ['--archive', `file:${archive}`, '--identity', identity];
  const found = async (text: string): Promise<Hit[]> =>
    await bed.gateway.json(['recordings', 'search', text, ...alone]);
  assert.deepEqual(await found('typed-42-and'), await search('typed-42-and'));
  assert.deepEqual(await found('last-2-line'), await search('last-2-line'));
  assert.deepEqual(
    (await found('last-2-line')).map(({ id }) => id),
    [ids.long],
  );
  assert.ok(kindsOf(await found('echo typed'), ids.terminal).includes('typed'));
  assert.deepEqual(await found('unechoed'), []);
});

gatewayTest('a replay and an export begin at the moment of a hit', async () => {
  const [hit] = await search('typed-42-and');
  const moment = String(hit?.offset);
  const whole = await bed.gateway.sallyport(['recordings', 'export', ids.terminal, '--format', 'txt']);
  const late = await bed.gateway.sallyport([
    'recordings',
    'export',
    ids.terminal,
    '--format',
    'txt',
    '--from',
    moment,
  ]);
  assert.ok(late.text.includes('typed-42-and-shown'), late.text);
  assert.ok(whole.text.endsWith(late.text) && whole.text.length > late.text.length);
  const early = await bed.gateway.sallyport([
    'recordings',
    'export',
    ids.terminal,
    '--format',
    'txt',
    '--to',
    moment,
  ]);
  assert.equal(early.text + late.text, whole.text);
  // Slow enough that all that comes in time was drawn at once.
  const played = await bed.gateway.sallyport([
    'recordings',
    'play',
    ids.terminal,
    '--from',
    '9:59',
    '--speed',
    '0.001',
  ]);
  assert.deepEqual([played.code, played.text], [0, whole.text]);
});

gatewayTest('a recording that was altered is told, and the others are searched', async () => {
  const archive = join(bed.gateway.dataDir, 'archive');
  const path = readdirSync(archive, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .find((each) => each.endsWith(`${ids.exec}.slr`));
  const bytes = readFileSync(path ?? assert.fail('no recording'));
  bytes.writeUInt8(bytes.readUInt8(Math.floor(bytes.length / 2)) ^ 1, Math.floor(bytes.length / 2));
  writeFileSync(path ?? '', bytes);
  const result = await bed.gateway.sallyport(['recordings', 'search', 'typed-42-and']);
  assert.equal(result.code, 1);
  assert.match(result.stderr, new RegExp(`^session ${ids.exec} was not searched: `));
  assert.match(
    result.text,
    /ID +USER +TARGET +TIME +AT +KIND +TEXT\n.*\d:\d\d\.\d +shown +typed-42-and-shown\n$/,
  );
});
