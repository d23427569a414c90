/** The session worker as it is, with a way to die: a lock of a session with this id. */
import { parentPort } from 'node:worker_threads';
import type { ControlNotice } from '../../../workers/messages.ts';
import '../../../workers/session-worker.ts';

parentPort?.on('message', (message: ControlNotice) => {
  if (message.type !== 'lock') return;
  if (message.sessionId === 'throw') throw new Error('this worker was told to throw');
  if (message.sessionId === 'exit') process.exit(3);
});
