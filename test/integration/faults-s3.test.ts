/**
 * An object store that refuses, times out, answers 500 and 503 or loses connections, under load: what heals in
 * time loses nothing, what does not ends sessions with the reason, and a kill -9 loses no more than the window.
 */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { after } from 'node:test';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { ssh } from '../support/bed.ts';
import { stillServes } from '../support/evidence.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type ArchiveOf, assertNothingLeft, MIB, markOf } from '../support/faults.ts';
import { INSPECTED, openInspector } from '../support/inspector.ts';
import { MARKER, RUNNING_PICTURE, startDesktopSpy } from '../support/load.ts';
import { testWith } from '../support/packages.ts';
import { doorOf, PEOPLE_NEED, People, peopleDocument } from '../support/people.ts';
import { until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import type { Spy } from '../support/rdp-spy.ts';
import { S3_PACKAGES, type S3Server, startS3 } from '../support/s3.ts';
import { sealAtOnce } from '../support/sealers.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = [...PEOPLE_NEED, ...S3_PACKAGES] as const;
const WINDOW = MIB;
/** Longer than a request to a store that hangs takes to be given up. */
const GRACE_SECONDS = 20;
const KILLS = 3;
const WORKERS = 2;
const temporary = temporaryFolder('node-temp');
let s3: S3Server;
let proxy: FaultProxy;
let spy: Spy;
let archive: ArchiveOf;
const bed = useRdpBed(NEEDS, {
  ssh: true,
  async gateway() {
    s3 = await startS3();
    proxy = await startFaultProxy(s3.endpoint);
    const { accessKeyId, secretAccessKey } = s3;
    const url = `s3://${s3.bucket}/faults?endpoint=${proxy.endpoint}`;
    return {
      config: {
        archive: {
          url,
          credentials: { accessKeyId, secretAccessKey },
          window: { bytes: WINDOW },
          graceSeconds: GRACE_SECONDS,
        },
        workers: { sessions: WORKERS },
      },
      env: { TMPDIR: temporary, ...INSPECTED },
    };
  },
  xrdp: { startwm: RUNNING_PICTURE },
  document: peopleDocument,
  async prepare() {
    spy = await startDesktopSpy(bed.gateway);
    // Read behind the proxy's back.
    const url = `s3://${s3.bucket}/faults?endpoint=${s3.endpoint}`;
    archive = { gateway: bed.gateway, urls: [url], credentials: s3 };
  },
});
after(async () => {
  await spy?.stop();
  await proxy?.stop();
  await s3?.stop();
});

const nothingLeft = (more: readonly Buffer[] = []): void =>
  assertNothingLeft([dirname(bed.gateway.dataDir), temporary], [MARKER, ...more]);

for (const [what, fault, words] of [
  ['refuses connections', 'refuse', /refused|ECONNREFUSED/],
  ['answers 503', { status: 503 }, /busy or out of order/],
  ['has its quota used up', { status: 403 }, /is full: raise its quota or free space/],
] as const satisfies readonly (readonly [string, Fault, RegExp])[])
  testWith(NEEDS, `an object store that ${what} opens no session, and says why`, async () => {
    await proxy.set(fault);
    try {
      const result = await ssh(doorOf(bed, 'bob'), ['target', 'id'], { timeoutMs: 60_000 });
      assert.deepEqual([result.code, result.text], [255, '']);
      assert.match(
        result.stderr,
        /sallyport: the session cannot be recorded, so it is not opened: archive s3/,
      );
      assert.match(result.stderr, words);
    } finally {
      await proxy.set('none');
    }
    assert.equal((await bed.evidence.session('bob', 'ended')).endCode, 'archive-failed');
    await stillServes(bed.ssh, doorOf(bed, 'bob'));
  });

testWith(
  NEEDS,
  'a store that heals in time pauses people, and loses nothing',
  async (t) => {
    const people = await People.atWork(bed, spy);
    for (const [what, fault] of [
      ['refusing', 'refuse'],
      ['hanging', 'hang'],
      ['resetting connections in mid-upload', 'cut'],
      ['losing its answers', 'deaf'],
      ['answering 500', { status: 500 }],
      ['answering 503', { status: 503 }],
    ] as const satisfies readonly (readonly [string, Fault])[]) {
      await people.goOn();
      const broken = people.sizes();
      await proxy.set(fault);
      try {
        await people.standStill();
      } finally {
        await proxy.set('none');
      }
      const healed = people.sizes();
      const shown = healed.map((size, index) => size - (broken[index] ?? 0));
      t.diagnostic(`${what}: ${shown} bytes went on being shown`);
      await people.goOn(healed);
    }
    await proxy.set({ delayMs: 500 });
    await people.goOn();
    await proxy.set('none');
    await people.leave();
    const fault = 'store refusing, hanging, resetting, deaf, 500, 503, slow, and back';
    await people.report(t, archive, { fault, sink: 's3', declared: 0 });
    nothingLeft();
  },
  { timeout: 240_000 },
);

testWith(NEEDS, 'a store that stays away ends sessions with the reason on the screen', async (t) => {
  const people = await People.atWork(bed, spy);
  await people.brace();
  await proxy.set('refuse');
  try {
    await people.assertToldWhy(/archive s3:\/\/.* (cannot be reached|refuses|.*ECONNREFUSED)/);
  } finally {
    await proxy.set('none');
  }
  await people.report(t, archive, { fault: 'store refusing for good', sink: 's3', declared: WINDOW });
  nothingLeft();
  await stillServes(bed.ssh, doorOf(bed, 'bob'));
});

testWith(NEEDS, 'kill -9 under load, with an object store', async (t) => {
  const rounds: People[] = [];
  while (rounds.length < KILLS) {
    const people = await People.atWork(bed, spy);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 1_500));
    await people.kill();
    rounds.push(people);
    // The last are sealed by two others at once; the rest by the node itself.
    if (rounds.length === KILLS) await sealAtOnce(archive, Object.values(people.ids));
    nothingLeft([markOf(people.desktop.shown()) ?? assert.fail('the picture has no mark')]);
    await bed.gateway.start();
  }
  for (const people of rounds)
    await people.report(t, archive, { fault: 'kill -9 of the gateway', sink: 's3', declared: WINDOW });
});

