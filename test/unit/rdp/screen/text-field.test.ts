import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIELD_MAX, TextField } from '../../../../gateway/rdp/screen/text-field.ts';

test('characters go in and out at the caret', () => {
  const field = new TextField(false, 'alie');
  field.moveBy(-1);
  field.insert('c');
  assert.equal(field.text, 'alice');
  field.backspace(false);
  field.delete();
  assert.equal(field.text, 'ali');
  field.insert('😀');
  field.moveTo(1);
  field.backspace(true);
  assert.equal(field.text, 'li😀');
  field.backspace(false);
  assert.equal(field.text, 'li😀');
  field.moveTo(Number.POSITIVE_INFINITY);
  field.delete();
  field.backspace(false);
  assert.equal(field.text, 'li');
});

test('control characters and lone surrogates are left out', () => {
  assert.equal(new TextField(false, 'a\r\n\tb\x7f\x85c\ud800d\u00a0').text, 'abcd\u00a0');
});

test('it takes as much as a Client Info PDU carries', () => {
  assert.equal(new TextField(false, 'x'.repeat(10_000)).text.length, FIELD_MAX);
});

test('a secret shows as dots, and is gone when wiped', () => {
  const field = new TextField(true, 'pässword😀');
  assert.deepEqual(field.show(20), { text: '●●●●●●●●●', caret: 9 });
  field.wipe();
  assert.deepEqual(field.show(20), { text: '', caret: 0 });
  assert.ok(field.empty);
  field.insert('x');
  assert.equal(field.text, 'x');
});

test('the caret is always among the cells that show', () => {
  const field = new TextField(false, '0123456789');
  assert.deepEqual(field.show(4), { text: '789', caret: 3 });
  field.moveTo(7);
  assert.deepEqual(field.show(4), { text: '789', caret: 0 });
  field.moveTo(2);
  assert.deepEqual(field.show(4), { text: '2345', caret: 0 });
  field.moveToCell(3);
  field.insert('x');
  assert.deepEqual(field.show(4), { text: '34x5', caret: 3 });
  field.moveTo(Number.POSITIVE_INFINITY);
  field.backspace(true);
  assert.deepEqual(field.show(4), { text: '', caret: 0 });
  assert.deepEqual(new TextField(false, 'ab').show(0), { text: '', caret: 0 });
});
