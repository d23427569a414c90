/**
 * A real S3 server of a test's own: Ceph's object gateway over one monitor and one object store that
 * keeps its data in memory, about 1.5 s to start and 130 MB. What Ceph 16.2 does, as measured with
 * `@aws-sdk/client-s3`:
 *
 * - PUT, GET with Range (416 behind the end), HEAD, ListObjectsV2 (prefix, delimiter, start-after), copies,
 *   DELETE (204 for what is not there) and DeleteObjects; strongly consistent.
 * - `If-None-Match: *` at a PUT: 412 where the key exists, and of many at once exactly one wins. NOT in a
 *   bucket with versions, which every bucket with object lock has, and NOT at CompleteMultipartUpload: there
 *   the header is ignored.
 * - Multipart uploads with UploadPartCopy and its range; parts but the last below 5 MiB: EntityTooSmall.
 * - Checks Content-MD5 (400 BadDigest) and the SHA-256 that a request is signed with; ignores
 *   `x-amz-checksum-*`, and refuses bodies in chunks with a checksum behind them (411).
 * - Object lock: retention and legal holds; deleting a held version is 403, without a version it leaves a
 *   marker.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { Package } from './packages.ts';
import { type Daemon, freePort, runOk, startDaemon, until } from './process.ts';
import { temporaryFolder } from './temp.ts';

/** What {@link startS3} needs. */
export const S3_PACKAGES = [
  'radosgw',
  'ceph-mon',
  'ceph-osd',
  'ceph-common',
] as const satisfies readonly Package[];

export interface S3Server {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly bucket: string;
  /** A bucket with object lock, without a default retention. */
  readonly lockedBucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Root of the server; buckets are addressed by path. The caller destroys it. */
  client(): S3Client;
  stop(): Promise<void>;
}

/** Everything of the cluster is in `folder`; no names or logs of the machine's own are touched. */
function configuration(folder: string, id: string, monitor: number, gateway: number): string {
  return `[global]
fsid = ${id}
mon host = v2:127.0.0.1:${monitor}
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
# Without authentication nothing can be encrypted, which the gateway would insist on.
ms mon client mode = crc
ms bind msgr1 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = ${folder}
admin socket =
log file =
err to stderr = true
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
# The gateway makes its pools one after the other, each a vote of the monitors.
paxos propose interval = 0.02
paxos min wait = 0.01
[mon.a]
mon data = ${join(folder, 'mon')}
mon cluster log file = /dev/null
mon data avail crit = 0
[osd]
osd data = ${join(folder, 'osd')}
osd objectstore = memstore
memstore device bytes = 2147483648
osd class load list = *
osd class default list = *
[client.rgw]
rgw data = ${join(folder, 'rgw')}
rgw frontends = beast endpoint=127.0.0.1:${gateway} tcp_nodelay=1
rgw thread pool size = 64
# A bucket may stand before it in the host name.
rgw dns name = localhost
# What is deleted gives its memory back at once, not after two hours.
rgw gc obj min wait = 1
rgw gc processor period = 5
rgw gc processor max time = 5
`;
}

/** Starts the server, makes a user and the buckets. Needs root and {@link S3_PACKAGES}. */
export async function startS3(): Promise<S3Server> {
  const folder = temporaryFolder('s3');
  const id = randomUUID();
  const [monitor, gateway] = [await freePort(), await freePort()];
  const file = join(folder, 'ceph.conf');
  for (const name of ['mon', 'osd', 'rgw']) mkdirSync(join(folder, name));
  writeFileSync(file, configuration(folder, id, monitor, gateway));
  const at = ['-c', file];
  const daemons: Daemon[] = [];
  const start = (command: string, ...args: string[]): void => {
    daemons.unshift(startDaemon(command, [...at, ...args, '-f']));
  };

  const map = join(folder, 'monmap');
  await runOk('monmaptool', ['--create', '--fsid', id, '--addv', 'a', `[v2:127.0.0.1:${monitor}]`, map]);
  await runOk('ceph-mon', [...at, '-i', 'a', '--mkfs', '--monmap', map]);
  start('ceph-mon', '-i', 'a');
  const store = randomUUID();
  await runOk('ceph', [...at, 'osd', 'new', store]);
  await runOk('ceph-osd', [...at, '-i', '0', '--mkfs', '--osd-uuid', store]);
  start('ceph-osd', '-i', '0');
  start('radosgw', '-n', 'client.rgw');

  const endpoint = `http://127.0.0.1:${gateway}`;
  await until('an answer of the S3 server', async () => {
    const answer = await fetch(endpoint).catch(() => undefined);
    return answer?.ok === true ? true : undefined;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${daemons.map((daemon) => daemon.output()).join('\n')}`);
  });
  const keys = {
    accessKeyId: randomBytes(10).toString('hex').toUpperCase(),
    secretAccessKey: randomBytes(20).toString('hex'),
  };
  const user = ['user', 'create', '--uid', 'archive', '--display-name', 'archive'];
  const secrets = ['--access-key', keys.accessKeyId, '--secret-key', keys.secretAccessKey];
  await runOk('radosgw-admin', [...at, ...user, ...secrets]);

  const client = (): S3Client =>
    new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: keys });
  const buckets = { bucket: 'recordings', lockedBucket: 'locked-recordings' };
  const s3 = client();
  await s3.send(new CreateBucketCommand({ Bucket: buckets.bucket }));
  await s3.send(new CreateBucketCommand({ Bucket: buckets.lockedBucket, ObjectLockEnabledForBucket: true }));
  s3.destroy();
  return {
    endpoint,
    ...buckets,
    ...keys,
    client,
    async stop(): Promise<void> {
      for (const daemon of daemons) {
        // What they keep is thrown away with them: no need to let them write it.
        daemon.kill('SIGKILL');
        await daemon.exited;
      }
    },
  };
}
