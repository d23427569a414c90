import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InputEvent, KEY_NAMES, type View } from '../../gateway/rdp/screen/event.ts';
import { LogonScreen } from '../../gateway/rdp/screen/logon-screen.ts';
import { seeded } from '../support/random.ts';

/**
 * Clients of any size, any keys and mice: nothing throws, and what is painted stays on the
 * desktop. A failure names its seed.
 */
function walk(seed: number): void {
  const random = seeded(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(of: readonly T[]): T => of[below(of.length)] as T;
  const word = () =>
    Array.from({ length: below(120) }, () =>
      String.fromCodePoint(pick([below(0x20), 0x20 + below(0x200), below(0x110000)])),
    ).join('');
  const size = () => ({
    width: 1 + below(pick([40, 700, 1300])),
    height: 1 + below(pick([40, 500, 900])),
    primary: { x: below(900) - 300, y: below(900) - 300, width: below(1500) - 100, height: below(900) - 100 },
  });
  const view = (): View =>
    pick<() => View>([
      () => ({ kind: 'log-on', user: word(), error: word() }),
      () => ({ kind: 'code', prompt: word() }),
      () => ({
        kind: 'targets',
        targets: Array.from({ length: below(30) }, () => ({ account: word(), system: word() })),
        error: word(),
      }),
      () => ({ kind: 'reason' }),
      () => ({ kind: 'waiting', text: word() }),
      () => ({ kind: 'message', title: word(), text: word(), retry: below(2) === 0 }),
    ])();
  let now = size();
  const event = (): InputEvent => {
    const kind = below(3);
    if (kind === 0) return { kind: 'text', text: word() };
    if (kind === 1)
      return { kind: 'key', name: pick(KEY_NAMES), shift: below(2) === 0, ctrl: below(2) === 0 };
    return {
      kind: 'mouse',
      x: below(now.width + 20) - 10,
      y: below(now.height + 20) - 10,
      buttons: below(3),
      wheel: below(4) === 0 ? below(7) - 3 : 0,
      at: below(1000),
    };
  };
  const screen = new LogonScreen({ ...now, keyboardLayout: below(0x100000), banner: word() });
  for (let step = 0; step < 60; step++) {
    const what = below(20);
    if (what === 0) {
      now = size();
      screen.resize(now);
    } else if (what < 4) screen.show(view());
    else if (what === 4) screen.capsLock(below(2) === 0);
    else if (what === 5) screen.tick();
    else screen.input(event());
    if (below(3) === 0)
      for (const { x, y, width, height, pixels } of screen.takeDirty()) {
        assert.ok(x >= 0 && y >= 0 && width > 0 && height > 0, 'off the desktop');
        assert.ok(x + width <= now.width && y + height <= now.height, 'off the desktop');
        assert.equal(pixels.length, width * height);
      }
  }
}

test('any input at any size', () => {
  for (let seed = 0; seed < 120; seed++)
    try {
      walk(seed);
    } catch (cause) {
      throw new Error(`seed ${seed}`, { cause });
    }
});
