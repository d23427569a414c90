/**
 * Hostile recordings that are searched: whatever was recorded, their text is short lines of plain characters;
 * and how it was cut into pieces, or whether it came in bulk, changes nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventKind } from '../../recorder/index.ts';
import { ShownText } from '../../recorder/search/shown-text.ts';
import { textOf } from '../../recorder/search/text-of.ts';
import { noise, pick, type Random, randomFrom } from '../support/random.ts';
import { collect } from '../unit/recorder/bed.ts';
import { recorded, type Step } from '../unit/recorder/video/bed.ts';

const PARTS = [
  ...['\x1b[', '\x1b]0;', '\x1bP', '\x1b', '\u009b', '\x1b\\', '\x07', '\x18', '\x1b(0', '\x1bc', '\x1b[2J'],
  ...[
    '\x1b[?1049h',
    '\x1b[?1049l',
    '\x1b[5;10r',
    '\x1b[3A',
    '\x1b[H',
    '\x1b[J',
    '\x1bM',
    '\x1b[2L',
    '\x1b[999S',
  ],
  ...[
    '\r\n',
    '\n',
    '\r',
    '\t',
    '\b',
    '\x0e',
    '\x00',
    'some text ',
    '日本',
    'e\u0301',
    '😀',
    '\u200d',
    '\x85',
  ],
];

function hostile(random: Random): Uint8Array {
  if (random(5) === 0) return noise(random, random(60));
  const text = Array.from({ length: random(40) }, () => pick(random, PARTS)).join('');
  return Buffer.from(text.repeat(1 + random(3) * random(100)));
}

test('the text of recordings that never were is short lines of plain characters, in their time', async () => {
  const random = randomFrom(20_261_122);
  const kinds = Object.values(EventKind);
  const sizes = [-1, 0, 1, 2, 80, 512, 65_536, 1.5, '80'];
  for (let round = 0; round < 25; round += 1) {
    const steps = Array.from({ length: 1 + random(20) }, (_, i): Step => {
      const channel = random(4) === 0 ? 0xffffffff : random(3);
      if (random(2) === 0) return [i * 400, EventKind.output, hostile(random), channel];
      const text = Buffer.from(hostile(random)).toString();
      const payload = {
        columns: pick(random, sizes),
        rows: 24,
        text,
        path: text,
        files: [text, 1],
        request: 'exec',
      };
      return [
        i * 400,
        pick(random, kinds),
        random(3) === 0 ? hostile(random) : { ...payload, command: text },
        channel,
      ];
    });
    const reader = await recorded(
      [[0, EventKind.terminal, { columns: 80, rows: 24 }], ...steps],
      pick(random, ['ssh', 'rdp']),
    );
    for (const { at, text } of (await collect(textOf(reader))).flat()) {
      assert.ok(at >= 0 && at <= steps.length * 400_000, `${at} µs`);
      assert.ok(text.length <= 4096 && /[\p{L}\p{N}]/u.test(text), JSON.stringify(text));
      assert.ok(!/\p{Cc}/u.test(text), JSON.stringify(text));
    }
    await reader.close();
  }
});

/** Lines as programs print them, with colours, and now and then a line that is drawn over. */
function lines(random: Random): Buffer {
  const count = random(3) === 0 ? random(2000) : random(60);
  const line = (i: number): string => {
    const words = Array.from({ length: random(30) }, () =>
      pick(random, ['word', 'grün', `${random(1000)}`, '-', 'a.b']),
    );
    const text = `${i} ${words.join(' ')}`;
    if (random(200) === 0) return `drawn over\r${text}`;
    return random(3) === 0 ? `\x1b[1;3${random(8)}m${text}\x1b[0m` : text;
  };
  return Buffer.from(Array.from({ length: count }, (_, i) => `${line(i)}\r\n`).join(''));
}

test('lines are found whether they come at once or in pieces', () => {
  const random = randomFrom(4422);
  for (let round = 0; round < 25; round += 1) {
    const bytes = Buffer.concat([lines(random), lines(random), Buffer.from('prompt $ ')]);
    const size = [20 + random(150), 1 + random(50)] as const;
    const found = (most: number): string[] => {
      const texts: string[] = [];
      const shown = new ShownText(...size, (_at, text) => void texts.push(text));
      for (let at = 0; at < bytes.length; ) {
        const length = 1 + random(most);
        shown.write(1000, bytes.subarray(at, at + length));
        at += length;
      }
      shown.end();
      return texts;
    };
    const atOnce = found(2 ** 40);
    for (const most of [3000, 40_000]) {
      const pieces = found(most);
      const other = pieces.findIndex((text, i) => text !== atOnce[i]);
      assert.deepEqual([pieces[other], pieces.length], [atOnce[other], atOnce.length], `round ${round}`);
    }
  }
});
