import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ClipCapability,
  type ClipFormatName,
  type ClipMessage,
  ClipType,
  encodeClipMessage,
  encodeFileList,
  encodeFormatList,
  FILE_LIST_FORMAT,
  FileContents,
} from '../../../../gateway/rdp/channels/cliprdr.ts';
import type { ClipboardScope } from '../../../../gateway/rdp/channels/police.ts';
import { chunks } from '../../../../gateway/rdp/channels/virtual-channel.ts';
import { bytes, hex, messages, NOTHING, refusals, Wire, written } from './bed.ts';

const NONE = bytes('');
const TEXT = { id: 13, name: '' };
const HTML = { id: 0xc0a5, name: 'HTML Format' };
const FILES = { id: 0xc0bc, name: FILE_LIST_FORMAT };

function clip(message: ClipMessage): Uint8Array {
  return written((writer) => encodeClipMessage(writer, message));
}
function list(...formats: ClipFormatName[]): Uint8Array {
  return written((writer) => encodeFormatList(writer, formats, 'long'));
}
function utf16(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, 'utf16le');
}
function response(data: Uint8Array, ok = true): Uint8Array {
  return clip({ type: ClipType.formatDataResponse, ok, data });
}
const request = (format: number) => clip({ type: ClipType.formatDataRequest, format });
const listed = clip({ type: ClipType.formatListResponse, ok: true });
const failed = response(NONE, false);

/** A clipboard after its start: capabilities, monitor ready, the client's first list, empty. */
function started(toTarget: ClipboardScope, fromTarget: ClipboardScope): Wire {
  const wire = new Wire('cliprdr', { ...NOTHING, clipboard: { toTarget, fromTarget } });
  const capabilities = clip({
    type: ClipType.capabilities,
    version: 2,
    generalFlags: ClipCapability.useLongFormatNames | ClipCapability.streamFileclipEnabled,
  });
  wire.passes('target', capabilities);
  wire.passes('target', clip({ type: ClipType.monitorReady }));
  wire.passes('client', capabilities);
  wire.passes('client', clip({ type: ClipType.tempDirectory, path: 'C:\\Temp' }));
  const came = wire.send('client', list());
  assert.deepEqual(came.toTarget.map(hex), [hex(list())]);
  wire.passes('target', listed);
  return wire;
}

for (const [from, to, direction] of [
  ['client', 'target', 'toTarget'],
  ['target', 'client', 'fromTarget'],
] as const)
  test(`text copied ${direction} goes on byte for byte and is told`, () => {
    const wire = started('text', 'text');
    wire.passes(from, list(TEXT));
    wire.passes(to, listed);
    wire.passes(to, request(13));
    assert.deepEqual(wire.passes(from, response(utf16('rm -rf ä€'))), [
      { kind: 'clipboard', direction, format: 'unicodeText', text: 'rm -rf ä€', bytes: 20 },
    ]);
  });

test('64 KiB of a long text are told before any of it goes on, and never more are held', () => {
  const wire = started('text', 'none');
  wire.passes('client', list(TEXT));
  wire.passes('target', request(13));
  const long = response(utf16('x'.repeat(1_000_000)));
  let told = false;
  let at = 0;
  const passed: Uint8Array[] = [];
  for (const chunk of chunks(long)) {
    const { toTarget, events } = wire.push('client', chunk);
    const [event] = events;
    if (event !== undefined) {
      assert.ok(event.kind === 'clipboard');
      assert.deepEqual([event.text, event.bytes], ['x'.repeat(32 * 1024), 2_000_002]);
      told = true;
    }
    assert.equal(told, toTarget.length > 0);
    at += chunk.length;
    if (at > 70_000) assert.ok(told, 'text is held beyond what is kept of it');
    passed.push(...toTarget);
  }
  assert.deepEqual(messages(passed).map(hex), [hex(long)]);
});

