import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinePrompt, Picker } from '../../../gateway/ssh/picker.ts';

/** Escape as a visible character, for matching. */
const plain = (text: string) => text.replaceAll('\x1b', '␛');
const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const choice = (account: string, system: string, protocol = 'ssh', policy = 'ops') => ({
  account,
  system,
  protocol,
  policy,
});
const SIZE = { columns: 60, rows: 10 };
const FIVE = [
  choice('root', 'web01'),
  choice('deploy', 'web01'),
  choice('root', 'db01'),
  choice('Administrator', 'win01', 'rdp', 'desktops'),
  choice('root', 'web02'),
];
const [UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END] = [
  '\x1b[A',
  '\x1b[B',
  '\x1b[5~',
  '\x1b[6~',
  '\x1b[H',
  '\x1b[F',
];

/** The rows of a drawing, by the cursor addresses in it; `>` before the chosen one. */
function rows(output: string): string[] {
  const screen: string[] = [];
  for (const [, row, , text] of plain(output).matchAll(/␛\[(\d+);(\d+)H((?:(?!␛\[\d+;\d+H)[\s\S])*)/g)) {
    if (text === undefined || text === '' || text === '␛[?25h') continue;
    screen[Number(row) - 1] =
      (text.includes('␛[7m') ? '>' : '') + text.replace(/␛\[[\d;?]*[a-zA-Z]/g, '').trim();
  }
  return screen;
}
const chosen = (output: string) => rows(output).find((row) => row?.startsWith('>'));

test('draws title, filter, list and help on the alternate screen', () => {
  const picker = new Picker(FIVE, SIZE);
  const drawn = picker.start();
  assert.ok(drawn.startsWith('\x1b[?1049h'));
  assert.match(plain(picker.end()), /␛\[\?1049l$/);
  const screen = rows(drawn);
  assert.equal(screen.length, 10);
  assert.match(screen[0] ?? '', /choose a target/);
  assert.equal(screen[1], '5/5 Filter:');
  assert.match(screen[2] ?? '', /^>root@web01 +ssh {2}ops$/);
  assert.match(screen[5] ?? '', /^Administrator@win01 +rdp {2}desktops$/);
  assert.match(screen[9] ?? '', /Enter: connect/);
});

const PICKS: readonly [string, string, number | 'cancelled' | undefined][] = [
  ['Enter', '\r', 0],
  ['Down', `${DOWN}${DOWN}\r`, 2],
  ['Down in application mode', '\x1bOB\r', 1],
  ['Down past the end', `${DOWN.repeat(9)}\r`, 4],
  ['Up past the start', `${DOWN}${UP.repeat(5)}\r`, 0],
  ['End and Up', `${END}${UP}\r`, 3],
  ['End and Home', `${END}${HOME}\r`, 0],
  ['Page Down', `${PAGE_DOWN}\r`, 4],
  ['Page Up', `${END}${PAGE_UP}\r`, 0],
  ['filter', 'db\r', 2],
  ['filter of several words, any case', 'WEB Root\r', 0],
  ['filter by protocol and policy', 'rdp desk\r', 3],
  ['filter, then move', `root${DOWN}${DOWN}\r`, 4],
  ['filter and Backspace', 'dbx\x7f\r', 2],
  ['filter erased', 'db\x15\r', 0],
  ['filter without its last word', 'root db\x17web02\r', 4],
  ['nothing matches', 'zzz\r', undefined],
  ['Esc', '\x1b', 'cancelled'],
  ['Ctrl-C', '\x03', 'cancelled'],
  ['Ctrl-D', '\x04', 'cancelled'],
];
for (const [name, typed, expected] of PICKS) {
  test(`key by key and at once: ${name}`, () => {
    const whole = new Picker(FIVE, SIZE);
    whole.start();
    const step = whole.input(bytes(typed));
    assert.equal(step.cancelled ? 'cancelled' : step.picked, expected);

    const slow = new Picker(FIVE, SIZE);
    slow.start();
    let last: ReturnType<Picker['input']> = { output: '' };
    for (const key of plain(typed).match(/␛[[O]\d*[A-Z~]|[\s\S]/g) ?? [])
      last = slow.input(bytes(key.replace('␛', '\x1b')));
    assert.equal(last.cancelled ? 'cancelled' : last.picked, expected);
  });
}

test('a sequence cut behind its bracket is still an arrow', () => {
  const picker = new Picker(FIVE, SIZE);
  picker.input(bytes('\x1b['));
  assert.equal(chosen(picker.input(bytes('B')).output)?.includes('deploy@web01'), true);
});

test('what is pasted becomes the filter', () => {
  const picker = new Picker(FIVE, SIZE);
  const { output } = picker.input(bytes('\x1b[200~db01\x1b[201~'));
  assert.equal(rows(output)[1], '1/5 Filter: db01');
});

test('nothing more is taken after a choice', () => {
  const picker = new Picker(FIVE, SIZE);
  picker.input(bytes('\r'));
  assert.deepEqual(picker.input(bytes('\r')), { output: '' });
  assert.equal(picker.resize(SIZE), '');
});

test('hostile names are shown escaped', () => {
  const picker = new Picker([choice('a\x1b]0;owned\x07', 'b\n\x9b2J\u202etxt.exe\ud800')], {
    columns: 100,
    rows: 6,
  });
  const drawn = picker.start();
  assert.ok(drawn.includes('a\\x1b]0;owned\\x07@b\\x0a\\x9b2J\\u{202e}txt.exe\\u{d800}'));
  assert.doesNotMatch(plain(drawn).replaceAll(/␛\[[?\d;]*[a-zA-Z]/g, ''), /[\p{Cc}\u202e]/u);
  assert.doesNotMatch(picker.input(bytes('\u0085\u202e')).output, /[\u0085\u202e]/);
});

test('every line has the width of the terminal, whatever the names and the size', () => {
  const choices = [...FIVE, choice('ü'.repeat(90), 'x'), choice('漢字'.repeat(40), 'y'), choice('', '')];
  for (const size of [
    { columns: 0, rows: 0 },
    { columns: 1, rows: 1 },
    { columns: 2, rows: 2 },
    { columns: 5, rows: 3 },
    { columns: 20, rows: 4 },
    { columns: 99_999, rows: 99_999 },
    { columns: Number.NaN, rows: -3 },
  ]) {
    const picker = new Picker(choices, SIZE);
    picker.start();
    const drawn = picker.resize(size);
    assert.ok(drawn.length < 120_000);
    const columns = Math.min(Math.max(Math.trunc(size.columns) || 80, 1), 400);
    const lines = [...plain(drawn).matchAll(/␛\[\d+;1H((?:␛\[[\d;]*m)?)([^␛]*)/g)].map(
      ([, , text]) => text ?? '',
    );
    for (const line of lines.filter(Boolean)) {
      const wide = line.match(/[漢字]/g)?.length ?? 0;
      assert.equal(line.length + wide, columns, JSON.stringify({ size, line }));
    }
    for (let i = 0; i < choices.length; i++)
      assert.notEqual(chosen(picker.input(bytes(DOWN)).output), undefined);
  }
});

test('the chosen row stays in view while the terminal changes', () => {
  const many = Array.from({ length: 50 }, (_, i) => choice('root', `host${i}`));
  const picker = new Picker(many, { columns: 40, rows: 30 });
  picker.input(bytes(DOWN.repeat(25)));
  assert.match(chosen(picker.resize({ columns: 40, rows: 6 })) ?? '', /host25/);
  assert.match(chosen(picker.resize({ columns: 40, rows: 60 })) ?? '', /host25/);
});

test('ten thousand targets draw only what shows', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => choice('root', `host${i}`));
  const picker = new Picker(many, SIZE);
  assert.ok(picker.start().length < 2000);
  const { output } = picker.input(bytes('99'));
  assert.ok(output.length < 2000);
  assert.match(rows(output)[1] ?? '', /^\d+\/10000 Filter: 99$/);
  assert.equal(picker.input(bytes('99\r')).picked, 9999);
});

test('no choices at all', () => {
  const picker = new Picker([], SIZE);
  assert.match(picker.start(), /no target matches/);
  assert.equal(picker.input(bytes(`${DOWN}\r`)).picked, undefined);
});

test('a line is echoed, edited and answered', () => {
  const prompt = new LinePrompt('Reason:');
  assert.equal(prompt.start(), '\r\nReason: ');
  assert.deepEqual(prompt.input(bytes('fix ab')), { output: 'fix ab' });
  assert.deepEqual(prompt.input(bytes('\x7f\x7f')), { output: '\b \b\b \b' });
  assert.deepEqual(prompt.input(bytes('漢')), { output: '漢' });
  assert.deepEqual(prompt.input(bytes('\b')), { output: '\r\x1b[KReason: fix ' });
  assert.deepEqual(prompt.input(bytes('#42\x1b[A\r')), { output: '#42\r\n', line: 'fix #42' });
  assert.deepEqual(prompt.input(bytes('more')), { output: '' });
});

test('a line takes a word or all away, and no empty answer', () => {
  const prompt = new LinePrompt('Reason:');
  prompt.input(bytes('one two'));
  assert.deepEqual(prompt.input(bytes('\x17')), { output: '\b \b\b \b\b \b' });
  prompt.input(bytes('\x15'));
  assert.deepEqual(prompt.input(bytes('\r')), { output: '\x07' });
  assert.deepEqual(prompt.input(bytes('  \r')), { output: '  \x07' });
  assert.deepEqual(prompt.input(bytes('\x03')), { output: '^C\r\n', cancelled: true });
});

test('a line holds 500 characters and none that a terminal acts upon', () => {
  const prompt = new LinePrompt('?\x1b[2J');
  assert.equal(prompt.start(), '\r\n?\\x1b[2J ');
  assert.ok(prompt.input(bytes('x'.repeat(600))).output.endsWith('x\x07'));
  assert.equal(prompt.input(bytes('\x9b\u202e\r')).line?.length, 500);
});
