/** What the gateway shows over a running desktop, as a client would see it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MESSAGE_MS, Overlay, REPAINT_MS } from '../../../../gateway/rdp/overlay/overlay.ts';
import { Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  encodeFastPath,
  encodeFastPathUpdate,
  Fragmentation,
  readFastPathOutput,
  UpdateCode,
} from '../../../../gateway/rdp/pdu/fast-path.ts';
import {
  type BitsPerPixel,
  bitmapUpdates,
  defaultPointer,
  paletteUpdate,
  type Update,
} from '../../../../gateway/rdp/pdu/output.ts';
import { DataType } from '../../../../gateway/rdp/pdu/share.ts';
import type { Rectangle } from '../../../../gateway/rdp/screen/canvas.ts';
import { Screen } from '../../../../recorder/screen/screen.ts';
import { settled } from '../legs.ts';

const WIDTH = 640;
const HEIGHT = 480;
/** What the target's desktop is filled with, RGBA as the recorder's screen has it. */
const DESKTOP = 0x00aa00;
const SHOWN_DESKTOP = 0xff00_aa00;

/** An overlay with a client that shows what it is sent, and a target that notes what it is asked for. */
class Client {
  /** It reads no more after so many updates of the overlay. */
  congestedAfter = Number.POSITIVE_INFINITY;
  readonly asked: Rectangle[] = [];
  /** Updates that the overlay sent. */
  sent = 0;
  #screen: Screen;
  readonly overlay = new Overlay({
    keyboardLayout: 0x409,
    send: (update) => {
      this.sent += 1;
      // On the slow path, as the relay does: it may come between the parts of a fast-path update.
      this.#screen.slowPath(DataType.update, update.data);
    },
    refresh: (part) => this.asked.push(part),
    congested: () => this.sent >= this.congestedAfter,
  });

  constructor(t: TestContext, bitsPerPixel: BitsPerPixel = 16) {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    this.#screen = new Screen(WIDTH, HEIGHT, bitsPerPixel);
  }

  activate(width = WIDTH, height = HEIGHT, bitsPerPixel: BitsPerPixel = 16): void {
    this.overlay.deactivated();
    this.#screen.resize(width, height, bitsPerPixel);
    this.overlay.activated({ width, height, bitsPerPixel, skipAlpha: false });
  }

  /** The target sends a PDU. @returns what arrives */
  target(pdu: Uint8Array): Uint8Array | undefined {
    const shown = this.overlay.fastPath(pdu, readFastPathOutput(pdu));
    if (shown !== undefined) this.#show(shown);
    return shown;
  }

  /** Pixels of which `is` holds. */
  count(is: (pixel: number, x: number, y: number) => boolean): number {
    const { width, pixels } = this.#screen.framebuffer;
    return pixels.reduce(
      (sum, pixel, at) => sum + (is(pixel, at % width, Math.floor(at / width)) ? 1 : 0),
      0,
    );
  }

  /** The smallest box around what is not the desktop. */
  get box(): Rectangle | undefined {
    let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
    this.count((pixel, x, y) => {
      if (pixel === SHOWN_DESKTOP) return false;
      [left, top, right, bottom] = [
        Math.min(left, x),
        Math.min(top, y),
        Math.max(right, x),
        Math.max(bottom, y),
      ];
      return true;
    });
    return right < 0 ? undefined : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
  }

  #show(pdu: Uint8Array): void {
    this.#screen.fastPath(pdu.subarray(readFastPathOutput(pdu)));
    assert.deepEqual(this.#screen.problems, new Map());
  }
}

function fast(...updates: readonly Update[]): Uint8Array {
  const writer = new Writer();
  encodeFastPath(writer, 0, () => {
    for (const { code, data } of updates) encodeFastPathUpdate(writer, code, data);
  });
  return writer.done();
}

/** Paints a part of the desktop. */
function painted({ x, y, width, height }: Rectangle, rgb = DESKTOP): Uint8Array {
  const pixels = new Uint32Array(width * height).fill(rgb);
  return fast(...bitmapUpdates({ width, height, pixels }, 16, x, y));
}

const WHOLE = { x: 0, y: 0, width: WIDTH, height: HEIGHT };

/** A client that shows the target's desktop. */
function running(t: TestContext): Client {
  const client = new Client(t);
  client.activate();
  client.target(painted(WHOLE));
  return client;
}

test('a message stands at the top for its time, then the target is asked for what was below', async (t) => {
  const client = running(t);
  client.overlay.notify('Your session ends in 5 minutes.');
  await settled();
  const box = client.box ?? assert.fail('nothing is shown');
  assert.equal(box.y, 0);
  assert.ok(box.height < 60 && box.width < WIDTH && Math.abs(2 * box.x + box.width - WIDTH) <= 1);
  t.mock.timers.tick(MESSAGE_MS - 1);
  await settled();
  assert.deepEqual([client.box, client.asked], [box, []]);
  t.mock.timers.tick(1);
  assert.deepEqual(client.asked, [box]);
  client.target(painted(box));
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.equal(client.box, undefined);
});

