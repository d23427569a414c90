import assert from 'node:assert/strict';
import { test } from 'node:test';
import { md4 } from '../../../../gateway/rdp/credssp/md4.ts';
import { Rc4 } from '../../../../gateway/rdp/credssp/rc4.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** RFC 1320 appendix A.5, and lengths around a block's end (from OpenSSL 3's legacy provider). */
const DIGESTS: readonly [string, string][] = [
  ['', '31d6cfe0d16ae931b73c59d7e0c089c0'],
  ['a', 'bde52cb31de33e46245e05fbdbd6fb24'],
  ['abc', 'a448017aaf21d8525fc10ae87aa6729d'],
  ['message digest', 'd9130a8164549fe818874806e1c7014b'],
  ['abcdefghijklmnopqrstuvwxyz', 'd79e1c308aa5bbcdeea8ed63df412da9'],
  ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', '043f8582f241db351ce627e153e7f0e4'],
  ['1234567890'.repeat(8), 'e33b4ddc9c38f2199c3e7b164fcc0536'],
  ['x'.repeat(55), '92f32bb82c95ad10e8f87ae58ab06807'],
  ['x'.repeat(56), '374d5f08103b7092c83b4626ebceffab'],
  ['x'.repeat(64), 'b1abf956a5ae6f3221e5fe85e300fbb0'],
];
for (const [message, digest] of DIGESTS) {
  test(`MD4 of ${message.length} bytes`, () => assert.equal(hex(md4(Buffer.from(message))), digest));
}

/** RFC 6229 §2: key, offset in the key stream, 16 bytes of it. */
const STREAMS: readonly [string, number, string][] = [
  ['0102030405', 0, 'b2396305f03dc027ccc3524a0a1118a8'],
  ['0102030405', 16, '6982944f18fc82d589c403a47a0d0919'],
  ['0102030405060708090a0b0c0d0e0f10', 0, '9ac7cc9a609d1ef7b2932899cde41b97'],
  ['0102030405060708090a0b0c0d0e0f10', 16, '5248c4959014126a6e8a84f11d1a9e1c'],
];
for (const [key, offset, expected] of STREAMS) {
  test(`RC4 with ${key.length * 4} bits at ${offset}`, () => {
    const cipher = new Rc4(Buffer.from(key, 'hex'));
    cipher.apply(new Uint8Array(offset));
    assert.equal(hex(cipher.apply(new Uint8Array(16))), expected);
  });
}

test('RC4 goes on where it stopped, and leaves its input as it was', () => {
  const key = Buffer.from('key');
  const message = Buffer.from('some words that are long enough');
  const whole = new Rc4(key).apply(message);
  const parts = new Rc4(key);
  assert.deepEqual(
    Buffer.concat([parts.apply(message.subarray(0, 7)), parts.apply(message.subarray(7))]),
    Buffer.from(whole),
  );
  assert.equal(message.toString(), 'some words that are long enough');
});
