import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ClipFormat,
  type ClipMessage,
  ClipType,
  clipboardText,
  decodeClipBody,
  decodeClipHeader,
  decodeFileList,
  decodeFormatList,
  encodeClipMessage,
  encodeFileList,
  encodeFormatList,
  type NameForm,
} from '../../../../gateway/rdp/channels/cliprdr.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { bytes, hex, written } from './bed.ts';

function decode(wire: Uint8Array): ClipMessage | undefined {
  const reader = new Reader(wire);
  return decodeClipBody(reader, decodeClipHeader(reader, wire.length));
}

const data = bytes('61 00 00 00');
const ROWS: [string, ClipMessage][] = [
  ['0100 0000 00000000', { type: ClipType.monitorReady }],
  ['0300 0100 00000000', { type: ClipType.formatListResponse, ok: true }],
  ['0300 0200 00000000', { type: ClipType.formatListResponse, ok: false }],
  ['0400 0000 04000000 0d000000', { type: ClipType.formatDataRequest, format: 13 }],
  ['0500 0100 04000000 61000000', { type: ClipType.formatDataResponse, ok: true, data }],
  ['0500 0200 00000000', { type: ClipType.formatDataResponse, ok: false, data: bytes('') }],
  [
    '0700 0000 10000000 0100 0000 0100 0c00 02000000 1e000000',
    { type: ClipType.capabilities, version: 2, generalFlags: 0x1e },
  ],
  [
    '0800 0000 18000000 02000000 01000000 01000000 0000000000000000 08000000',
    { type: ClipType.fileContentsRequest, stream: 2, index: 1, what: 1, position: 0n, requested: 8 },
  ],
  [
    '0800 0000 1c000000 02000000 01000000 02000000 0000000001000000 00000100 07000000',
    {
      type: ClipType.fileContentsRequest,
      stream: 2,
      index: 1,
      what: 2,
      position: 2n ** 32n,
      requested: 65536,
      clipData: 7,
    },
  ],
  [
    '0900 0100 08000000 02000000 61000000',
    { type: ClipType.fileContentsResponse, ok: true, stream: 2, data },
  ],
  ['0a00 0000 04000000 05000000', { type: ClipType.lock, clipData: 5 }],
  ['0b00 0000 04000000 05000000', { type: ClipType.unlock, clipData: 5 }],
];
for (const [wire, message] of ROWS)
  test(`message ${message.type}: ${wire.slice(0, 30)}`, () => {
    const whole = bytes(wire);
    assert.deepEqual(comparable(decode(whole)), comparable(message));
    assert.equal(hex(written((writer) => encodeClipMessage(writer, message))), hex(whole));
  });

/** Views compare by their bytes, not by the memory around them. */
function comparable(message: ClipMessage | undefined): object | undefined {
  return message !== undefined && 'data' in message ? { ...message, data: hex(message.data) } : message;
}

test('the temporary directory fills 520 bytes', () => {
  const message: ClipMessage = { type: ClipType.tempDirectory, path: 'C:\\Temp' };
  const wire = written((writer) => encodeClipMessage(writer, message));
  assert.equal(wire.length, 528);
  assert.deepEqual(decode(wire), message);
});

test('format lists with names of each form', () => {
  const formats = [
    { id: ClipFormat.unicodeText, name: '' },
    { id: 0xc0a5, name: 'HTML Format' },
  ];
  for (const [form, start] of [
    ['long', '0200 0000 22000000 0d000000 0000 a5c00000 4800 5400'],
    ['short-utf16', `0200 0000 48000000 0d000000 ${'00'.repeat(32)} a5c00000 4800 5400`],
    ['short-ascii', `0200 0400 48000000 0d000000 ${'00'.repeat(32)} a5c00000 48 54`],
  ] satisfies [NameForm, string][]) {
    const wire = written((writer) => encodeFormatList(writer, formats, form));
    assert.ok(hex(wire).startsWith(start.replaceAll(' ', '')), hex(wire));
    const reader = new Reader(wire);
    assert.deepEqual(decodeFormatList(reader, decodeClipHeader(reader, wire.length), form), formats);
  }
  // Seen in the wild: a last name without its end, and names cut to what a short form has room for.
  const open = bytes('0200 0000 08000000 0d000000 4100 4200');
  const reader = new Reader(open);
  assert.deepEqual(decodeFormatList(reader, decodeClipHeader(reader, open.length), 'long'), [
    { id: 13, name: 'AB' },
  ]);
  const long = written((writer) =>
    encodeFormatList(writer, [{ id: 1, name: 'x'.repeat(40) }], 'short-utf16'),
  );
  assert.equal(long.length, 8 + 36);
});

test('a list of files, larger than 4 GiB too, and its beginning', () => {
  const files = [
    { name: 'plan.txt', bytes: 7 },
    { name: 'folder\\disk.img', bytes: 5 * 2 ** 32 + 3 },
  ];
  const wire = written((writer) => encodeFileList(writer, files));
  assert.equal(wire.length, 4 + 2 * 592);
  assert.deepEqual(decodeFileList(wire), { files, count: 2 });
  assert.deepEqual(decodeFileList(wire.subarray(0, 700)), { files: files.slice(0, 1), count: 2 });
  assert.deepEqual(decodeFileList(bytes('')), { files: [], count: 0 });
});

test('text of every text format, with what stands behind a NUL', () => {
  assert.equal(clipboardText(ClipFormat.unicodeText, bytes('e400 ac20 3dd8 00de 0000')), 'ä€😀');
  assert.equal(clipboardText(ClipFormat.unicodeText, bytes('6100 0000 6200 0000 0000')), 'a\0b');
  assert.equal(clipboardText(ClipFormat.text, bytes('61 e4 00')), 'aä');
  assert.equal(clipboardText(ClipFormat.oemText, bytes('61')), 'a');
  assert.equal(clipboardText(ClipFormat.dib, bytes('61')), undefined);
});

test('a message must have the length it says; padding of some peers is tolerated', () => {
  assert.deepEqual(decode(bytes('0300 0100 00000000 00000000')), {
    type: ClipType.formatListResponse,
    ok: true,
  });
  for (const wire of ['0500 0100 05000000 61000000', `0300 0100 00000000 ${'00'.repeat(9)}`])
    assert.throws(
      () => decode(bytes(wire)),
      /^PduError: CLIPRDR_HEADER.dataLen at offset 4 is \d in a message of \d+ bytes$/,
    );
  assert.equal(decode(bytes('0c00 0000 00000000')), undefined);
  assert.throws(
    () => decode(bytes('0700 0000 08000000 0100 0000 0100 0300')),
    /lengthCapability at offset 14 is 3/,
  );
});
