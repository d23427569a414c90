import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeDeactivateAll, encodeDeactivateAll } from '../../../../gateway/rdp/pdu/activation.ts';
import { PduError, Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeControl,
  decodeFonts,
  decodePersistentKeyList,
  decodeSynchronize,
  encodeControl,
  encodeFonts,
  encodePersistentKeyList,
  encodeSynchronize,
  FONT_LIST,
  FONT_MAP,
} from '../../../../gateway/rdp/pdu/finalization.ts';
import { decodeSecurityHeader } from '../../../../gateway/rdp/pdu/security.ts';
import {
  DataType,
  encodeShareControl,
  encodeShareData,
  readShareControl,
  readShareData,
  ShareType,
} from '../../../../gateway/rdp/pdu/share.ts';
import { hex } from './hex.ts';

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return Buffer.from(writer.done());
}

// [MS-RDPBCGR] 4.1.14 and following, from the share control header on.
const SYNCHRONIZE = hex('16 00 17 00 ef 03 ea 03 01 00 00 01 08 00 1f 00 00 00 01 00 ea 03');
const COOPERATE = hex('1a 00 17 00 ef 03 ea 03 01 00 00 01 0c 00 14 00 00 00 04 00 00 00 00 00 00 00');
const FONT_LIST_PDU = hex('1a 00 17 00 ef 03 ea 03 01 00 00 01 0c 00 27 00 00 00 00 00 00 00 03 00 32 00');
const SHARE = { shareId: 0x103ea, source: 0x3ef };

test('headers of the examples of the specification are read', () => {
  const control = readShareControl(SYNCHRONIZE, 0);
  assert.deepEqual(control, { type: ShareType.data, source: 0x3ef, dataOffset: 6, end: 22 });
  assert.deepEqual(readShareData(SYNCHRONIZE, control), {
    shareId: 0x103ea,
    streamId: 1,
    uncompressedLength: 8,
    type: DataType.synchronize,
    compressedType: 0,
    compressedLength: 0,
    dataOffset: 18,
    end: 22,
  });
});

test('PDUs of the examples are written', () => {
  assert.deepEqual(
    written((writer) =>
      encodeShareData(writer, { ...SHARE, type: DataType.synchronize }, () =>
        encodeSynchronize(writer, { targetUser: 0x3ea }),
      ),
    ),
    Buffer.from(SYNCHRONIZE),
  );
  assert.deepEqual(
    written((writer) =>
      encodeShareData(writer, { ...SHARE, type: DataType.control }, () =>
        encodeControl(writer, { action: 4, grantId: 0, controlId: 0 }),
      ),
    ),
    Buffer.from(COOPERATE),
  );
  assert.deepEqual(
    written((writer) =>
      encodeShareData(writer, { ...SHARE, type: DataType.fontList }, () => encodeFonts(writer, FONT_LIST)),
    ),
    Buffer.from(FONT_LIST_PDU),
  );
});

test('bodies are read', () => {
  assert.deepEqual(decodeSynchronize(new Reader(SYNCHRONIZE, 18)), { targetUser: 0x3ea });
  assert.deepEqual(decodeControl(new Reader(COOPERATE, 18)), { action: 4, grantId: 0, controlId: 0 });
  assert.deepEqual(decodeFonts(new Reader(FONT_LIST_PDU, 18)), FONT_LIST);
  assert.deepEqual(decodeFonts(new Reader(hex('00 00 00 00 03 00 04 00'))), FONT_MAP);
});

test('several PDUs of one packet are read one after the other', () => {
  const bytes = Buffer.concat([SYNCHRONIZE, COOPERATE]);
  const first = readShareControl(bytes, 0);
  const second = readShareControl(bytes, first.end);
  assert.equal(readShareData(bytes, second).type, DataType.control);
  assert.equal(second.end, bytes.length);
});

test('a flow PDU of T.128 is told apart and stepped over', () => {
  const control = readShareControl(hex('00 80 00 42 01 02 ef 03'), 0);
  assert.deepEqual(control, { type: ShareType.flow, source: 0x3ef, dataOffset: 8, end: 8 });
});

test('Deactivate All is read in all its lengths', () => {
  const bytes = written((writer) =>
    encodeShareControl(writer, ShareType.deactivateAll, 0x3ea, () => encodeDeactivateAll(writer, 0x103ea)),
  );
  assert.deepEqual(bytes, Buffer.from(hex('0d 00 16 00 ea 03 ea 03 01 00 01 00 00')));
  const control = readShareControl(bytes, 0);
  assert.equal(decodeDeactivateAll(new Reader(bytes, control.dataOffset)).shareId, 0x103ea);
  const short = readShareControl(hex('04 00 16 00'), 0);
  assert.deepEqual(short, { type: ShareType.deactivateAll, source: 0, dataOffset: 4, end: 4 });
  assert.equal(decodeDeactivateAll(new Reader(new Uint8Array())).shareId, undefined);
});

test('a header that is cut or lies is refused with its field and offset', () => {
  const refused = (bytes: Uint8Array, field: string, offset: number): void => {
    assert.throws(
      () => readShareControl(bytes, 0),
      (error) => error instanceof PduError && error.field === field && error.offset === offset,
    );
  };
  refused(hex('16'), 'totalLength', 0);
  refused(hex('03 00 17 00'), 'totalLength', 0);
  refused(hex('17 00 17 00 ef 03'), 'totalLength', 0);
  refused(hex('05 00 17 00 ef'), 'pduSource', 4);
  const bare = hex('06 00 17 00 ef 03');
  assert.throws(
    () => readShareData(bare, readShareControl(bare, 0)),
    /share data header at offset 6 needs 12 bytes/,
  );
});

test('a PDU that its length field cannot tell is not written', () => {
  assert.throws(
    () => written((writer) => encodeShareControl(writer, 7, 1, () => writer.zeros(0x8000))),
    /totalLength/,
  );
});

test('a persistent key list is written as it was', () => {
  const bytes = hex(
    '01 00 00 00 01 00 00 00 00 00 02 00 00 00 01 00 00 00 00 00 03 00 00 00 11 22 33 44 55 66 77 88 01 00 00 00 02 00 00 00',
  );
  const list = decodePersistentKeyList(new Reader(bytes));
  assert.deepEqual(list.counts, [1, 0, 1, 0, 0]);
  assert.deepEqual(list.keys, [0x8877665544332211n, 0x200000001n]);
  assert.deepEqual(
    written((writer) => encodePersistentKeyList(writer, list)),
    Buffer.from(bytes),
  );
  const many = Buffer.from(bytes);
  many.writeUInt16LE(170, 0);
  assert.throws(() => decodePersistentKeyList(new Reader(many)), /numEntriesCache .*sum up to 171/);
});

test('encryption by RDP itself is refused', () => {
  assert.throws(
    () => decodeSecurityHeader(new Reader(hex('48 00 00 00'))),
    /flags at offset 0 says that RDP/,
  );
  assert.equal(decodeSecurityHeader(new Reader(hex('40 00 00 00'))), 0x40);
});
