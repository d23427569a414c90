import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Goal, Goals, goalLine } from '../../../bench/figures/goals.ts';
import { type Leak, leakOf, wantNoGrowth } from '../../../bench/figures/leak.ts';
import { planOf, sessionsOf } from '../../../bench/people/mix.ts';
import { LETTERS, Typist } from '../../../bench/people/typist.ts';
import { seeded } from '../../support/random.ts';

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

/** MiB of every second of an hour. */
const hour = (mib: (second: number) => number): (readonly [number, number])[] =>
  Array.from({ length: 3600 }, (_, second) => [second, mib(second) * 2 ** 20] as const);
const swing = (second: number): number => 10 * Math.sin(second / 7) + 3 * Math.sin(second / 200);
function goalsOf(leak: Leak): Goal[] {
  const goals = new Goals();
  wantNoGrowth(goals, leak);
  return goals.all;
}
const growth = (leak: Leak): Goal | undefined => goalsOf(leak)[0];

test('a soak says what growth it rules out: none of what swings, and not that of what grows', () => {
  const grows = leakOf(
    hour((second) => 300 + (second / 3600) * 60 + swing(second)),
    0,
    3600,
  );
  assert.ok(grows.mibPerHour > 40 && grows.mibPerHour < 80);
  assert.ok(grows.atMostMibPerHour > grows.mibPerHour);
  assert.equal(growth(grows)?.holds, false, 'a fifth in an hour');
  const flat = leakOf(
    hour((second) => 300 + swing(second)),
    0,
    3600,
  );
  assert.ok(Math.abs(flat.mibPerHour) <= flat.standardError * 2);
  assert.equal(growth(flat)?.holds, true, `${flat.atMostSharePerHour}`);
});

test('the bound is that of Student for the blocks there are', () => {
  // Six blocks of a minute behind a warm-up of three: levels of no slope but an error.
  const levels = [1, -1, 0, 0, -1, 1];
  const leak = leakOf(
    hour((second) => 100 + (levels[Math.floor((second - 180) / 60)] ?? 0)),
    0,
    540,
  );
  assert.equal(leak.blocks, 6);
  assert.ok(Math.abs(leak.mibPerHour) < 0.5);
  assert.ok(Math.abs(leak.atMostMibPerHour - leak.mibPerHour - 2.132 * leak.standardError) < 1e-9);
  assert.ok(Math.abs(leak.atMostSharePerHour - leak.atMostMibPerHour / leak.meanMib) < 1e-12);
});

test('a run that is too noisy to tell fails, though its line is flat, and so does one that is too short', () => {
  const random = seeded(7);
  // Each minute another level, as far as 150 MiB from the mean: a leak of a third in an hour could hide in it.
  const levels = Array.from({ length: 60 }, () => 300 * random() - 150);
  const noisy = leakOf(
    hour((second) => 450 + (levels[Math.floor(second / 60)] ?? 0)),
    0,
    3600,
  );
  assert.ok(noisy.mibPerHour < 2 * noisy.standardError, 'no growth shows');
  assert.equal(growth(noisy)?.holds, false);
  const short = leakOf(
    hour(() => 300),
    0,
    300,
  );
  assert.ok(Number.isNaN(short.atMostSharePerHour));
  assert.equal(growth(short)?.holds, false);
  assert.match(goalLine(goalsOf(short)), /^1 of 1 goals MISSED \(growth of memory .*: –, wanted ≤ 10\.0/);
  assert.equal(
    goalLine(
      goalsOf(
        leakOf(
          hour(() => 300),
          0,
          3600,
        ),
      ),
    ),
    'all 1 goals hold',
  );
});

test('samples that follow each other closely do not make the bound too narrow', () => {
  const random = seeded(3);
  let [level, held] = [0, 0];
  const runs = 200;
  for (let run = 0; run < runs; run += 1) {
    // Wanders, and comes back within about twenty seconds, as garbage does; it grows by 20 MiB an hour.
    level = 0;
    const { atMostMibPerHour } = leakOf(
      hour((second) => {
        level = 0.95 * level + 4 * (random() - 0.5);
        return 300 + (second / 3600) * 20 + level;
      }),
      0,
      3600,
    );
    if (atMostMibPerHour >= 20) held += 1;
  }
  assert.ok(held / runs >= 0.9, `the growth was within the bound in ${held} of ${runs} runs`);
});
