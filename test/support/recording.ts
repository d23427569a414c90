/** Recordings of a gateway, opened as its own commands open them. */
import { join } from 'node:path';
import {
  EventKind,
  loadIdentities,
  openArchive,
  openRecording,
  type RecordingEvent,
  type RecordingReader,
} from '../../recorder/index.ts';
import type { Gateway } from './gateway.ts';
import { until } from './process.ts';

/** The recording of a session, for who closes it. */
export async function readRecording({ dataDir }: Gateway, id: string): Promise<RecordingReader> {
  const identities = await loadIdentities(`file:${join(dataDir, 'keys/archive.identity')}`);
  return await openRecording(openArchive(`file:${join(dataDir, 'archive')}`), id, identities);
}

/** The events of the newest recording, once it is sealed. */
export async function newestEvents(gateway: Gateway): Promise<RecordingEvent[]> {
  const id = await until('the newest recording is sealed', async () => {
    const [newest] = await gateway.json<{ id: string; sealed: boolean }[]>(['recordings', 'ls']);
    return newest?.sealed === true ? newest.id : undefined;
  });
  const reader = await readRecording(gateway, id);
  try {
    const events: RecordingEvent[] = [];
    for await (const event of reader.events()) events.push(event);
    return events;
  } finally {
    await reader.close();
  }
}

/** The payloads of the events of one kind, as one. */
export function payloads(events: readonly RecordingEvent[], wanted: EventKind): Buffer {
  return Buffer.concat(events.filter(({ kind }) => kind === wanted).map(({ payload }) => payload));
}

/** What an event with a JSON payload says. */
export function said(event: RecordingEvent): Record<string, unknown> {
  return JSON.parse(Buffer.from(event.payload).toString()) as Record<string, unknown>;
}

/** The transfers of the newest recording: `[upload or download, bytes, SHA-256 or why there is none]`. */
export async function transfers(gateway: Gateway): Promise<unknown[][]> {
  const files = (await newestEvents(gateway)).filter(({ kind }) => kind === EventKind.file).map(said);
  return files
    .filter(({ bytes }) => bytes !== undefined)
    .map(({ operation, bytes, sha256, unhashed }) => [operation, bytes, sha256 ?? unhashed]);
}
