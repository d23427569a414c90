/**
 * Hostile object stores: whatever stands under the keys of journals, parts and seals, nothing but an
 * ArchiveError comes of reading it, and what is read is in the store.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeGroup, encodeGroup, type Piece } from '../../recorder/archive/s3/group.ts';
import { RecordingNames } from '../../recorder/archive/s3/names.ts';
import { decodeSeal, encodeSeal } from '../../recorder/archive/s3/seal-object.ts';
import { ArchiveError } from '../../recorder/index.ts';
import { damaged, noise, pick, type Random, randomFrom } from '../support/random.ts';
import { collect } from '../unit/recorder/bed.ts';
import { MemoryStore, nodeOn, PREFIX } from '../unit/recorder/s3/bed.ts';

const SECONDS = Date.UTC(2026, 0, 2);
const DAY = '2026/01/02';
const IDS = ['s1', 's2'] as const;
const ERAS = ['0000aaaaaaaa', '0000bbbbbbbb', '0001aaaaaaaa'] as const;
const JOURNAL = { instance: 'ab'.repeat(12), writer: 'n1' };
/** Offsets at which parts begin and end. */
const PLACES = [0, 0, 0, 3, 5, 8, 9, 12, 999_999_999_999_999] as const;

function piece(random: Random): Piece {
  return {
    sessionId: pick(random, IDS),
    day: DAY,
    era: pick(random, ERAS),
    offset: pick(random, PLACES),
    bytes: noise(random, random(12)),
  };
}

function group(random: Random): Buffer {
  return encodeGroup(Array.from({ length: random(5) }, () => piece(random)));
}

test('damaged groups are refused, or give pieces that are in them', () => {
  let refused = 0;
  for (let seed = 0; seed < 10_000; seed += 1) {
    const random = randomFrom(seed);
    const bytes = random(20) === 0 ? noise(random, random(200)) : damaged(random, group(random));
    try {
      let length = 0;
      for (const { bytes: own, offset } of decodeGroup(bytes)) {
        assert.ok(Number.isSafeInteger(offset), `seed ${seed}`);
        length += own.length;
      }
      assert.ok(length <= bytes.length, `seed ${seed}`);
    } catch (error) {
      assert.ok(error instanceof ArchiveError, `seed ${seed}: ${String(error)}`);
      refused += 1;
    }
  }
  assert.ok(refused > 5000 && refused < 9900, `${refused} refused`);
});

test('damaged seals are none, or name a place', () => {
  for (let seed = 0; seed < 5000; seed += 1) {
    const random = randomFrom(seed);
    const seal = decodeSeal(damaged(random, encodeSeal({ end: random(100), manifest: noise(random, 20) })));
    assert.ok(seal === undefined || Number.isSafeInteger(seal.end), `seed ${seed}`);
  }
});

/** Objects as a writer makes them and as none would, in any mixture. */
function hostileStore(random: Random): MemoryStore {
  const store = new MemoryStore();
  for (let n = random(14); n > 0; n -= 1) {
    const id = pick(random, IDS);
    const names = new RecordingNames(PREFIX, DAY, id);
    const [start, end] = [pick(random, PLACES), pick(random, PLACES)];
    const [last, era] = [random(4) === 0, pick(random, ERAS)];
    switch (random(6)) {
      case 0:
        store.objects.set(names.whole, Buffer.from(noise(random, random(30))));
        break;
      case 1:
        store.objects.set(
          names.seal,
          Buffer.from(damaged(random, encodeSeal({ end: pick(random, PLACES), manifest: noise(random, 5) }))),
        );
        break;
      case 2:
        store.objects.set(names.seal, encodeSeal({ end: pick(random, PLACES), manifest: noise(random, 5) }));
        break;
      case 3: {
        const bytes = group(random);
        const key = `${PREFIX}journal/n1/${JOURNAL.instance}/${random(1000)}`;
        store.objects.set(key, random(3) === 0 ? Buffer.from(damaged(random, bytes)) : bytes);
        break;
      }
      default: {
        const key = names.part({ start, end, era, last, journal: JOURNAL });
        const length = random(8) === 0 ? random(20) : Math.max(0, Math.min(end - start, 20));
        store.objects.set(random(20) === 0 ? `${key}x` : key, Buffer.from(noise(random, length)));
      }
    }
  }
  return store;
}

async function orRefused<T>(seed: number, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    assert.ok(error instanceof ArchiveError, `seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    return undefined;
  }
}

test('whatever is in a store, recordings are read, listed, sealed, compacted and tidied or refused', async () => {
  let read = 0;
  for (let seed = 0; seed < 1500; seed += 1) {
    const store = hostileStore(randomFrom(seed));
    const archive = nodeOn(store, 'n2');
    const listed = new Map<string, number>();
    for (const entry of (await orRefused(seed, async () => await collect(archive.list()))) ?? [])
      listed.set(entry.sessionId, entry.bytes);
    for (const id of IDS) {
      const reader = await orRefused(seed, async () => await archive.open(id));
      assert.equal(reader?.size, listed.get(id), `seed ${seed}: ${id}`);
      if (reader === undefined) continue;
      const bytes = await orRefused(seed, async () => await reader.read(0, reader.size));
      assert.ok(bytes === undefined || bytes.length === reader.size, `seed ${seed}: ${id}`);
      read += 1;
    }
    await orRefused(seed, async () => await archive.tidy('n1'));
    for (const id of IDS) {
      // Tidying changes nothing that is read.
      const size = (await orRefused(seed, async () => await archive.open(id)))?.size;
      assert.equal(size, listed.get(id), `seed ${seed}: ${id} after tidying`);
      await orRefused(seed, async () => await archive.resume(id, SECONDS, 3));
      await orRefused(seed, async () => await archive.seal(id, SECONDS, 3, Buffer.from('end')));
      await orRefused(seed, async () => await archive.compact(id, SECONDS, async () => {}));
      await orRefused(seed, async () => await archive.remove(id, SECONDS));
      assert.deepEqual(store.keys(`${PREFIX}${DAY}/${id}`), [], `seed ${seed}: ${id} is removed`);
    }
  }
  assert.ok(read > 500, `${read} read`);
});
