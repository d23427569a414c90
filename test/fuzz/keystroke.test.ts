import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../support/random.ts';
import { LogBench } from '../support/terminal-session.ts';

/**
 * Random sessions with secrets at prompts that do not echo, in random chunks: whatever is
 * told (keys, commands, masked input) holds no part of a secret. A failure names its seed.
 */
const ROUNDS = 600;
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!?#%&/()=+-_.,;:*~ äß漢';

const PROMPTS = [
  'Password: ',
  '[sudo] password for alice: ',
  'Token> ',
  '',
  'Enter PIN for key: ',
  '\x1b[31mKey\x1b[0m? ',
  '# ',
];
const ANSWERS = [
  '\r\n',
  '\r\nSorry, try again.\r\n',
  'ok\r\n',
  '',
  '\r\n$ ',
  '\x1b[?2004h$ ',
  '****\r\n',
  '\x07\r\n',
];

/** Escape as a visible character, for matching. */
const plain = (text: string) => text.replaceAll('\x1b', '␛');

for (let from = 0; from < ROUNDS; from += 100) {
  test(`no secret leaks, seeds ${from} to ${from + 99}`, () => {
    for (let seed = from; seed < from + 100; seed++) session(seed);
  });
}

function session(seed: number): void {
  const random = seeded(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const bench = new LogBench(random() < 0.5 ? 80 : 0, random() < 0.5 ? 24 : 0);
  const secrets: string[] = [];

  /** Feeds `text` in random pieces, characters cut in two now and then. */
  const feed = (direction: 'in' | 'out', text: string) => {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + below(random() < 0.5 ? 3 : 40);
      bench[direction](bytes.subarray(at, at + size));
      at += size;
      if (random() < 0.1) bench.wait(pick([250, 500, 1250]));
    }
  };
  const secretInput = () => {
    const secret = Array.from({ length: 8 + below(12) }, () => pick([...LETTERS])).join('');
    secrets.push(secret);
    let typed = secret;
    if (random() < 0.2) typed = `\x1b[200~${secret}\x1b[201~`;
    if (random() < 0.2) typed = `${secret.slice(0, 5)}zz\x7f\x7f${secret.slice(5)}`;
    return typed + (random() < 0.9 ? '\r' : '\x03');
  };

  for (let step = 0; step < 6; step++) {
    const alternate = random() < 0.15;
    if (alternate) feed('out', '\x1b[?1049h\x1b[H');
    const prompt = alternate ? '\x1b[5;1HPassword: ' : pick(PROMPTS);
    const typed = secretInput();
    if (random() < 0.15 && !alternate) {
      // Typed ahead, behind a command that is echoed.
      bench.out('\r\n$ ').in(`su\r${typed}`);
      feed('out', `su\r\n${prompt}`);
    } else {
      if (random() < 0.5) bench.out('\r\n$ ').echoed('cmd').in('\r').out('\r\n');
      feed('out', prompt);
      // On a network, what the program writes next may already be there before the last keys.
      feed('in', typed);
    }
    // Stars for the characters, all at once or one by one.
    if (random() < 0.2) feed('out', '*'.repeat(secrets.at(-1)?.length ?? 0));
    feed('out', pick(ANSWERS));
    if (alternate) feed('out', '\x1b[?1049l');
    if (random() < 0.3) bench.wait(2000);
  }

  const { lines, input } = bench.told();
  // Take away all that may be told, and not one character may be left. A line that was typed
  // ahead may be found on the screen later: there a command may be made of what was shown.
  const keys = lines.filter((line) => !line.startsWith('$ ')).join('');
  const commands = lines.filter((line) => line.startsWith('$ ')).join('');
  const shown = [...PROMPTS, ...ANSWERS]
    .flatMap((text) => text.split(/[^ -~]+(?:\[[\d?]*[a-z])?/))
    .map((text) => text.trim())
    .filter(Boolean);
  const left =
    keys.replaceAll(/<(Esc|Enter|Backspace|Paste|PasteEnd|Ctrl-C)>|\*{8}|su|cmd/g, '') +
    plain(input).replaceAll(/␛(\[20[01]~)?|\*{8}|su|cmd|\p{Cc}/gu, '') +
    shown.reduce((text, part) => text.replaceAll(part, ''), commands).replaceAll(/su|cmd|\*| /g, '');
  assert.equal(left, '', `seed ${seed}, secrets ${JSON.stringify(secrets)}, told ${JSON.stringify(lines)}`);
}

test('random bytes in both directions neither throw nor grow without bound', () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = seeded(seed);
    const bench = new LogBench(80, 24);
    const special = '\x1b\x1b\x1b[[[]PO?;0123456789hlmABCDHJKrRu~\x07\x08\r\n\t\x9b\xc3 ax*';
    for (let i = 0; i < 60; i++) {
      const bytes = Uint8Array.from({ length: 1 + Math.floor(random() * 60) }, () =>
        random() < 0.7
          ? special.charCodeAt(Math.floor(random() * special.length))
          : Math.floor(random() * 256),
      );
      if (random() < 0.5) bench.in(bytes);
      else bench.out(bytes);
    }
    assert.ok(bench.told().input.length < 8000);
  }
});
