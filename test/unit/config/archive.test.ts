import assert from 'node:assert/strict';
import { test } from 'node:test';
import { archiveSettings } from '../../../gateway/config/archive.ts';
import { ConfigurationError, parseConfig } from '../../../gateway/config/config.ts';

const settingsOf = (text: string) => archiveSettings(parseConfig(text, '/etc/sallyport/sallyport.yaml'));

test('the recorder is told of archives, their credentials and the node', (t) => {
  t.mock.property(process, 'env', { ...process.env, ARCHIVE_SECRET: 'wJalr' });
  const { urls, credentials, writer } = settingsOf(`
    node: {name: gw1}
    archive: {url: ["file:/a", "s3://bucket"], credentials: {accessKeyId: AKIA, secretAccessKey: "env:ARCHIVE_SECRET"}}`);
  assert.deepEqual(urls, ['file:/a', 's3://bucket']);
  assert.deepEqual(credentials, { accessKeyId: 'AKIA', secretAccessKey: 'wJalr' });
  assert.equal(writer, 'gw1');
  assert.equal(archiveSettings(parseConfig('', undefined), 'a run').writer, 'a run');
  assert.equal(settingsOf('').credentials, undefined);
  assert.throws(
    () => settingsOf('archive: {credentials: {accessKeyId: a, secretAccessKey: "env:NOT_SET_ANYWHERE"}}'),
    (error: unknown) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.problems.join(), /^archive\.credentials\.secretAccessKey: /);
      return true;
    },
  );
});

for (const [workers, windowMs, groupMs] of [
  [2, 1000, 150],
  [6, 1000, 150],
  [8, 1000, 200],
  [32, 1000, 333],
  [2, 100, 33],
  [2, 60_000, 150],
] as const)
  test(`small appends of ${workers} workers within ${windowMs} ms are sent every ${groupMs} ms`, () => {
    const settings = settingsOf(`{workers: {sessions: ${workers}}, archive: {window: {ms: ${windowMs}}}}`);
    assert.equal(settings.groupMs, groupMs);
  });
