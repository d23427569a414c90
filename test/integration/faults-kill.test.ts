/** kill -9 of the whole gateway under load on both protocols: what is lost, what is readable, what stays on the node. */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { after } from 'node:test';
import { stillServes } from '../support/evidence.ts';
import { type ArchiveOf, assertNothingLeft, dueInAll, MIB, markOf } from '../support/faults.ts';
import { MARKER, RUNNING_PICTURE, startDesktopSpy } from '../support/load.ts';
import { testWith } from '../support/packages.ts';
import { PEOPLE_NEED, People, peopleDocument } from '../support/people.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import type { Spy } from '../support/rdp-spy.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = PEOPLE_NEED;
const KILLS = 20;
const WINDOW = 4 * MIB;
/** What the gateway has for temporary files. */
const temporary = temporaryFolder('node-temp');
const archiveFolder = temporaryFolder('archive');

let spy: Spy;
let archive: ArchiveOf;
const bed = useRdpBed(NEEDS, {
  ssh: true,
  config: { archive: { url: `file:${archiveFolder}`, window: { bytes: WINDOW } } },
  env: { TMPDIR: temporary },
  xrdp: { startwm: RUNNING_PICTURE },
  document: peopleDocument,
  async prepare() {
    spy = await startDesktopSpy(bed.gateway);
    archive = { gateway: bed.gateway, urls: [`file:${archiveFolder}`] };
  },
});
after(() => spy?.stop());

/** Of each round those who were at work. */
const rounds: People[] = [];
/** Recordings of whose heads the store was told before. */
let told = 0;

for (let number = 1; number <= KILLS; number += 1) {
  testWith(NEEDS, `kill -9 number ${number} under load leaves nothing on the node`, async (t) => {
    // The round before may still be brought to its end: that is killed, too.
    const people = await People.atWork(bed, spy);
    const delay = Math.floor(Math.random() * 1_500);
    await new Promise((resolve) => setTimeout(resolve, delay));
    told += await people.kill();
    rounds.push(people);
    t.diagnostic(`killed after ${delay} ms: ${people.sizes()} bytes were shown`);
    // Before anything is started again: nothing of the recordings lies outside the archive.
    const picture = markOf(people.desktop.shown()) ?? assert.fail('the picture has no mark');
    assertNothingLeft([dirname(bed.gateway.dataDir), temporary], [MARKER, picture]);
    await bed.gateway.start();
  });
}

testWith(
  NEEDS,
  'of all that was killed no more than the window is lost, and the rest is sealed and readable',
  async (t) => {
    for (const people of rounds) {
      await people.report(t, archive, { fault: 'kill -9 of the gateway', sink: 'file', declared: WINDOW });
      for (const id of Object.values(people.ids)) {
        const row = await bed.evidence.sealed(id);
        assert.equal(row.endCode, 'worker-died');
        assert.match(row.endReason ?? '', /the node stopped before it could close the session/);
      }
    }
    // The figures say something: much was old enough, and known to the store, to be there in any case.
    const due = ['output', 'typing', 'desktop'].map(dueInAll);
    t.diagnostic(`${due} bytes had to be there; the store knew the heads of ${told} recordings`);
    assert.ok(
      due.every((bytes, index) => bytes > (index === 1 ? 1_000 : MIB)),
      due.join(),
    );
    assert.ok(told >= KILLS, `${told} heads were told`);
    assertNothingLeft([dirname(bed.gateway.dataDir), temporary], [MARKER]);
  },
);

testWith(NEEDS, 'commands tell of what was killed where it is truncated', async () => {
  const id = rounds[0]?.ids.output ?? assert.fail();
  const [shown, verified, listed] = await Promise.all([
    bed.gateway.sallyport(['recordings', 'show', id]),
    bed.gateway.sallyport(['recordings', 'verify', id]),
    bed.gateway.json<{ id: string; sealed: boolean }[]>(['recordings', 'ls']),
  ]);
  assert.match(shown.text, /truncated at segment \d+/);
  assert.equal(verified.code, 0, verified.stderr);
  assert.match(verified.text, /^ok: (\d+) segments, truncated at segment \1$/m);
  assert.equal(listed.find((each) => each.id === id)?.sealed, true);
  await stillServes(bed.ssh);
});
