import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { generateIdentity, openArchive, openRecording, verifyRecording } from '../../../recorder/index.ts';
import { atExit, temporaryFolder } from '../../support/temp.ts';

const LINE_BYTES = 100;
const WINDOW_BYTES = 256 * 1024;

test('a node killed in the middle loses no more than the window', async () => {
  const folder = temporaryFolder('crash');
  const { identity, recipient } = await generateIdentity();
  const script = join(import.meta.dirname, 'crash-writer.ts');
  const writer = spawn(process.execPath, [script, folder, recipient, String(WINDOW_BYTES)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const withdraw = atExit(() => void writer.kill('SIGKILL'));
  const exited = once(writer, 'exit');
  let written = 0;
  for await (const line of createInterface(writer.stdout)) {
    written = Number(line);
    if (written * LINE_BYTES >= 4 * 1024 * 1024) writer.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [unknown, NodeJS.Signals | null];
  withdraw();
  assert.equal(signal, 'SIGKILL');

  const archive = openArchive(`file:${folder}`);
  const reader = await openRecording(archive, 'killed', [identity]);
  let lines = 0;
  for await (const event of reader.events()) {
    assert.equal(Buffer.from(event.payload).toString(), `${String(lines).padStart(99)}\n`);
    lines += 1;
  }
  assert.equal(reader.manifest(), undefined);
  assert.ok((reader.truncatedAt ?? 0) > 0);
  await reader.close();
  const lost = (written - lines) * LINE_BYTES;
  assert.ok(lost <= WINDOW_BYTES, `${lost} bytes of ${written * LINE_BYTES} were lost`);
  assert.equal((await verifyRecording(archive, 'killed', { identities: [identity] })).code, 'unsealed');
});
