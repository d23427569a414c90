/**
 * Process entry of the background pool: does one job after the other. Where the pool's owner is gone, nothing
 * goes on.
 */
import { writeFileSync } from 'node:fs';
import type { FromProcess, ToProcess } from './job.ts';
import { perform } from './perform.ts';

/** Of the job under way. */
let cancellation: AbortController | undefined;
let asked = Promise.withResolvers<void>();

const send = (message: FromProcess): void => {
  process.send?.(message);
};

/** Where memory is short this process goes before sessions do: of -1000 to 1000 (proc(5)). */
const OOM_SCORE = '800';

try {
  writeFileSync('/proc/self/oom_score_adj', OOM_SCORE);
} catch {
  // Forbidden here: it is treated as what started it.
}
process.on('disconnect', () => {
  // A job may be stuck in its archive, and would hold up any other way to end.
  if (cancellation !== undefined) process.kill(process.pid, 'SIGKILL');
  process.exit();
});
// The owner is sent them too, by a terminal or a service manager; this process ends with it.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('message', (message: ToProcess) => {
  switch (message.type) {
    case 'job': {
      cancellation = new AbortController();
      asked = Promise.withResolvers();
      const client = { tell: send, asked: () => asked.promise, signal: cancellation.signal };
      void perform(message.job, client).then((end) => {
        cancellation = undefined;
        send({ type: 'end', end });
      });
      return;
    }
    case 'next':
      asked.resolve();
      asked = Promise.withResolvers();
      return;
    case 'cancel':
      cancellation?.abort();
      asked.resolve();
  }
});
