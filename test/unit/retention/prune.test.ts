import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Retention } from '../../../gateway/policy/retention.ts';
import { hold, prunedText, release } from '../../../gateway/retention/hold.ts';
import {
  type Due,
  dueRecordings,
  holdsAny,
  keptText,
  type Pruner,
  prune,
  retentionToday,
  unknownRecordings,
} from '../../../gateway/retention/prune.ts';
import type { Store } from '../../../gateway/store/port.ts';
import { MirrorArchive } from '../../../recorder/archive/mirror.ts';
import { type Archive, ArchiveError } from '../../../recorder/index.ts';
import { type Bed, makeBed } from './bed.ts';

const DAY = 86_400_000;
/** Sessions of the bed ended at 2000. */
const NOW = 2000 + 91 * DAY;
const CAROL = { by: 'carol', node: 'a', reason: 'case 12' };

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function due({ store }: Bed, standard: Retention | undefined, now = NOW): Promise<Due[]> {
  return await collect(dueRecordings(store, await retentionToday(store, standard), now));
}

const prunerOf = ({ store, archive }: Bed, change: Partial<Pruner> = {}): Pruner => ({
  store,
  archive,
  node: 'a',
  by: 'carol',
  ...change,
});

async function only(items: readonly Due[]): Promise<Due> {
  const [first] = items;
  assert(first !== undefined && items.length === 1, `${items.length} are due`);
  return first;
}

const auditOf = async (store: Store, sessionId: string) =>
  (await store.audit({ sessionId }, { limit: 10 })).map(({ code, actor, detail }) => ({
    code,
    actor,
    detail,
  }));

