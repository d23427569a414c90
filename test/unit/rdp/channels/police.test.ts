import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChannelPolice, staticChannelAllowed } from '../../../../gateway/rdp/channels/police.ts';
import { chunks } from '../../../../gateway/rdp/channels/virtual-channel.ts';
import { bytes, CHANNELS, EVERYTHING, hex, NOTHING } from './bed.ts';

test('which static channels may exist', () => {
  for (const { name } of CHANNELS) {
    assert.equal(staticChannelAllowed(name, NOTHING), false, name);
    assert.equal(staticChannelAllowed(name, EVERYTHING), true, name);
  }
  const text = { toTarget: 'text', fromTarget: 'none' } as const;
  assert.equal(staticChannelAllowed('CLIPRDR', { ...NOTHING, clipboard: text }), true);
  assert.equal(staticChannelAllowed('rdpdr', { ...NOTHING, audioOutput: true }), true);
  assert.equal(staticChannelAllowed('rdpsnd', { ...NOTHING, audioInput: true }), false);
  assert.equal(staticChannelAllowed('drdynvc', { ...NOTHING, audioInput: true }), true);
  assert.equal(staticChannelAllowed('RAIL', EVERYTHING), true);
  // What has a key of its own hangs on that alone.
  assert.equal(staticChannelAllowed('cliprdr', { ...NOTHING, staticChannels: ['cliprdr'] }), false);
});

test('other channels go on unseen, chunk by chunk; compressed ones do not', () => {
  const police = new ChannelPolice(CHANNELS, EVERYTHING);
  const [first] = chunks(new Uint8Array(5000));
  assert.ok(first !== undefined);
  assert.deepEqual(police.fromTarget('rdpsnd', first), { toClient: [first], toTarget: [], events: [] });
  assert.deepEqual(police.fromClient('RAIL', first), { toClient: [], toTarget: [first], events: [] });
  assert.throws(() => police.fromTarget('rdpsnd', bytes('01000000 03002000 00')), /says compressed/);
});

test('nothing goes over channels that were not joined or that policy refuses', () => {
  const police = new ChannelPolice(CHANNELS, NOTHING);
  for (const name of ['cliprdr', 'rdpsnd', 'unheard']) {
    const refused = { kind: 'refused', what: `data on channel ${name}`, reason: 'policy does not allow it' };
    const empty = bytes('00000000 03000000');
    assert.deepEqual(police.fromClient(name, empty), { toClient: [], toTarget: [], events: [refused] });
    assert.deepEqual(police.fromTarget(name, empty), { toClient: [], toTarget: [], events: [] });
  }
});

test('chunks of the gateway show the protocol where the channel asked for it', () => {
  const policy = { ...NOTHING, displayControl: true };
  const police = new ChannelPolice([{ name: 'drdynvc', options: 0xc0200000 }], policy);
  const [request] = chunks(bytes('10 01 78 00'));
  const { toTarget } = police.fromTarget('drdynvc', request ?? bytes(''));
  assert.deepEqual(toTarget.map(hex), ['0600000013000000' + '100190040780']);
});