testWith(NEEDS, 'all session workers die at once, with an object store: others seal and serve', async (t) => {
  const people = await People.atWork(bed, spy);
  const inspector = await openInspector(bed.gateway, WORKERS);
  await people.brace();
  for (const worker of inspector.workers) worker.run('setImmediate(() => process.exit(1))');
  await people.cutOff();
  inspector.close();
  await people.report(t, archive, { fault: 'all workers die', sink: 's3', declared: WINDOW });
  const rows = (await bed.evidence.sessions()).filter(({ id }) => Object.values(people.ids).includes(id));
  assert.deepEqual(
    rows.map(({ endCode }) => endCode),
    rows.map(() => 'worker-died'),
  );
  nothingLeft();
  await stillServes(bed.ssh, doorOf(bed, 'bob'));
});

testWith(
  NEEDS,
  'a store with no room for compaction keeps what it has, and compacts when it has',
  async (t) => {
    const people = await People.atWork(bed, spy);
    const ids = Object.values(people.ids);
    await proxy.set({ status: 403 }, ({ method, url }) => /^P/.test(method) && /\.slr(\?|$)/.test(url));
    const report = (fault: string): Promise<void> =>
      people.report(t, archive, { fault, sink: 's3', declared: 0 });
    try {
      await people.leave();
      await until('compaction to fail', () =>
        ids.every((id) =>
          bed.gateway
            .log()
            .split('\n')
            .some((line) => line.includes(id) && /is full: .*a recording is not compacted/.test(line)),
        )
          ? true
          : undefined,
      );
      await report('compaction failing');
      await bed.gateway.kill9();
    } finally {
      await proxy.set('none');
    }
    await bed.gateway.start();
    await until('all is compacted', async () => {
      const rows = (await bed.evidence.sessions()).filter(({ id }) => ids.includes(id));
      return rows.every(({ compacted }) => compacted) ? true : undefined;
    });
    await report('compacted after that');
    const client = s3.client();
    const { Contents = [] } = await client.send(
      new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: 'faults/' }),
    );
    client.destroy();
    for (const id of ids) {
      const keys = Contents.flatMap(({ Key = '' }) => (Key.includes(id) ? [Key] : []));
      assert.deepEqual(
        keys.filter((key) => key.includes(`${id}/`)),
        [],
        'of the small objects none is left',
      );
      assert.ok(keys.some((key) => key.endsWith(`${id}.slr`)));
    }
    nothingLeft();
  },
);