/** The archive, but for what `change` does instead. */
function changed(archive: Archive, change: Partial<Archive>): Archive {
  return new Proxy(archive, {
    get: (target, name) => {
      const value: unknown = Reflect.get(change, name) ?? Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('recordings whose time is over', () => {
  it('are those of sessions that ended long enough ago, with the reason why some stay', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    await bed.record('s2', { endedAt: NOW - 90 * DAY + 1 });
    await bed.record('s3', { state: 'active', endedAt: undefined });
    await bed.record('s4', { sealed: false });
    await bed.record('s5', { compacted: false });
    await bed.record('s6', { sealed: false, unsealable: 'it is damaged' });
    await bed.record('s7', { retention: 'forever' });
    await bed.record('s8', { retention: 100 * DAY });
    await bed.record('s9', { recorded: false });
    await bed.record('s10', { prunedAt: 1, prunedBy: 'carol', pruneRule: '1d' });
    await hold(bed.store, ['s1'], CAROL);
    const seen = (await due(bed, 90 * DAY)).map(({ session, rule, kept }) => [
      session.id,
      rule,
      kept?.slice(0, 16),
    ]);
    assert.deepEqual(seen, [
      ['s6', '90d (archive.retention)', undefined],
      ['s5', '90d (archive.retention)', 'not compacted ye'],
      ['s4', '90d (archive.retention)', 'not sealed yet: '],
      ['s1', '90d (archive.retention)', 'held by carol si'],
    ]);
    assert.deepEqual(await due(bed, 'forever'), []);
    assert.deepEqual(
      (await due(bed, undefined, NOW + 10 * DAY)).map(({ session }) => session.id),
      ['s8'],
    );
  });

  it('are found over many pages', async () => {
    const bed = await makeBed();
    await bed.record('first');
    const row = await bed.store.session('first');
    assert(row !== undefined);
    await bed.store.transaction(async (tx) => {
      for (let i = 0; i < 1200; i += 1) await tx.insertSession({ ...row, id: `more${i}` });
    });
    assert.equal(new Set((await due(bed, 90 * DAY)).map(({ session }) => session.id)).size, 1201);
  });

  it('are deleted for good, with what was typed; the session and its audit stay', async () => {
    const bed = await makeBed();
    const { store, archive } = bed;
    const midnight = Date.UTC(2026, 10, 21, 23, 59, 30);
    await bed.record('s1', { openedAt: midnight, endedAt: midnight + DAY });
    await bed.record('s2', { endedAt: NOW + 365 * DAY * 80 });
    const typed = (sessionId: string) => ({
      sessionId,
      channel: 0,
      at: 1,
      kind: 'keys' as const,
      text: 'ls',
    });
    await store.insertKeystrokes([...Array.from({ length: 250 }, () => typed('s1')), typed('s2')]);
    const side = join(bed.archiveFolder, '2026/11/22');
    for (const name of ['s1.index', 's1.text', 's1.seal']) writeFileSync(join(side, name), 'beside it');

    const one = await only(await due(bed, 90 * DAY, midnight + 92 * DAY));
    assert.equal(await prune(prunerOf(bed), one), 'pruned');
    assert.deepEqual(readdirSync(side), []);
    await assert.rejects(archive.open('s1'), { code: 'recording-missing' });
    await (await archive.open('s2')).close();
    assert.deepEqual(await store.keystrokes('s1'), []);
    assert.equal((await store.keystrokes('s2')).length, 1);
    const row = await store.session('s1');
    assert(row?.prunedAt !== undefined);
    assert.match(
      prunedText(row) ?? '',
      /^recording s1 was deleted on \d{4}-\d\d-\d\d by carol: it was kept for 90d \(archive\.retention\)$/,
    );
    const { recordedBytes: bytes = 0 } = row;
    assert(bytes > 0);
    const detail = {
      rule: '90d (archive.retention)',
      user: 'alice',
      account: 'root',
      system: 'web01',
      bytes,
    };
    assert.deepEqual(await auditOf(store, 's1'), [{ code: 'recording.pruned', actor: 'carol', detail }]);
    // A second run finds nothing, and one that still had it on its list does nothing.
    assert.deepEqual(await due(bed, 90 * DAY, midnight + 92 * DAY), []);
    assert.equal(await prune(prunerOf(bed), one), 'kept');
    assert.equal((await auditOf(store, 's1')).length, 1);
  });

  it('stay when a hold comes after they were listed', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    const one = await only(await due(bed, 90 * DAY));
    await hold(bed.store, ['s1'], CAROL);
    assert.equal(await prune(prunerOf(bed), one), 'kept');
    await (await bed.archive.open('s1')).close();
    await release(bed.store, ['s1'], { ...CAROL, reason: 'closed' });
    assert.equal(await prune(prunerOf(bed), one), 'pruned');
  });

  it('cannot be held any more once their deletion began', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    let refusal: unknown;
    const archive = changed(bed.archive, {
      remove: async (id, startedAt) => {
        refusal = await hold(bed.store, ['s1'], CAROL).catch((error: unknown) => error);
        await bed.archive.remove(id, startedAt);
      },
    });
    assert.equal(await prune(prunerOf(bed, { archive }), await only(await due(bed, 90 * DAY))), 'pruned');
    assert.match(String(refusal), /carol began to delete recording s1.*and did not come to the end/);
    await assert.rejects(hold(bed.store, ['s1'], CAROL), /recording s1 was deleted on/);
  });

  it('stay, and may be held, when the archive does not even show them', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    const refusal = new ArchiveError('archive-unreachable', 'its server is away');
    const archive = changed(bed.archive, { open: () => Promise.reject(refusal) });
    await assert.rejects(prune(prunerOf(bed, { archive }), await only(await due(bed, 90 * DAY))), refusal);
    assert.deepEqual(await auditOf(bed.store, 's1'), []);
    await hold(bed.store, ['s1'], CAROL);
    await release(bed.store, ['s1'], CAROL);
    assert.equal(await prune(prunerOf(bed), await only(await due(bed, 90 * DAY))), 'pruned');
  });

  it('cannot be held when one of two archives has deleted them and the other refuses', async () => {
    const bed = await makeBed();
    const other = await makeBed();
    await bed.record('s1');
    cpSync(bed.archiveFolder, other.archiveFolder, { recursive: true });
    const both = new MirrorArchive(bed.archive, [
      changed(other.archive, {
        remove: () => Promise.reject(new ArchiveError('archive-forbidden', 'locked')),
      }),
    ]);
    const one = await only(await due(bed, 90 * DAY));
    await assert.rejects(prune(prunerOf(bed, { archive: both }), one), /locked/);
    await assert.rejects(bed.archive.open('s1'), { code: 'recording-missing' });
    await assert.rejects(hold(bed.store, ['s1'], CAROL), /carol began to delete recording s1/);
    const detail = { rule: '90d (archive.retention)', reason: 'locked' };
    assert.deepEqual(await auditOf(bed.store, 's1'), [
      { code: 'recording.prune_failed', actor: 'carol', detail },
    ]);
    // An archive that is away for a later run does not take the claim back either.
    const away = changed(bed.archive, { open: () => Promise.reject(new ArchiveError('archive-io', 'away')) });
    await assert.rejects(prune(prunerOf(bed, { archive: away }), one), /away/);
    await assert.rejects(hold(bed.store, ['s1'], CAROL), /began to delete/);
    const healed = new MirrorArchive(bed.archive, [other.archive]);
    assert.equal(
      await prune(prunerOf(bed, { archive: healed }), await only(await due(bed, 'forever'))),
      'pruned',
    );
    await assert.rejects(other.archive.open('s1'), { code: 'recording-missing' });
  });

  it('are deleted once when two runs meet', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    const one = await only(await due(bed, 90 * DAY));
    const both = await Promise.all([prune(prunerOf(bed), one), prune(prunerOf(bed), one)]);
    assert.deepEqual(both.sort(), ['kept', 'pruned']);
    assert.equal((await auditOf(bed.store, 's1')).length, 1);
  });

  it('are deleted to the end by the next run when one dies within, under the rule of the first', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    await bed.record('s2');
    // What a run leaves that dies before, and one that dies behind the archive's part.
    for (const id of ['s1', 's2'])
      await bed.store.updateSession(id, { prunedBy: 'dave', pruneRule: '1d (policy ops)' });
    await bed.archive.remove('s2', 61_000);
    const found = await due(bed, 'forever');
    assert.deepEqual(
      found.map(({ session, rule, kept }) => [session.id, rule, kept]),
      [
        ['s2', '1d (policy ops)', undefined],
        ['s1', '1d (policy ops)', undefined],
      ],
    );
    for (const each of found) assert.equal(await prune(prunerOf(bed), each), 'pruned');
    assert.deepEqual(await collect(bed.archive.list()), []);
    assert.equal((await auditOf(bed.store, 's2')).length, 1);
  });

  it('are told as missing, with what was typed kept, when the archive does not hold them', async () => {
    const bed = await makeBed();
    const other = await makeBed();
    await bed.record('s1');
    await bed.record('s2');
    await other.record('s3');
    const typed = { sessionId: 's1', channel: 0, at: 1, kind: 'keys', text: 'ls' } as const;
    await bed.store.insertKeystrokes([typed]);
    const [s2, s1] = await due(bed, 90 * DAY);
    assert(s1 !== undefined && s2 !== undefined);
    assert.equal(await holdsAny(bed.archive, [s1, s2]), true);
    // As after `archive.url` was pointed elsewhere.
    const { archive } = other;
    assert.equal(await holdsAny(archive, [s1, s2]), false);
    assert.equal(await prune(prunerOf(bed, { archive }), s1), 'missing');
    assert.equal((await bed.store.keystrokes('s1')).length, 1);
    const detail = { rule: '90d (archive.retention)', user: 'alice', account: 'root', system: 'web01' };
    assert.deepEqual(await auditOf(bed.store, 's1'), [{ code: 'recording.missing', actor: 'carol', detail }]);
    assert.equal((await due(bed, 90 * DAY)).length, 2, 'it stays to be deleted');
    await hold(bed.store, ['s1'], CAROL);
    await release(bed.store, ['s1'], CAROL);

    // One that is really lost does not stop the others, and comes to its end when that is said.
    await bed.archive.remove('s1', s1.session.openedAt + 60_000);
    assert.equal(await holdsAny(bed.archive, [s1, s2]), true);
    assert.equal(await prune(prunerOf(bed), s1), 'missing');
    assert.equal(await prune(prunerOf(bed), s2), 'pruned');
    assert.equal(await prune(prunerOf(bed, { settleMissing: true }), s1), 'pruned');
    assert.deepEqual(await bed.store.keystrokes('s1'), []);
    assert.deepEqual((await auditOf(bed.store, 's1'))[0], {
      code: 'recording.pruned',
      actor: 'carol',
      detail: { ...detail, bytes: s1.session.recordedBytes, missing: true },
    });
    assert.deepEqual(await due(bed, 90 * DAY), []);
  });

  it('are not missed where the archive never had any', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    const never = { sealed: false, unsealable: 'none', startedAt: undefined, headHash: undefined };
    await bed.store.updateSession('s1', never);
    const { archive } = await makeBed();
    await (await archive.create('other', 1, Buffer.from('x'))).close();
    const one = await only(await due(bed, 90 * DAY));
    assert.equal(await holdsAny(archive, [one]), true);
    assert.equal(await prune(prunerOf(bed, { archive }), one), 'pruned');
  });

  it('are deleted although they are damaged from their header on', async () => {
    const bed = await makeBed();
    await bed.record('s1', { openedAt: Date.UTC(2026, 10, 21, 23, 59, 30), endedAt: 3000 });
    const path = join(bed.archiveFolder, '2026/11/22/s1.slr');
    chmodSync(path, 0o600);
    writeFileSync(path, 'not a recording');
    assert.equal(await prune(prunerOf(bed), await only(await due(bed, 90 * DAY))), 'pruned');
    assert(!existsSync(path));
  });

  it('are not those that no session accounts for: they are told', async () => {
    const bed = await makeBed();
    await bed.record('s1');
    await bed.record('s2', { prunedAt: 1, prunedBy: 'carol', pruneRule: '1d' });
    const other = await makeBed();
    await other.record('s1');
    assert.deepEqual(await due(other, 'forever'), []);
    const found = await collect(unknownRecordings(other.store, bed.archive));
    assert.deepEqual(
      found.map(({ sessionId, why }) => [sessionId, why]),
      [['s2', 'no session of this id is in the store']],
    );
    const [again] = await collect(unknownRecordings(bed.store, bed.archive));
    assert.equal(again?.sessionId, 's2');
    assert.match(again?.why ?? '', /^it is there again: recording s2 was deleted on 1970-01-01 by carol/);
  });
});

