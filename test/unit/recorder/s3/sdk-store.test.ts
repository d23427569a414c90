/** What the client sends, as a server sees it that answers what some servers do. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { inspect, promisify } from 'node:util';
import { parseLocation } from '../../../../recorder/archive/s3/location.ts';
import { SdkStore } from '../../../../recorder/archive/s3/sdk-store.ts';
import { until } from '../../../support/process.ts';

interface Request {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

interface Answer {
  /** None: the connection is reset instead. */
  readonly reset?: true;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

let answers: (request: Request) => Answer;
let requests: Request[] = [];
const server = createServer(async (incoming, outgoing) => {
  const body = Buffer.concat(await incoming.toArray());
  const request = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers, body };
  requests.push(request);
  const { reset, status = 200, headers = {}, body: text = '' } = answers(request);
  if (reset) incoming.socket.resetAndDestroy();
  else outgoing.writeHead(status, headers).end(text);
});
server.keepAliveTimeout = 60_000;
let store: SdkStore;

const failure = (code: string, message: string): string =>
  `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;

before(async () => {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
});

after(() => {
  server.closeAllConnections();
  server.close();
});

beforeEach(() => {
  const { port } = server.address() as AddressInfo;
  const location = parseLocation(`s3://bucket/p?endpoint=http://127.0.0.1:${port}&region=somewhere`);
  store = new SdkStore(location, { accessKeyId: 'AKIA', secretAccessKey: 'wJalrXUtnFEMI' });
  requests = [];
  answers = () => ({});
});

const checked = (request: Request | undefined): void =>
  assert.equal(request?.headers['x-amz-content-sha256'], hash('sha256', request?.body ?? ''));

for (const length of [10, 1_000_000]) {
  test(`an object of ${length} bytes is signed with its hash and in no chunks`, async () => {
    const body = Buffer.alloc(length, 'recording');
    await store.put('p/key', body);
    const [request] = requests;
    assert.equal(`${request?.method} ${request?.url.split('?')[0]}`, 'PUT /bucket/p/key');
    assert.ok(request?.body.equals(body));
    checked(request);
    assert.equal(request?.headers['content-length'], `${length}`);
    assert.match(
      request?.headers.authorization ?? '',
      /^AWS4-HMAC-SHA256 Credential=AKIA\/\d{8}\/somewhere\/s3\//,
    );
    const known = Object.keys(request?.headers ?? {}).filter((name) =>
      /checksum|trailer|encoding|md5/.test(name),
    );
    assert.deepEqual(known, []);
  });
}

test('a bucket that wants an MD5 or a checksum gets an MD5 from then on', async () => {
  answers = ({ headers }) =>
    headers['content-md5'] === undefined
      ? {
          status: 400,
          body: failure('InvalidRequest', 'Content-MD5 OR x-amz-checksum- HTTP header is required'),
        }
      : {};
  for (const body of ['one', 'two']) await store.put('p/key', Buffer.from(body));
  assert.deepEqual(
    requests.map(({ headers }) => headers['content-md5']),
    [undefined, hash('md5', 'one', 'base64'), hash('md5', 'two', 'base64')],
  );
  for (const request of requests) checked(request);
});

test('behind an outage, one connection that breaks fails nothing', async () => {
  answers = () => ({ reset: true });
  const tries = Array.from({ length: 100 }, () => store.put('p/key', Buffer.from('x')));
  for (const { status } of await Promise.allSettled(tries)) assert.equal(status, 'rejected');
  assert.equal(requests.length, 300);
  requests = [];
  answers = () => (requests.length === 1 ? { reset: true } : {});
  await store.put('p/key', Buffer.from('x'));
  assert.equal(requests.length, 2);
});

test('a connection that is not used is closed before anything on the way forgets it', async () => {
  await store.put('p/key', Buffer.from('x'));
  const connections = promisify(server.getConnections.bind(server));
  assert.ok((await connections()) > 0);
  await until('it is closed', async () => ((await connections()) === 0 ? true : undefined), 15_000);
});

test('another invalid request is no reason to try again', async () => {
  answers = () => ({ status: 400, body: failure('InvalidRequest', 'no') });
  await assert.rejects(store.put('p/key', Buffer.from('x')), { code: 'archive-io', message: /status 400/ });
  assert.equal(requests.length, 1);
});

