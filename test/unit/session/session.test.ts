/** The story of a session, with what is around it played by the test: where its set-up stops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionFigures } from '../../../gateway/metrics/session-figures.ts';
import { TargetError } from '../../../gateway/session/dial.ts';
import type { LiveSession } from '../../../gateway/session/live.ts';
import {
  type End,
  runSession,
  type SessionLegs,
  type SessionServices,
  type SessionSignals,
} from '../../../gateway/session/session.ts';
import type { ControlRequests, SessionEnd } from '../../../workers/messages.ts';
import { AUTHORIZATION } from '../../support/authorization.ts';

/** What is called while the session is set up, in order; a test acts at one of them. */
type Step = 'started' | 'checkOut' | 'dial' | 'sessionStarted' | 'relay';

interface Stage {
  readonly live: LiveSession;
  readonly signals: SessionSignals;
}

/** Runs a session to its end; `act` may act, or throw, in the middle of `at`. */
async function play(at: Step, act: (stage: Stage) => void, authorization = AUTHORIZATION) {
  const steps: Step[] = [];
  const faults: unknown[] = [];
  const audited: string[] = [];
  let live: LiveSession | undefined;
  let signals: SessionSignals | undefined;
  let told: End | undefined;
  let row: SessionEnd | undefined;
  let aborted = false;
  const pass = (step: Step): void => {
    steps.push(step);
    if (step === at && live !== undefined && signals !== undefined) act({ live, signals });
  };
  const legs = {
    protocol: 'ssh',
    attend: (given: SessionSignals) => {
      signals = given;
    },
    dial: async (_authorization: unknown, _credential: unknown, signal: AbortSignal) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      pass('dial');
      if (signal.aborted) throw new TargetError('target-unreachable', 'given up');
    },
    relay: () => pass('relay'),
    takeActive: () => true,
    takeKeystrokes: () => {},
    finish: async (end: End) => {
      told = end;
    },
    refuse: (end: End) => {
      told = end;
    },
    traffic: { fromClient: 0, fromTarget: 0 },
  } satisfies Partial<SessionLegs>;
  const control = {
    checkOut: async () => {
      pass('checkOut');
      return { username: 'root', password: 'secret', privateKey: undefined, passphrase: undefined };
    },
    sessionStarted: async () => pass('sessionStarted'),
    sessionEnded: async (end: SessionEnd) => {
      row = end;
    },
  } satisfies Partial<ControlRequests>;
  const figures = new SessionFigures('ssh');
  const services = {
    control: control as unknown as ControlRequests,
    figures,
    audit: ({ code }: { code: string }) => audited.push(code),
    started: (session: LiveSession) => {
      live = session;
      pass('started');
    },
    ended: () => {},
    onFault: (error: unknown) => faults.push(error),
  };
  const origin = { connection: 'c1', source: '192.0.2.1', setup: figures.setupSince(0) };
  await runSession(
    legs as unknown as SessionLegs,
    authorization,
    origin,
    services as unknown as SessionServices,
  );
  return { steps, faults, audited, told, row, aborted };
}

const STEPS: readonly Step[] = ['started', 'checkOut', 'dial', 'sessionStarted'];

for (const step of STEPS) {
  test(`a session that is terminated at ${step} gets no further, and says why`, async () => {
    const { steps, faults, audited, told, row, aborted } = await play(step, ({ live }) =>
      live.end('terminated', 'not now'),
    );
    assert.deepEqual(steps, STEPS.slice(0, STEPS.indexOf(step) + 1));
    assert.deepEqual(told, { code: 'terminated', reason: 'not now' });
    assert.deepEqual([row?.code, row?.reason], ['terminated', 'not now']);
    assert.deepEqual([faults, audited], [[], []]);
    assert.equal(aborted, steps.includes('dial'), 'the dial hears of it');
  });
}

test('a client that leaves while its target is dialled is not dialled for', async () => {
  const { steps, row, aborted } = await play('dial', ({ signals }) => signals.left());
  assert.deepEqual(steps.at(-1), 'dial');
  assert.deepEqual([row?.code, row?.reason, aborted], ['client-closed', 'the client left', true]);
});

test('what came first is the end, whatever the dial says then', async () => {
  const { row, audited } = await play('dial', ({ live }) => {
    live.end('node-stopping', 'this gateway is being stopped');
    throw new TargetError('target-auth-failed', 'no');
  });
  assert.deepEqual([row?.code, audited], ['node-stopping', []]);
});

test('a dial that fails ends the session with its own words', async () => {
  const { row, told, audited } = await play('dial', () => {
    throw new TargetError('target-auth-failed', 'no');
  });
  assert.deepEqual([row?.code, told?.reason, audited], ['target-auth-failed', 'no', ['target.auth_failed']]);
});

test('a credential that is not given has its own words and code, and is reported once', async () => {
  const { steps, row, told, faults } = await play('checkOut', () => {
    throw new Error('account root@web01: hunter2');
  });
  assert.deepEqual(steps, ['started', 'checkOut']);
  const reason =
    'the credential of root at web01 could not be checked out; the administrator finds why in the log';
  assert.deepEqual(told, { code: 'check-out-failed', reason });
  assert.deepEqual([row?.code, row?.reason, faults], ['check-out-failed', reason, []]);
});

test('a session that runs is ended with the hours of its policy', async () => {
  const notAfter = Date.now() + 3_600_000;
  const { row, told } = await play('relay', ({ live }) => live.tick(notAfter, []), {
    ...AUTHORIZATION,
    notAfter,
  });
  const reason = 'the hours that policy all allows are over';
  assert.deepEqual(told, { code: 'schedule-ended', reason });
  assert.deepEqual([row?.code, row?.reason], ['schedule-ended', reason]);
});

test('an error of ours once the session runs is a fault, also behind its end', async () => {
  const { row, faults } = await play('relay', ({ live }) => {
    live.end('terminated', 'not now');
    throw new TypeError('a leg is missing');
  });
  assert.deepEqual([row?.code, faults.length], ['protocol-error', 1]);
});
