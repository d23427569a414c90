import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeDisplayControl, type Monitor } from '../../../../gateway/rdp/channels/display-control.ts';
import {
  encodeCreateRequest,
  encodeCreateResponse,
  encodeDynamicCapabilities,
  encodeDynamicClose,
  encodeDynamicData,
} from '../../../../gateway/rdp/channels/drdynvc.ts';
import type { RdpChannelPolicy } from '../../../../gateway/rdp/channels/police.ts';
import { dynamicChannelRefusal } from '../../../../gateway/rdp/channels/policy.ts';
import { bytes, EVERYTHING, hex, NOTHING, refusals, Wire, written } from './bed.ts';

const DISPLAY = 'Microsoft::Windows::RDS::DisplayControl';
const GRAPHICS = 'Microsoft::Windows::RDS::Graphics';
const POLICY: RdpChannelPolicy = { ...NOTHING, displayControl: true, dynamicChannels: ['Echo*'] };

const create = (channel: number, name: string) =>
  written((writer) => encodeCreateRequest(writer, { channel, priority: 0, name }));
const created = (channel: number, status = 0) =>
  written((writer) => encodeCreateResponse(writer, { channel, status }));
const close = (channel: number) => written((writer) => encodeDynamicClose(writer, channel));
const data = (channel: number, payload: Uint8Array, total?: number) =>
  written((writer) =>
    encodeDynamicData(writer, { channel, data: payload, ...(total === undefined ? {} : { total }) }),
  );

const MONITOR: Monitor = {
  primary: true,
  left: 0,
  top: 0,
  width: 1920,
  height: 1080,
  physicalWidth: 0,
  physicalHeight: 0,
  orientation: 0,
  desktopScale: 100,
  deviceScale: 100,
};
const layout = written((writer) => encodeDisplayControl(writer, { type: 'layout', monitors: [MONITOR] }));
const caps = written((writer) =>
  encodeDisplayControl(writer, { type: 'caps', maxMonitors: 16, areaFactorA: 4096, areaFactorB: 4096 }),
);

test('a negotiation: version 3 becomes 2, graphics are refused, display control works', () => {
  const wire = new Wire('drdynvc', POLICY);
  const version = (of: number) =>
    written((writer) => encodeDynamicCapabilities(writer, { version: of, priorityCharges: [1, 2, 3, 4] }));
  const offered = wire.send('target', version(3));
  assert.deepEqual(offered.toClient.map(hex), [hex(version(2))]);
  wire.passes('client', bytes('50000200'));

  const refused = wire.send('target', create(7, GRAPHICS));
  assert.deepEqual(refused.toClient, []);
  assert.deepEqual(refused.toTarget.map(hex), ['100790040780']);
  assert.deepEqual(refusals(refused.events), [
    `dynamic channel ${GRAPHICS}: the recording would not show what goes over it`,
  ]);
  assert.deepEqual(wire.send('target', data(7, bytes('00'))).toClient, []);

  wire.passes('target', create(8, DISPLAY));
  wire.passes('client', created(8));
  assert.deepEqual(wire.passes('target', data(8, caps)), []);
  assert.deepEqual(wire.passes('client', data(8, layout)), [{ kind: 'layout', monitors: [MONITOR] }]);
});

test('screen, pointer and input past the recorder are refused whatever policy and spelling say', () => {
  for (const name of [
    GRAPHICS,
    GRAPHICS.toLowerCase(),
    'Microsoft::Windows::RDS::Video::Control::v08.01',
    'Microsoft::Windows::RDS::Video::Data::v08.01',
    'Microsoft::Windows::RDS::Geometry::v08.01',
    'Microsoft::Windows::RDS::Input',
    'Microsoft::Windows::RDS::CoreInput',
    'Microsoft::Windows::RDS::MouseCursor',
    'TSMF',
  ])
    assert.match(dynamicChannelRefusal(name, EVERYTHING) ?? '', /recording/, name);
});

test('each dynamic channel hangs on its own key of the policy, others on globs', () => {
  const rows: [string, Partial<RdpChannelPolicy>][] = [
    [DISPLAY, { displayControl: true }],
    ['AUDIO_INPUT', { audioInput: true }],
    ['AUDIO_PLAYBACK_DVC', { audioOutput: true }],
    ['AUDIO_PLAYBACK_LOSSY_DVC', { audioOutput: true }],
    ['ECHO', { dynamicChannels: ['echo'] }],
    ['RDCamera_Device_0', { dynamicChannels: ['RDCamera_*'] }],
  ];
  for (const [name, key] of rows) {
    assert.equal(dynamicChannelRefusal(name, NOTHING), 'policy does not allow it', name);
    assert.equal(dynamicChannelRefusal(name, { ...NOTHING, ...key }), undefined, name);
  }
  for (const name of [DISPLAY, 'AUDIO_INPUT', 'AUDIO_PLAYBACK_DVC'])
    assert.notEqual(dynamicChannelRefusal(name, { ...NOTHING, dynamicChannels: ['*'] }), undefined, name);
});

