/** Compiled code that commands keep for the next one. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runOk } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';

const SALLYPORT = join(import.meta.dirname, '../../../bin/sallyport.js');

/** Runs a command of somebody with this cache; resolves with the files that it left. */
async function runWith(cache: string, more: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const { text } = await runOk(process.execPath, [SALLYPORT, '--version'], {
    env: { NODE_COMPILE_CACHE: undefined, XDG_CACHE_HOME: cache, ...more },
  });
  assert.match(text, /^\d+\.\d+/);
  return readdirSync(cache, { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [entry.name] : [],
  );
}

test('a command keeps what it compiled, for this user alone', async () => {
  const cache = temporaryFolder('cache');
  const kept = await runWith(cache);
  assert.ok(kept.length > 50, `${kept.length} files`);
  assert.equal(statSync(join(cache, 'sallyport')).mode & 0o777, 0o700);
  assert.deepEqual(await runWith(cache), kept, 'the next one has all of it');
});

test('a folder that others can write to is not used: what is there is run', async () => {
  const cache = temporaryFolder('cache');
  mkdirSync(join(cache, 'sallyport'));
  chmodSync(join(cache, 'sallyport'), 0o777);
  assert.deepEqual(await runWith(cache), []);
});

test('without a folder, and with one that Node was told of, commands work as well', async () => {
  const cache = temporaryFolder('cache');
  const other = temporaryFolder('cache');
  assert.deepEqual(await runWith(cache, { NODE_COMPILE_CACHE: other }), []);
  assert.ok(readdirSync(other).length > 0);
  const env = { NODE_COMPILE_CACHE: undefined, XDG_CACHE_HOME: '/proc/none' };
  await runOk(process.execPath, [SALLYPORT, '--version'], { env });
});
