/** Recordings of real sessions: exports agree with what the client's terminal received. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, DIRECT, openssh, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type RunResult, until } from '../support/process.ts';
import type { Terminal } from '../support/terminal.ts';
import { digestFile, randomFile } from '../support/tree.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
before(async () => {
  if (DIRECT || obstacle(NEEDS) !== undefined) return;
  bed = await startBed({
    config: { archive: { graceSeconds: 1 } },
    document: () => ({
      users: [{ name: 'private', password: PASSWORD, role: 'requester' }],
      policies: [
        { name: 'unrecorded', users: ['private'], accounts: ['*@web01'], allow: ['exec'], record: false },
      ],
    }),
  });
});
after(() => bed?.stop());

function gatewayTest(name: string, body: () => Promise<void>): void {
  if (!DIRECT) testWith(NEEDS, name, body);
}

interface Listed {
  readonly id: string;
  readonly user: string;
  readonly account: string;
  readonly system: string;
  readonly sealed: boolean;
  readonly state?: string;
  readonly endCode?: string;
}

/** The newest recording, once it is sealed. */
function newest(): Promise<Listed> {
  return until('the newest recording is sealed', async () => {
    const [first] = await bed.gateway.json<Listed[]>(['recordings', 'ls']);
    return first?.sealed === true ? first : undefined;
  });
}

async function exported(id: string, format: 'cast' | 'txt' | 'jsonl'): Promise<Buffer> {
  const file = join(bed.folder, `${id}.${format}`);
  const result = await bed.gateway.sallyport([
    'recordings',
    'export',
    id,
    '--format',
    format,
    '--output',
    file,
  ]);
  assert.equal(result.code, 0, result.stderr);
  return readFileSync(file);
}

interface Line {
  readonly at: number;
  readonly kind: string;
  readonly channel: number;
  readonly text?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

async function events(id: string): Promise<Line[]> {
  const lines = (await exported(id, 'jsonl')).toString().trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Line);
}

/** An interactive session with colours, UTF-8, a resize and a full-screen part; resolves with its terminal. */
async function interactiveSession(): Promise<Terminal> {
  const terminal = sshTerminal(bed.door, ['target'], { columns: 90, rows: 30 });
  await terminal.expect('$ ');
  terminal.type('printf "\\033[31mred\\033[0m gr\\303\\274\\303\\237e \\360\\237\\230\\200 \\377\\376\\n"\r');
  await terminal.expect('red');
  await terminal.expect('$ ');
  terminal.resize(120, 40);
  terminal.type('until [ "$(stty size)" = "40 120" ]; do sleep 0.05; done; seq 300\r');
  await terminal.expect('300\r\n');
  await terminal.expect('$ ');
  terminal.type('printf "\\033[?1049h\\033[2J\\033[5;5Hfull\\033[?1049l"; ls /etc | head -50\r');
  await terminal.expect('$ ');
  terminal.type('exit 3\r');
  assert.equal(await terminal.ended, 3);
  return terminal;
}

gatewayTest('every export of an interactive session agrees with the screen of the client', async () => {
  const { screen } = await interactiveSession();
  const recording = await newest();
  assert.deepEqual(
    [recording.user, recording.account, recording.system],
    ['alice', bed.sshd.account.name, 'web01'],
  );

  const text = await exported(recording.id, 'txt');
  assert.equal(text.toString('latin1'), screen.toString('latin1'));

  const cast = (await exported(recording.id, 'cast')).toString().trimEnd().split('\n');
  const header = JSON.parse(cast[0] ?? '') as Record<string, unknown>;
  assert.deepEqual([header['version'], header['width'], header['height']], [2, 90, 30]);
  assert.deepEqual(header['env'], { TERM: 'xterm-256color' });
  const lines = cast.slice(1).map((line) => JSON.parse(line) as [number, string, string]);
  const output = lines.filter(([, code]) => code === 'o').map(([, , data]) => data);
  assert.equal(output.join(''), screen.toString());
  assert.deepEqual(
    lines.filter(([, code]) => code === 'r').map(([, , data]) => data),
    ['120x40'],
  );
  const times = lines.map(([at]) => at);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );

  const kinds = (await events(recording.id)).map((line) => line.kind);
  for (const kind of [
    'channelOpen',
    'terminal',
    'start',
    'output',
    'input',
    'resize',
    'exit',
    'channelClose',
  ])
    assert.ok(kinds.includes(kind), `${kind} is missing`);
});

