import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import pino from 'pino';
import { NodeSpool } from '../../../gateway/node/spool.ts';
import { SpoolFile } from '../../../recorder/archive/spool-file.ts';
import { SpoolRoom } from '../../../recorder/archive/spool-room.ts';
import { ArchiveError, openArchive } from '../../../recorder/index.ts';
import { until } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';

const DAY = Date.UTC(2026, 10, 22);

interface Site {
  readonly folder: string;
  readonly audit: { readonly code: string; readonly sessionId: string | undefined }[];
  /** What peers were told last, by session. */
  readonly marks: ReadonlyMap<string, boolean>;
  /** Marks cannot be written. */
  storeDown: boolean;
  /** The archive cannot even be opened. */
  closed: boolean;
  open(): Promise<NodeSpool>;
  /** As a writer leaves it that is gone; nothing of the session is in the archive. */
  leave(sessionId: string, text: string): Promise<void>;
  /** What the archive holds of a session. */
  archived(sessionId: string): Promise<string>;
  /** Takes the archive away, or puts it back. */
  hide(): void;
  show(): void;
  /** As the folder of a mount that is away. */
  empty(): void;
  files(): readonly string[];
}

function startSite(): Site {
  const root = temporaryFolder('node-spool');
  const folder = join(root, 'spool');
  const archive = join(root, 'archive');
  // With nothing in it an archive looks as if it were not mounted.
  mkdirSync(join(archive, '2026'), { recursive: true });
  const audit: { code: string; sessionId: string | undefined }[] = [];
  const marks = new Map<string, boolean>();
  const room = new SpoolRoom({ limit: 2 ** 30, used: new SharedArrayBuffer(8) });
  const site: Site = {
    folder,
    audit,
    marks,
    storeDown: false,
    closed: false,
    open: () =>
      NodeSpool.open({
        folder,
        limit: 2 ** 20,
        archive() {
          if (site.closed) throw new Error('its credentials cannot be read');
          return openArchive(`file:${archive}`);
        },
        mark: async (sessionId, spooled) => {
          if (site.storeDown) throw new Error('the store is away');
          marks.set(sessionId, spooled);
        },
        audit: (code, sessionId) => void audit.push({ code, sessionId }),
        log: pino({ level: 'silent' }),
      }),
    async leave(sessionId, text) {
      const place = { sessionId, startedAt: DAY, from: 0 };
      await (await SpoolFile.create(folder, place, Buffer.from(text), room)).close();
    },
    async archived(sessionId) {
      const reader = await openArchive(`file:${archive}`).open(sessionId);
      const bytes = Buffer.from(await reader.read(0, reader.size));
      await reader.close();
      return bytes.toString();
    },
    hide: () => renameSync(archive, `${archive}.hidden`),
    show: () => renameSync(`${archive}.hidden`, archive),
    empty: () => rmdirSync(join(archive, '2026')),
    files: () => (existsSync(folder) ? readdirSync(folder) : []),
  };
  return site;
}

test('what an earlier run left is drained, and what is no spool file or damaged is told and holds nothing up', async () => {
  const site = startSite();
  await site.leave('b', 'of b');
  writeFileSync(join(site.folder, 'a.spool'), 'this is not what a gateway wrote, but long enough');
  await site.leave('c', 'damaged');
  const damaged = readFileSync(join(site.folder, 'c.spool'));
  damaged.fill('D', damaged.length - 7);
  writeFileSync(join(site.folder, 'c.spool'), damaged);
  const spool = await site.open();
  assert.ok(new SpoolRoom(spool.settings).used > 50, 'what is there counts');
  spool.start();
  await until('all are judged', () => (site.audit.length === 3 ? true : undefined));
  assert.deepEqual(
    new Set(site.audit.map(({ code, sessionId }) => `${sessionId} ${code}`)),
    new Set(['a archive.spool.refused', 'b archive.drained', 'c archive.spool.refused']),
  );
  assert.equal(await site.archived('b'), 'of b');
  assert.deepEqual(site.files(), ['a.spool', 'c.spool']);
  assert.deepEqual(Object.fromEntries(site.marks), { a: false, b: false, c: false }, 'peers wait for none');
  spool.stop();
});

