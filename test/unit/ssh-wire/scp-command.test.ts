import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseScpCommand } from '../../../gateway/ssh/wire/scp-command.ts';

const sink = { mode: 'sink', recursive: false, directory: false } as const;
const source = { mode: 'source', recursive: false, directory: false } as const;

const SCP: readonly [string, ReturnType<typeof parseScpCommand>][] = [
  ['scp -t /tmp/x', { ...sink, path: '/tmp/x' }],
  ['/usr/bin/scp -t .', { ...sink, path: '.' }],
  ['scp -v -r -p -d -t -- -odd', { ...sink, recursive: true, directory: true, path: '-odd' }],
  ['scp -qrpf ~/logs', { ...source, recursive: true, path: '~/logs' }],
  ["scp -t 'a b; c'", { ...sink, path: 'a b; c' }],
  ['scp -t "a b; c"', { ...sink, path: 'a b; c' }],
  ['scp -t a\\ b\\;c', { ...sink, path: 'a b;c' }],
  [`scp -t 'it'"'"'s'`, { ...sink, path: "it's" }],
  ['scp -t "a\\"b\\\\c\\d"', { ...sink, path: 'a"b\\c\\d' }],
  ['scp -f /var/log/*.log', { ...source, path: '/var/log/*.log' }],
  ['scp -f Ümlaut', { ...source, path: 'Ümlaut' }],
  ['scp  -t   x ', { ...sink, path: 'x' }],
];
for (const [command, expected] of SCP) {
  test(`scp: ${command}`, () => assert.deepEqual(parseScpCommand(command), expected));
}

const OTHER = [
  '',
  'scp',
  'scp -t',
  'scp x',
  'scp -t -f x',
  'scp -t x; bash',
  'scp -t x;bash',
  'scp -t x && bash',
  'scp -t x | bash',
  'scp -t x & bash',
  'scp -t x\nbash',
  'scp -t $(bash)',
  'scp -t `bash`',
  'scp -t "$(bash)"',
  'scp -t "`bash`"',
  'scp -t $HOME',
  'scp -t x > y',
  'scp -t x < y',
  'scp -t {a,b}',
  'scp -t x #',
  'scp -t x y',
  "scp -t ''",
  "scp -t 'x",
  'scp -t "x',
  'scp -t x\\',
  'scp -t x\\\ny',
  'scp -S bash -t x',
  'scp -Sbash -t x',
  'scp -oProxyCommand=bash -t x',
  'scp -t -x',
  "scp '-t' x",
  'scp -t x -f y',
  'scp -t *',
  'scp -t a*',
  'scp -f *',
  'scp -f "x" -S bash',
  'SCP=1 scp -t x',
  '/tmp/scp -t x',
  "'scp' -t x",
  'scp\u00a0-t x',
  'scp -t x\0y',
  'scp -t !x',
  'sh -c "scp -t x"',
  'scp -t ~root ~',
  'scp -t a~;',
  `scp -t ${'x'.repeat(20_000)}`,
];
for (const command of OTHER) {
  test(`not scp: ${JSON.stringify(command.slice(0, 60))}`, () =>
    assert.equal(parseScpCommand(command), undefined));
}