test('text only: other formats leave the list, a request for one fails, what was not asked for stays', () => {
  const wire = started('text', 'text');
  const came = wire.send('client', list(TEXT, HTML, FILES));
  assert.deepEqual(came.toTarget.map(hex), [hex(list(TEXT))]);
  assert.deepEqual(came.toClient, []);
  assert.deepEqual(refusals(came.events), [
    'clipboard toTarget: HTML Format, FileGroupDescriptorW: policy allows text only',
  ]);
  wire.passes('target', listed);

  const asked = wire.send('target', request(HTML.id));
  assert.deepEqual(asked.toClient.map(hex), []);
  assert.deepEqual(asked.toTarget.map(hex), [hex(failed)]);
  assert.deepEqual(refusals(asked.events), ['clipboard toTarget: HTML Format: policy allows text only']);

  const pushed = wire.send('client', response(utf16('<b>')));
  assert.deepEqual([pushed.toTarget, pushed.toClient], [[], []]);
  assert.deepEqual(refusals(pushed.events), ['clipboard data toTarget: nobody asked for it']);
});

test('text only: a name under the number of a text format is taken off, and is no list of files', () => {
  const wire = started('text', 'text');
  const came = wire.send('target', list({ id: 13, name: FILE_LIST_FORMAT }));
  assert.deepEqual(came.toClient.map(hex), [hex(list(TEXT))]);
  wire.passes('client', request(13));
  const [event] = wire.passes('target', response(utf16('secret')));
  assert.ok(event?.kind === 'clipboard');
  assert.deepEqual([event.format, event.text], ['unicodeText', 'secret']);
});

test('text only: files are refused with an answer to the stream that asked', () => {
  const wire = started('text', 'text');
  const came = wire.send(
    'target',
    clip({ type: ClipType.fileContentsRequest, stream: 5, index: 0, what: 2, position: 0n, requested: 4096 }),
  );
  assert.deepEqual(came.toClient, []);
  assert.deepEqual(came.toTarget.map(hex), ['09000200' + '04000000' + '05000000']);
  const content = clip({ type: ClipType.fileContentsResponse, ok: true, stream: 5, data: utf16('x') });
  assert.deepEqual(wire.send('client', content).toTarget, []);
});

test('text only: a list that fits goes on byte for byte, padding and all', () => {
  const wire = started('text', 'text');
  wire.passes('target', bytes(list(TEXT), '00000000'));
});

test('one way closed: lists are answered here and the other way works on', () => {
  const wire = started('none', 'text');
  const came = wire.send('client', list(TEXT));
  assert.deepEqual([came.toTarget.map(hex), came.toClient.map(hex)], [[], [hex(listed)]]);
  assert.deepEqual(refusals(came.events), ['clipboard toTarget: unicodeText: policy does not allow it']);
  assert.deepEqual(wire.send('target', request(13)).toTarget.map(hex), [hex(failed)]);

  wire.passes('target', list(TEXT));
  wire.passes('client', request(13));
  assert.equal(wire.passes('target', response(utf16('y'))).length, 1);
});

test('a client that may not send anything still gives targets the first list that they wait for', () => {
  const wire = new Wire('cliprdr', { ...NOTHING, clipboard: { toTarget: 'none', fromTarget: 'text' } });
  const short = written((writer) => encodeFormatList(writer, [TEXT, HTML], 'short-utf16'));
  const came = wire.send('client', short);
  assert.deepEqual([came.toTarget.map(hex), came.toClient], [['0200000000000000'], []]);
});

