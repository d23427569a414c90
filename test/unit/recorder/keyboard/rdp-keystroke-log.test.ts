import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type KeystrokeMask, RdpKeystrokeLog } from '../../../../recorder/keyboard/index.ts';
import { events, LAYOUTS, waysToType } from './board.ts';

/** A log with a clock, and hands that type American. */
class Desk {
  time = 1000;
  readonly log: RdpKeystrokeLog;
  readonly #ways = waysToType(LAYOUTS.us);

  constructor(mask: KeystrokeMask = 'never', layout: number = LAYOUTS.us) {
    this.log = new RdpKeystrokeLog({ now: () => this.time, layout, mask });
  }

  /** Scancodes, as board.ts writes them. */
  keys(keys: string): this {
    for (const event of events(keys)) this.log.key(event);
    return this;
  }

  type(text: string): this {
    for (const char of text) {
      this.keys(char === '\n' ? '1c' : (this.#ways.get(char) ?? assert.fail(`no key for ${char}`)));
    }
    return this;
  }

  wait(milliseconds: number): this {
    this.time += milliseconds;
    this.log.tick();
    return this;
  }

  /** What can be taken, as `time kind text`. */
  taken(): string[] {
    return this.log.take().map(({ at, kind, text }) => `${at} ${kind} ${text}`);
  }
}

describe('pieces', () => {
  test('Enter ends a piece and tells the line', () => {
    const desk = new Desk().type('whoami\n');
    assert.deepEqual(desk.taken(), ['1000 keys whoami<Enter>', '1000 command whoami']);
    assert.equal(desk.log.pending, false);
  });

  test('a pause ends a piece, at the first tick behind it', () => {
    const desk = new Desk().type('net ');
    assert.deepEqual(desk.wait(249).taken(), []);
    assert.equal(desk.log.pending, true);
    assert.deepEqual(desk.wait(1).taken(), ['1000 keys net ']);
    desk.wait(750).type('user\n');
    assert.deepEqual(desk.taken(), ['2000 keys user<Enter>', '1000 command net user']);
  });

  test('typing without a pause is not held for ever', () => {
    const desk = new Desk();
    const taken: string[] = [];
    for (let i = 0; i < 30; i += 1) taken.push(...desk.type('a').wait(100).taken());
    assert.deepEqual(taken, ['1000 keys aaaaaaaaaaaaaaaaaaaa']);
  });

  test('a click ends a piece and begins another line', () => {
    const desk = new Desk().type('draft');
    desk.log.focus();
    desk.type('dir\n');
    assert.deepEqual(desk.taken(), ['1000 keys draft', '1000 keys dir<Enter>', '1000 command dir']);
  });

  test('Tab ends a piece; behind it stands what the target makes of it', () => {
    const desk = new Desk().type('cd Prog').keys('0f').type('bin\n');
    assert.deepEqual(desk.taken(), ['1000 keys cd Prog<Tab>', '1000 keys bin<Enter>']);
  });

  test('a long piece is told in parts, and its line not at all', () => {
    const desk = new Desk().type('x'.repeat(5000)).type('\n');
    const taken = desk.log.take();
    assert.deepEqual(
      taken.map(({ kind, text }) => [kind, text.length]),
      [
        ['keys', 4096],
        ['keys', 904 + '<Enter>'.length],
      ],
    );
  });

  test('the end of the session gives out what was begun', () => {
    const desk = new Desk().type('shutd');
    desk.log.end();
    assert.deepEqual(desk.taken(), ['1000 keys shutd']);
  });

  test('what nobody takes is bounded, and its loss is told', () => {
    const desk = new Desk();
    desk.log.focus();
    for (let i = 0; i < 1500; i += 1) desk.type('y'.repeat(1000)).log.focus();
    const taken = desk.log.take();
    assert.equal(taken.reduce((sum, { text }) => sum + text.length, 0) <= 1_048_576 + 6, true);
    assert.equal(taken.at(-1)?.text, '<Lost>');
    assert.deepEqual(desk.type('ok\n').taken(), ['1000 keys ok<Enter>', '1000 command ok']);
  });

  test('an unknown layout is told of', () => {
    assert.equal(new Desk('never', 0x411).log.fallback, true);
    assert.equal(new Desk().log.fallback, false);
  });

  test('Unicode events and locks', () => {
    const desk = new Desk();
    desk.log.synchronize(4);
    desk.type('a');
    for (const unit of [0xd83d, 0xde42, 0x0d]) desk.log.unicode(unit, false);
    assert.deepEqual(desk.taken(), ['1000 keys A🙂<Enter>', '1000 command A🙂']);
  });
});

describe('editing', () => {
  test('Backspace takes back what was just typed', () => {
    const desk = new Desk().type('dri').keys('0e 0e').type('ir\n');
    assert.deepEqual(desk.taken(), ['1000 keys dir<Enter>', '1000 command dir']);
  });

  test('Backspace is named when what it takes is told already', () => {
    const desk = new Desk().type('dirr').wait(250).keys('0e 1c');
    assert.deepEqual(desk.taken(), ['1000 keys dirr', '1250 keys <Backspace><Enter>', '1000 command dir']);
  });

  test('Backspace takes a whole character', () => {
    const desk = new Desk();
    for (const unit of [0x61, 0xd83d, 0xde42]) desk.log.unicode(unit, false);
    assert.deepEqual(desk.keys('0e 1c').taken(), ['1000 keys a<Enter>', '1000 command a']);
  });

  test('Backspace does not take the name of a key', () => {
    const desk = new Desk().type('a').keys('e04b 0e 1c');
    assert.deepEqual(desk.taken(), ['1000 keys a<Left><Backspace><Enter>']);
  });

  test('Backspace before anything was typed: there was more on the line', () => {
    assert.deepEqual(new Desk().keys('0e').type('x\n').taken(), ['1000 keys <Backspace>x<Enter>']);
  });

  test('a moved caret, a paste or the history leave the line unknown', () => {
    for (const [keys, name] of [
      ['e04b', 'Left'],
      ['ctrl:2f', 'Ctrl-V'],
      ['e048', 'Up'],
      ['e053', 'Delete'],
      ['ctrl:2e', 'Ctrl-C'],
      ['shift:1c', 'Shift-Enter'],
    ]) {
      const desk = new Desk()
        .type('ls')
        .keys(keys ?? '')
        .type('x\n')
        .type('id\n');
      assert.deepEqual(desk.taken().slice(-3), [
        `1000 keys ls<${name}>x<Enter>`,
        '1000 keys id<Enter>',
        '1000 command id',
      ]);
    }
  });

  test('keys that take the focus elsewhere begin another line', () => {
    for (const [keys, name] of [
      ['win:13', 'Win-R'],
      ['+win -win', 'Win'],
      ['alt:0f', 'Alt-Tab'],
      ['01', 'Esc'],
      ['ctrl:alt:e053', 'Ctrl-Alt-Del'],
    ]) {
      const desk = new Desk()
        .type('abc')
        .keys(keys ?? '')
        .type('cmd\n');
      assert.deepEqual(desk.taken(), [`1000 keys abc<${name}>`, '1000 keys cmd<Enter>', '1000 command cmd']);
    }
  });
});

describe('masks', () => {
  test('always: only the names of keys are told', () => {
    const desk = new Desk('always').keys('win:13').type('cmd\n').keys('ctrl:2f 0f').type('s3cret\n');
    assert.deepEqual(desk.taken(), [
      '1000 keys <Win-R>',
      '1000 keys ********<Enter>',
      '1000 keys <Ctrl-V><Tab>',
      '1000 keys ********<Enter>',
    ]);
  });

  test('never: a password field changes nothing', () => {
    const desk = new Desk('never');
    desk.log.secret(true);
    assert.deepEqual(desk.type('hi\n').taken(), ['1000 keys hi<Enter>', '1000 command hi']);
  });

  test('prompts: what is typed into a password field is masked', () => {
    const desk = new Desk('prompts').type('alice');
    desk.log.secret(true);
    desk.type('s3cret\n');
    desk.log.secret(false);
    desk.type('dir\n');
    assert.deepEqual(desk.taken(), [
      '1000 keys alice',
      '1000 keys ********<Enter>',
      '1000 keys dir<Enter>',
      '1000 command dir',
    ]);
  });

  test('neither length, pauses nor corrections are told of', () => {
    const told = (type: (desk: Desk) => void) => {
      const desk = new Desk('prompts');
      desk.log.secret(true);
      type(desk);
      return desk.type('\n').taken();
    };
    const short = told((desk) => desk.type('a'));
    assert.deepEqual(short, ['1000 keys ********<Enter>']);
    assert.deepEqual(
      told((desk) => desk.type('correct horse').keys('0e 0e 0e').type('Battery')),
      short,
    );
    const paused = told((desk) => desk.type('abc').wait(300).type('def').keys('0e').wait(300).type('g'));
    assert.deepEqual(paused, ['1000 keys ********', '1600 keys <Enter>']);
  });

  test('what may be a character on the target is masked, too', () => {
    const desk = new Desk('always').keys('altgr:10 ctrl:alt:03 47 4f shift:50 +alt 52 4d 4c -alt 1c');
    assert.deepEqual(desk.taken(), ['1000 keys ********<Enter>']);
  });

  test('an accent begun in a password field does not come out behind it', () => {
    const desk = new Desk('prompts', LAYOUTS.german);
    desk.log.secret(true);
    desk.keys('0d');
    desk.log.secret(false);
    assert.deepEqual(desk.keys('1e 1c').taken(), ['1000 keys a<Enter>', '1000 command a']);
  });

  test('a masked line is no command, even when its end is typed in the open', () => {
    const desk = new Desk('prompts').type('abc');
    desk.log.secret(true);
    desk.type('def');
    desk.log.secret(true);
    assert.deepEqual(desk.type('\n').taken(), ['1000 keys abc', '1000 keys ********<Enter>']);
  });
});
