import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeSaveSessionInfo,
  encodeSaveSessionInfo,
  LogonErrorData,
  LogonNotification,
  type SaveSessionInfo,
} from '../../../../gateway/rdp/pdu/save-session-info.ts';
import { hex } from './hex.ts';

function written(info: SaveSessionInfo): Buffer {
  const writer = new Writer();
  encodeSaveSessionInfo(writer, info);
  return Buffer.from(writer.done());
}

/** With the length that the specification gives each, infoType included. */
const ROWS: readonly (readonly [string, SaveSessionInfo, number])[] = [
  ['version 1', { kind: 'logon', version: 1, domain: 'CORP', userName: 'ada', sessionId: 2 }, 4 + 576],
  [
    'version 2',
    { kind: 'logon', version: 2, domain: 'CORP', userName: 'ada', sessionId: 2 },
    4 + 576 + 10 + 8,
  ],
  ['plain', { kind: 'plain' }, 4 + 576],
  [
    'cookie',
    {
      kind: 'extended',
      autoReconnect: { logonId: 3, randomBits: new Uint8Array(16).fill(5) },
      errors: undefined,
    },
    4 + 6 + 32 + 570,
  ],
  [
    'cookie and error',
    {
      kind: 'extended',
      autoReconnect: { logonId: 3, randomBits: new Uint8Array(16).fill(5) },
      errors: { type: LogonNotification.sessionContinue, data: LogonErrorData.badPassword },
    },
    4 + 6 + 32 + 12 + 570,
  ],
];

for (const [name, info, length] of ROWS)
  test(`${name} is read back`, () => {
    const bytes = written(info);
    assert.equal(bytes.length, length);
    assert.deepEqual(decodeSaveSessionInfo(new Reader(bytes)), info);
    assert.deepEqual(written(decodeSaveSessionInfo(new Reader(bytes))), bytes);
  });

test('fields stand where the specification puts them', () => {
  const bytes = written({ kind: 'logon', version: 1, domain: 'AB', userName: 'c', sessionId: 7 });
  assert.deepEqual(bytes.subarray(0, 12), Buffer.from(hex('00 00 00 00 06 00 00 00 41 00 42 00')));
  assert.deepEqual(bytes.subarray(60, 68), Buffer.from(hex('04 00 00 00 63 00 00 00')));
  assert.equal(bytes.readUInt32LE(576), 7);
});

test('what is too long or of no known kind is refused', () => {
  assert.throws(() => decodeSaveSessionInfo(new Reader(hex('04 00 00 00'))), /infoType at offset 0 is 4/);
  const long = { kind: 'logon', version: 1, domain: 'x'.repeat(26), userName: '', sessionId: 0 } as const;
  assert.throws(() => written(long), /Domain .* more than 52/);
  assert.throws(
    () => written({ ...long, domain: '', userName: 'x'.repeat(256) }),
    /UserName .* more than 512/,
  );
  const lying = written({ kind: 'logon', version: 2, domain: '', userName: '', sessionId: 0 });
  lying.writeUInt32LE(0xffff_fffe, 14);
  assert.throws(() => decodeSaveSessionInfo(new Reader(lying)), /Domain .* needs 4294967294 bytes/);
});