test('what the target draws over a message is painted over once; what it draws elsewhere is not', async (t) => {
  const client = running(t);
  client.overlay.notify('Hello.');
  await settled();
  const box = client.box ?? assert.fail();
  const sent = client.sent;
  client.target(painted({ ...box, y: box.height, height: 20 }));
  client.target(painted({ x: 0, y: 0, width: box.x, height: 20 }));
  client.target(fast(defaultPointer()));
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.equal(client.sent, sent);
  client.target(painted({ x: box.x + box.width - 1, y: box.height - 1, width: 1, height: 1 }));
  client.target(painted(WHOLE));
  assert.equal(client.box, undefined);
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.deepEqual([client.box, client.sent], [box, 2 * sent]);
});

test('a new message takes the place of the one before, for its whole time', async (t) => {
  const client = running(t);
  client.overlay.notify('A message of many words, which takes a box of nearly the width of a screen.');
  await settled();
  const first = client.box ?? assert.fail();
  t.mock.timers.tick(MESSAGE_MS - 1);
  client.overlay.notify('Short.');
  assert.deepEqual(client.asked, [first]);
  client.target(painted(first));
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  const second = client.box ?? assert.fail();
  assert.ok(second.width < first.width);
  t.mock.timers.tick(MESSAGE_MS - REPAINT_MS);
  assert.deepEqual(client.asked, [first, second]);
});

test('a lock covers the desktop and holds pictures back; pointers and palettes pass', async (t) => {
  const client = running(t);
  client.overlay.lock('Your session has been locked.');
  await settled();
  assert.equal(
    client.count((pixel) => pixel === SHOWN_DESKTOP),
    0,
  );
  assert.equal(client.target(painted(WHOLE)), undefined);
  const orders = { code: UpdateCode.orders, data: new Uint8Array(2) };
  const surface = { code: UpdateCode.surfaceCommands, data: new Uint8Array(9) };
  const [bitmap = assert.fail()] = bitmapUpdates(
    { width: 1, height: 1, pixels: Uint32Array.of(0) },
    16,
    0,
    0,
  );
  const passing = fast(defaultPointer(), paletteUpdate(), orders);
  assert.equal(client.target(passing), passing);
  assert.deepEqual(
    client.target(fast(defaultPointer(), bitmap, paletteUpdate(), surface, orders, bitmap)),
    passing,
  );
  assert.equal(client.overlay.slowPath(bitmap.data), false);
  assert.equal(client.overlay.slowPath(paletteUpdate().data), true);
  assert.equal(client.overlay.slowPath(Uint8Array.of(0, 0, 0, 0)), true);
  assert.deepEqual(client.asked, []);

  client.overlay.unlock();
  assert.deepEqual(client.asked, [WHOLE]);
  client.target(painted(WHOLE));
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.equal(client.box, undefined);
  assert.equal(client.overlay.slowPath(bitmap.data), true);
});

test('a message over a lock goes without asking the target', async (t) => {
  const client = running(t);
  client.overlay.lock('Locked.');
  await settled();
  const lock = client.count(() => true) - client.count((pixel) => pixel === SHOWN_DESKTOP);
  assert.equal(lock, WIDTH * HEIGHT);
  const amber = (pixel: number): boolean => (pixel & 0xff) > 0xf0 && ((pixel >> 16) & 0xff) < 0xe0;
  client.overlay.notify('This gateway is being stopped.');
  await settled();
  assert.ok(client.count(amber) > 1000);
  t.mock.timers.tick(MESSAGE_MS);
  await settled();
  assert.equal(client.count(amber), 0);
  assert.deepEqual(client.asked, []);
});

/** One update in parts of which each is a PDU of its own. */
function fragments({ code, data }: Update): Uint8Array[] {
  const third = Math.ceil(data.length / 3);
  return [Fragmentation.first, Fragmentation.next, Fragmentation.last].map((part, n) => {
    const writer = new Writer();
    encodeFastPath(writer, 0, (body) => {
      const piece = data.subarray(n * third, (n + 1) * third);
      body
        .u8(code | (part << 4))
        .u16le(piece.length)
        .bytes(piece);
    });
    return writer.done();
  });
}

test('an update in parts arrives whole or not at all, whenever the lock comes and goes', async (t) => {
  const client = running(t);
  const [update = assert.fail()] = bitmapUpdates(
    { width: 8, height: 8, pixels: new Uint32Array(64).fill(DESKTOP) },
    16,
    0,
    0,
  );
  const parts = fragments(update);
  const [first = assert.fail(), next = assert.fail(), last = assert.fail()] = parts;
  assert.equal(client.target(first), first);
  client.overlay.lock('Locked.');
  await settled();
  assert.deepEqual([client.target(next), client.target(last)], [next, last]);
  assert.equal(
    client.count((pixel) => pixel === SHOWN_DESKTOP),
    64,
    'drawn over the lock',
  );
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.equal(
    client.count((pixel) => pixel === SHOWN_DESKTOP),
    0,
  );

  assert.equal(client.target(first), undefined);
  client.overlay.unlock();
  assert.deepEqual([client.target(next), client.target(last)], [undefined, undefined]);
  assert.deepEqual(
    parts.map((part) => client.target(part)),
    parts,
  );
});

