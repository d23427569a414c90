import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission, type Beat, limitReached } from '../../../gateway/control/admission.ts';

const GIB = 1024 ** 3;

function admission() {
  const open = { sessions: 1 };
  const self = { pid: 99, rssBytes: 0 };
  const made = new Admission({
    maxSessions: 3,
    maxMemory: 2 * GIB,
    open: () => open.sessions,
    self: () => self,
  });
  const calm: Beat = { lagMs: 5, heapShare: 0.1, pid: 1, rssBytes: GIB };
  return {
    made,
    open,
    self,
    beat: (worker: number, change: Partial<Beat> = {}, times = 1) => {
      for (let i = 0; i < times; i += 1) made.beat(worker, { ...calm, ...change });
    },
    codes: () => made.standing().map(({ code }) => code),
  };
}

test('a node is full at its limit and takes sessions again below it', () => {
  const { made, open, beat, codes } = admission();
  beat(1);
  assert.deepEqual(codes(), []);
  open.sessions = 3;
  assert.deepEqual(made.standing(), [
    { code: 'full', message: 'this node is full, 3 of 3 sessions are open: try again later' },
  ]);
  assert.equal(made.door(1)?.code, 'full');
  open.sessions = 2;
  assert.equal(made.door(1), undefined);
});

test('a stall is no overload, stalls that go on are, and it is over only when they have been for a while', () => {
  const { made, beat, codes } = admission();
  beat(1, { lagMs: 5_000 }, 2);
  beat(1);
  beat(1, { lagMs: 5_000 }, 2);
  assert.deepEqual(codes(), []);
  beat(1, { lagMs: 5_000 });
  assert.deepEqual(codes(), ['overloaded']);
  beat(1, { lagMs: 900 }, 10);
  assert.deepEqual(codes(), ['overloaded'], 'better is not yet good');
  beat(1, {}, 2);
  beat(1, { lagMs: 900 });
  beat(1, {}, 2);
  assert.deepEqual(codes(), ['overloaded']);
  beat(1);
  assert.deepEqual(codes(), []);
  assert.equal(made.door(1), undefined);
});

test('a worker that stalls shuts its own door, and the node only with all others', () => {
  const { made, beat, codes } = admission();
  beat(2);
  beat(1, { lagMs: 5_000 }, 3);
  assert.deepEqual(codes(), []);
  assert.equal(made.door(1)?.code, 'overloaded');
  assert.equal(made.door(2), undefined);
  beat(2, { lagMs: 5_000 }, 3);
  assert.deepEqual(codes(), ['overloaded']);
  made.workerGone(1);
  made.workerGone(2);
  assert.deepEqual(codes(), []);
});

test('a worker whose heap is nearly used up takes nobody more until a good part is free', () => {
  const { made, beat } = admission();
  beat(2);
  for (const [heapShare, shut] of [
    [0.84, false],
    [0.86, true],
    [0.8, true],
    [0.7, false],
  ] as const) {
    beat(1, { heapShare });
    assert.equal(made.door(1) !== undefined, shut, `${heapShare}`);
  }
});

test('memory is that of all processes, each counted once, and frees the node at a lower mark', () => {
  const { beat, open, codes, self } = admission();
  for (const worker of [1, 2, 3]) beat(worker, { pid: 10, rssBytes: 1.5 * GIB });
  assert.deepEqual(codes(), [], 'threads of one process');
  beat(4, { pid: 11, rssBytes: 0.6 * GIB });
  assert.deepEqual(codes(), ['overloaded']);
  beat(4, { pid: 11, rssBytes: 0.45 * GIB });
  assert.deepEqual(codes(), ['overloaded']);
  open.sessions = 0;
  assert.deepEqual(codes(), [], 'no session is there whose end could free any');
  open.sessions = 1;
  beat(4, { pid: 11, rssBytes: 0.3 * GIB });
  assert.deepEqual(codes(), []);
  self.rssBytes = 0.3 * GIB;
  beat(4, { pid: 11, rssBytes: 0.3 * GIB });
  assert.deepEqual(codes(), ['overloaded'], 'the control plane where workers have processes of their own');
});

test('a limit says what is counted and what to do', () => {
  assert.equal(limitReached('user', 'alice', 1, 2), undefined);
  assert.deepEqual(limitReached('user', 'alice', 2, 2), {
    code: 'user-full',
    message: '2 of 2 sessions of yours are open: end one of them first',
  });
  assert.match(
    limitReached('source', '192.0.2.1', 3, 2)?.message ?? '',
    /^3 of 2 sessions from 192\.0\.2\.1 /,
  );
  assert.equal(limitReached('system', 'web01', 3, 2)?.code, 'system-full');
});