test('an archive that cannot even be opened is tried again', async () => {
  const site = startSite();
  await site.leave('a', 'of a');
  site.closed = true;
  const spool = await site.open();
  spool.start();
  await new Promise((resolve) => setTimeout(resolve, 50));
  site.closed = false;
  await until('it is drained', () => (site.files().length === 0 ? true : undefined), 15_000);
  assert.equal(await site.archived('a'), 'of a');
  spool.stop();
});

test('nothing is drained into a folder that may be the place of a mount', async () => {
  const site = startSite();
  await site.leave('s', 'of s');
  const spool = await site.open();
  site.empty();
  await assert.rejects(spool.drain('s'), { code: 'archive-missing' });
  assert.deepEqual(site.files(), ['s.spool']);
  spool.stop();
});

test('nothing is spooled of a session that was drained, and an archive that is away says so', async () => {
  const site = startSite();
  await site.leave('s', 'of s');
  const spool = await site.open();
  site.hide();
  await assert.rejects(spool.drain('s'), { code: 'archive-missing' });
  site.show();
  await spool.drain('s');
  assert.equal(await site.archived('s'), 'of s');
  await spool.drain('s');
  await spool.drain('never-spooled');
  assert.deepEqual(site.audit, [{ code: 'archive.drained', sessionId: 's' }]);
  assert.equal(new SpoolRoom(spool.settings).used, 0);
  spool.stop();
});

test('what a worker drains is waited for, and drained for it when it dies', async () => {
  const site = startSite();
  const spool = await site.open();
  for (const sessionId of ['alive', 'dead'])
    spool.heard(sessionId === 'alive' ? 1 : 2, { type: 'spooling', sessionId, reason: 'full' });
  assert.deepEqual(site.audit, [{ code: 'archive.spooling', sessionId: 'alive' }], 'said once');
  await site.leave('dead', 'of the dead');
  const done: string[] = [];
  const alive = spool.drain('alive').then(() => done.push('alive'));
  const dead = spool.drain('dead').then(() => done.push('dead'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(done, []);
  spool.workerDied(2);
  await dead;
  assert.equal(await site.archived('dead'), 'of the dead');
  assert.deepEqual(done, ['dead']);
  spool.heard(1, { type: 'drained', sessionId: 'alive', bytes: 5 });
  await alive;
  spool.stop();
  assert.deepEqual(site.audit.at(-1), { code: 'archive.drained', sessionId: undefined });
});

test('a node that stops waits for no spool, and does not say that it is empty', async () => {
  const site = startSite();
  const spool = await site.open();
  spool.heard(1, { type: 'spooling', sessionId: 's', reason: 'full' });
  const drain = assert.rejects(spool.drain('s'), ArchiveError);
  spool.stop();
  await drain;
  await assert.rejects(spool.drain('s'), /the node stops/);
  assert.deepEqual(
    site.audit.map(({ code }) => code),
    ['archive.spooling'],
  );
});

test('peers are told of what is spooled as soon as the store can be told, and of what was heard last', async () => {
  const site = startSite();
  const spool = await site.open();
  site.storeDown = true;
  for (const sessionId of ['spooled', 'drained'])
    spool.heard(1, { type: 'spooling', sessionId, reason: 'full' });
  spool.heard(1, { type: 'drained', sessionId: 'drained', bytes: 5 });
  let told = false;
  const marked = spool.marked('spooled').then(() => {
    told = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(told, false);
  site.storeDown = false;
  await marked;
  await spool.marked('drained');
  await spool.marked('never-spooled');
  assert.deepEqual(Object.fromEntries(site.marks), { spooled: true, drained: false });
  site.storeDown = true;
  spool.heard(1, { type: 'spooling', sessionId: 'late', reason: 'full' });
  const never = assert.rejects(spool.marked('late'), /the node stops/);
  spool.stop();
  await never;
});
