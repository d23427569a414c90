/** Recordings of a gateway, opened as its own commands open them. */
import { join } from 'node:path';
import { loadIdentities, openArchive, openRecording, type RecordingReader } from '../../recorder/index.ts';
import type { Gateway } from './gateway.ts';

/** The recording of a session, for who closes it. */
export async function readRecording({ dataDir }: Gateway, id: string): Promise<RecordingReader> {
  const identities = await loadIdentities(`file:${join(dataDir, 'keys/archive.identity')}`);
  return await openRecording(openArchive(`file:${join(dataDir, 'archive')}`), id, identities);
}
