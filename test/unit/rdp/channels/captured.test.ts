/**
 * What xfreerdp 2.11 and rdesktop 1.9 exchanged with xrdp 0.9.21 over their channels, captured
 * chunk by chunk: `client cliprdr HEX` on each line.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import type { ChannelEvent, RdpChannelPolicy } from '../../../../gateway/rdp/channels/police.ts';
import { ChannelPolice } from '../../../../gateway/rdp/channels/police.ts';
import { bytes, CHANNELS, EVERYTHING, hex, NOTHING, refusals } from './bed.ts';

const FIXTURES = join(import.meta.dirname, '../../../fixtures/rdp');

interface Replayed {
  /** Chunks that came, and those that went on or back, each as `to channel HEX`. */
  readonly came: readonly string[];
  readonly went: readonly string[];
  readonly events: readonly ChannelEvent[];
}

function replay(name: string, policy: RdpChannelPolicy): Replayed {
  const text = zstdDecompressSync(readFileSync(join(FIXTURES, `channels-${name}.zst`))).toString('latin1');
  const police = new ChannelPolice(CHANNELS, policy);
  const came: string[] = [];
  const went: string[] = [];
  const events: ChannelEvent[] = [];
  for (const line of text.trim().split('\n')) {
    const [side, channel = '', data = ''] = line.split(' ');
    came.push(`${side === 'client' ? 'target' : 'client'} ${channel} ${data}`);
    const policed =
      side === 'client' ? police.fromClient(channel, bytes(data)) : police.fromTarget(channel, bytes(data));
    went.push(...policed.toClient.map((chunk) => `client ${channel} ${hex(chunk)}`));
    went.push(...policed.toTarget.map((chunk) => `target ${channel} ${hex(chunk)}`));
    events.push(...policed.events);
  }
  return { came, went, events };
}

test('text copied both ways, one of them in seven chunks', () => {
  const { came, went, events } = replay('text-xfreerdp', EVERYTHING);
  assert.deepEqual(went, came);
  const texts = events.flatMap((event) =>
    event.kind === 'clipboard' ? [[event.direction, event.text]] : [],
  );
  assert.deepEqual(texts, [
    ['toTarget', 'from client äö\r\n'],
    ['toTarget', 'q'.repeat(5000)],
    ['fromTarget', 'from target\n'],
  ]);
});

test('the same where policy allows text and display control only', () => {
  const policy = {
    ...NOTHING,
    displayControl: true,
    clipboard: { toTarget: 'text', fromTarget: 'text' },
  } as const;
  const { came, went, events } = replay('text-xfreerdp', policy);
  assert.deepEqual(refusals(events), [
    'data on channel rdpdr: policy does not allow it',
    // The first list of xfreerdp has all that it could ever offer, later ones what there is.
    ...Array(2).fill(
      'clipboard toTarget: #0, #53265, #53266, #53267, dib, HTML Format, FileGroupDescriptorW: policy allows text only',
    ),
    'clipboard fromTarget: locale: policy allows text only',
  ]);
  assert.equal(events.filter((event) => event.kind === 'clipboard').length, 3);
  const changed = came.filter((chunk) => !went.includes(chunk) && !chunk.includes(' rdpdr '));
  assert.equal(changed.length, 3, 'only the three lists lose formats');
});

test('a file copied at the client and pasted at the target', () => {
  const { came, went, events } = replay('files-xfreerdp', EVERYTHING);
  assert.deepEqual(went, came);
  assert.deepEqual(events, [
    { kind: 'clipboard-files', direction: 'toTarget', names: ['doc.txt'], count: 1 },
    {
      kind: 'file',
      via: 'clipboard',
      operation: 'open',
      path: 'doc.txt',
      access: 'read',
      direction: 'toTarget',
    },
  ]);
});

test('the same file where policy allows text only', () => {
  const { went, events } = replay('files-xfreerdp', {
    ...NOTHING,
    clipboard: { toTarget: 'text', fromTarget: 'text' },
  });
  assert.ok(events.every((event) => event.kind === 'refused'));
  const content = Buffer.from('hello-from-share').toString('hex');
  assert.equal(went.filter((chunk) => chunk.includes(content)).length, 0);
  // CB_FORMAT_DATA_RESPONSE and CB_FILECONTENTS_RESPONSE, both failed.
  for (const failed of ['050002', '090002'])
    assert.equal(
      went.filter((chunk) => new RegExp(`^target cliprdr .{8}03000000${failed}`).test(chunk)).length,
      1,
    );
});

test('a drive that is listed, read, written, renamed and deleted on', () => {
  const { came, went, events } = replay('drive-rdesktop', EVERYTHING);
  assert.deepEqual(went, came);
  const told = events.map((event) => {
    assert.ok(event.kind === 'file');
    return [
      event.operation,
      event.path,
      event.to ?? event.access,
      event.bytesToTarget,
      event.bytesFromTarget,
    ];
  });
  assert.deepEqual(told, [
    ['list', 'share\\', undefined, undefined, undefined],
    ['open', 'share/doc.txt', 'read', undefined, undefined],
    ['close', 'share/doc.txt', undefined, 17, 0],
    ['open', 'share/new.txt', 'read-write', undefined, undefined],
    ['close', 'share/new.txt', undefined, 0, 8],
    ['open', 'share/big', 'read-write', undefined, undefined],
    ['close', 'share/big', undefined, 0, 100_000],
    ['rename', 'share/new.txt', 'share\\renamed.txt', undefined, undefined],
    ['delete', 'share/big', undefined, undefined, undefined],
    ['list', 'share\\', undefined, undefined, undefined],
  ]);
});

test('the same drive where policy allows printers only', () => {
  const { went, events } = replay('drive-rdesktop', { ...NOTHING, printers: true, displayControl: true });
  assert.equal(refusals(events)[0], 'device share (filesystem): policy does not allow it');
  assert.ok(events.every((event) => event.kind === 'refused'));
  const requests = went.filter((chunk) => /^client rdpdr .{16}72445249/.test(chunk));
  assert.deepEqual(requests, []);
});
