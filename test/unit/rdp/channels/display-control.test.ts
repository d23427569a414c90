import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeDisplayControl,
  encodeDisplayControl,
} from '../../../../gateway/rdp/channels/display-control.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { bytes, hex, written } from './bed.ts';

const CAPS = '05000000 14000000 10000000 00100000 00100000'.replaceAll(' ', '');
const LAYOUT = [
  '02000000 60000000 28000000 02000000',
  '01000000 00000000 00000000 00050000 00040000 90010000 2c010000 00000000 64000000 64000000',
  '00000000 00fbffff 40000000 00050000 00040000 00000000 00000000 5a000000 96000000 8c000000',
]
  .join('')
  .replaceAll(' ', '');

test('capabilities and a layout of two monitors', () => {
  const caps = decodeDisplayControl(new Reader(bytes(CAPS)));
  assert.deepEqual(caps, { type: 'caps', maxMonitors: 16, areaFactorA: 4096, areaFactorB: 4096 });
  assert.equal(hex(written((writer) => encodeDisplayControl(writer, caps))), CAPS);

  const layout = decodeDisplayControl(new Reader(bytes(LAYOUT)));
  assert.ok(layout.type === 'layout');
  assert.deepEqual(
    layout.monitors.map(({ primary, left, top, width, height, physicalWidth, orientation, desktopScale }) => [
      primary,
      left,
      top,
      width,
      height,
      physicalWidth,
      orientation,
      desktopScale,
    ]),
    [
      [true, 0, 0, 1280, 1024, 400, 0, 100],
      [false, -1280, 64, 1280, 1024, 0, 90, 150],
    ],
  );
  assert.equal(hex(written((writer) => encodeDisplayControl(writer, layout))), LAYOUT);
});

test('errors name the field', () => {
  for (const [wire, expected] of [
    ['05000000 07000000', /DISPLAYCONTROL_HEADER.Length at offset 4 is 7, less than its header/],
    ['05000000 10000000 00000000', /DISPLAYCONTROL body at offset 8 needs 8 bytes, 4 are left/],
    ['03000000 08000000', /DISPLAYCONTROL_HEADER.Type at offset 0 is the unknown 3/],
    ['02000000 10000000 29000000 00000000', /MonitorLayoutSize at offset 8 is 41 instead of 40/],
    ['02000000 10000000 28000000 ffffffff', /NumMonitors at offset 12 is 4294967295, more than 64/],
    ['02000000 10000000 28000000 01000000', /MONITOR_LAYOUT.Flags at offset 16 needs 4/],
  ] as const)
    assert.throws(() => decodeDisplayControl(new Reader(bytes(wire))), expected);
});
