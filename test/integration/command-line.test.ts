/** What a person at the command line is told: wrong options, files that cannot be written, readers that leave. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type RunResult, run, until } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const SALLYPORT = join(import.meta.dirname, '../../bin/sallyport.js');
let bed: Bed;
/** A command's session that has ended, its recording sealed. */
let id: string;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed();
  const result = await ssh(bed.door, ['target', 'seq 20000']);
  assert.equal(result.code, 0, result.stderr);
  id = await until('the recording is sealed', async () => {
    const [row] = await bed.gateway.json<{ id: string; sealed: boolean }[]>(['recordings', 'ls']);
    return row?.sealed === true ? row.id : undefined;
  });
});
after(() => bed?.stop());

/** Exit code 1, one line of words on standard error, nothing on standard output. */
function assertRefused(result: RunResult, words: string): void {
  assert.deepEqual([result.code, result.text, result.stderr], [1, '', `sallyport: ${words}\n`]);
}

const exporting = (...more: string[]): Promise<RunResult> =>
  bed.gateway.sallyport(['recordings', 'export', id, '--format', 'txt', ...more]);

/** Runs a command line of bash with the words of a subcommand as `"$@"`. */
const inShell = (line: string, words: readonly string[]): Promise<RunResult> =>
  run('bash', [
    '-c',
    line,
    'bash',
    process.execPath,
    SALLYPORT,
    ...words,
    '--config',
    bed.gateway.configFile,
  ]);

testWith(NEEDS, 'an option that is wrong is told in words', async () => {
  const wrong: readonly (readonly [readonly string[], string])[] = [
    ...(
      [
        ['abc', 'sessions', 'ls'],
        ['-3', 'sessions', 'ls'],
        ['1.5', 'recordings', 'ls'],
        ['0', 'recordings', 'search', 'x'],
        ['', 'audit'],
      ] as const
    ).map(
      ([limit, ...command]) =>
        [[...command, `--limit=${limit}`], `--limit: wants a whole number from 1, not ${limit}`] as const,
    ),
    [['recordings', 'play', id, '--speed', '0'], '--speed: wants a number above 0, not 0'],
    [['recordings', 'play', id, '--speed', 'fast'], '--speed: wants a number above 0, not fast'],
    [['recordings', 'play', id, '--channel', '9'], '--channel: the session had no channel 9'],
    [['recordings', 'play', id, '--channel', '0.5'], '--channel: wants a whole number from 0, not 0.5'],
    ...['cast', 'jsonl'].map(
      (format) =>
        [
          ['recordings', 'export', id, '--format', format, '--channel', '9', '--output', '/dev/null'],
          '--channel: the session had no channel 9',
        ] as const,
    ),
    [
      ['recordings', 'export', id, '--format', 'txt', '--json'],
      '--json: name a file with --output, standard output has the data',
    ],
    [
      ['launch', 'alice', 'a@b', '--output', '-', '--json'],
      '--json: name a file with --output, standard output has the data',
    ],
  ];
  for (const [args, words] of wrong) assertRefused(await bed.gateway.sallyport(args), words);
  const first = await exporting('--channel', '0');
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.text, /^1\n2\n/);
});

testWith(NEEDS, 'a file that cannot be written is named, with why', async () => {
  const missing = join(bed.folder, 'missing', 'file');
  assertRefused(await exporting('--output', missing), `${missing}: cannot be written (ENOENT)`);
  assertRefused(await exporting('--output', bed.folder), `${bed.folder}: cannot be written (EISDIR)`);
  assertRefused(await exporting('--output', '/dev/full'), '/dev/full: cannot be written (ENOSPC)');
  assert.equal(existsSync(missing), false);
  for (const words of [['recordings', 'export', id, '--format', 'txt'], ['audit']])
    assertRefused(await inShell('"$@" > /dev/full', words), 'standard output: cannot be written (ENOSPC)');
});

testWith(NEEDS, 'a reader that has seen enough ends a command quietly', async () => {
  for (const words of [
    ['recordings', 'export', id, '--format', 'txt'],
    ['recordings', 'play', id],
    ['recordings', 'ls'],
    ['schema'],
  ]) {
    // The reader is gone before the command can have begun to write.
    const line = words[0] === 'schema' ? '"$1" "$2" schema' : '"$@"';
    const result = await inShell(`${line} | true; exit "\${PIPESTATUS[0]}"`, words);
    assert.deepEqual([result.code, result.text, result.stderr], [0, '', ''], words.join(' '));
  }
});

testWith(NEEDS, 'the schema of either file is printed', async () => {
  for (const [options, title, key] of [
    ['', 'sallyport.yaml', 'archive'],
    [' --apply', 'sallyport apply', 'policies'],
  ] as const) {
    const { code, text } = await inShell(`"$1" "$2" schema${options}`, ['schema']);
    assert.equal(code, 0);
    const schema = JSON.parse(text) as { title: string; properties: Record<string, unknown> };
    assert.equal(schema.title, title);
    assert.ok(key in schema.properties);
  }
});

testWith(NEEDS, 'the audit log is asked by a short id, and says when nothing matches', async () => {
  const whole = await bed.gateway.json<{ sessionId: string }[]>(['audit', '--session', id, '--limit', '3']);
  assert.deepEqual(
    whole.map((row) => row.sessionId),
    [id, id, id],
  );
  const short = await bed.gateway.json<unknown>(['audit', '--session', id.slice(-12), '--limit', '3']);
  assert.deepEqual(short, whole);
  assertRefused(
    await bed.gateway.sallyport(['audit', '--session', 'nothing-like-it']),
    "no session has the id nothing-like-it: see 'sallyport sessions ls --all'",
  );
  assert.equal((await bed.gateway.sallyport(['audit', '--user', 'nobody'])).text, 'no event matches\n');
});

testWith(NEEDS, 'one recording is shown in words, and as JSON in numbers', async () => {
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  const [open] = await bed.gateway.json<{ id: string }[]>(['sessions', 'ls']);
  const running = await bed.gateway.sallyport(['sessions', 'show', open?.id ?? '']);
  assert.match(running.text, /^state +active$/m);
  assert.doesNotMatch(running.text, /^from (client|target)/m);
  terminal.type('echo shown-$((40+2))\r');
  await terminal.expect('shown-42');
  terminal.type('exit\r');
  await terminal.ended;
  const row = await until('the session has ended', async () => {
    const [newest] = await bed.gateway.json<{ id: string; sealed: boolean; source: string }[]>([
      'recordings',
      'ls',
    ]);
    return newest?.id === open?.id && newest?.sealed ? newest : undefined;
  });
  const ended = await bed.gateway.sallyport(['sessions', 'show', row.id]);
  assert.match(ended.text, /^from client +\d+ B$/m);
  assert.match(ended.text, /^from target +\d/m);

  const shown = await bed.gateway.sallyport(['recordings', 'show', row.id]);
  assert.match(shown.text, /^protocol +ssh$/m);
  assert.ok(shown.text.includes(row.source), shown.text);
  assert.match(shown.text, /^started +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/m);
  assert.match(shown.text, /^duration +\d+:\d\d$/m);
  assert.match(shown.text, /^commands\n {2}\S+ \S+ {2}echo shown-/m);
  const json = await bed.gateway.json<Record<string, unknown>>(['recordings', 'show', row.id]);
  const numbers = [json['startedAt'], json['duration']].map((value) => typeof value);
  assert.deepEqual(numbers, ['number', 'number']);
  assert.ok(Number(json['startedAt']) > Date.UTC(2020) && Number(json['startedAt']) < Date.now());
  assert.equal(json['started'], undefined);
});
