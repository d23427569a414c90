import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Keyboard, Toggle, type TypedKey } from '../../../../recorder/keyboard/index.ts';
import { events, LAYOUTS, play, told, waysToType } from './board.ts';

const { german, french, spanish, swedish, danish, norwegian, us, international, uk } = LAYOUTS;

describe('texts', () => {
  const rows: [name: string, layout: number, keys: string, text: string][] = [
    ['German, AltGr', german, 'shift:22 13 1a 0c 12 altgr:10 shift:25 27 26 31', 'Grüße@Köln'],
    ['German, as mstsc sends AltGr', german, '+ctrl +altgr 10 -ctrl -altgr', '@'],
    ['German, Ctrl+Alt', german, '+ctrl +alt 10 -alt -ctrl', '@'],
    ['German, y and z', german, '15 2c', 'zy'],
    ['French', french, '21 10 0a 10 20 12', 'façade'],
    ['French, digits behind Shift', french, 'shift:02 03 rshift:0b', '1é0'],
    ['French, dead AltGr', french, 'altgr:03 31 altgr:08 10 altgr:0b', 'ñà@'],
    ['Spanish', spanish, '27 28 1e 31 20 28 16', 'ñándú'],
    ['Swedish', swedish, 'shift:1a 1a 28 27 shift:28', 'ÅåäöÄ'],
    ['Danish', danish, '1a 27 28', 'åæø'],
    ['Norwegian', norwegian, '1a 27 28 altgr:0d 12', 'åøæé'],
    ['Portuguese', LAYOUTS.portuguese, '1f 2b 1e 18 39 altgr:1a 16', 'são ü'],
    ['Brazilian', LAYOUTS.brazilian, '1e 27 28 1e 18 39 73 7e', 'ação /.'],
    ['Italian', LAYOUTS.italian, '19 12 13 2e 23 shift:1a altgr:1a shift:altgr:1a', 'perché[{'],
    ['Dutch', LAYOUTS.dutch, '1a 12 28 12 altgr:0d 2e altgr:12', 'ëéç€'],
    ['Swiss German', LAYOUTS.swissGerman, '1a shift:1a 0d 18 altgr:03', 'üèô@'],
    ['Swiss French', LAYOUTS.swissFrench, '27 shift:27 1b 17', 'éöï'],
    ['Belgian', LAYOUTS.belgian, '10 altgr:03 1a 12 altgr:28 12', 'a@êé'],
    ['UK', uk, 'shift:04 altgr:12 shift:altgr:12 altgr:05 2b 56', '£éÉ€#\\'],
    ['US', us, 'shift:03 shift:28 2b', '@"\\'],
    ['US international', international, '28 2e 28 12 shift:28 16 28 39 altgr:10', "çéü'ä"],
  ];
  for (const [name, layout, keys, text] of rows) {
    test(name, () => assert.equal(play(layout, keys), text));
  }

  test('a real client: xfreerdp on a German board', () => {
    const keys = `-f -f -f -f -f -f +2a +22 -2a -22 +13 -13 +1a -1a +c -c +12 -12 +e038 +10 -e038 -10
      +2a +25 -2a -25 +27 -27 +26 -26 +31 -31 +39 -39 +e038 +8 -e038 -8 +e038 +b -e038 -b
      +e038 +c -e038 -c +e038 +12 -e038 -12 +2a +5 -2a -5 +1d +2e -1d -2e +38 +f -38 -f +3f -3f
      +e04b -e04b +e01c -e01c +e11d +45 -e11d -45 +e05b -e05b`;
    assert.equal(play(german, keys), 'Grüße@Köln {}\\€$<Ctrl-C><Alt-Tab><F5><Left><Enter><Pause><Win>');
  });

  test('a code with more bits, or with the prefix of Pause, types what targets take it for', () => {
    const keyboard = new Keyboard(us);
    const key = { extended: false, extended1: false, release: false };
    for (const event of [
      { ...key, scancode: 0x9e },
      { ...key, scancode: 0x11e },
      { ...key, scancode: 0x1e, extended1: true },
    ])
      assert.equal(told(keyboard.key(event)), 'a');
  });

  test('signs that are rare on no board', () => {
    for (const [name, id] of Object.entries(LAYOUTS)) {
      const ways = waysToType(id);
      const lacks = Array.from('@#[]{}\\|~€').filter((sign) => !ways.has(sign));
      // These boards do not have them.
      const missing = id === LAYOUTS.italian ? '~' : id === us || id === LAYOUTS.brazilian ? '€' : '';
      assert.equal(lacks.join(''), missing, name);
    }
  });
});

