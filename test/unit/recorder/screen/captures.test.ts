import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Screen } from '../../../../recorder/screen/index.ts';
import { captures, readCapture, show } from './captures.ts';

for (const capture of captures) {
  test(`${capture.name}: the picture is the one that the client showed`, () => {
    const screen = new Screen(capture.width, capture.height, capture.bitsPerPixel);
    for (const pdu of readCapture(capture.name)) show(screen, pdu);
    assert.equal(createHash('sha256').update(screen.framebuffer.bytes).digest('hex'), capture.sha256);
    assert.equal(screen.pointer.cache.size, capture.pointers);
    const counts = [...screen.problems].map(([kind, problem]) => [kind, problem.count]);
    assert.deepEqual(Object.fromEntries(counts), capture.problems);
  });

  test(`${capture.name}: a screen restored anywhere ends with the same picture`, () => {
    const pdus = readCapture(capture.name);
    let screen = new Screen(capture.width, capture.height, capture.bitsPerPixel);
    const every = Math.ceil(pdus.length / 6);
    for (const [i, pdu] of pdus.entries()) {
      show(screen, pdu);
      if (i % every !== 0) continue;
      const snapshot = screen.snapshot();
      screen = new Screen(8, 8);
      screen.restore(snapshot);
      assert.deepEqual(screen.snapshot(), snapshot);
    }
    assert.equal(createHash('sha256').update(screen.framebuffer.bytes).digest('hex'), capture.sha256);
    assert.equal(screen.pointer.cache.size, capture.pointers);
    assert.equal(screen.bitsPerPixel, capture.bitsPerPixel);
  });
}
