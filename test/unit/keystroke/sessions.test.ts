import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogBench, readTerminalFixture, type TerminalFixture } from '../../support/terminal-session.ts';

/**
 * Sessions captured from real programs under a real terminal (bash 5.2, dash, zsh 5.9,
 * fish 3.6, vim 9, less, Python, sqlite3, su, ssh-keygen, tmux 3.3), and what a person
 * should read of them. A command is marked by `$ `.
 */
const SESSIONS: Readonly<Record<string, readonly string[]>> = {
  'bash-ahead': [
    'sleep 0.4; echo done<Enter>',
    '$ sleep 0.4; echo done',
    'ls no-such<Enter>',
    '$ ls no-such',
    'echo x<Enter>',
    '$ echo x',
  ],
  'bash-complete': [
    'touch alpha1 alpha2<Enter>',
    '$ touch alpha1 alpha2',
    'ls al<Tab><Tab>1<Enter>',
    '$ ls alpha1',
    'rm alpha1 alpha2<Enter>',
    '$ rm alpha1 alpha2',
  ],
  'bash-editing': [
    'echo hello<Enter>',
    '$ echo hello',
    '<Up> two<Enter>',
    '$ echo hello two',
    'ls nonexistent<Left><Left><Left>XY<Enter>',
    '$ ls nonexistXYent',
    'eco<Backspace>ho ok<Enter>',
    '$ echo ok',
    'echo a b c<Ctrl-W><Ctrl-W>x<Enter>',
    '$ echo a x',
    'cat no<Tab><Enter>',
    '$ cat notes.txt',
    '<Ctrl-R>********<Enter>',
    '$ echo hello two',
    '<Enter>',
    'mistake<Ctrl-C>',
    'echo grüße 漢字<Enter>',
    '$ echo grüße 漢字',
    'echo tail<Ctrl-A>: <Ctrl-E>!<Enter>',
    '$ : echo tail!',
    'exit<Enter>',
    '$ exit',
  ],
  'bash-paste-plain': [
    'echo one<Enter>',
    '$ echo one',
    'echo two<Enter>',
    '$ echo two',
    'pwd >/dev/null<Enter>',
    '$ pwd >/dev/null',
    'ls no-such<Enter>',
    '$ ls no-such',
  ],
  'bash-paste': [
    '<Paste>echo one<Enter>',
    '$ echo one',
    'echo two<PasteEnd><Enter>',
    '$ echo two',
    '<Paste>echo three<PasteEnd> four<Enter>',
    '$ echo three four',
  ],
  'bash-wrapped': [
    'echo aaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccccccccccccccccccccccc<Enter>',
    '$ echo aaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccccccccccccccccccccccc',
    '<Up><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left><Left>ZZ<Enter>',
    '$ echo aaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbZZbbbbbb ccccccccccccccccccccccc',
    '<Up><Ctrl-A><Right><Right><Right><Right><Right>Y<Enter>',
    '$ echo Yaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbZZbbbbbb ccccccccccccccccccccccc',
  ],
  dash: [
    'echo hello<Enter>',
    '$ echo hello',
    'eco<Backspace>ho ok<Enter>',
    '$ echo ok',
    'read x<Enter>',
    '$ read x',
    'some text<Enter>',
    '$ some text',
  ],
  fish: [
    'echo hello<Enter>',
    '$ echo hello',
    'echo h<Right><Enter>',
    '$ echo hello',
    'ec<Enter>',
    '$ ec',
    '<Up>x<Enter>',
    '$ ecx',
    'read -s<Enter>',
    '$ read -s',
    '********<Enter>',
    'exit<Enter>',
    '$ exit',
  ],
  getpass: [
    `python3 -c 'import getpass; getpass.getpass("Enter something: "); input("Name: ")'<Enter>`,
    `$ python3 -c 'import getpass; getpass.getpass("Enter something: "); input("Name: ")'`,
    '********<Enter>',
    'alice<Enter>',
    '$ alice',
  ],
  less: [
    'less notes.txt<Enter>',
    '$ less notes.txt',
    'jj /line 4<Enter>',
    'nqecho back<Enter>',
    '$ echo back',
  ],
  python: [
    '1+1<Enter>',
    '$ 1+1',
    'x = "ab"<Enter>',
    '$ x = "ab"',
    '<Up><Left>c<Enter>',
    '$ x = "abc"',
    'for i in (1,2):<Enter>',
    '$ for i in (1,2):',
    '  print(i)<Enter>',
    '$ print(i)',
    '<Enter>',
    'exit()<Enter>',
    '$ exit()',
  ],
  'read-silent': [
    'read -s -p "Pass" x<Enter>',
    '$ read -s -p "Pass" x',
    '********<Enter>',
    'echo after<Enter>',
    '$ echo after',
    'stty -echo; cat<Enter>',
    '$ stty -echo; cat',
    'hidden line one<Enter>',
    '$ hidden line one',
    'second<Enter>',
    '$ second',
    '<Ctrl-D>',
    '********<Enter>',
    'echo end<Enter>',
    '$ echo end',
  ],
  sqlite: [
    'select 1;<Enter>',
    '$ select 1;',
    'select<Enter>',
    '$ select',
    '2;<Enter>',
    '$ 2;',
    '.quit<Enter>',
    '$ .quit',
  ],
  'ssh-keygen': [
    'ssh-keygen -q -t ed25519 -f k<Enter>',
    '$ ssh-keygen -q -t ed25519 -f k',
    '********<Enter>',
    '********<Enter>',
    'rm k k.pub<Enter>',
    '$ rm k k.pub',
  ],
  stars: ['python3 stars.py<Enter>', '$ python3 stars.py', '********<Enter>', 'echo ok<Enter>', '$ echo ok'],
  su: ['su<Enter>', '$ su', '********<Enter>', 'echo after<Enter>', '$ echo after'],
  tmux: [
    'echo in tmux<Enter>',
    `python3 -c 'import getpass; getpass.getpass("Password: ")'<Enter>`,
    '********<Enter>',
    'read -s -p "Word? " y<Enter>',
    '********<Enter>',
    'exit<Enter>',
  ],
  'vim-key': [
    'vim -u NONE new.txt<Enter>',
    '$ vim -u NONE new.txt',
    ':X<Enter>',
    '********<Enter>',
    '********<Enter>',
    ':q!<Enter>',
  ],
  vim: [
    'vim -u NONE --noplugin notes.txt<Enter>',
    '$ vim -u NONE --noplugin notes.txt',
    'jjddihello world<Esc>:set number<Enter>',
    ':q!<Enter>',
    'echo back<Enter>',
    '$ echo back',
  ],
  zsh: [
    'PROMPT="%F{green}web01%f %# "; RPROMPT="[%?]"<Enter>',
    '$ PROMPT="%F{green}web01%f %# "; RPROMPT="[%?]"',
    'echo hello<Enter>',
    '$ echo hello',
    '<Up> more<Enter>',
    '$ echo hello more',
    'ls no<Left><Left>XY<Enter>',
    '$ ls XYno',
    'echo abc<Backspace><Backspace>d<Enter>',
    '$ echo ad',
    'read -s x<Enter>',
    '$ read -s x',
    '********<Enter>',
    'echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb<Enter>',
    '$ echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
    '<Paste>echo one<Enter>',
    '$ echo one',
    'echo two<PasteEnd><Enter>',
    '$ echo two',
  ],
};

