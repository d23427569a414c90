import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { hashPassword, verifyPassword } from '../../../gateway/apply/password.ts';
import { PasswordPool } from '../../../gateway/apply/password-pool.ts';
import { until } from '../../support/process.ts';

/** Of each thread of this process, as the kernel knows them. */
function niceness(): number[] {
  return readdirSync('/proc/self/task').map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'latin1');
    // proc(5): field 19; the second, the command in brackets, may hold anything.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

test('a password is checked as it is here, on threads that let sessions go first', async () => {
  await using pool = new PasswordPool();
  const hash = await hashPassword('caf\u00e9');
  const given = ['caf\u00e9', 'cafe\u0301', 'cafe', '', 'x'.repeat(1024)];
  const checked = await Promise.all(given.map((password) => pool.verify(hash, password)));
  assert.deepEqual(checked, [true, true, false, false, false]);
  assert.deepEqual(checked, await Promise.all(given.map((password) => verifyPassword(hash, password))));
  for (const none of ['', 'x', hash.replace('m=19456', 'm=99999999')])
    assert.equal(await pool.verify(none, 'x'), false);
  const own = Math.min(...niceness());
  const nicer = await until('two nicer threads', () => {
    const nice = niceness().filter((each) => each > own);
    return nice.length >= 2 ? nice : undefined;
  });
  assert.deepEqual(new Set(nicer), new Set([own + 5]));
});

test('what waits can be seen, and a pool that is closed gives it up', async () => {
  const pool = new PasswordPool();
  const hash = await hashPassword('x');
  await pool.verify(hash, 'x');
  const many = Promise.allSettled(Array.from({ length: 20 }, () => pool.verify(hash, 'x')));
  await until('some that wait', () => pool.queued > 10 || undefined);
  await pool[Symbol.asyncDispose]();
  assert.ok((await many).some(({ status }) => status === 'rejected'));
  assert.equal(pool.queued, 0);
});
