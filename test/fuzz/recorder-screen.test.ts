/**
 * Hostile drawing: whatever a server sends, a screen counts it and goes on; decoders throw nothing but
 * ScreenError, and no size makes them reserve more than the desktop's own.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Screen, ScreenError, ShareData } from '../../recorder/screen/index.ts';
import { decodeInterleaved } from '../../recorder/screen/interleaved.ts';
import { PlanarDecoder } from '../../recorder/screen/planar.ts';
import { damaged, noise, randomFrom } from '../support/random.ts';
import { captures, type Pdu, readCapture, show } from '../unit/recorder/screen/captures.ts';
import { encodeInterleaved, encodePlane, randomPicture } from '../unit/recorder/screen/encoders.ts';

/** Runs `work`; anything thrown but a ScreenError fails the test. */
function tolerate(what: string, work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof ScreenError) return false;
    throw new Error(`${what}: threw something else`, { cause: error });
  }
}

test('bitmap decoders take mutated streams and noise', () => {
  const planar = new PlanarDecoder();
  const decoded = { interleaved: 0, planar: 0 };
  for (let seed = 0; seed < 4000; seed += 1) {
    const random = randomFrom(seed);
    const bits = [8, 15, 16, 24][random(4)] ?? 8;
    const [width, height] = [1 + random(70), 1 + random(20)];
    // Behind what belongs to the bitmap nothing may be written.
    const out = new Uint32Array(width * height + 8).fill(0xdead);
    const picture = randomPicture(random, bits, width, height);
    const stream = encodeInterleaved(random, bits, picture);
    const bytes = random(4) === 0 ? noise(random, random(300)) : damaged(random, stream);
    if (tolerate(`seed ${seed}`, () => decodeInterleaved(bytes, bits, width, height, out)))
      decoded.interleaved += 1;

    const planes = [0, 1, 2].flatMap(() =>
      encodePlane(random, Uint8Array.from(randomPicture(random, 8, width, height).pixels), width),
    );
    const header = random(2) === 0 ? 0x30 : random(256);
    const coded = random(4) === 0 ? noise(random, random(300)) : damaged(random, Uint8Array.from(planes));
    if (tolerate(`seed ${seed}`, () => planar.decode(Uint8Array.of(header, ...coded), width, height, out)))
      decoded.planar += 1;
    assert.ok(
      out.subarray(width * height).every((pixel) => pixel === 0xdead),
      `seed ${seed}`,
    );
  }
  assert.ok(decoded.interleaved > 200 && decoded.planar > 200, JSON.stringify(decoded));
});

test('a screen goes on behind mutated and reordered PDUs of real servers', () => {
  const pdus: Pdu[] = captures
    .flatMap(({ name }) => readCapture(name))
    .filter((pdu) => pdu.body.length < 20_000);
  const problems = new Set<string>();
  let screen = new Screen(640, 480);
  for (let seed = 0; seed < 3000; seed += 1) {
    const random = randomFrom(seed);
    const pdu = pdus[random(pdus.length)];
    assert.ok(pdu !== undefined);
    const type = random(20) === 0 ? ([0, ShareData.update, ShareData.pointer, 9][random(4)] ?? 0) : pdu.type;
    show(screen, { type, body: damaged(random, pdu.body) });
    if (random(200) === 0) screen.resize(random(2000), random(2000), random(40));
    if (random(200) > 0) continue;
    for (const kind of screen.problems.keys()) problems.add(kind);
    const before = screen;
    screen = new Screen(1, 1);
    screen.restore(before.snapshot());
    assert.deepEqual(screen.pointer, before.pointer, `seed ${seed}`);
  }
  assert.ok(problems.size >= 6, [...problems].join());
  assert.ok(
    screen.framebuffer.pixels.every((pixel) => pixel >>> 24 === 0xff),
    'the picture stays opaque',
  );
});

test('a screen takes noise', () => {
  const screen = new Screen(300, 200);
  for (let seed = 0; seed < 20_000; seed += 1) {
    const random = randomFrom(seed);
    const body = noise(random, random(120));
    // A beginning that is right gets further.
    if (random(2) === 0 && body.length > 3) body.set([random(13), body.length - 3, 0]);
    show(screen, { type: [0, 0, ShareData.update, ShareData.pointer][random(4)] ?? 0, body });
  }
  assert.ok(screen.problems.size >= 6, [...screen.problems.keys()].join());
});

test('snapshots that were changed are refused or restored, never half', () => {
  const capture = captures.find(({ name }) => name === 'xrdp-planar-32');
  assert.ok(capture !== undefined);
  const source = new Screen(60, 40);
  for (const pdu of readCapture(capture.name)) show(source, pdu);
  const snapshot = source.snapshot();
  let refused = 0;
  for (let seed = 0; seed < 200; seed += 1) {
    const screen = new Screen(3, 3);
    const before = screen.snapshot();
    const ok = tolerate(`seed ${seed}`, () => screen.restore(damaged(randomFrom(seed), snapshot)));
    if (ok) continue;
    refused += 1;
    assert.deepEqual(screen.snapshot(), before, `seed ${seed}`);
  }
  assert.ok(refused > 50, `${refused} refused`);
});
