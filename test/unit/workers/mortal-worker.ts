/** The session worker as it is, with ways to die: a lock of a session with one of these ids. */
import { openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { ControlNotice } from '../../../workers/messages.ts';
import '../../../workers/session-worker.ts';

parentPort?.on('message', (message: ControlNotice) => {
  if (message.type !== 'lock') return;
  if (message.sessionId === 'throw') throw new Error('this worker was told to throw');
  if (message.sessionId === 'exit') process.exit(3);
  if (message.sessionId === 'block') neverReturns();
  if (message.sessionId === 'hoard') hoard();
  // A pipe that nobody writes to: no thread ends within open(2).
  if (message.sessionId === 'stick') openSync(message.message, 'r');
});

function neverReturns(): never {
  for (;;) Math.random();
}

/** In large pieces: a heap that fills slowly is collected again and again first. */
function hoard(): never {
  const all: unknown[] = [];
  for (;;) all.push(new Array(400_000).fill(0));
}
