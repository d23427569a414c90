/** The spool before an object store that fails in every way: what is acknowledged is kept, once and in order. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import {
  EventKind,
  generateIdentity,
  keyIdOf,
  openArchives,
  openRecording,
  Recorder,
  verifyRecording,
} from '../../recorder/index.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { S3_PACKAGES, type S3Server, startS3 } from '../support/s3.ts';
import { temporaryFolder } from '../support/temp.ts';

let server: S3Server;
let proxy: FaultProxy;
before(async () => {
  if (obstacle(S3_PACKAGES) !== undefined) return;
  server = await startS3();
  proxy = await startFaultProxy(server.endpoint);
});
after(async () => {
  await proxy?.stop();
  await server?.stop();
});

const FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ['answers 503', { status: 503 }],
  ['answers 500', { status: 500 }],
  ['refuses connections', 'refuse'],
  ['never answers', 'hang'],
  ['loses the connection in mid-upload', 'cut'],
  ['loses its answers', 'deaf'],
];

for (const [name, fault] of FAULTS) {
  testWith(
    S3_PACKAGES,
    `recordings go on in the spool while the store ${name}, and are whole afterwards`,
    async (t) => {
      const folder = join(temporaryFolder('spool-s3'), 'spool');
      const identity = await generateIdentity();
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      const archiveAt = (endpoint: string) =>
        openArchives({
          urls: [`s3://${server.bucket}/spool?endpoint=${encodeURIComponent(endpoint)}&style=path`],
          credentials: server,
          writer: 'node1',
        });
      let drained = 0;
      const failures: Error[] = [];
      const recorder = new Recorder({
        archive: archiveAt(proxy.endpoint),
        recipients: [identity.recipient],
        node: 'node1',
        signingKey: privateKey,
        window: { bytes: 4 * 1024 * 1024, ms: 1000, graceSeconds: 120 },
        onFailure: {
          action: 'spool',
          spool: { folder, limit: 64 * 1024 * 1024, used: new SharedArrayBuffer(8) },
          onEvent: ({ type }) => {
            if (type === 'drained') drained += 1;
          },
          marked: async () => {},
        },
      });
      const open = async (sessionId: string) => {
        const written: Buffer[] = [];
        const recording = await recorder.open(
          {
            ...{ sessionId, startedAt: Date.now(), protocol: 'ssh', user: 'alice' },
            ...{ account: 'root', system: 'web01', policy: 'ops' },
          },
          { pause: () => {}, resume: () => {}, failed: (error) => void failures.push(error) },
        );
        const write = (bytes: Buffer): void => {
          recording.write(EventKind.output, 0, bytes);
          written.push(bytes);
        };
        return { sessionId, recording, written, write };
      };
      const settled = (): Promise<true> =>
        until('all is acknowledged', () => (recorder.heldBytes === 0 ? true : undefined), 60_000);
      const files = (): readonly string[] => (existsSync(folder) ? readdirSync(folder) : []);

      const typing = await open(`typing-${crypto.randomUUID()}`);
      const bulk = await open(`bulk-${crypto.randomUUID()}`);
      typing.write(Buffer.from('before '));
      bulk.write(randomBytes(300_000));
      await settled();
      await proxy.set(fault);
      for (let i = 0; i < 4; i += 1) {
        typing.write(Buffer.from(`during${i} `));
        bulk.write(randomBytes(300_000));
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
      await until('both are spooled', () => (files().length === 2 ? true : undefined));
      const meanwhile = await open(`meanwhile-${crypto.randomUUID()}`);
      meanwhile.write(Buffer.from('meanwhile '));
      assert.equal((await meanwhile.recording.seal('done')).sealed, false);
      await proxy.set('none');
      await until('the spool is empty', () => (files().length === 0 ? true : undefined), 60_000);
      typing.write(Buffer.from('after'));
      bulk.write(randomBytes(300_000));
      await settled();
      // Where the store takes long for that, it goes by the spool again.
      for (const { recording } of [typing, bulk]) {
        const { sealed, spooled } = await recording.seal('done');
        assert.ok(sealed || spooled === true);
      }
      await until('the spool is empty for good', () => (files().length === 0 ? true : undefined), 60_000);
      t.diagnostic(`${drained} recordings were drained`);
      assert.deepEqual(failures, []);

      // As another machine reads it.
      const archive = archiveAt(server.endpoint);
      for (const { sessionId, written } of [typing, bulk, meanwhile]) {
        const report = await verifyRecording(archive, sessionId, {
          identities: [identity.identity],
          publicKeys: new Map([[keyIdOf(publicKey), publicKey]]),
        });
        assert.ok(report.ok, `${sessionId}: ${report.problem ?? ''}`);
        const reader = await openRecording(archive, sessionId, [identity.identity]);
        const back: Uint8Array[] = [];
        for await (const { payload } of reader.events()) back.push(new Uint8Array(payload));
        await reader.close();
        assert.ok(Buffer.concat(back).equals(Buffer.concat(written)), sessionId);
      }
    },
  );
}
