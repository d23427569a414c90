import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Emulator } from '../../../../recorder/terminal/emulator.ts';

function shown(terminal: Emulator): string[] {
  return Array.from({ length: terminal.rows }, (_, row) => {
    let text = '';
    terminal.readRow(row, (_column, codePoint) => {
      text += String.fromCodePoint(codePoint);
    });
    return text.trimEnd();
  });
}

function after(text: string | Uint8Array, columns = 20, rows = 3): Emulator {
  const terminal = new Emulator(columns, rows);
  terminal.write(typeof text === 'string' ? Buffer.from(text) : text);
  return terminal;
}

test('characters may be cut between writes, and bytes that are none are shown as such', () => {
  const terminal = new Emulator(20, 1);
  for (const byte of Buffer.from('grün 日本')) terminal.write(Uint8Array.of(byte));
  terminal.write(Uint8Array.of(0xff, 0x41));
  assert.deepEqual(shown(terminal), ['grün 日本\ufffdA']);
  assert.equal(terminal.cursor?.column, 11);
});

test('a character and its mark are one, where Unicode has one for both', () => {
  assert.deepEqual(shown(after('e\u0301 n\u0303 x\u0301')), ['é ñ x', '', '']);
  assert.equal(after(`a${'\u0301'.repeat(30)}`).cursor?.column, 1);
});

test('the alternate screen comes and goes', () => {
  const terminal = after('shell\r\n\x1b[?1049h\x1b[2J\x1b[Hfull screen');
  assert.deepEqual(shown(terminal), ['full screen', '', '']);
  terminal.write(Buffer.from('\x1b[?1049l'));
  assert.deepEqual(shown(terminal), ['shell', '', '']);
});

test('the cursor is inside the screen, shown or not, in its shape', () => {
  const terminal = after('x'.repeat(20));
  assert.deepEqual(terminal.cursor, { column: 19, row: 0, shape: 'block' });
  const write = (text: string): Emulator['cursor'] => {
    terminal.write(Buffer.from(text));
    return terminal.cursor;
  };
  assert.equal(write('\x1b[?25l'), undefined);
  assert.equal(write('\x1b[?25h\x1b[4 q')?.shape, 'underline');
  assert.equal(write('\x1b[5 q')?.shape, 'bar');
  assert.equal(write('\x1b[1;25l')?.shape, 'bar', 'without the question mark it is another mode');
  assert.equal(write('\x1b[ q')?.shape, 'block');
  assert.equal(write('\x1b[6 q\x1b[?1;25l'), undefined);
  assert.deepEqual(write('\x1b[!p'), { column: 19, row: 0, shape: 'block' });
  assert.equal(write('\x1b[?25l\x1bc')?.column, 0);
});

test('rows that scrolled off come back into view when the terminal becomes higher', () => {
  const terminal = after('1\r\n2\r\n3\r\n4');
  assert.deepEqual(shown(terminal), ['2', '3', '4']);
  terminal.resize(20, 2);
  assert.deepEqual(shown(terminal), ['3', '4']);
  terminal.resize(10, 4);
  assert.deepEqual(shown(terminal), ['1', '2', '3', '4']);
  assert.deepEqual([terminal.columns, terminal.rows], [10, 4]);
});

test('sizes are held within bounds', () => {
  const terminal = new Emulator(65_535, 65_535);
  assert.deepEqual([terminal.columns, terminal.rows], [512, 192]);
  terminal.resize(1, 1);
  assert.deepEqual([terminal.columns, terminal.rows], [2, 1]);
});

test('links and titles leave no trace', () => {
  assert.deepEqual(shown(after('\x1b]0;title\x07\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\')), [
    'link',
    '',
    '',
  ]);
});

test('absurd counts are obeyed as far as the screen goes, at once', () => {
  const terminal = after('a\x1b[2147483647b');
  assert.deepEqual(shown(terminal), ['a'.repeat(20), 'a'.repeat(20), 'a'.repeat(16)]);
  const count = 2_147_483_647;
  terminal.write(Buffer.from(`\x1b[${count}S\x1b[${count}T\x1b[${count}L\x1b[${count}M\xc2\x9b${count}I`));
  terminal.write(Buffer.from(`\x1b${String.fromCharCode(0x9b)}${count}S\x1b[1\x00${count}Mend`));
  assert.match(shown(terminal).join(''), /end/);
});
