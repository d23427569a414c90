import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { MirrorArchive } from '../../../../recorder/archive/mirror.ts';
import { CancelledError, cancellable } from '../../../../recorder/background/cancellation.ts';
import { type Archive, openRecording, verifyRecording } from '../../../../recorder/index.ts';
import { archived, desktop, fill } from '../video/bed.ts';

let archive: Archive;
let identity: string;
before(async () => {
  // More than is read at once.
  const events = Array.from({ length: 400 }, (_, i) => fill(500 * i, [0, 0, 64, 64], [i % 256, 1, 2]));
  ({ archive, identity } = await archived([desktop(0, 320, 200), ...events]));
});

test('an archive that nobody cancels reads as it does without', async () => {
  const watched = cancellable(archive, new AbortController().signal);
  assert.equal(watched.description, archive.description);
  assert.equal((await verifyRecording(watched, 's1', { identities: [identity] })).ok, true);
  assert.equal((await openRecording(watched, 's1', [identity])).header().sessionId, 's1');
});

test('nothing is read any further of a recording once that is cancelled', async () => {
  const cancellation = new AbortController();
  const watched = cancellable(archive, cancellation.signal);
  const reader = await watched.open('s1');
  assert.equal((await reader.read(0, 16)).length, 16);
  cancellation.abort();
  await assert.rejects(reader.read(0, 16), CancelledError);
  await reader.close();
  await assert.rejects(openRecording(watched, 's1', [identity]), CancelledError);
  await assert.rejects(verifyRecording(watched, 's1', {}), CancelledError);
  const both = cancellable(new MirrorArchive(archive, [archive]), cancellation.signal);
  for (const copy of [...watched.copies, ...both.copies])
    await assert.rejects(openRecording(copy, 's1', [identity]), CancelledError);
});

test('the check of what is compacted is cancelled, too', async () => {
  const cancellation = new AbortController();
  const compacting: Archive = new Proxy(archive, {
    get: (target, name) =>
      name === 'compact'
        ? async (id: string, _at: number, check: Parameters<Archive['compact']>[2]) =>
            check(await target.open(id))
        : Reflect.get(target, name).bind(target),
  });
  const watched = cancellable(compacting, cancellation.signal);
  await watched.compact('s1', 0, async (compacted) => {
    await compacted.read(0, 16);
    cancellation.abort();
    await assert.rejects(compacted.read(0, 16), CancelledError);
  });
});