describe('every layout', () => {
  for (const [name, id] of Object.entries(LAYOUTS)) {
    test(`${name}: what a key has, it types`, () => {
      const ways = waysToType(id);
      for (const [char, keys] of ways) assert.equal(play(id, keys), char, `${keys} for ${char}`);
      for (const char of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:-_/?!"+=%&*()<>')
        assert.ok(ways.has(char), `there is a key for ${char}`);
    });
    test(`${name}: is known`, () => assert.equal(new Keyboard(id).fallback, false));
  }
});

describe('which layout', () => {
  const rows: [id: number, fallback: boolean, z: string, what: string][] = [
    [0x04070407, false, 'z', 'HKL of German'],
    [0x04070c07, false, 'z', 'HKL of German in Austria'],
    [0x04090407, false, 'y', 'HKL of a German with an American board'],
    [0x00010407, true, 'z', 'another German layout'],
    [0xf0020409, true, 'y', 'HKL of a layout with a number of its own'],
    [0x00000411, true, 'y', 'Japanese'],
    [0, true, 'y', 'none'],
    [-1, true, 'y', 'no number of 32 bits'],
  ];
  for (const [id, fallback, z, what] of rows) {
    test(what, () => {
      const keyboard = new Keyboard(id);
      assert.equal(keyboard.fallback, fallback);
      assert.equal(play(keyboard, '15'), z);
    });
  }
});

describe('dead keys', () => {
  const rows: [what: string, keys: string, text: string][] = [
    ['compose', '0d 12', 'é'],
    ['with Shift', 'shift:0d 12 29 18', 'èô'],
    ['and a capital', '0d shift:12', 'É'],
    ['stand for themselves before a blank', '0d 39 29 39', '´^'],
    ['do not compose', '0d 13', '´r'],
    ['twice', '0d 0d 12', '´´e'],
    ['two of them', '29 0d 12', '^´e'],
    ['before Enter', '0d 1c', '´<Enter>'],
    ['taken back', '0d 0e 12', 'e'],
    ['wait while the caret moves', '0d e04b 12', '<Left>é'],
    ['before a digit of the keypad', '0d 37', '´*'],
  ];
  for (const [what, keys, text] of rows) test(what, () => assert.equal(play(german, keys), text));

  test('compose as Unicode does', () => {
    const marks = {
      '´': '\u0301',
      '`': '\u0300',
      '^': '\u0302',
      '~': '\u0303',
      '¨': '\u0308',
      '¸': '\u0327',
    };
    let composed = 0;
    for (const id of Object.values(LAYOUTS)) {
      const ways = waysToType(id);
      for (const [accent, mark] of Object.entries(marks)) {
        const keys = ways.get(accent);
        if (keys === undefined || !keys.endsWith(' 39')) continue;
        for (const letter of 'aAcCeEiInNoOuUyYxX') {
          const text = play(id, `${keys.slice(0, -3)} ${ways.get(letter)}`);
          assert.equal(text.length === 1 ? text : `${accent}${letter}`, text);
          if (text.length > 1) continue;
          composed += 1;
          assert.equal(text, `${letter}${mark}`.normalize('NFC'));
        }
      }
    }
    assert.ok(composed > 600, `${composed} letters with accents`);
  });
});

describe('Caps Lock', () => {
  const rows: [what: string, layout: number, keys: string, text: string][] = [
    ['makes capitals', us, '3a 1e 02 shift:1e 3a 1e', 'A1aa'],
    ['toggles once while it is held', us, '+3a +3a -3a 1e', 'A'],
    ['works on the digits of a German board', german, '3a 02 0c 1a 35 shift:02', '!?Ü-1'],
    ['gives a French board its digits', french, '3a 03 shift:03 10 1a 12', '2éAË'],
    ['leaves the accents of an Italian board', LAYOUTS.italian, '3a 1a 1e', 'èA'],
    ['makes capitals of both on a Swiss German key', LAYOUTS.swissGerman, '3a 1a shift:1a 27', 'ÜÈÖ'],
    ['works with AltGr in the UK', uk, '3a altgr:12 shift:altgr:12 altgr:05', 'Éé€'],
    ['leaves AltGr alone in Germany', german, '3a altgr:10', '@'],
    ['leaves the accents alone', spanish, '3a 28 1e 27', 'ÁÑ'],
  ];
  for (const [what, layout, keys, text] of rows) {
    test(what, () => assert.equal(play(layout, keys), text));
  }

  test('Caps Lock and Shift take each other back on letters', () => {
    for (const [name, id] of Object.entries(LAYOUTS)) {
      const ways = waysToType(id);
      for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
        const key = ways.get(letter);
        assert.equal(play(id, `3a ${key} shift:${key}`), letter.toUpperCase() + letter, name);
      }
    }
  });
});

