import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatLogin, LoginNameError, parseLogin } from '../../../gateway/policy/target-name.ts';

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

/** A repeatable stream of numbers below `limit`. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

test('whatever is typed either parses or is refused with a reason', () => {
  const next = numbers(1);
  const alphabet = ['a', 'ß', '😀', '@', '@', '+', '%', '\\', ' ', '\t', '\ud800', '\u2028'];
  let parsed = 0;
  for (let round = 0; round < 20_000; round++) {
    const login = Array.from({ length: next(12) }, () => alphabet[next(alphabet.length)]).join('');
    try {
      const { requester, target } = parseLogin(login);
      assert.ok(requester !== '' && target?.account !== '' && target?.system !== '', login);
      parsed++;
    } catch (error) {
      assert.ok(error instanceof LoginNameError, login);
    }
  }
  assert.ok(parsed > 1000);
});

test('names with every delimiter doubled come back as they were', () => {
  const next = numbers(2);
  const inner = ['a', 'b', '@', '+', '%', '\\', '.'];
  const aName = (): string =>
    `x${Array.from({ length: next(6) }, () => inner[next(inner.length)]).join('')}x`;
  for (let round = 0; round < 5000; round++) {
    const [requester, account, system] = [aName(), aName(), aName()];
    const doubled = [requester, account, system].map((name) => name.replace(/[@+%]/g, (one) => one + one));
    assert.deepEqual(parseLogin(doubled.join('@')), { requester, target: { account, system } });
  }
});

for (const [names, login] of [
  [['alice', 'root', 'win01'], 'alice+root+win01'],
  [['bob@corp.example', 'root', 'win01'], 'bob@@corp.example+root+win01'],
  [['a+b', 'c%d', 'e@f'], 'a++b+c%%d+e@@f'],
  [['alice', '+svc', 'win01'], 'alice%++svc%win01'],
  [['alice', '+svc', '%win'], 'alice@++svc@%%win'],
] as const)
  test(`${names.join(', ')} is typed as ${login}`, () => {
    const [requester, account, system] = names;
    assert.equal(formatLogin(requester, account, system), login);
    assert.deepEqual(parseLogin(login), { requester, target: { account, system } });
  });

test('names that no login can hold are refused', () => {
  assert.throws(() => formatLogin('', 'root', 'win01'), LoginNameError);
  assert.throws(() => formatLogin('alice', 'root', 'w'.repeat(300)), LoginNameError);
});
