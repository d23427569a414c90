/**
 * Process entry: light RDP clients that put load on a server. It does one job, sent by its parent,
 * answers with the outcome and keeps its connections until the parent disconnects.
 */
import type { PduStream } from '../../gateway/rdp/stream/stream.ts';
import { go, interleaved, many, pressEvery, serveJob, sleep } from '../load-process.ts';
import { openDesktop, openTls, pressKey } from './client.ts';
import { floodOf } from './content.ts';
import type { Job, JobOutcome } from './jobs.ts';

/** Resolves with the seconds in which the whole flood came. */
async function takeFlood({ endpoint, flood, bytes, verify }: Job & { kind: 'flood' }): Promise<number> {
  const { protocol, login } = endpoint;
  const stream = await (protocol === 'rdp' ? openDesktop(endpoint) : openTls(endpoint));
  await go();
  const started = performance.now();
  const wanted = floodOf(flood, bytes);
  let [count, sum] = [0, 0];
  await new Promise<void>((resolve, reject) => {
    stream.onClose = () => reject(new Error(`the connection ended after ${sum} of ${wanted.bytes} bytes`));
    stream.onMalformed = reject;
    stream.take((pdu) => {
      if (verify && Buffer.compare(pdu, wanted.pdus[count % wanted.pdus.length] ?? pdu) !== 0)
        reject(new Error(`update ${count} is not what the target sent`));
      count += 1;
      sum += pdu.length;
      if (count === wanted.count) resolve();
    });
    if (protocol === 'rdp') pressKey(stream);
    else stream.send(Buffer.from(`${login}\n`));
  });
  if (sum !== wanted.bytes) throw new Error(`${sum} bytes came, ${wanted.bytes} were sent`);
  return (performance.now() - started) / 1000;
}

/** Presses `keys` keys, one every `spacingMs`; resolves with ms from each to the update that answers. */
async function pressKeys(stream: PduStream, keys: number, spacingMs: number): Promise<number[]> {
  const sentAt: number[] = [];
  const millis: number[] = [];
  const done = new Promise<void>((resolve, reject) => {
    stream.onClose = () => reject(new Error('the desktop ended while keys were pressed'));
    stream.take(() => {
      const sent = sentAt[millis.length];
      if (sent === undefined) return reject(new Error('an update that no key asked for'));
      millis.push(performance.now() - sent);
      if (millis.length === keys) resolve();
    });
  });
  // Who awaits `done` comes later; a failure before that must not end the process.
  done.catch(() => {});
  await pressEvery(spacingMs, keys, () => {
    sentAt.push(performance.now());
    pressKey(stream);
  });
  await done;
  return millis;
}

async function latency({ endpoints, keys, spacingMs }: Job & { kind: 'latency' }): Promise<number[][]> {
  const streams = await Promise.all(endpoints.map(openDesktop));
  await sleep(1000);
  return await interleaved(streams, spacingMs, (stream) => pressKeys(stream, keys, spacingMs));
}

/** Resolves with the bytes that all desktops showed while they were counted. */
async function typing({ endpoint, count, seconds }: Job & { kind: 'typing' }): Promise<number> {
  let bytes = 0;
  const { errors } = await many(count, 4, async () => {
    const stream = await openDesktop(endpoint);
    stream.take((pdu) => {
      bytes += pdu.length;
    });
    pressKey(stream);
  });
  if (errors[0] !== undefined) throw new Error(errors[0]);
  await go();
  const before = bytes;
  await sleep(seconds * 1000);
  return bytes - before;
}

async function perform(job: Job): Promise<JobOutcome> {
  switch (job.kind) {
    case 'flood':
      return { kind: job.kind, seconds: await takeFlood(job), bytes: job.bytes };
    case 'typing':
      return { kind: job.kind, seconds: job.seconds, bytes: await typing(job) };
    case 'latency':
      return { kind: job.kind, millis: await latency(job) };
    case 'set-ups': {
      await go();
      const visit = async (): Promise<void> => (await openDesktop(job.endpoint)).end();
      return { kind: job.kind, ...(await many(job.count, job.concurrency, visit)) };
    }
    case 'idle': {
      const open = async (): Promise<void> => (await openDesktop(job.endpoint)).take(() => {});
      return { kind: job.kind, ...(await many(job.count, job.concurrency, open)) };
    }
  }
}

serveJob(perform);