describe('keypad', () => {
  const rows: [what: string, layout: number, keys: string, text: string][] = [
    [
      'without Num Lock',
      us,
      '47 48 49 4b 4c 4d 4f 50 51 52 53',
      '<Home><Up><PageUp><Left><Clear><Right><End><Down><PageDown><Insert><Delete>',
    ],
    ['with Num Lock', us, '45 47 48 49 4b 4c 4d 4f 50 51 52 53', '7894561230.'],
    ['with a comma', german, '45 53', ','],
    ['Shift takes Num Lock back', us, '45 shift:4f 4f', '<End>1'],
    ['Shift without Num Lock is Shift', us, 'shift:4f', '<Shift-End>'],
    ['signs', us, 'e035 37 4a 4e e01c', '/*-+<Enter>'],
    ['Pause is not Num Lock', us, '+e11d +45 -e11d -45 4f', '<Pause><End>'],
    ['what is begun like Pause', us, '+e11d 1e 45 4f', 'a1'],
    ['Ctrl', us, '45 ctrl:4f', '<Ctrl-1>'],
  ];
  for (const [what, layout, keys, text] of rows) test(what, () => assert.equal(play(layout, keys), text));
});

describe('Alt codes', () => {
  const rows: [what: string, layout: number, keys: string, text: string][] = [
    ['Alt+0228', us, '+alt 52 50 50 48 -alt', 'ä'],
    ['Alt+0128', us, '45 +alt 52 4f 50 48 -alt', '€'],
    ['Alt+132, code page 437', us, '+alt 4f 51 50 -alt', 'ä'],
    ['Alt+155, code page 437', us, '+alt 4f 4c 4c -alt', '¢'],
    ['Alt+155, code page 850', german, '+alt 4f 4c 4c -alt', 'ø'],
    ['Alt+65', german, '+alt 4d 4c -alt', 'A'],
    ['Alt+1', german, '+alt 4f -alt', '☺'],
    ['Alt+013', german, '+alt 52 4f 51 -alt', '<Enter>'],
    ['Alt+0484 counts from the start again', us, '+alt 52 4b 48 4b -alt', 'ä'],
    ['right Alt on a board without AltGr', us, '+altgr 52 50 50 48 -altgr', 'ä'],
    ['broken off by another key', us, '+alt 52 50 0f 48 -alt', '<Alt-Tab>◘'],
    ['Alt+0', us, '+alt 52 -alt', ''],
    ['the grey keys are no digits', us, '+alt e04b -alt', '<Alt-Left>'],
  ];
  for (const [what, layout, keys, text] of rows) test(what, () => assert.equal(play(layout, keys), text));

  test('with a leading zero they are Windows-1252', () => {
    const decoder = new TextDecoder('windows-1252');
    const pad = ['52', '4f', '50', '51', '4b', '4c', '4d', '47', '48', '49'];
    for (let byte = 0x20; byte < 256; byte += 1) {
      if (byte >= 0x7f && byte < 0xa0 && /[\u007f-\u009f]/.test(decoder.decode(Uint8Array.of(byte))))
        continue;
      const keys = Array.from(`0${byte}`, (digit) => pad[Number(digit)]).join(' ');
      assert.equal(play(us, `+alt ${keys} -alt`), decoder.decode(Uint8Array.of(byte)), `Alt+0${byte}`);
    }
  });
});

