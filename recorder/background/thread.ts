/** Thread entry of the background pool. */
import { createPrivateKey } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import { openArchives } from '../archive/open.ts';
import type { Archive } from '../archive/port.ts';
import { openRecording, type RecordingReader } from '../container/reader.ts';
import { compactRecording, sealRecording } from '../container/seal.ts';
import { verifyRecording } from '../container/verify.ts';
import { exportMp4 } from '../video/export.ts';
import { exportPng } from '../video/picture.ts';
import { Cancellation, cancellable } from './cancellation.ts';
import {
  encodeJobError,
  type Job,
  type JobEnd,
  type JobOrder,
  type RecordingSource,
  type Rendered,
  type Verified,
} from './job.ts';
import { putSides } from './sides.ts';

/** Does one job. Never rejects. */
export async function run({ job, cancellation }: JobOrder): Promise<JobEnd> {
  try {
    const settings = 'source' in job ? job.source.archive : job.archive;
    return await perform(job, cancellable(openArchives(settings), new Cancellation(cancellation)));
  } catch (error) {
    return { error: encodeJobError(error) };
  } finally {
    if ('port' in job) job.port.close();
  }
}

async function perform(job: Job, archive: Archive): Promise<JobEnd> {
  switch (job.type) {
    case 'seal': {
      const signingKey = createPrivateKey(job.order.signingKey);
      return { sealed: await sealRecording(archive, job.sessionId, { ...job.order, signingKey }) };
    }
    case 'compact':
      await compactRecording(archive, job.sessionId);
      return {};
    case 'verify': {
      const onProgress = (checked: number, all: number): void =>
        job.port.postMessage({ checked, all } satisfies Verified);
      return { report: await verifyRecording(archive, job.sessionId, { ...job.options, onProgress }) };
    }
    default:
      return await read(job, archive);
  }
}

type ReadingJob = Extract<Job, { readonly source: RecordingSource }>;

async function read(job: ReadingJob, archive: Archive): Promise<JobEnd> {
  const { sessionId, opener } = job.source;
  const reader = await openRecording(archive, sessionId, opener);
  try {
    return await work(reader, job);
  } finally {
    await reader.close();
  }
}

async function work(reader: RecordingReader, job: ReadingJob): Promise<JobEnd> {
  if (job.type === 'sides') return { made: await putSides(reader) };
  const { port } = job;
  const tell = (rendered: Rendered): void => port.postMessage(rendered);
  const onCut = (text: string): void => tell({ type: 'cut', text });
  const onProgress = (at: number, duration: number): void => tell({ type: 'progress', at, duration });
  await send(
    job.type === 'png'
      ? exportPng(reader, { ...job.part, onCut })
      : exportMp4(reader, { ...job.part, onCut, onProgress }),
    port,
  );
  return {};
}

/** Hands chunks over one by one, each when it is asked for; ends early when the port is closed. */
async function send(chunks: AsyncIterable<Uint8Array>, port: MessagePort): Promise<void> {
  let closed = false;
  let asked = Promise.withResolvers<void>();
  port.on('message', () => asked.resolve());
  port.on('close', () => {
    closed = true;
    asked.resolve();
  });
  for await (const chunk of chunks) {
    const bytes = new Uint8Array(chunk);
    port.postMessage({ type: 'chunk', bytes } satisfies Rendered, [bytes.buffer]);
    await asked.promise;
    if (closed) return;
    asked = Promise.withResolvers();
  }
}
