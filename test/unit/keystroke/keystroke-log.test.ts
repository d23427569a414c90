import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeystrokeLog } from '../../../recorder/keystroke/index.ts';
import { LogBench } from '../../support/terminal-session.ts';

const PROMPT = 'alice@web01:~$ ';
/** What a session should tell, from its description. */
const CASES: readonly [string, (bench: LogBench) => LogBench, readonly string[]][] = [
  ['one key, echoed', (b) => b.out(PROMPT).in('x').out('x'), ['x']],
  ['no echo for a second', (b) => b.out(PROMPT).in('x').wait(1000), ['********']],
  ['an echo within the second', (b) => b.out(PROMPT).in('x').wait(750).out('x'), ['x']],
  ['other output first', (b) => b.out(PROMPT).in('x').out('y').out('x'), ['********']],
  ['a new line first', (b) => b.out(PROMPT).in('x').out('\r\nx'), ['********']],
  ['colours before the echo', (b) => b.out(PROMPT).in('x').out('\x1b[1;32mx\x1b[0m'), ['x']],
  ['a title before the echo', (b) => b.out(PROMPT).in('x').out('\x1b]0;title\x07x'), ['x']],
  ['an echo cut in two', (b) => b.out(PROMPT).in('abcdef').out('abc').out('def'), ['abcdef']],
  ['half an echo', (b) => b.out(PROMPT).in('abcdef').out('abc').wait(1000), ['********']],
  [
    'UTF-8 cut in two, both ways',
    (b) => b.out(PROMPT).in(Buffer.of(0xc3)).in(Buffer.of(0xbc)).out(Buffer.of(0xc3)).out(Buffer.of(0xbc)),
    ['ü'],
  ],
  [
    'output that only begins like what was typed',
    (b) => b.out('> ').in('password1\r').out('passwd: wrong\r\n'),
    ['********<Enter>'],
  ],
  [
    'output that begins with all that was typed',
    (b) => b.out('> ').in('pass\r').out('passwd: wrong\r\n'),
    ['********<Enter>'],
  ],
  [
    'the prompt that the person was faster than',
    (b) => b.in('Pa').out('Password: ').in('ss').wait(1000),
    ['********'],
  ],
  ['typed and sent at once', (b) => b.out(PROMPT).in('ls\r').out('ls\r\nfile\r\n'), ['ls<Enter>', '$ ls']],
  [
    'kernel echo of an erased character, at once',
    (b) => b.out(PROMPT).in('lx\x7fs\r').out('lx\b \bs\r\n'),
    ['lx<Backspace>s<Enter>', '$ ls'],
  ],
  [
    'erasing in an unseen word tells nothing of its length',
    (b) => b.out('> ').in('abc').in('\x7f').in('\x7f').in('de\r').out('\r\n'),
    ['********<Enter>'],
  ],
  [
    'pauses in an unseen word tell nothing of its length',
    (b) => b.out('> ').in('abc').wait(1500).in('\x7f').in('de').wait(1500).in('f\r').out('\r\n'),
    ['********<Enter>'],
  ],
  [
    'a password prompt masks what happens to be echoed in part',
    (b) => b.out('Password: ').in('a').out('a').in('bc\r').out('\r\nok\r\n'),
    ['********<Enter>'],
  ],
  [
    'a question that sounds like a password prompt, answered in sight',
    (b) => b.out('Name of the secret: ').echoed('blue').in('\r').out('\r\n'),
    ['blue<Enter>', '$ blue'],
  ],
  [
    'the same, sent before the echo came',
    (b) => b.out('Name of the secret: ').in('blue\r').out('blue\r\n'),
    ['blue<Enter>', '$ blue'],
  ],
  [
    'a pause in the middle at a password prompt',
    (b) => b.out('Password: ').in('abc').wait(5000).in('def\r').out('\r\n'),
    ['********<Enter>'],
  ],
  [
    'stars for characters, one of them a star',
    (b) =>
      ['a', '*', 'b']
        .reduce((at, key) => at.in(key).out('*'), b.out('Key? '))
        .in('\r')
        .out('\r\n'),
    ['********<Enter>'],
  ],
  [
    'dots for characters at a password prompt',
    (b) =>
      ['a', 'b']
        .reduce((at, key) => at.in(key).out('•'), b.out('Passphrase: '))
        .in('\r')
        .out('\r\n'),
    ['********<Enter>'],
  ],
  [
    'Ctrl-C at a password prompt',
    (b) => b.out('Password: ').in('abc\x03').out('^C\r\n'),
    ['********<Ctrl-C>'],
  ],
  [
    'arrows at a password prompt',
    (b) => b.out('Password: ').in('ab\x1b[Dc\r').out('\r\n'),
    ['********<Enter>'],
  ],
  [
    'a password pasted with brackets',
    (b) => b.out('Password: ').in('\x1b[200~hunter2\x1b[201~').in('\r').out('\r\n'),
    ['<Paste>********<Enter>'],
  ],
  [
    'a password typed ahead of its prompt',
    (b) => b.out(PROMPT).in('su\rhunter2\r').out('su\r\nPassword: ').out('\r\n# ').wait(1000),
    ['su<Enter>', '$ su', '********<Enter>'],
  ],
  [
    'a command behind a slow prompt',
    (b) => b.out(PROMPT).in('a\rb\r').out('a\r\n').wait(2000).out(`${PROMPT}b\r\n`),
    ['a<Enter>', '$ a', '********<Enter>', '$ b'],
  ],
  [
    'a history line',
    (b) => b.out(PROMPT).in('\x1b[A').out('ls -la').in('\r').out('\r\n'),
    ['<Up><Enter>', '$ ls -la'],
  ],
  [
    'a right-hand prompt is no part of the command',
    (b) => b.out('% \x1b[60C12:30\x1b[65D').echoed('ls').in('\r').out('\r\n'),
    ['ls<Enter>', '$ ls'],
  ],
  [
    'an autosuggestion that was not taken',
    (b) => b.out('> ').in('l').out('l\x1b[2ms -la\x1b[m\x1b[5D').in('x').out('x\x1b[K').in('\r').out('\r\n'),
    ['lx<Enter>', '$ lx'],
  ],
  [
    'a line drawn anew with colours for each key',
    (b) => b.out('> ').in('l').out('\x1b[31ml\x1b[m').in('s').out('\b\x1b[32mls\x1b[m').in('\r').out('\r\n'),
    ['ls<Enter>', '$ ls'],
  ],
  [
    'Windows: each key drawn at its place',
    (b) =>
      b
        .out('\x1b[5;1HC:\\> ')
        .in('d')
        .out('\x1b[?25l\x1b[5;6Hd\x1b[?25h')
        .in('ir')
        .out('\x1b[5;7Hir')
        .in('\r')
        .out('\r\n'),
    ['dir<Enter>', '$ dir'],
  ],
  [
    'keys in a full-screen program',
    (b) =>
      b
        .out('\x1b[?1049h\x1b[H')
        .in('j')
        .out('\x1b[2;1H')
        .in('dd')
        .out('\x1b[M')
        .in('\x1b[B')
        .out('\x1b[3;1H')
        .in('q')
        .out('\x1b[?1049l'),
    ['jdd<Down>q'],
  ],
  [
    'a password dialog in a full-screen program',
    (b) =>
      ['a', 'b']
        .reduce((at, key) => at.in(key).out('*'), b.out('\x1b[?1049h\x1b[5;5HPassword: '))
        .in('\r')
        .out('\x1b[H'),
    ['********<Enter>'],
  ],
  [
    'a password dialog that names nothing',
    (b) =>
      ['a', 'b']
        .reduce((at, key) => at.in(key).out('*'), b.out('\x1b[?1049h\x1b[5;5HCode'))
        .in('\r')
        .out('\x1b[H'),
    ['********<Enter>'],
  ],
  [
    'a password prompt inside a terminal multiplexer, its clock moving',
    (b) =>
      b
        .out('\x1b[?1049h\x1b[3;1H[sudo] password for alice: ')
        .out('\x1b[24;1H[0] 12:31\x1b[3;28H')
        .in('h')
        .out('\x1b[24;1H[0] 12:32\x1b[3;28H')
        .in('u')
        .in('\r')
        .out('\x1b[4;1H'),
    ['********<Enter>'],
  ],
  [
    'an unseen word of a full-screen program',
    (b) => b.out('\x1b[?1049h\x1b[H').in('h').in('u').in('n').in('t').in('\r').out('\x1b[2;1H'),
    ['********<Enter>'],
  ],
  [
    'names of keys',
    (b) => b.in('\x1bOA\x1b[1;5C\x1b[3~\x1b[15~\x1b[Z\t\x01\x1bb\x1b'),
    ['<Up><Right><Delete><F5><Shift-Tab><Tab><Ctrl-A><Alt-b><Esc>'],
  ],
  [
    'answers of the terminal are no keys',
    (b) => b.in('\x1b[?62;c\x1b[24;80R\x1b[I\x1b[<0;5;5M\x1b]11;rgb:0/0/0\x1b\\'),
    [],
  ],
  [
    'a clipboard that the terminal sends is not recorded',
    (b) => b.in('\x1b]52;c;aHVudGVyMg==\x07').in('x').out('x'),
    ['x'],
  ],
  ['nothing is told of an empty line', (b) => b.out(PROMPT).in('\r').out(`\r\n${PROMPT}`), ['<Enter>']],
];

