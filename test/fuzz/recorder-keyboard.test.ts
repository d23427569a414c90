import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Keyboard, RdpKeystrokeLog } from '../../recorder/keyboard/index.ts';
import { seeded } from '../support/random.ts';
import { events, LAYOUTS, waysToType } from '../unit/recorder/keyboard/board.ts';

/** Random keyboards, events and policies: a failure names its seed. */

const LAYOUT_IDS = [...Object.values(LAYOUTS), 0, 0x411, 0xffffffff];

type Random = () => number;
const below = (random: Random, limit: number) => Math.floor(random() * limit);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)] as T;

/** Any event at all; mostly keys that exist. */
function feed(random: Random, to: Keyboard | RdpKeystrokeLog): void {
  const kind = below(random, 20);
  if (kind === 0) to.synchronize(below(random, 2 ** 32));
  else if (kind === 1) to.unicode(below(random, 0x10000), random() < 0.5);
  else
    to.key({
      scancode: below(random, random() < 0.9 ? 0x80 : 0x10000),
      extended: random() < 0.2,
      extended1: random() < 0.02,
      release: random() < 0.4,
    });
}

test('a keyboard takes any events', () => {
  let typed = 0;
  for (let seed = 0; seed < 300; seed += 1) {
    const random = seeded(seed);
    const keyboard = new Keyboard(pick(random, LAYOUT_IDS));
    for (let i = 0; i < 300; i += 1) {
      const scancode = below(random, 0x100);
      const all = [
        ...keyboard.key({ scancode, extended: random() < 0.2, extended1: false, release: random() < 0.5 }),
        ...keyboard.unicode(below(random, 0x20000), random() < 0.5),
      ];
      assert.ok(all.length <= 4, `seed ${seed}`);
      for (const one of all) {
        const said = one.kind === 'text' ? one.text : one.name;
        assert.ok(
          said.length > 0 && said.length <= 'Win-Ctrl-Alt-Shift-PrintScreen'.length,
          `seed ${seed}: ${said}`,
        );
        if (one.kind === 'text') assert.doesNotMatch(said, /\p{Cc}/u, `seed ${seed}`);
        typed += 1;
      }
      if (random() < 0.05) keyboard.synchronize(below(random, 2 ** 32));
    }
  }
  assert.ok(typed > 10_000, `${typed} things typed`);
});

test('a log takes any events, and masked all it tells of are keys', () => {
  // Names without the modifiers: no characters but those behind Ctrl or Win alone, or the left Alt.
  const open =
    /^(?:\*{8}|<(?:Win-|Ctrl-|Alt-|Shift-)*(?:[A-Z][A-Za-z]+\d*|F\d+|U\+00[89][0-9a-f])>|<(?:Win-)?(?:Ctrl-|Alt-)?(?:Shift-)?[^ ]>|<Win-(?:Ctrl-|Alt-)?(?:Shift-)?[^ ]>)*$/u;
  for (let seed = 0; seed < 300; seed += 1) {
    const random = seeded(seed);
    let time = 0;
    const log = new RdpKeystrokeLog({ now: () => time, layout: pick(random, LAYOUT_IDS), mask: 'always' });
    for (let i = 0; i < 300; i += 1) {
      feed(random, log);
      time += below(random, 100);
      if (random() < 0.1) log.tick();
      if (random() < 0.05) log.focus();
      if (random() < 0.05) log.secret(random() < 0.5);
      if (i % 100 !== 0) continue;
      for (const piece of log.take()) {
        assert.equal(piece.kind, 'keys', `seed ${seed}`);
        assert.match(piece.text, open, `seed ${seed}`);
        assert.doesNotMatch(piece.text, /\*{9}/, `seed ${seed}`);
      }
    }
  }
});

test('secrets in password fields are not told, whatever is typed around them', () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const random = seeded(seed);
    const layout = pick(random, Object.values(LAYOUTS));
    const ways = waysToType(layout);
    const chars = [...ways.keys()].filter((char) => /[\p{L}\p{N}]/u.test(char));
    let time = 0;
    const log = new RdpKeystrokeLog({ now: () => time, layout, mask: 'prompts' });
    let told = '';
    // Letters that are typed nowhere but in secrets.
    const [mine, yours] = [chars.filter((_, i) => i % 2 === 0), chars.filter((_, i) => i % 2 === 1)];
    const type = (from: readonly string[]) => {
      for (let i = below(random, 12); i >= 0; i -= 1) {
        for (const event of events(random() < 0.1 ? '0e' : (ways.get(pick(random, from)) ?? '')))
          log.key(event);
        time += below(random, 300);
        if (random() < 0.3) log.tick();
        told += log
          .take()
          .map((piece) => piece.text)
          .join('');
      }
    };
    for (let round = 0; round < 6; round += 1) {
      type(yours);
      log.secret(true);
      type(mine);
      if (random() < 0.5) for (const event of events('1c')) log.key(event);
      log.secret(false);
    }
    log.end();
    told += log
      .take()
      .map((piece) => piece.text)
      .join('');
    const shown = told.replaceAll(/<\w+>/g, '');
    for (const char of mine)
      assert.ok(!shown.includes(char), `seed ${seed}: ${char} of a secret in ${shown}`);
    assert.ok(shown.includes('********'), `seed ${seed}`);
  }
});

test('a command is the line as it was typed and corrected', () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const random = seeded(seed);
    const layout = pick(random, Object.values(LAYOUTS));
    const ways = waysToType(layout);
    const chars = [...ways.keys()];
    let time = 0;
    const log = new RdpKeystrokeLog({ now: () => time, layout, mask: 'never' });
    let line = '';
    for (let i = 5 + below(random, 60); i > 0; i -= 1) {
      const erase = line !== '' && random() < 0.2;
      const char = pick(random, chars);
      line = erase ? line.slice(0, -1) : line + char;
      for (const event of events(erase ? '0e' : (ways.get(char) ?? ''))) log.key(event);
      time += below(random, 200);
      if (random() < 0.3) log.tick();
    }
    for (const event of events('1c')) log.key(event);
    const commands = log.take().filter((piece) => piece.kind === 'command');
    assert.deepEqual(
      commands.map((piece) => piece.text),
      line === '' ? [] : [line],
      `seed ${seed}`,
    );
  }
});
