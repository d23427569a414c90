import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventKind, exportJsonLines } from '../../../../recorder/index.ts';
import { collect } from '../bed.ts';
import { desktop, mouse, recorded } from './bed.ts';

test('as JSON lines the mouse has names, and drawing is never taken for text', async () => {
  const reader = await recorded([
    desktop(0, 64, 48),
    mouse(0, 0x9000, 30, 31),
    [0, EventKind.mouse, Buffer.from('cut')],
    [0, EventKind.fastPathOutput, Buffer.from('12')],
    [0, EventKind.slowPathOutput, Buffer.from('34')],
  ]);
  const lines = await collect(exportJsonLines(reader));
  const payloads = lines.map((line) => {
    const { kind, data, text, base64 } = JSON.parse(line) as Record<string, unknown>;
    return [kind, data ?? text ?? base64];
  });
  assert.deepEqual(payloads, [
    ['desktop', { width: 64, height: 48, bitsPerPixel: 32 }],
    ['mouse', { flags: 0x9000, x: 30, y: 31 }],
    ['mouse', 'cut'],
    ['fastPathOutput', 'MTI='],
    ['slowPathOutput', 'MzQ='],
  ]);
});
