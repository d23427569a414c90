/** The archive contract over a real S3 server, alone and as the second of two sinks, and what its faults do. */
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext } from 'node:test';
import { type Archive, openArchives } from '../../recorder/index.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { S3_PACKAGES, type S3Server, startS3 } from '../support/s3.ts';
import { temporaryFolder } from '../support/temp.ts';
import { archiveContract, contentsOf, DAY } from '../unit/recorder/archive.contract.ts';
import { text } from '../unit/recorder/bed.ts';

let s3: S3Server;
let proxy: FaultProxy;
before(async () => {
  if (obstacle(S3_PACKAGES) !== undefined) return;
  s3 = await startS3();
  proxy = await startFaultProxy(s3.endpoint);
});
after(async () => {
  await proxy?.stop();
  await s3?.stop();
});

const root = temporaryFolder('archive-s3');
let places = 0;

/** A prefix of its own, so that a test finds nothing of another. */
function prefix(bucket: string, endpoint = s3.endpoint): string {
  places += 1;
  return `s3://${bucket}/${places}?endpoint=${endpoint}`;
}

function folder(): string {
  places += 1;
  const path = join(root, `${places}`);
  mkdirSync(path);
  return `file:${path}`;
}

function s3Test(name: string, body: (context: TestContext) => Promise<void>): void {
  testWith(S3_PACKAGES, name, body);
}

function nodes(urls: readonly string[]): (writer: string) => Archive {
  return (writer) => openArchives({ urls, writer, credentials: s3 });
}

// Most of their time is the server's, and each has a place of its own.
describe('the archive contract', { concurrency: 6 }, () => {
  archiveContract('an S3 bucket', { place: async () => nodes([prefix(s3.bucket)]), test: s3Test });
  archiveContract('an S3 bucket with object lock', {
    place: async () => nodes([prefix(s3.lockedBucket)]),
    test: s3Test,
  });
  archiveContract('a folder and an S3 bucket', {
    place: async () => nodes([folder(), prefix(s3.bucket)]),
    test: s3Test,
  });
});

const FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ['refuses connections', 'refuse'],
  ['resets connections in mid-upload', 'cut'],
  ['does what is asked but loses its answer', 'deaf'],
  ['answers 500', { status: 500 }],
  ['answers 503', { status: 503 }],
];
for (const [name, fault] of FAULTS)
  s3Test(`an append that fails because the server ${name} may be tried again and is there once`, async () => {
    const urls = [prefix(s3.bucket, proxy.endpoint)];
    const archive = nodes(urls)('n1');
    const appender = await archive.create('s1', DAY, text('head '));
    await appender.append(text('one '));
    await proxy.set(fault);
    try {
      for (let tries = 0; tries < 2; tries += 1)
        await assert.rejects(appender.append(text('two ')), { name: 'ArchiveError' });
    } finally {
      await proxy.set('none');
    }
    await appender.append(text('two '));
    await appender.append(text('three'));
    await appender.close();
    assert.equal(await contentsOf(nodes(urls)('n2'), 's1'), 'head one two three');
  });

s3Test('a slow server takes what it is given', async () => {
  const urls = [prefix(s3.bucket, proxy.endpoint)];
  await proxy.set({ delayMs: 500 });
  try {
    const appender = await nodes(urls)('n1').create('s1', DAY, text('head '));
    await appender.append(text('one'));
    await appender.close();
  } finally {
    await proxy.set('none');
  }
  assert.equal(await contentsOf(nodes(urls)('n1'), 's1'), 'head one');
});

s3Test('with style=virtual the bucket stands in the host name, and the server takes it', async (t) => {
  const { lookup } = dns;
  const asked = new Set<string>();
  // No name service knows the names of this machine's buckets.
  t.mock.method(dns, 'lookup', (...args: Parameters<typeof lookup>) => {
    asked.add(args[0]);
    args[0] = '127.0.0.1';
    lookup(...args);
  });
  const { port } = new URL(proxy.endpoint);
  const urls = [`${prefix(s3.bucket, `http://localhost:${port}`)}&style=virtual`];
  const before = proxy.seen.length;
  const appender = await nodes(urls)('n1').create('s1', DAY, text('head '));
  await appender.append(text('one'));
  await appender.close();
  assert.equal(await contentsOf(nodes(urls)('n2'), 's1'), 'head one');
  const seen = proxy.seen.slice(before).map(({ url }) => url);
  assert.ok(seen.length > 0 && seen.every((url) => !url.startsWith(`/${s3.bucket}`)), seen.join());
  assert.deepEqual([...asked], [`${s3.bucket}.localhost`]);
  // The same, by its path.
  assert.equal(await contentsOf(nodes([prefixed(urls[0], s3.endpoint)])('n3'), 's1'), 'head one');
});

/** The same place of the bucket at another endpoint, by path. */
const prefixed = (url = '', endpoint = ''): string => `${url.replace(/\?.*$/, '')}?endpoint=${endpoint}`;
