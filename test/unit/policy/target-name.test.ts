import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoginNameError, parseLogin } from '../../../gateway/policy/target-name.ts';

const targets: [login: string, requester: string, account: string, system: string][] = [
  ['alice@root@web01', 'alice', 'root', 'web01'],
  ['alice+root+web01', 'alice', 'root', 'web01'],
  ['alice%root%web01', 'alice', 'root', 'web01'],
  ['alice+root@web01', 'alice', 'root', 'web01'],
  ['bob@corp.example@root@web01', 'bob@corp.example', 'root', 'web01'],
  ['bob@corp.example+root+web01', 'bob@corp.example', 'root', 'web01'],
  ['CORP\\bob@root@web01', 'CORP\\bob', 'root', 'web01'],
  ['alice@svc@@corp.example@web01', 'alice', 'svc@corp.example', 'web01'],
  ['bob@@corp.example@root@web01', 'bob@corp.example', 'root', 'web01'],
  ['a+++root+web01', 'a+', 'root', 'web01'],
  ['a@++root@web01', 'a', '+root', 'web01'],
  ['alice@c%%d@web++1', 'alice', 'c%d', 'web+1'],
  ['алиса@root@web01', 'алиса', 'root', 'web01'],
];
for (const [login, requester, account, system] of targets) {
  test(`login ${login} names ${requester}, ${account}, ${system}`, () => {
    assert.deepEqual(parseLogin(login), { requester, target: { account, system } });
  });
}

const requesters: [login: string, requester: string][] = [
  ['alice', 'alice'],
  ['alice@corp.example', 'alice@corp.example'],
  ['CORP\\alice', 'CORP\\alice'],
  ['alice+ops', 'alice+ops'],
  ['alice++ops@corp.example', 'alice+ops@corp.example'],
  ['alice@@web01', 'alice@web01'],
];
for (const [login, requester] of requesters) {
  test(`login ${login} names no target`, () => {
    assert.deepEqual(parseLogin(login), { requester, target: undefined });
  });
}

const refused: [login: string, field: string, offset: number][] = [
  ['', 'requester', 0],
  ['@root@web01', 'requester', 0],
  ['alice@root@', 'system', 11],
  ['alice@+web01', 'account', 6],
  ['alice\n@root@web01', 'login', 5],
  ['alice\u0000', 'login', 5],
  ['alice\u007f', 'login', 5],
  ['alice\u009b31m', 'login', 5],
  ['al\u2028ice', 'login', 2],
  ['al\ud800ice', 'login', 2],
  ['a'.repeat(257), 'login', 256],
  ['é'.repeat(129), 'login', 128],
];
for (const [login, field, offset] of refused) {
  test(`login ${JSON.stringify(login.slice(0, 20))} is refused at its ${field}`, () => {
    assert.throws(
      () => parseLogin(login),
      (error: unknown) => error instanceof LoginNameError && error.field === field && error.offset === offset,
    );
  });
}

test('a login may use all of its 256 bytes', () => {
  assert.equal(parseLogin('a'.repeat(256)).requester.length, 256);
  assert.equal(parseLogin('é'.repeat(128)).requester.length, 128);
});