describe('a legal hold', () => {
  it('says who and why, in the row and in the audit log', async () => {
    const { store, record } = await makeBed();
    await record('s1');
    await hold(store, ['s1'], CAROL);
    await assert.rejects(
      hold(store, ['s1'], CAROL),
      /^RetentionError: recording s1 is held by carol since \S+ \(case 12\)$/,
    );
    await release(store, ['s1'], { ...CAROL, by: 'dave', reason: 'case closed' });
    await assert.rejects(release(store, ['s1'], CAROL), /recording s1 is not held/);
    assert.deepEqual(await auditOf(store, 's1'), [
      {
        code: 'recording.released',
        actor: 'dave',
        detail: { reason: 'case closed', heldBy: 'carol', heldFor: 'case 12' },
      },
      { code: 'recording.held', actor: 'carol', detail: { reason: 'case 12' } },
    ]);
    assert.equal((await store.session('s1'))?.heldAt, undefined);
  });

  it('is put on all that are named, or on none', async () => {
    const { store, record } = await makeBed();
    await record('s1');
    await record('s2', { recorded: false });
    await assert.rejects(hold(store, ['s1', 's2'], CAROL), /session s2 was not recorded/);
    assert.equal((await store.session('s1'))?.heldAt, undefined);
    assert.deepEqual(await auditOf(store, 's1'), []);
  });
});

it('how long a recording is kept is said in words', async () => {
  const { store, record } = await makeBed();
  await record('s1');
  const row = await store.session('s1');
  assert(row !== undefined);
  assert.equal(keptText(row, await retentionToday(store, undefined)), 'for ever');
  assert.equal(keptText(row, await retentionToday(store, DAY)), '1d (archive.retention)');
});