test('files: names and what is fetched of them are told, bytes go on unchanged', () => {
  const wire = started('none', 'all');
  wire.passes('target', list(FILES));
  wire.passes('client', request(FILES.id));
  const files = [
    { name: 'plan.txt', bytes: 7 },
    { name: 'sub\\key.pem', bytes: 1 },
  ];
  assert.deepEqual(wire.passes('target', response(written((writer) => encodeFileList(writer, files)))), [
    { kind: 'clipboard-files', direction: 'fromTarget', names: ['plan.txt', 'sub\\key.pem'], count: 2 },
  ]);
  const fetch = (index: number, what: number) =>
    clip({ type: ClipType.fileContentsRequest, stream: 1, index, what, position: 0n, requested: 8 });
  assert.deepEqual(wire.passes('client', fetch(1, FileContents.size)), []);
  const told = wire.passes('client', fetch(1, FileContents.range));
  assert.deepEqual(told, [
    {
      kind: 'file',
      via: 'clipboard',
      operation: 'open',
      path: 'sub\\key.pem',
      access: 'read',
      direction: 'fromTarget',
    },
  ]);
  assert.deepEqual(wire.passes('client', fetch(1, FileContents.range)), []);
  assert.equal(wire.passes('client', fetch(9, FileContents.range)).length, 1);
  const content = clip({
    type: ClipType.fileContentsResponse,
    ok: true,
    stream: 1,
    data: new Uint8Array(9000),
  });
  assert.deepEqual(wire.passes('target', content), []);
});

test('everything allowed: an image is told by format and size, and is not held', () => {
  const wire = started('all', 'all');
  wire.passes('client', list({ id: 8, name: '' }));
  wire.passes('target', request(8));
  const image = response(new Uint8Array(17_000_000));
  const [first, second] = chunks(image);
  assert.deepEqual(wire.push('client', first ?? NONE).events, [
    { kind: 'clipboard', direction: 'toTarget', format: 'dib', bytes: 17_000_000 },
  ]);
  assert.deepEqual(wire.push('client', second ?? NONE).toTarget, [second]);
});

test('a refused request waits for the answers before it: they have no numbers', () => {
  const wire = started('text', 'none');
  wire.passes('client', list(TEXT));
  wire.passes('target', request(13));
  assert.deepEqual(wire.send('target', request(HTML.id)).toTarget, []);
  const came = wire.send('client', response(utf16('z')));
  assert.deepEqual(came.toTarget.map(hex), [hex(response(utf16('z'))), hex(failed)]);
});

test('an answer of the gateway waits for the end of a message that is under way to that side', () => {
  const wire = started('all', 'none');
  wire.passes('client', list({ id: 8, name: '' }));
  wire.passes('target', request(8));
  const image = response(new Uint8Array(3000));
  const [first, second] = chunks(image);
  const passed = [...wire.push('client', first ?? NONE).toTarget];
  // Meanwhile the target announces what it may not: the answer to it must not break the image.
  const announced = wire.send('target', list(TEXT));
  assert.deepEqual([announced.toTarget, announced.toClient], [[], []]);
  passed.push(...wire.push('client', second ?? NONE).toTarget);
  assert.deepEqual(messages(passed).map(hex), [hex(image), hex(listed)]);
});

test('a failed answer carries nothing', () => {
  const wire = started('text', 'none');
  wire.passes('target', request(13));
  const came = wire.send('client', bytes(failed.subarray(0, 4), '04000000 61000000'));
  assert.deepEqual(came.toTarget.map(hex), [hex(failed)]);
});

test('what is unknown or too long goes nowhere', () => {
  const wire = started('all', 'all');
  const came = wire.send('client', bytes('0c00 0000 00000000'));
  assert.deepEqual([came.toTarget, came.toClient], [[], []]);
  assert.deepEqual(refusals(came.events), ['clipboard message 12: it is unknown']);
  const lock = clip({ type: ClipType.lock, clipData: 1 });
  const long = bytes(lock.subarray(0, 4), '00100000', new Uint8Array(4096));
  assert.throws(
    () => wire.send('client', long),
    /CLIPRDR_HEADER.dataLen at offset 4 is 4096, too long for type 10/,
  );
  const full = started('all', 'all');
  for (let n = 0; n < 64; n++) full.passes('client', request(13));
  assert.throws(() => full.send('client', request(13)), /comes before 64 others were answered/);
});
