import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { explained } from '../../../../recorder/archive/s3/errors.ts';
import { ArchiveError } from '../../../../recorder/index.ts';

function clientError(name: string, status?: number, more: object = {}): Error {
  return Object.assign(new Error(`the server said ${name}`), {
    name,
    ...(status === undefined ? {} : { $metadata: { httpStatusCode: status } }),
    ...more,
  });
}

const CASES: readonly (readonly [what: string, error: unknown, code: string, words: RegExp])[] = [
  ['no such bucket', clientError('NoSuchBucket', 404), 'archive-missing', /no such bucket: create it/],
  ['no rights', clientError('AccessDenied', 403), 'archive-forbidden', /does not allow it/],
  ['a wrong key', clientError('InvalidAccessKeyId', 403), 'archive-forbidden', /refuses the credentials/],
  [
    'a wrong secret',
    clientError('SignatureDoesNotMatch', 403),
    'archive-forbidden',
    /refuses the credentials/,
  ],
  ['some other refusal', clientError('Forbidden', 403), 'archive-forbidden', /refuses the credentials/],
  ['no credentials', clientError('CredentialsProviderError'), 'archive-forbidden', /set archive.credentials/],
  ['a quota', clientError('QuotaExceeded', 403), 'archive-full', /is full/],
  ['a full disk', clientError('InsufficientStorage', 507), 'archive-full', /is full/],
  ['overload', clientError('SlowDown', 503), 'archive-io', /is busy or out of order/],
  ['a failure', clientError('InternalError', 500), 'archive-io', /answers with status 500/],
  ['silence', clientError('AbortError'), 'archive-timeout', /did not answer in time/],
  [
    'a refused connection',
    clientError('Error', undefined, { code: 'ECONNREFUSED' }),
    'archive-unreachable',
    /refuses connections/,
  ],
  [
    'an unknown host',
    clientError('Error', undefined, { code: 'ENOTFOUND' }),
    'archive-unreachable',
    /name service/,
  ],
  [
    'a lost connection',
    clientError('Error', undefined, { code: 'ECONNRESET' }),
    'archive-io',
    /broke the connection/,
  ],
  [
    'a certificate',
    clientError('Error', undefined, { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
    'archive-unreachable',
    /NODE_EXTRA_CA_CERTS/,
  ],
  [
    'a cause',
    clientError('AggregateError', undefined, {
      cause: clientError('Error', undefined, { code: 'EHOSTUNREACH' }),
    }),
    'archive-unreachable',
    /cannot be reached/,
  ],
  [
    'no TLS',
    clientError('Error', undefined, { code: 'EPROTO' }),
    'archive-unreachable',
    /correct https or http/,
  ],
  ['another region', clientError('PermanentRedirect', 301), 'archive-missing', /region=/],
  ['anything else', 'text', 'archive-io', /cannot be used \(unknown error\)/],
];

for (const [what, error, code, words] of CASES) {
  test(`${what} is told as ${code}`, () => {
    const told = explained('s3://b/', error);
    assert.equal(told.code, code);
    assert.match(told.message, words);
    assert.match(told.message, /^archive s3:\/\/b\/ /);
  });
}

test('requests, answers and control characters of a server do not get into an error', () => {
  const error = clientError('Nasty\x1b[2J\nname', 500, {
    $response: { headers: { authorization: 'AWS4-HMAC-SHA256 Credential=secret' } },
    AWSAccessKeyId: 'secret',
    message: `\x1b]0;title\x07${'x'.repeat(10_000)}`,
  });
  const told = explained('s3://b/', error);
  assert.doesNotMatch(inspect(told, { depth: 10, showHidden: true }), /secret|authorization/);
  assert.ok(told.cause instanceof Error);
  for (const { message } of [told, told.cause]) {
    assert.match(message, /^[\x20-\x7e]+$/);
    assert.ok(message.length < 600);
  }
});

test('what is explained already stays as it is', () => {
  const error = new ArchiveError('recording-missing', 'gone');
  assert.equal(explained('s3://b/', error), error);
});
