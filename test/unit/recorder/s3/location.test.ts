import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLocation, type S3Location } from '../../../../recorder/archive/s3/location.ts';
import { openArchive, openArchives } from '../../../../recorder/index.ts';

const DEFAULTS: S3Location = {
  bucket: 'bucket',
  prefix: '',
  endpoint: undefined,
  region: undefined,
  pathStyle: false,
};

const GOOD: readonly (readonly [url: string, location: Partial<S3Location>])[] = [
  ['s3://bucket', {}],
  ['S3://bucket/', {}],
  ['s3://bucket/a', { prefix: 'a/' }],
  ['s3://bucket/a/b.c/', { prefix: 'a/b.c/' }],
  ['s3://bucket?region=eu-central-1', { region: 'eu-central-1' }],
  ['s3://bucket?endpoint=http://10.0.0.1:9000', { endpoint: 'http://10.0.0.1:9000', pathStyle: true }],
  [
    's3://bucket/p?endpoint=https://s3.example/',
    { prefix: 'p/', endpoint: 'https://s3.example', pathStyle: true },
  ],
  [
    's3://bucket?endpoint=https%3A%2F%2Fs3.example%3A444',
    { endpoint: 'https://s3.example:444', pathStyle: true },
  ],
  ['s3://bucket?endpoint=https://h&style=virtual', { endpoint: 'https://h' }],
  ['s3://bucket?style=path&region=r', { region: 'r', pathStyle: true }],
];

for (const [url, location] of GOOD) {
  test(`${url} names a place`, () => {
    assert.deepEqual(parseLocation(url), { ...DEFAULTS, ...location });
  });
}

const BAD: readonly (readonly [url: string, words: RegExp])[] = [
  ['s3:bucket', /no bucket is named/],
  ['s3://', /no bucket is named/],
  ['s3://b', /no bucket is named/],
  ['s3://bu cket', /no bucket is named/],
  ['s3://bucket#x', /no bucket is named/],
  ['s3://key:s3cret@bucket', /credentials do not belong into it, use archive.credentials/],
  ['s3://bucket/../x', /prefix may hold/],
  ['s3://bucket//x', /prefix may hold/],
  ['s3://bucket/ä', /prefix may hold/],
  [`s3://bucket/${'x'.repeat(600)}`, /longer than 512/],
  ['s3://bucket?endpoint=h:9000', /endpoint: it must be https:\/\/host:port/],
  ['s3://bucket?endpoint=ftp://h', /endpoint: it must be/],
  ['s3://bucket?endpoint=https://k:s3cret@h', /endpoint: credentials do not belong/],
  ['s3://bucket?endpoint=https://h/path', /endpoint: nothing may stand behind/],
  ['s3://bucket?region=', /region: it is no name/],
  ['s3://bucket?style=dns', /style: only path and virtual/],
  ['s3://bucket?secret=s3cret', /its parameters are endpoint, region, style and no other/],
  ['s3://bucket?region=a&region=b', /region: it is given twice/],
];

for (const [url, words] of BAD) {
  test(`${url.slice(0, 60)} is refused in words`, () => {
    assert.throws(
      () => openArchive(url),
      (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error);
        assert.equal(error.code, 'archive-url');
        assert.match(error.message, /^archive\.url: /);
        assert.match(error.message, words);
        assert.doesNotMatch(error.message, /s3cret/);
        return true;
      },
    );
  });
}

test('an archive is told of without its credentials', () => {
  const archive = openArchives({
    urls: ['s3://bucket/p?endpoint=https://h:9000'],
    credentials: { accessKeyId: 'AKIAIOSFODNN7', secretAccessKey: 'wJalrXUtnFEMI' },
    writer: 'n1',
  });
  assert.equal(archive.description, 's3://bucket/p/ at https://h:9000');
  assert.equal(openArchive('s3://bucket?region=eu-1').description, 's3://bucket/ at region eu-1');
  assert.equal(openArchive('s3://bucket').description, 's3://bucket/');
});
