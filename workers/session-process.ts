/**
 * Process entry of several session workers: starts and supervises their threads, and hands on between them
 * and the main process. Where that is gone, nothing goes on.
 */
import { Deadline } from './deadline.ts';
import type { FromProcess, ProcessSettings, ToProcess } from './process-messages.ts';
import { Supervisor, sealMsOf } from './supervisor.ts';
import { threads } from './thread.ts';

const BEAT_MS = 1_000;
/** How often it is looked whether the spool has grown: so much later other processes know of it. */
const SPOOLED_MS = 100;

const deadline = new Deadline();
const [used, elsewhere] = [new SharedArrayBuffer(8), new SharedArrayBuffer(8)];
let supervisor: Supervisor | undefined;

const send = (message: FromProcess, sent: () => void = () => {}): void => {
  process.send?.(message, sent);
};
const log = (level: 'warn' | 'error') => (fields: Readonly<Record<string, unknown>>, text: string) =>
  send({ type: 'log', level, fields, text });
/** Whatever its threads are at: a thread that is stuck would hold up any other way to end. */
const end = (): void => void process.kill(process.pid, 'SIGKILL');

async function start(settings: ProcessSettings, count: number, base: number): Promise<void> {
  const spool = { ...settings.archive.spool, used, elsewhere };
  const own = { ...settings, archive: { ...settings.archive, spool }, deadline: deadline.memory };
  supervisor = new Supervisor({
    kind: threads(own, { base }),
    listen: own.listen,
    sealMs: sealMsOf(own.archive.window.graceSeconds),
    line: {
      heard: (worker, message) => send({ type: 'worker', worker, message }),
      died: (death) => send({ type: 'died', death }),
    },
    log: { warn: log('warn'), error: log('error') },
    // What was said of it goes first.
    onStuck: () => send({ type: 'beat' }, end),
  });
  setInterval(() => send({ type: 'beat' }), BEAT_MS);
  tellSpooled();
  send({ type: 'listening', ports: await supervisor.start(count) });
}

function tellSpooled(): void {
  let told = 0n;
  setInterval(() => {
    const bytes = Atomics.load(new BigInt64Array(used), 0);
    if (bytes === told) return;
    told = bytes;
    send({ type: 'spooled', bytes: Number(bytes) });
  }, SPOOLED_MS);
}

process.on('disconnect', end);
// The main process is sent them too, by a terminal or a service manager, and drains; this one ends with it.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('message', (message: ToProcess) => {
  switch (message.type) {
    case 'start':
      start(message.settings, message.threads, message.base).catch((error: Error) =>
        send({ type: 'failed', error }, end),
      );
      return;
    case 'worker':
      supervisor?.send(message.worker, message.message);
      return;
    case 'deadline':
      deadline.set(message.ms);
      return;
    case 'spooled':
      Atomics.store(new BigInt64Array(elsewhere), 0, BigInt(message.bytes));
      return;
    case 'drain':
      void supervisor?.drain().then(() => send({ type: 'drained' }));
  }
});