describe('names', () => {
  const rows: [keys: string, name: string, layout?: number][] = [
    ['1c', '<Enter>'],
    ['0f', '<Tab>'],
    ['shift:0f', '<Shift-Tab>'],
    ['0e', '<Backspace>'],
    ['shift:0e', '<Backspace>'],
    ['ctrl:0e', '<Ctrl-Backspace>'],
    ['01', '<Esc>'],
    ['3b 44 57 58 64 76', '<F1><F10><F11><F12><F13><F24>'],
    [
      'e048 e050 e04b e04d e047 e04f e049 e051 e052 e053',
      '<Up><Down><Left><Right><Home><End><PageUp><PageDown><Insert><Delete>',
    ],
    ['ctrl:2e', '<Ctrl-C>'],
    ['ctrl:shift:01', '<Ctrl-Shift-Esc>'],
    ['ctrl:2c', '<Ctrl-Y>', german],
    ['ctrl:10', '<Ctrl-A>', french],
    ['ctrl:02', '<Ctrl-1>', french],
    ['ctrl:0c', '<Ctrl-ß>', german],
    ['win:13', '<Win-R>'],
    ['win:shift:1f', '<Win-Shift-S>'],
    ['+win -win', '<Win>'],
    ['+win +win +win -win', '<Win>'],
    ['win:39', '<Win-Space>'],
    ['alt:0f', '<Alt-Tab>'],
    ['alt:3e', '<Alt-F4>'],
    ['alt:21', '<Alt-f>'],
    ['alt:shift:21', '<Alt-F>'],
    ['ctrl:alt:e053', '<Ctrl-Alt-Del>'],
    ['ctrl:alt:1e', '<Ctrl-Alt-A>', german],
    ['altgr:1e', '<Ctrl-Alt-A>', german],
    ['ctrl:alt:10', '<Ctrl-Alt-Q>', us],
    ['altgr:10', '<Alt-q>', us],
    // The backslash of the second key has nothing behind AltGr.
    ['altgr:2b altgr:56', '¬<Ctrl-Alt-\\>', international],
    ['ctrl:e046', '<Ctrl-Break>'],
    ['e037 alt:54', '<PrintScreen><Alt-PrintScreen>'],
    ['+e02a e037 -e02a 1e', '<PrintScreen>a'],
    ['e05d', '<Menu>'],
    ['+shift -shift +ctrl -ctrl +alt -alt +altgr -altgr 3a 45 46', ''],
    ['7f e07f 00', ''],
  ];
  for (const [keys, name, layout] of rows) {
    test(`${keys} is ${name}`, () => assert.equal(play(layout ?? us, keys), name));
  }

  test('come with their key and modifiers', () => {
    const keyboard = new Keyboard(us);
    const typed = events('ctrl:shift:e04b').flatMap((event) => keyboard.key(event));
    const expected: TypedKey = {
      kind: 'key',
      name: 'Ctrl-Shift-Left',
      key: 'Left',
      shift: true,
      ctrl: true,
      printable: false,
    };
    assert.deepEqual(typed, [expected]);
  });

  test('say what may be a character on another board', () => {
    const printable = (layout: number, keys: string) => {
      const keyboard = new Keyboard(layout);
      const typed = events(keys).flatMap((event) => keyboard.key(event));
      return typed.map((one) => one.kind === 'key' && one.printable);
    };
    assert.deepEqual(printable(us, 'altgr:10'), [true]);
    assert.deepEqual(printable(us, 'ctrl:alt:10'), [true]);
    assert.deepEqual(printable(us, '47'), [true]);
    assert.deepEqual(printable(us, 'e047 ctrl:2e alt:21 win:13 1c'), [false, false, false, false, false]);
  });
});

test('keys that are held repeat', () => assert.equal(play(us, '+1e +1e +1e -1e'), 'aaa'));

test('a synchronise event sets the locks and lifts all keys', () => {
  const keyboard = new Keyboard(us);
  assert.equal(play(keyboard, '+shift +ctrl'), '');
  keyboard.synchronize(Toggle.capsLock | Toggle.numLock);
  assert.equal(play(keyboard, '1e 4f'), 'A1');
  keyboard.synchronize(Toggle.scrollLock);
  assert.equal(play(keyboard, '1e 4f'), 'a<End>');
  assert.equal(play(keyboard, '+shift 1e -shift 1e'), 'Aa');
});

test('a synchronise event drops an accent and an Alt code', () => {
  const keyboard = new Keyboard(german);
  play(keyboard, '0d +alt 4d 4c');
  keyboard.synchronize(0);
  assert.equal(play(keyboard, '-alt 12'), 'e');
});

test('Unicode events', () => {
  const keyboard = new Keyboard(us);
  const send = (text: string) =>
    told(
      Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)).flatMap((unit) => [
        ...keyboard.unicode(unit, false),
        ...keyboard.unicode(unit, true),
      ]),
    );
  assert.equal(send('漢字 ñ 🙂'), '漢字 ñ 🙂');
  assert.equal(send('\r\t\b\x1b\x7f\x03\x85'), '<Enter><Tab><Backspace><Esc><Delete><Ctrl-C><U+0085>');
  assert.equal(send('\ud83dx\ude42\0y'), '\ufffdx\ufffdy');
  assert.equal(send('\ud83d\ud83d\ude42'), '\ufffd🙂');
});