gatewayTest('a replay writes what the screen was sent', async () => {
  const terminal = sshTerminal(bed.door, ['-t', 'target', 'echo one; printf "gr\\303\\274n\\n"; seq 50']);
  await terminal.ended;
  const { id } = await newest();
  const played = await bed.gateway.sallyport(['recordings', 'play', id]);
  assert.equal(played.code, 0, played.stderr);
  assert.ok(played.stdout.includes(terminal.screen), played.text);
});

gatewayTest('a sealed recording verifies, and one changed byte is found', async () => {
  await ssh(bed.door, ['target', 'seq 5000']);
  const { id } = await newest();
  const verified = await bed.gateway.sallyport(['recordings', 'verify', id]);
  assert.equal(verified.code, 0, verified.stderr + verified.text);
  const shown = await bed.gateway.json<Record<string, unknown>>(['recordings', 'show', id]);
  assert.equal(shown['id'], id);

  const file =
    archiveFiles().find((each) => each.includes(id)) ?? assert.fail(`no file of ${id} in the archive`);
  const bytes = readFileSync(file);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  writeFileSync(file, bytes);
  const broken = await bed.gateway.sallyport(['recordings', 'verify', id]);
  assert.notEqual(broken.code, 0);
});

function archiveFiles(): string[] {
  return readdirSync(join(bed.gateway.dataDir, 'archive'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

gatewayTest('commands are recorded with both streams, exit code and digest', async () => {
  const result = await ssh(bed.door, ['target', 'echo out; echo err >&2; cat >/dev/null; exit 7'], {
    input: 'typed',
  });
  assert.equal(result.code, 7);
  const lines = await events((await newest()).id);
  const text = (kind: string): string =>
    lines
      .filter((line) => line.kind === kind)
      .map((line) => line.text)
      .join('');
  assert.equal(text('output'), 'out\n');
  assert.equal(text('errorOutput'), 'err\n');
  assert.deepEqual(lines.find((line) => line.kind === 'start')?.data, {
    request: 'exec',
    command: 'echo out; echo err >&2; cat >/dev/null; exit 7',
  });
  assert.equal(lines.find((line) => line.kind === 'exit')?.data?.['status'], 7);
  const digest = lines.find((line) => line.kind === 'digest' && line.data?.['stream'] === 'input')?.data;
  assert.equal(digest?.['sha256'], createHash('sha256').update('typed').digest('hex'));
});

gatewayTest('file transfers are recorded by name, size and checksum', async () => {
  const file = randomFile(join(bed.folder, 'sent'), 700_001);
  const expected = { bytes: 700_001, sha256: digestFile(file) };
  const fileEvents = async (result: RunResult): Promise<Readonly<Record<string, unknown>>[]> => {
    assert.equal(result.code, 0, result.stderr);
    const lines = await events((await newest()).id);
    return lines.filter((line) => line.kind === 'file').map((line) => line.data ?? {});
  };
  const has = (list: readonly Readonly<Record<string, unknown>>[], wanted: Record<string, unknown>): void =>
    assert.ok(
      list.some((each) => Object.entries(wanted).every(([key, value]) => each[key] === value)),
      `${JSON.stringify(wanted)} is missing in ${JSON.stringify(list)}`,
    );
  const commands = `put ${file} stored\nrename stored renamed\nget renamed ${file}.back\nrm renamed\n`;
  const sftp = await fileEvents(await openssh(bed.door, 'sftp', ['target'], { input: commands }));
  has(sftp, { protocol: 'sftp', operation: 'upload', ...expected });
  has(sftp, { protocol: 'sftp', operation: 'rename' });
  has(sftp, { protocol: 'sftp', operation: 'download', ...expected });
  has(sftp, { protocol: 'sftp', operation: 'remove' });
  const up = await fileEvents(await openssh(bed.door, 'scp', ['-O', file, 'target:scp-stored']));
  has(up, { protocol: 'scp', operation: 'upload', ...expected });
  const down = await fileEvents(await openssh(bed.door, 'scp', ['-O', 'target:scp-stored', `${file}.scp`]));
  has(down, { protocol: 'scp', operation: 'download', ...expected });
});

gatewayTest('what is typed at a prompt without echo is nowhere', async () => {
  const secret = 'Zx9-unechoed-secret';
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  terminal.type('read -rsp "Enter value: " value\r');
  await terminal.expect('Enter value: ');
  terminal.type(`${secret}\r`);
  await terminal.expect('$ ');
  terminal.type('echo "length $(printf %s "$value" | wc -c)"\r');
  await terminal.expect(`length ${secret.length}`);
  terminal.type('exit\r');
  await terminal.ended;
  const { id } = await newest();
  for (const format of ['txt', 'cast', 'jsonl'] as const)
    assert.ok(!(await exported(id, format)).includes(secret), format);
  const lines = await events(id);
  const typed = lines.filter((line) => line.kind === 'input').map((line) => line.text);
  assert.match(typed.join(''), /echo "length/);
  for (const entry of readdirSync(bed.gateway.dataDir, { recursive: true, withFileTypes: true }))
    if (entry.isFile())
      assert.ok(!readFileSync(join(entry.parentPath, entry.name)).includes(secret), entry.name);
});

gatewayTest('nothing readable lies in the archive', async () => {
  const marker = `marker-${Math.random().toString(36).slice(2)}`;
  await ssh(bed.door, ['target', `echo ${marker}; echo ${marker} >&2`]);
  const { id } = await newest();
  assert.ok((await exported(id, 'txt')).includes(marker));
  const files = archiveFiles();
  assert.ok(files.length > 0);
  for (const file of files) assert.ok(!readFileSync(file).includes(marker), file);
});

gatewayTest('a policy without recording leaves none', async () => {
  const before = (await bed.gateway.json<Listed[]>(['recordings', 'ls'])).length;
  const result = await ssh(bed.doorFor(bed.targetLogin('private'), PASSWORD), ['target', 'echo in']);
  assert.equal(result.text, 'in\n', result.stderr);
  const sessions = await bed.gateway.json<Listed[]>(['sessions', 'ls', '--all']);
  assert.equal(sessions[0]?.user, 'private');
  assert.equal((await bed.gateway.json<Listed[]>(['recordings', 'ls'])).length, before);
});

gatewayTest('without its archive the gateway opens no session, and does again when it is back', async () => {
  const archive = join(bed.gateway.dataDir, 'archive');
  renameSync(archive, `${archive}.away`);
  const refused = await ssh(bed.door, ['target', 'echo in']).finally(() =>
    renameSync(`${archive}.away`, archive),
  );
  assert.deepEqual([refused.code, refused.text], [255, '']);
  assert.match(refused.stderr, /the session cannot be recorded, so it is not opened: .*missing/);
  assert.equal((await ssh(bed.door, ['target', 'echo in'])).text, 'in\n');
});

gatewayTest('after a kill -9 the recording holds all but the durability window', async () => {
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  terminal.type('echo before-$((40+2))-crash\r');
  await terminal.expect('before-42-crash');
  // The window (1 s by default) is the declared bound of what a crash may lose.
  await new Promise((resolve) => setTimeout(resolve, 1300));
  await bed.gateway.kill9();
  assert.notEqual(await terminal.ended, 0);
  await bed.gateway.start();
  const [crashed] = await bed.gateway.json<Listed[]>(['recordings', 'ls']);
  const id = crashed?.id ?? assert.fail('the recording of the crashed session is not listed');
  assert.ok((await exported(id, 'txt')).includes('before-42-crash'));
  // The node seals it in place of its earlier run, and never calls it whole.
  const verified = await until('the recording is sealed', async () => {
    const { code, text } = await bed.gateway.sallyport(['recordings', 'verify', id]);
    return code === 0 && !text.includes('not proved  seal') ? text : undefined;
  });
  assert.match(verified, /truncated at segment \d+/);
  const session = await until('the session of the crash is closed', async () => {
    const shown = await bed.gateway.json<Listed>(['sessions', 'show', id]);
    return shown.state === 'ended' ? shown : undefined;
  });
  assert.ok(session.endCode);
  assert.equal((await ssh(bed.door, ['target', 'echo in'])).text, 'in\n');
});
