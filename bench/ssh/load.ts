/**
 * Process entry: a light SSH client that puts load on a server. It does one job, sent by its
 * parent, answers with the outcome and keeps its connections until the parent disconnects.
 */
import type { ClientChannel } from 'ssh2';
import { go, interleaved, many, pressEvery, serveJob, sleep } from '../load-process.ts';
import { logOn, startShell } from './client.ts';
import type { Endpoint, Job, JobOutcome } from './jobs.ts';

/** Logs on, runs `true`, leaves. */
async function runTrue(endpoint: Endpoint): Promise<void> {
  const client = await logOn(endpoint);
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('close', () => reject(new Error('the connection was closed under the command')));
      client.exec('true', (error, channel) => {
        if (error) return reject(error);
        let code: number | null | undefined;
        channel.on('exit', (status: number | null) => {
          code = status;
        });
        channel.on('close', () => (code === 0 ? resolve() : reject(new Error(`true ended with ${code}`))));
        channel.resume();
      });
    });
  } finally {
    client.end();
  }
}

/** Resolves with a shell on a terminal that has shown its prompt. */
async function openShell(endpoint: Endpoint): Promise<ClientChannel> {
  const client = await logOn(endpoint);
  const channel = await startShell(client);
  await new Promise<void>((resolve, reject) => {
    client.once('close', () => reject(new Error('the connection was closed before the prompt')));
    channel.once('data', () => resolve());
  });
  return channel;
}

/** Types `keys` letters, one every `spacingMs`; resolves with ms from each key to its echo. */
async function typeKeys(channel: ClientChannel, keys: number, spacingMs: number): Promise<number[]> {
  const sentAt: number[] = [];
  const millis: number[] = [];
  const done = new Promise<void>((resolve, reject) => {
    channel.once('close', () => reject(new Error('the shell ended while keys were typed')));
    channel.on('data', (bytes: Buffer) => {
      const now = performance.now();
      for (const byte of bytes) {
        const sent = sentAt[millis.length];
        if (sent === undefined || byte !== letter(millis.length))
          return reject(new Error(`byte ${byte} is not the echo of key ${millis.length}`));
        millis.push(now - sent);
      }
      if (millis.length === keys) resolve();
    });
  });
  // Who awaits `done` comes later; a failure before that must not end the process.
  done.catch(() => {});
  await pressEvery(spacingMs, keys, (index) => {
    sentAt.push(performance.now());
    channel.write(Buffer.of(letter(index)));
  });
  await done;
  return millis;
}

const letter = (index: number): number => 0x61 + (index % 26);

async function echo(job: Job & { kind: 'echo' }): Promise<number[][]> {
  const channels = await Promise.all(job.endpoints.map(openShell));
  // cat never sees a key: the terminal's driver in the target's kernel echoes it.
  for (const channel of channels) channel.resume().write('exec cat\n');
  await sleep(1000);
  for (const channel of channels) channel.removeAllListeners('data');
  await go();
  return await interleaved(channels, job.spacingMs, (channel) => typeKeys(channel, job.keys, job.spacingMs));
}

async function perform(job: Job): Promise<JobOutcome> {
  switch (job.kind) {
    case 'set-ups':
      return { kind: job.kind, ...(await many(job.count, job.concurrency, () => runTrue(job.endpoint))) };
    case 'idle': {
      const open = async (): Promise<void> => void (await openShell(job.endpoint));
      return { kind: job.kind, ...(await many(job.count, job.concurrency, open)) };
    }
    case 'echo':
      return { kind: job.kind, millis: await echo(job) };
  }
}

serveJob(perform);