for (const [name, session, expected] of CASES) {
  test(name, () => assert.deepEqual(session(new LogBench()).told().lines, expected));
}

test('the masked input keeps every byte but those of a secret', () => {
  const bench = new LogBench();
  bench
    .out(PROMPT)
    .echoed('su')
    .in('\x1b[D\x1b[C')
    .in('\r')
    .out('\r\nPassword: ')
    .in('hunter2\r')
    .out('\r\n# ');
  bench.in('\x1b[?62;c').in(Buffer.of(0xff)).out('\ufffd');
  const { input } = bench.told();
  assert.equal(input, 'su\x1b[D\x1b[C\r********\r\x1b[?62;c\ufffd');
});

test('pending tells when there is something to wait for or to take', () => {
  let now = 0;
  const log = new KeystrokeLog({ now: () => now });
  assert.equal(log.pending, false);
  log.input(Buffer.from('x'));
  assert.equal(log.pending, true);
  now = 999;
  log.tick();
  assert.deepEqual(log.take(), []);
  assert.equal(log.pending, true);
  now = 1000;
  log.tick();
  assert.deepEqual(log.take(), [{ at: 1000, kind: 'keys', text: '********' }]);
  assert.equal(log.pending, true);
  assert.equal(Buffer.concat(log.maskedInput()).toString(), '********');
  assert.equal(log.pending, false);
});

test('a piece bears the time of its first key, a command that of its Enter', () => {
  let now = 10;
  const log = new KeystrokeLog({ now: () => now });
  log.output(Buffer.from('$ '));
  for (const key of ['l', 's']) {
    log.input(Buffer.from(key));
    now += 10;
    log.output(Buffer.from(key));
  }
  log.input(Buffer.from('\r'));
  now += 10;
  log.output(Buffer.from('\r\n'));
  assert.deepEqual(log.take(), [
    { at: 10, kind: 'keys', text: 'ls<Enter>' },
    { at: 30, kind: 'command', text: 'ls' },
  ]);
});

test('what is held is bounded', () => {
  const bench = new LogBench();
  bench.out('> ').in('x'.repeat(100_000));
  const { lines, input } = bench.told();
  assert.deepEqual(lines, ['********']);
  assert.equal(input, '********');
});

test('a line longer than is followed stays cut, and the next one is right', () => {
  const bench = new LogBench();
  bench.out('y'.repeat(50_000)).out(`\r\n${PROMPT}`).echoed('ls').in('\r').out('\r\n');
  assert.deepEqual(bench.told().lines, ['ls<Enter>', '$ ls']);
});
