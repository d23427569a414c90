import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leakOf } from '../../../bench/figures/leak.ts';
import { planOf, sessionsOf } from '../../../bench/people/mix.ts';
import { LETTERS, Typist } from '../../../bench/people/typist.ts';

test('a plan has as many sessions as were asked for, of each mix', () => {
  for (const sessions of [20, 300, 600, 1200, 3000])
    for (const mix of ['ssh', 'rdp', 'mixed'] as const)
      for (const real of [true, false])
        assert.equal(sessionsOf(planOf(sessions, mix, real)), sessions, `${sessions} ${mix} ${real}`);
});

test('a plan is of the protocols of its mix, and direct sessions are too', () => {
  const ssh = planOf(600, 'ssh', true);
  assert.equal(ssh.desktop + ssh.xfreerdp + ssh.directDesktop, 0);
  assert.equal(ssh.typeSshd + ssh.openssh, 60);
  assert.ok(ssh.directType > 0 && ssh.bulk >= 6);
  const rdp = planOf(600, 'rdp', true);
  assert.equal(rdp.type + rdp.typeSshd + rdp.openssh + rdp.watch + rdp.bulk + rdp.directType, 0);
  assert.equal(rdp.xfreerdp, 20);
  assert.equal(planOf(600, 'rdp', false).xfreerdp, 0);
});

/** A typist and what became of the keys. */
function typist() {
  const seen = { sent: '', answered: 0, failures: [] as string[] };
  const person = new Typist({
    send: (bytes) => {
      seen.sent += Buffer.from(bytes).toString();
    },
    now: () => 0,
    answered: () => {
      seen.answered += 1;
    },
    failed: (why) => seen.failures.push(why),
  });
  return { person, seen, show: (text: string) => person.take(Buffer.from(text)) };
}

test('nobody types before the prompt, nor while a command prints', () => {
  const { person, seen, show } = typist();
  person.press();
  show('Welcome\r\n');
  person.press();
  assert.equal(seen.sent.length, 0);
  show('$');
  show(' ');
  for (let key = 0; key <= LETTERS; key += 1) {
    person.press();
    show(seen.sent.slice(-1));
  }
  assert.equal(seen.sent, 'abcdefghijklmnopqrst\r');
  person.press();
  assert.equal(seen.sent.length, LETTERS + 1);
  show('\nsome $ lines\r\nmore\r\n');
  assert.equal(person.ready, false);
  show('$ ');
  person.press();
  assert.equal(seen.sent.slice(-1), 'a');
  assert.equal(seen.answered, LETTERS + 1);
  assert.deepEqual(seen.failures, []);
});

test('a key that is not echoed is missed, and what no key explains is a failure', () => {
  const lost = typist();
  lost.show('$ ');
  lost.person.press();
  lost.person.press();
  assert.equal(lost.person.unanswered, 2);
  lost.show('b');
  assert.match(lost.seen.failures.join(), /byte 98 is not the echo of 97/);
  const extra = typist();
  extra.show('$ ');
  extra.show('x');
  assert.match(extra.seen.failures.join(), /not the echo of a key/);
});

test('memory that grows shows beyond the error of its line, and memory that swings does not', () => {
  const samples = (mib: (second: number) => number): (readonly [number, number])[] =>
    Array.from({ length: 3600 }, (_, second) => [second, mib(second) * 2 ** 20] as const);
  const swing = (second: number): number => 10 * Math.sin(second / 7) + 3 * Math.sin(second / 200);
  const grows = leakOf(
    samples((second) => 300 + (second / 3600) * 60 + swing(second)),
    0,
    3600,
  );
  assert.ok(grows !== undefined && grows.mibPerHour > 40 && grows.mibPerHour < 80);
  assert.ok(grows.mibPerHour > 2 * grows.standardError);
  const flat = leakOf(
    samples((second) => 300 + swing(second)),
    0,
    3600,
  );
  assert.ok(flat !== undefined && Math.abs(flat.mibPerHour) <= 2 * flat.standardError);
  assert.equal(leakOf(samples(swing).slice(0, 5), 0, 5), undefined);
});
