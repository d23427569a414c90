/** Thread entry of the background pool. */
import type { MessagePort } from 'node:worker_threads';
import { openArchives } from '../archive/open.ts';
import { openRecording, type RecordingReader } from '../container/reader.ts';
import { indexDesktop } from '../video/desktop-index.ts';
import { exportMp4 } from '../video/export.ts';
import { exportPng } from '../video/picture.ts';
import { encodeJobError, type Job, type JobError, type Rendered } from './job.ts';

/** Does one job; resolves with what it failed with. */
export async function run(job: Job): Promise<JobError | undefined> {
  try {
    const { archive, sessionId, opener } = job.source;
    const reader = await openRecording(openArchives(archive), sessionId, opener);
    try {
      await work(reader, job);
    } finally {
      await reader.close();
    }
    return undefined;
  } catch (error) {
    return encodeJobError(error);
  } finally {
    if (job.type !== 'index') job.port.close();
  }
}

async function work(reader: RecordingReader, job: Job): Promise<void> {
  if (job.type === 'index') return await indexDesktop(reader);
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
