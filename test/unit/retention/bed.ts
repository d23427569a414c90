/** A store, an archive in a folder, and recordings of sessions that ended when a test says. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { SessionRow, Store } from '../../../gateway/store/port.ts';
import { openSqliteStore } from '../../../gateway/store/sqlite.ts';
import {
  type Archive,
  DEFAULT_WINDOW,
  EventKind,
  generateIdentity,
  openArchive,
  Recorder,
} from '../../../recorder/index.ts';
import { session } from '../store/contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-retention-'));
after(() => rmSync(folder, { recursive: true }));

export interface Bed {
  readonly store: Store;
  readonly archive: Archive;
  readonly archiveFolder: string;
  /** Records something short, and keeps the row of its session. */
  record(id: string, change?: Partial<SessionRow>): Promise<void>;
}

let beds = 0;

export async function makeBed(): Promise<Bed> {
  beds += 1;
  const archiveFolder = join(folder, `archive${beds}`);
  mkdirSync(archiveFolder);
  const archive = openArchive(`file:${archiveFolder}`);
  const store = await openSqliteStore(join(folder, `${beds}.db`));
  after(() => store.close());
  const { recipient } = await generateIdentity();
  const recorder = new Recorder({
    archive,
    recipients: [recipient],
    node: 'a',
    signingKey: generateKeyPairSync('ed25519').privateKey,
    window: DEFAULT_WINDOW,
  });
  const signals = { pause() {}, resume() {}, failed() {} };
  return {
    store,
    archive,
    archiveFolder,
    async record(id, change = {}) {
      const row = session(id, { state: 'ended', endedAt: 2000, sealed: true, compacted: true, ...change });
      const { protocol, user, account, system, policy } = row;
      // A little later than the session: its folder is another when midnight lies between.
      const startedAt = row.openedAt + 60_000;
      const recording = await recorder.open(
        { sessionId: id, startedAt, protocol, user, account, system, policy },
        signals,
      );
      recording.write(EventKind.output, 0, Buffer.from(`what ${id} showed`));
      const { segments, bytes, head } = await recording.seal('done');
      await store.insertSession({ ...row, segments, recordedBytes: bytes, headHash: head });
    },
  };
}
