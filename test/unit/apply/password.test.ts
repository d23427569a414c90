import assert from 'node:assert/strict';
import { it } from 'node:test';
import { hashPassword, verifyPassword } from '../../../gateway/apply/password.ts';

it('a password fits its own hash only, and every hash has its own salt', async () => {
  const hash = await hashPassword('hunter2');
  assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.equal(await verifyPassword(hash, 'hunter2'), true);
  assert.equal(await verifyPassword(hash, 'hunter3'), false);
  assert.equal(await verifyPassword(hash, ''), false);
  assert.notEqual(await hashPassword('hunter2'), hash);
});

it('reads hashes that others made, with their own parameters', async () => {
  // A known answer of the reference implementation's own tests.
  const hash = '$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc';
  assert.equal(await verifyPassword(hash, 'password'), true);
  assert.equal(await verifyPassword(hash.replace('t=2', 't=3'), 'password'), false);
});

it('the same text composed or decomposed is the same password', async () => {
  assert.equal(await verifyPassword(await hashPassword('caf\u00e9'), 'cafe\u0301'), true);
});

it('nothing fits what is no hash, and no hash takes the whole machine', async () => {
  const hash = await hashPassword('x');
  const bad = [
    '',
    'x',
    hash.replace('argon2id', 'argon2i'),
    hash.slice(0, -30),
    hash.replace('m=19456', 'm=99999999'),
  ];
  for (const text of [
    ...bad,
    hash.replace('p=1', 'p=0'),
    hash.replace('t=2', 't=999'),
    hash.replace('m=19456', 'm=1'),
  ]) {
    assert.equal(await verifyPassword(text, 'x'), false, text);
  }
});
