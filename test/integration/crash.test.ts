/** kill -9 in the middle of fast output: what is lost, what is readable, and what stays on the node. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { ALL_CAPABILITIES, type Bed, PASSWORD, ssh, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { run, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const KILLS = 5;
const WINDOW = 4 * 1024 ** 2;
let bed: Bed;
/** What the gateway has for temporary files, and everything else of it: to be searched. */
let node: string;
/** What clients received: outside of that. */
let outside: string;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  outside = temporaryFolder('received');
  node = temporaryFolder('node');
  process.env['TMPDIR'] = node;
  bed = await startBed({
    config: { archive: { window: { bytes: WINDOW } } },
    document: () => ({
      users: [{ name: 'bob', password: PASSWORD, role: 'requester' }],
      policies: [
        { name: 'full', users: ['bob'], accounts: ['*@web01'], allow: ALL_CAPABILITIES, execLimit: 'full' },
      ],
    }),
  });
});
after(() => bed?.stop());

/** A marker that stands in no command line, only in the output. */
const MARKER = 'line-of-the-secret-report';
const COMMAND = 'm=line-of-the-secret; seq -f "$m-report %015.0f" 1 100000000';
const LINE = MARKER.length + 1 + 15 + 1;

/** Bytes that the recordings hold, all rounds together. */
let recorded = 0;

/** The content is the output from its start, however much of it. */
function assertOutput(content: Buffer, what: string): void {
  for (const at of [0, Math.floor(content.length / LINE / 2), Math.floor(content.length / LINE) - 1]) {
    // A kill may come before the first segment.
    if (at < 0 || content.length < LINE) continue;
    const line = content.subarray(at * LINE, (at + 1) * LINE).toString();
    assert.equal(line, `${MARKER} ${String(at + 1).padStart(15, '0')}\n`, `${what}: line ${at + 1}`);
  }
}

for (let round = 1; round <= KILLS; round += 1) {
  testWith(
    NEEDS,
    `kill -9 number ${round}: no more than the window is lost, and the rest is readable`,
    async (t) => {
      const received = join(outside, `received-${round}`);
      const running = ssh(bed.doorFor(bed.targetLogin('bob'), PASSWORD), ['target', COMMAND], {
        outputFile: received,
      });
      await until('output', () => (statSync(received, { throwIfNoEntry: false })?.size ? true : undefined));
      const delay = Math.floor(Math.random() * 1_500);
      await new Promise((resolve) => setTimeout(resolve, delay));
      await bed.gateway.kill9();
      assert.equal((await running).code, 255, 'the client notices');

      // Before anything is started again: nothing of the recording lies outside the archive.
      const left = await run('grep', ['-rlaF', MARKER, node]);
      assert.deepEqual([left.code, left.text], [1, ''], 'the marker is in no file of the node');

      await bed.gateway.start();
      const evidence = await Evidence.of(bed.gateway);
      const row = await evidence.session('bob', 'ended');
      await evidence.close();
      assert.deepEqual([row.endCode, row.sealed], ['worker-died', false]);
      assert.match(row.endReason ?? '', /the node stopped before it could close the session/);

      const exported = join(outside, `recorded-${round}`);
      const arguments_ = ['recordings', 'export', row.id, '--format', 'txt', '--output', exported];
      const [exporting, shown, verified, listed] = await Promise.all([
        bed.gateway.sallyport(arguments_),
        bed.gateway.sallyport(['recordings', 'show', row.id]),
        bed.gateway.sallyport(['recordings', 'verify', row.id]),
        bed.gateway.json<{ id: string; sealed: boolean; state: string }[]>(['recordings', 'ls']),
      ]);
      assert.equal(exporting.code, 0, exporting.stderr);
      const [got, kept] = [readFileSync(received), readFileSync(exported)];
      assertOutput(got, 'received');
      assertOutput(kept, 'recorded');
      const difference = got.length - kept.length;
      t.diagnostic(
        `killed ${delay} ms in: received ${got.length}, recorded ${kept.length}, ` +
          `received but not recorded ${Math.max(0, difference)} of ${WINDOW} allowed, ` +
          `recorded but not received ${Math.max(0, -difference)}`,
      );
      recorded += kept.length;
      assert.ok(difference <= WINDOW, `${difference} bytes are lost`);
      assert.match(shown.text, /truncated at segment \d+/);
      assert.equal(verified.code, 1);
      assert.match(verified.text, /NOT OK: the recording is not sealed: it ends after segment \d+/);
      assert.equal(listed.find(({ id }) => id === row.id)?.sealed, false);
      await stillServes(bed);
    },
    { timeout: 120_000 },
  );
}

testWith(NEEDS, 'the recordings held something all the same', () => {
  assert.ok(recorded > 1024 ** 2, `${recorded} bytes`);
  return Promise.resolve();
});
