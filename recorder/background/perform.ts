/** Does a job of the background pool, in a process of it. */
import { createPrivateKey } from 'node:crypto';
import { openArchives } from '../archive/open.ts';
import type { Archive } from '../archive/port.ts';
import { openRecording, type RecordingReader } from '../container/reader.ts';
import { compactRecording, sealRecording } from '../container/seal.ts';
import { verifyRecording } from '../container/verify.ts';
import { exportMp4 } from '../video/export.ts';
import { exportPng } from '../video/picture.ts';
import { cancellable } from './cancellation.ts';
import { encodeJobError, type Job, type JobEnd, type RecordingSource, type Told } from './job.ts';
import { putSides } from './sides.ts';

/** What a job has to do with who wants it. */
export interface Client {
  tell(told: Told): void;
  /** Resolves when more than the chunk that was told last is asked for, or when nobody wants any. */
  asked(): Promise<void>;
  /** Nobody wants the job any more. */
  readonly signal: AbortSignal;
}

/** Never rejects. */
export async function perform(job: Job, client: Client): Promise<JobEnd> {
  try {
    const settings = 'source' in job ? job.source.archive : job.archive;
    return await work(job, cancellable(openArchives(settings), client.signal), client);
  } catch (error) {
    return { error: encodeJobError(error) };
  }
}

async function work(job: Job, archive: Archive, client: Client): Promise<JobEnd> {
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
        client.tell({ type: 'verified', checked, all });
      return { report: await verifyRecording(archive, job.sessionId, { ...job.options, onProgress }) };
    }
    default:
      return await read(job, archive, client);
  }
}

type ReadingJob = Extract<Job, { readonly source: RecordingSource }>;

async function read(job: ReadingJob, archive: Archive, client: Client): Promise<JobEnd> {
  const { sessionId, opener } = job.source;
  const reader = await openRecording(archive, sessionId, opener);
  try {
    if (job.type === 'sides') return { made: await putSides(reader) };
    await render(reader, job, client);
    return {};
  } finally {
    await reader.close();
  }
}

/** Hands chunks over one by one, each when it is asked for. */
async function render(
  reader: RecordingReader,
  { type, part }: Extract<ReadingJob, { readonly part: unknown }>,
  client: Client,
): Promise<void> {
  const onCut = (text: string): void => client.tell({ type: 'cut', text });
  const onProgress = (at: number, duration: number): void => client.tell({ type: 'progress', at, duration });
  const chunks =
    type === 'png'
      ? exportPng(reader, { ...part, onCut })
      : exportMp4(reader, { ...part, onCut, onProgress });
  for await (const bytes of chunks) {
    client.tell({ type: 'chunk', bytes });
    await client.asked();
    if (client.signal.aborted) return;
  }
}