/** What was typed in these sessions and never shown. */
const SECRETS = ['correct-horse', 'battery-staple', 'tr0ub4dor', 'abc*d*', 'my-k'];

function play(fixture: TerminalFixture, outputSize: number): ReturnType<LogBench['told']> {
  const bench = new LogBench(fixture.columns, fixture.rows);
  for (const [direction, text] of fixture.events) {
    if (direction === 'in') bench.in(text);
    else {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += outputSize) bench.out(bytes.subarray(at, at + outputSize));
    }
  }
  return bench.wait(1500).told();
}

for (const [name, expected] of Object.entries(SESSIONS)) {
  const fixture = readTerminalFixture(name);

  test(`${name}: keys and commands`, () => {
    assert.deepEqual(play(fixture, 1 << 20).lines, expected);
  });

  test(`${name}: the same commands and no secret in any chunking`, () => {
    const commands = expected.filter((line) => line.startsWith('$ '));
    for (const size of [1, 2, 3, 7, 64]) {
      const { lines, input } = play(fixture, size);
      assert.deepEqual(
        lines.filter((line) => line.startsWith('$ ')),
        commands,
        `chunks of ${size}`,
      );
      for (const secret of SECRETS) {
        for (let at = 0; at + 4 <= secret.length; at++) {
          const part = secret.slice(at, at + 4);
          assert.ok(!lines.join('\n').includes(part) && !input.includes(part), `${part} of ${secret} leaked`);
        }
      }
    }
  });

  test(`${name}: the masked input is what was typed, but for the masks`, () => {
    const typed = fixture.events.flatMap(([direction, text]) => (direction === 'in' ? [text] : [])).join('');
    const parts = play(fixture, 1 << 20).input.split('********');
    let at = 0;
    for (const part of parts) {
      const found = typed.indexOf(part, at);
      assert.ok(found >= 0, JSON.stringify(part));
      at = found + part.length;
    }
    assert.ok(typed.endsWith(parts.at(-1) ?? ''));
  });
}