test('a desktop of another size is covered as a whole again, once the client is ready for it', async (t) => {
  const client = running(t);
  client.overlay.lock('Locked.');
  client.overlay.notify('Hello.');
  await settled();
  client.overlay.deactivated();
  const sent = client.sent;
  t.mock.timers.tick(MESSAGE_MS);
  client.overlay.repaintSoon();
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.deepEqual([client.sent, client.asked], [sent, []]);
  client.activate(800, 600);
  await settled();
  assert.equal(
    client.count((pixel) => pixel === 0),
    0,
  );
  // The message has its time on it.
  t.mock.timers.tick(MESSAGE_MS - 1);
  client.overlay.unlock();
  t.mock.timers.tick(1);
  assert.equal(client.asked.length, 2);
  assert.deepEqual(client.asked[0], { x: 0, y: 0, width: 800, height: 600 });
});

test('what is said before there is a desktop waits for it, and an unlock before takes the lock away', async (t) => {
  const client = new Client(t);
  client.overlay.lock('Locked.');
  client.overlay.notify('Hello.');
  t.mock.timers.tick(2 * MESSAGE_MS);
  await settled();
  assert.equal(client.sent, 0);
  const picture = painted(WHOLE);
  assert.equal(client.target(picture), picture, 'there is nothing yet to hold it back for');
  client.overlay.unlock();
  client.activate();
  client.target(painted(WHOLE));
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.ok((client.box?.height ?? HEIGHT) < 60, 'the message alone');
});

test('a client that does not read is not painted for; it is when it reads', async (t) => {
  const client = running(t);
  client.congestedAfter = 0;
  client.overlay.lock('Locked.');
  await settled();
  assert.equal(client.sent, 0);
  client.congestedAfter = Number.POSITIVE_INFINITY;
  client.overlay.drained();
  await settled();
  assert.equal(
    client.count((pixel) => pixel === SHOWN_DESKTOP),
    0,
  );
  // It may ask again as often as it likes.
  const sent = client.sent;
  for (let n = 0; n < 100; n += 1) client.overlay.repaintSoon();
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.equal(client.sent, 2 * sent);
});

test('of a lock that is taken away before the client has read it nothing more is painted', async (t) => {
  const client = running(t);
  client.congestedAfter = 3;
  client.overlay.lock('Locked.');
  await settled();
  assert.equal(client.sent, 3);
  client.congestedAfter = Number.POSITIVE_INFINITY;
  client.overlay.unlock();
  client.overlay.drained();
  await settled();
  assert.deepEqual([client.sent, client.asked], [3, [WHOLE]]);
});

test('with a palette of the target the colours nearest to the own ones are taken', async (t) => {
  const client = new Client(t, 8);
  client.activate(WIDTH, HEIGHT, 8);
  const colours = (entries: readonly (readonly number[])[]): Uint8Array => {
    const data = [2, 0, 0, 0, entries.length, 0, 0, 0, ...entries.flat()];
    return fast({ code: UpdateCode.palette, data: Uint8Array.from(data) });
  };
  client.target(
    colours([
      [0, 0, 0],
      [255, 255, 255],
      [20, 30, 40],
    ]),
  );
  client.overlay.lock('Locked.');
  await settled();
  const shares = (): number[] =>
    [0xff00_0000, 0xffff_ffff, 0xff28_1e14].map((colour) => client.count((pixel) => pixel === colour));
  const [black = 0, white = 0, blue = 0] = shares();
  assert.equal(black + white + blue, WIDTH * HEIGHT);
  assert.ok(white > 100_000 && blue > 10_000, `${shares()}`);
  const sent = client.sent;
  // Another palette, with the same colours in other places.
  client.target(
    colours([
      [20, 30, 40],
      [0, 0, 0],
      [255, 255, 255],
    ]),
  );
  t.mock.timers.tick(REPAINT_MS);
  await settled();
  assert.deepEqual(shares(), [black, white, blue]);
  assert.equal(client.sent, 2 * sent);
});

test('nothing is shown any more once it is closed', async (t) => {
  const client = running(t);
  client.overlay.notify('Hello.');
  client.target(painted(WHOLE));
  client.overlay.close();
  client.overlay.lock('Locked.');
  client.overlay.unlock();
  t.mock.timers.tick(2 * MESSAGE_MS);
  await settled();
  assert.deepEqual([client.sent, client.asked], [0, []]);
});