test('a server that cannot write under a condition is asked without', async () => {
  answers = ({ headers }) =>
    headers['if-none-match'] === undefined ? {} : { status: 501, body: failure('NotImplemented', 'no') };
  assert.equal(await store.putNew('p/key', Buffer.from('x')), true);
  assert.deepEqual(requests.filter(({ headers }) => headers['if-none-match'] === undefined).length, 1);
});

test('a write that ran into another is tried again, and what is there is told', async () => {
  let conflicts = 1;
  answers = () =>
    conflicts-- > 0
      ? { status: 409, body: failure('ConditionalRequestConflict', 'again') }
      : { status: 412, body: failure('PreconditionFailed', 'there') };
  assert.equal(await store.putNew('p/key', Buffer.from('x')), false);
  assert.equal(requests.length, 2);
});

test('a deletion that is refused is told, with its MD5 for servers that want one', async () => {
  answers = () => ({
    body: '<DeleteResult><Error><Key>p/key</Key><Code>AccessDenied</Code><Message>held</Message></Error></DeleteResult>',
  });
  await assert.rejects(store.remove(['p/key']), { code: 'archive-forbidden' });
  assert.equal(requests[0]?.headers['content-md5'], hash('md5', requests[0]?.body ?? '', 'base64'));
});

test('a list that ends without its end, and without a way to go on, is none', async () => {
  const page = (token: string): string =>
    `<ListBucketResult><IsTruncated>true</IsTruncated>${token}<Contents><Key>p/a</Key><Size>1</Size></Contents></ListBucketResult>`;
  const listed = async (): Promise<void> => {
    for await (const _ of store.list('p/'));
  };
  const want = { code: 'archive-io', message: /must know ListObjectsV2/ };
  answers = () => ({ body: page('') });
  await assert.rejects(listed(), want);
  answers = () => ({ body: page('<NextContinuationToken>same</NextContinuationToken>') });
  await assert.rejects(listed(), want);
});

test('an answer that is shorter, or not of the range that was asked for, is none', async () => {
  answers = () => ({ status: 206, headers: { 'content-range': 'bytes 5-9/10' }, body: 'abc' });
  await assert.rejects(store.get('p/key', 5, 5), { code: 'archive-io', message: /cannot be used/ });
  answers = () => ({ body: 'the whole object' });
  await assert.rejects(store.get('p/key', 5, 5), { code: 'archive-io' });
  assert.equal(Buffer.from((await store.get('p/key', 0, 3)) ?? []).toString(), 'the');
  answers = () => ({ status: 404, body: failure('NoSuchKey', 'no') });
  assert.equal(await store.get('p/key', 0, 3), undefined);
  answers = () => ({ status: 404, body: failure('NoSuchBucket', 'no') });
  await assert.rejects(store.get('p/key', 0, 3), { code: 'archive-missing' });
});

test('nothing of the credentials is in an error', async () => {
  answers = () => ({ status: 403, body: failure('SignatureDoesNotMatch', 'no') });
  const error: unknown = await store.put('p/key', Buffer.from('x')).catch((refused: unknown) => refused);
  assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /wJalr|AKIA/);
});

test('a clock that is set, forth or back, is told from a wrong signature and costs one more request', async () => {
  const real = Date.now;
  let offset = 0;
  // As a server judges it: by the time that a request was signed at.
  answers = ({ headers }) => {
    const [, year, month, day, hour, minute, second] =
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date'])) ?? [];
    const signedAt = Date.UTC(
      Number(year),
      Number(month) - 1,
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    );
    const date = { date: new Date(real()).toUTCString() };
    return Math.abs(signedAt - real()) < 900_000
      ? { headers: date }
      : { status: 403, headers: date, body: failure('RequestTimeTooSkewed', 'the clocks differ') };
  };
  Date.now = () => real() + offset;
  try {
    for (offset of [0, -7_200_000, 0, 7_200_000, -86_400_000, 0]) await store.put('p/key', Buffer.from('x'));
  } finally {
    Date.now = real;
  }
  assert.ok(requests.length > 6 && requests.length <= 16, `${requests.length} requests`);
});
