import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MonitorDefinition } from '../../../gateway/rdp/pdu/gcc-client.ts';
import { screenSize } from '../../../gateway/rdp/screen-size.ts';
import { realBlocks } from './legs.ts';

function over(desktopWidth: number, desktopHeight: number, monitors?: readonly MonitorDefinition[]) {
  const { core, monitor: _, ...blocks } = realBlocks();
  return {
    ...blocks,
    core: { ...core, desktopWidth, desktopHeight },
    ...(monitors && { monitor: { flags: 0, monitors } }),
  };
}

const LEFT = { left: -1280, top: -200, right: -1, bottom: 823, flags: 0 };
const PRIMARY = { left: 0, top: 0, right: 1023, bottom: 767, flags: 1 };

test('a desktop of one monitor, or of a client that tells of none, has its size', () => {
  assert.deepEqual(screenSize(over(1024, 768)), { width: 1024, height: 768 });
  assert.deepEqual(screenSize(over(1024, 768, [PRIMARY])), {
    width: 1024,
    height: 768,
    primary: { x: 0, y: 0, width: 1024, height: 768 },
  });
});

test('the primary monitor is where it is on the desktop, until that has another size', () => {
  const blocks = over(2304, 1024, [LEFT, PRIMARY]);
  assert.deepEqual(screenSize(blocks), {
    width: 2304,
    height: 1024,
    primary: { x: 1280, y: 200, width: 1024, height: 768 },
  });
  assert.deepEqual(screenSize(blocks, 2304, 768), { width: 2304, height: 768 });
  assert.deepEqual(screenSize(over(1280, 1024, [LEFT])), { width: 1280, height: 1024 });
});

test('a size that no desktop has is cut to one', () => {
  assert.deepEqual(screenSize(over(65_535, 65_535)), { width: 8192, height: 8192 });
});
