import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Screen } from '../../../../recorder/screen/index.ts';
import { type Capture, captures, readCapture, show } from './captures.ts';

/** That the screen shows the capture's picture and pointer. */
function assertShown(screen: Screen, capture: Capture): void {
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  assert.equal(sha256(screen.framebuffer.bytes), capture.sha256);
  assert.equal(screen.pointer.cache.size, capture.pointers);
  const shape = new Uint8Array(screen.pointer.shape.pixels.buffer);
  if (capture.pointerSha256 !== undefined) assert.equal(sha256(shape), capture.pointerSha256);
}

for (const capture of captures) {
  test(`${capture.name}: the picture is the one that the client showed`, () => {
    const screen = new Screen(capture.width, capture.height, capture.bitsPerPixel);
    for (const pdu of readCapture(capture.name)) show(screen, pdu);
    assertShown(screen, capture);
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
    assertShown(screen, capture);
    assert.equal(screen.bitsPerPixel, capture.bitsPerPixel);
  });
}
