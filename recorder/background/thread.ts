/** Thread entry of the background pool. */
import { createPrivateKey } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import { openArchives } from '../archive/open.ts';
import { openRecording, type RecordingReader } from '../container/reader.ts';
import { compactRecording, sealRecording } from '../container/seal.ts';
import { exportMp4 } from '../video/export.ts';
import { exportPng } from '../video/picture.ts';
import { encodeJobError, type Job, type JobEnd, type RecordingSource, type Rendered } from './job.ts';
import { putSides } from './sides.ts';

/** Does one job. Never rejects. */
export async function run(job: Job): Promise<JobEnd> {
  try {
    if (job.type === 'seal') {
      const signingKey = createPrivateKey(job.order.signingKey);
      const archive = openArchives(job.archive);
      return { sealed: await sealRecording(archive, job.sessionId, { ...job.order, signingKey }) };
    }
    if (job.type === 'compact') await compactRecording(openArchives(job.archive), job.sessionId);
    else await read(job);
    return {};
  } catch (error) {
    return { error: encodeJobError(error) };
  } finally {
    if ('port' in job) job.port.close();
  }
}

type ReadingJob = Extract<Job, { readonly source: RecordingSource }>;

async function read(job: ReadingJob): Promise<void> {
  const { archive, sessionId, opener } = job.source;
  const reader = await openRecording(openArchives(archive), sessionId, opener);
  try {
    await work(reader, job);
  } finally {
    await reader.close();
  }
}

async function work(reader: RecordingReader, job: ReadingJob): Promise<void> {
  if (job.type === 'sides') return await putSides(reader);
  const { port } = job;
  const tell = (rendered: Rendered): void => port.postMessage(rendered);
  const onCut = (text: string): void => tell({ type: 'cut', text });
  if (job.type === 'png') return await send(exportPng(reader, { ...job.part, onCut }), port);
  const onProgress = (at: number, duration: number): void => tell({ type: 'progress', at, duration });
  await send(exportMp4(reader, { ...job.part, onCut, onProgress }), port);
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
