/**
 * Recordings in a folder whose server restarts (ESTALE): what is open cannot be written any more, and the file
 * is there. The fault is put below a process when it starts, so the tests run in one of their own.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openArchive } from '../../../recorder/index.ts';
import { controlsOf, faultyMachine } from '../../support/faulty-machine.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { DAY } from './archive.contract.ts';
import { text } from './bed.ts';

const { FAULTY_BELOW: below, FAULTY_CONTROL: control } = process.env;

if (below === undefined || control === undefined) {
  test('recordings in a folder whose server restarts', async () => {
    const folder = temporaryFolder('stale');
    const { env } = await faultyMachine(folder);
    const again = spawnSync(process.execPath, [import.meta.filename], {
      env: { ...process.env, ...env, NODE_TEST_CONTEXT: undefined },
      encoding: 'utf8',
    });
    assert.equal(again.status, 0, again.error?.message ?? again.stdout + again.stderr);
  });
} else {
  inFolder(below, controlsOf(control));
}

function inFolder(root: string, machine: ReturnType<typeof controlsOf>): void {
  /** A recording of some bytes, and its server restarted. */
  async function stale(name: string) {
    const folder = join(root, name);
    mkdirSync(folder);
    const archive = openArchive(`file:${folder}`);
    const writer = await archive.create('s1', DAY, text('head '));
    await writer.append(text('one '));
    machine.restart();
    await assert.rejects(writer.append(text('two ')), { code: 'archive-stale' });
    return { archive, writer, folder, path: join(folder, '2026/01/02/s1.slr') };
  }

  test('a recording goes on in its file, opened anew', async () => {
    const { writer, path } = await stale('anew');
    await writer.append(text('two '));
    machine.restart();
    await assert.rejects(writer.append(text('three')), { code: 'archive-stale' });
    await writer.append(text('three'));
    await writer.close();
    assert.equal(readFileSync(path, 'utf8'), 'head one two three');
  });

  test('so does one that was gone on with', async () => {
    const { archive, path } = await stale('resumed');
    const second = await archive.resume('s1', DAY, 'head '.length);
    machine.restart();
    await assert.rejects(second.append(text('two')), { code: 'archive-stale' });
    await second.append(text('two'));
    await second.close();
    assert.equal(readFileSync(path, 'utf8'), 'head two');
  });

  test('a quota that is used up is told as what it is', async () => {
    const { writer } = await stale('quota');
    machine.refuse('EDQUOT');
    const full = { code: 'archive-full', message: /is full: raise its quota or free space \(EDQUOT\)$/ };
    await assert.rejects(writer.append(text('two')), full).finally(() => machine.refuse(undefined));
    await writer.close();
  });

  test('it waits for a mount that is not there yet, and makes no other file', async () => {
    const { writer, folder, path } = await stale('away');
    renameSync(folder, `${folder}.away`);
    await assert.rejects(writer.append(text('two')), { code: 'archive-missing' });
    mkdirSync(folder);
    await assert.rejects(writer.append(text('two')), { code: 'archive-missing', message: /is empty/ });
    rmSync(folder, { recursive: true });
    renameSync(`${folder}.away`, folder);
    await writer.append(text('two'));
    await writer.close();
    assert.equal(readFileSync(path, 'utf8'), 'head one two');
  });

  test('nothing is put behind what the server has lost', async () => {
    const { writer, path } = await stale('shorter');
    truncateSync(path, 'head '.length);
    const lost = /holds 5 bytes of the recording of session s1, of which it has taken 9/;
    await assert.rejects(writer.append(text('two')), { code: 'recording-missing', message: lost });
    await writer.close();
    assert.equal(readFileSync(path, 'utf8'), 'head ');
  });

  test('nothing is put behind the seal of another', async () => {
    const { archive, writer, path } = await stale('sealed');
    await archive.seal('s1', DAY, 'head one '.length, text('<end>'));
    for (let i = 0; i < 2; i += 1)
      await assert.rejects(writer.append(text('two')), { code: 'recording-exists', message: /was sealed/ });
    await writer.close().catch(() => {});
    assert.equal(readFileSync(path, 'utf8'), 'head one <end>');
  });
}
