/** The small PDUs of the server, and what the client asks of its output. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeRefreshRect,
  decodeSuppressOutput,
  encodeRefreshRect,
  encodeSuppressOutput,
} from '../../../../gateway/rdp/pdu/display-control.ts';
import {
  decodeErrorInfo,
  describeErrorInfo,
  ErrorInfo,
  encodeErrorInfo,
} from '../../../../gateway/rdp/pdu/error-info.ts';
import * as status from '../../../../gateway/rdp/pdu/server-status.ts';
import { hex } from './hex.ts';

/** One row gives the decode, the encode and the length. */
function row<T>(
  name: string,
  bytes: string,
  value: T,
  decode: (reader: Reader) => T,
  encode: (writer: Writer, value: T) => void,
): void {
  test(name, () => {
    const reader = new Reader(hex(bytes));
    assert.deepEqual(decode(reader), value);
    assert.equal(reader.left, 0);
    const writer = new Writer();
    encode(writer, value);
    assert.deepEqual(Buffer.from(writer.done()), Buffer.from(hex(bytes)));
    assert.throws(() => decode(new Reader(hex(bytes).subarray(0, -1))), /needs \d+ bytes/);
  });
}

const AREA = { left: 1, top: 2, right: 0x3ff, bottom: 0x2ff };
row('Refresh Rect', '01 00 00 00 01 00 02 00 ff 03 ff 02', [AREA], decodeRefreshRect, encodeRefreshRect);
row(
  'Suppress Output that allows',
  '01 00 00 00 01 00 02 00 ff 03 ff 02',
  { allowDisplayUpdates: 1, desktop: AREA },
  decodeSuppressOutput,
  encodeSuppressOutput,
);
row(
  'Suppress Output that forbids',
  '00 00 00 00',
  { allowDisplayUpdates: 0, desktop: undefined },
  decodeSuppressOutput,
  encodeSuppressOutput,
);
row(
  'Set Keyboard Indicators',
  '00 00 06 00',
  status.LedFlag.numLock | status.LedFlag.capsLock,
  status.decodeKeyboardIndicators,
  status.encodeKeyboardIndicators,
);
row(
  'Set Keyboard IME Status',
  '00 00 01 00 00 00 02 00 00 00',
  { unitId: 0, imeState: 1, imeConvMode: 2 },
  status.decodeKeyboardImeStatus,
  status.encodeKeyboardImeStatus,
);
row(
  'Play Sound',
  'f4 01 00 00 b8 01 00 00',
  { milliseconds: 500, hertz: 440 },
  status.decodePlaySound,
  status.encodePlaySound,
);
row(
  'Monitor Layout',
  '01 00 00 00 80 f8 ff ff 00 00 00 00 ff ff ff ff 37 04 00 00 01 00 00 00',
  [{ left: -1920, top: 0, right: -1, bottom: 1079, flags: 1 }],
  status.decodeMonitorLayout,
  status.encodeMonitorLayout,
);
row(
  'Auto-Reconnect Status',
  '6d 00 00 c0',
  0xc000_006d,
  status.decodeAutoReconnectStatus,
  status.encodeAutoReconnectStatus,
);
row(
  'Status Info',
  '01 05 00 00',
  status.StatusCode.vmLoading,
  status.decodeStatusInfo,
  status.encodeStatusInfo,
);
row('Set Error Info', '0c 00 00 00', ErrorInfo.logoffByUser, decodeErrorInfo, encodeErrorInfo);

test('a monitor count beyond the limit is refused before anything is read', () => {
  assert.throws(
    () => status.decodeMonitorLayout(new Reader(hex('ff ff ff ff'))),
    /monitorCount at offset 0 is/,
  );
});

test('error codes have a name and words', () => {
  assert.equal(describeErrorInfo(0x10ea).name, 'BAD_CAPABILITIES');
  for (const code of Object.values(ErrorInfo)) assert.match(describeErrorInfo(code).words, /^[a-z].*[^.]$/);
  assert.match(describeErrorInfo(0x10d0).words, /protocol error/);
  assert.deepEqual(describeErrorInfo(0x7777), {
    name: '0x00007777',
    words: 'the server ended the connection for a reason it gives as 0x00007777',
  });
});
