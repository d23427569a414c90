import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findSession } from '../../../gateway/cli/sessions.ts';
import { openStoreAt } from '../../../gateway/store/open.ts';
import type { Store } from '../../../gateway/store/port.ts';
import { session } from '../store/contract.ts';

const FIRST = '01930b2c-5d2e-7abc-8def-0123456789ab';
const folder = mkdtempSync(join(tmpdir(), 'sallyport-find-'));
let store: Store;
before(async () => {
  store = await openStoreAt(`sqlite:${join(folder, 'store.db')}`);
  await store.transaction(async (tx) => {
    await tx.insertSession(session(FIRST));
    for (let n = 0; n < 1_500; n += 1)
      await tx.insertSession(session(`01940000-0000-7000-8000-${`${n}`.padStart(12, '0')}`));
  });
});
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

test('a session is found by a part of its id, however many came after it', async () => {
  for (const part of [FIRST, FIRST.slice(0, 8), FIRST.slice(-12), '89ab'])
    assert.equal((await findSession(store, part)).id, FIRST, part);
});

test('a part that several ids have, or that is too short, finds none', async () => {
  // The one before is not among the newest 1,000.
  await store.insertSession(session('01950000-0000-7000-8000-000000010499'));
  await assert.rejects(findSession(store, '0499'), /several sessions have an id like 0499: give more of it/);
  await assert.rejects(findSession(store, '0193f'), /no session has the id 0193f/);
  await assert.rejects(findSession(store, '9ab'), /no session has the id 9ab/);
  await assert.rejects(findSession(store, '%9ab'), /no session has the id %9ab/);
});