test('data passes on open channels only, and a number can be used again', () => {
  const wire = new Wire('drdynvc', POLICY);
  const payload = data(300, new Uint8Array(1500), 4000);
  const dropped = () => [...wire.send('client', payload).toTarget, ...wire.send('target', payload).toClient];
  assert.deepEqual(dropped(), []);
  wire.passes('target', create(300, 'echo-1'));
  wire.passes('client', created(300));
  wire.passes('client', payload);
  wire.passes('target', payload);

  wire.passes('target', close(300));
  assert.deepEqual(dropped(), []);
  // The client's answer to the close comes after the next request, and before its answer to that one.
  wire.passes('target', create(300, 'echo-2'));
  wire.passes('client', close(300));
  wire.passes('client', created(300));
  wire.passes('client', payload);

  wire.passes('client', close(300));
  assert.deepEqual(dropped(), []);
  wire.passes('target', close(300));

  wire.passes('target', create(301, 'echo-3'));
  wire.passes('client', created(301, -1));
  assert.deepEqual(wire.send('target', data(301, bytes('00'))).toClient, []);
  assert.deepEqual(wire.send('client', created(301)).toTarget, []);
  assert.deepEqual(wire.send('client', created(302)).toTarget, []);
});

test('a number in use does not get a second name', () => {
  const wire = new Wire('drdynvc', POLICY);
  wire.passes('target', create(1, DISPLAY));
  const came = wire.send('target', create(1, 'echo'));
  assert.deepEqual([came.toClient, came.toTarget.length], [[], 1]);
  assert.deepEqual(refusals(came.events), ['dynamic channel echo: its number is in use']);
});

test('UDP and unknown commands are refused, compressed data ends the session', () => {
  const wire = new Wire('drdynvc', POLICY);
  for (const [pdu, expected] of [
    ['80 00 0c000000 0100 0000', 'move of dynamic channels to UDP: it would pass by the gateway'],
    ['90 00 00000000', 'move of dynamic channels to UDP: it would pass by the gateway'],
    ['a0 00', 'drdynvc command 10: it is unknown'],
  ] as const) {
    const came = wire.send('target', bytes(pdu));
    assert.deepEqual([came.toClient, came.toTarget], [[], []]);
    assert.deepEqual(refusals(came.events), [expected]);
  }
  for (const pdu of ['70 01 00', '60 01 01 00'])
    assert.throws(() => wire.send('target', bytes(pdu)), /drdynvc Cmd at offset 0 is compressed data/);
});

test('display control is read: not in parts, not the wrong way', () => {
  const wire = new Wire('drdynvc', POLICY);
  wire.passes('target', create(1, DISPLAY));
  wire.passes('client', created(1));
  const parts = wire.send('client', data(1, layout.subarray(0, 10), layout.length));
  assert.deepEqual(parts.toTarget, []);
  assert.deepEqual(refusals(parts.events), [
    'display control in parts: a layout of all monitors fits in one',
  ]);
  assert.throws(
    () => wire.send('client', data(1, caps)),
    /DISPLAYCONTROL_HEADER.Type .* is not for the client to send/,
  );
  assert.throws(() => wire.send('target', data(1, layout)), /is not for the target to send/);
});

test('bounds: length of a PDU, number of channels', () => {
  const wire = new Wire('drdynvc', POLICY);
  assert.throws(
    () => wire.send('target', data(1, new Uint8Array(70_000))),
    /drdynvc PDU at offset 0 has 70002 bytes/,
  );
  const full = new Wire('drdynvc', POLICY);
  for (let n = 0; n < 1024; n++) full.passes('target', create(n, 'echo'));
  assert.deepEqual(refusals(full.send('target', create(2000, 'echo')).events), [
    'dynamic channel echo: too many are open',
  ]);
});

test('a target that is left has its channels closed for the client, those that are open', () => {
  const wire = new Wire('drdynvc', POLICY);
  assert.deepEqual(wire.police.leave('drdynvc'), []);
  for (const channel of [3, 0x1234, 5]) {
    wire.passes('target', create(channel, DISPLAY));
    wire.passes('client', created(channel));
  }
  wire.passes('target', create(6, 'Echo'));
  wire.passes('client', created(6, -1));
  wire.passes('target', close(5));
  assert.deepEqual(wire.police.leave('DRDYNVC').map(hex), [
    `0200000003000000${hex(close(3))}`,
    `0300000003000000${hex(close(0x1234))}`,
  ]);
  assert.deepEqual(wire.police.leave('cliprdr'), []);
});
