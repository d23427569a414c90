import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventKind, type RecordingEvent } from '../../../recorder/format/event.ts';
import { decodeEvents, encodeEventHead, MAX_EVENT_OVERHEAD } from '../../../recorder/format/event-codec.ts';
import { text } from './bed.ts';

function encode(events: readonly RecordingEvent[], firstAt: number): Uint8Array {
  const target = new Uint8Array(65_536);
  let offset = 0;
  let at = firstAt;
  for (const event of events) {
    offset = encodeEventHead(target, offset, event.at - at, event.kind, event.channel, event.payload.length);
    target.set(event.payload, offset);
    offset += event.payload.length;
    at = event.at;
  }
  return target.subarray(0, offset);
}

const EVENTS: readonly RecordingEvent[] = [
  { at: 1000, kind: EventKind.channelOpen, channel: 0, payload: text('{}') },
  { at: 1000, kind: EventKind.output, channel: 0, payload: text('') },
  { at: 1127, kind: EventKind.output, channel: 127, payload: text('x') },
  { at: 1255, kind: EventKind.input, channel: 128, payload: text('y'.repeat(128)) },
  { at: 2 ** 45, kind: EventKind.refusal, channel: 0xffffffff, payload: text('z'.repeat(20_000)) },
  { at: 2 ** 53 - 1, kind: EventKind.exit, channel: 3, payload: text('{"status":0}') },
];

test('events come back as they were', () => {
  const back = [...decodeEvents(encode(EVENTS, 1000), 1000)];
  assert.deepEqual(
    back.map((event) => ({ ...event, payload: Buffer.from(event.payload).toString() })),
    EVENTS.map((event) => ({ ...event, payload: Buffer.from(event.payload).toString() })),
  );
});

test('an event has the documented bytes', () => {
  const bytes = encode([{ at: 300, kind: EventKind.output, channel: 1, payload: text('ab') }], 0);
  assert.equal(Buffer.from(bytes).toString('hex'), 'ac02060102' + '6162');
});

test('the overhead of an event is within its bound', () => {
  const target = new Uint8Array(64);
  const end = encodeEventHead(target, 0, 2 ** 53 - 1, EventKind.output, 0xffffffff, 16 * 1024 * 1024);
  assert.ok(end <= MAX_EVENT_OVERHEAD, `${end}`);
});

const BAD: readonly [name: string, hex: string, reason: RegExp][] = [
  ['ends inside the time', '80', /event time: the segment ends inside it \(at byte 0\)/],
  ['ends before the kind', '00', /event kind: the segment ends before it \(at byte 1\)/],
  ['has an unknown kind', '00ff0000', /event kind: 255 is not known \(at byte 1\)/],
  ['has a channel past 32 bits', '0006ffffffff1f00', /event channel: over the bound/],
  [
    'announces more than is there',
    '0006000561',
    /event payload: 5 bytes announced, 1 are there \(at byte 4\)/,
  ],
  ['announces more than the bound', '000600ffffffff0f', /event payload length: over the bound/],
  ['pads a number without end', '808080808080808080808000', /event time: too many bytes/],
];
for (const [name, hex, reason] of BAD) {
  test(`a segment that ${name} is refused`, () => {
    assert.throws(() => [...decodeEvents(Buffer.from(hex, 'hex'), 0)], {
      code: 'bad-event',
      message: reason,
    });
  });
}

test('times that add up past what a number holds are refused', () => {
  assert.throws(() => [...decodeEvents(Buffer.from('01060000', 'hex'), Number.MAX_SAFE_INTEGER)], {
    code: 'bad-event',
  });
});
