import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ClientInfoWithPassword,
  decodeClientInfo,
  encodeClientInfo,
  InfoFlag,
} from '../../../../gateway/rdp/pdu/client-info.ts';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';

function written(info: ClientInfoWithPassword): Uint8Array {
  const writer = new Writer();
  encodeClientInfo(writer, info);
  return writer.done();
}

const FULL: ClientInfoWithPassword = {
  codePage: 0x407,
  flags: InfoFlag.unicode | InfoFlag.autologon | InfoFlag.rail,
  domain: 'CORP',
  userName: 'jürgen',
  password: 'päß 🔑',
  alternateShell: '||notepad',
  workingDir: 'C:\\',
  extended: {
    clientAddressFamily: 2,
    clientAddress: '10.0.0.9',
    clientDir: 'C:\\Windows\\System32\\mstscax.dll',
    timeZone: new Uint8Array(172).fill(7),
    sessionId: 0,
    performanceFlags: 0x87,
    autoReconnectCookie: new Uint8Array(28).fill(9),
    tail: Uint8Array.of(0, 0, 0, 0, 2, 0, 0x41, 0, 1, 0),
  },
};

test('every field is read back', () => {
  assert.deepEqual(decodeClientInfo(new Reader(written(FULL))), FULL);
});

test('a client may end the packet before any optional field', () => {
  const { extended } = FULL;
  assert.ok(extended);
  const shorter = [
    { ...extended, tail: undefined },
    { ...extended, tail: undefined, autoReconnectCookie: new Uint8Array() },
    { ...extended, tail: undefined, autoReconnectCookie: undefined },
    { ...extended, tail: undefined, autoReconnectCookie: undefined, performanceFlags: undefined },
    {
      ...extended,
      tail: undefined,
      autoReconnectCookie: undefined,
      performanceFlags: undefined,
      sessionId: undefined,
      timeZone: undefined,
    },
    undefined,
  ];
  for (const part of shorter) {
    const info = { ...FULL, extended: part };
    assert.deepEqual(decodeClientInfo(new Reader(written(info))), info);
  }
});

test('an old client speaks its code page, one byte for each character', () => {
  const info = {
    ...FULL,
    flags: InfoFlag.autologon,
    userName: 'old\xfc',
    password: 'x',
    extended: undefined,
  };
  const bytes = written(info);
  // Code page and flags, five lengths, the texts and their terminators.
  assert.equal(bytes.length, 8 + 10 + 'CORPold?x||notepadC:\\'.length + 5);
  assert.deepEqual(decodeClientInfo(new Reader(bytes)), info);
});

test('a cut packet names the field it ends in, never the password', () => {
  const bytes = written(FULL);
  assert.throws(() => decodeClientInfo(new Reader(bytes.subarray(0, 40))), /Password|UserName/);
  for (let end = 0; end < 90; end += 1)
    try {
      decodeClientInfo(new Reader(bytes.subarray(0, end)));
    } catch (error) {
      assert.ok(error instanceof Error && !error.message.includes('pä'));
    }
});

test('a cookie of another size is refused', () => {
  const bytes = written({ ...FULL, extended: { ...FULL.extended, tail: undefined } as typeof FULL.extended });
  const at = bytes.length - 30;
  assert.equal(bytes[at], 28);
  bytes[at] = 27;
  assert.throws(() => decodeClientInfo(new Reader(bytes)), /cbAutoReconnectCookie .* is 27, must be 0 or 28/);
});
