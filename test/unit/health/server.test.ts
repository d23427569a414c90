/** The listeners for load balancers, over real sockets: what they answer, refuse and bear. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { AgentServer } from '../../../gateway/health/agent.ts';
import { type Report, reason } from '../../../gateway/health/report.ts';
import { HealthServer } from '../../../gateway/health/server.ts';

const READY: Report = {
  ready: true,
  node: 'n1',
  state: 'serving',
  sessions: 3,
  maxSessions: 600,
  weight: 99,
  reasons: [],
  warnings: [],
};
const HOST = '127.0.0.1';
let report = READY;
let asked = 0;
let scrapes = 0;
let scrape = async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' });
const faults: unknown[] = [];
const options = { report: () => report, onAsked: () => void asked++ };
const http = new HealthServer({
  ...options,
  metrics: () => {
    scrapes++;
    return scrape();
  },
  onFault: (error) => faults.push(error),
});
const agent = new AgentServer(options);
let port = 0;
let agentPort = 0;
before(async () => {
  port = await http.listen({ host: HOST, port: 0 });
  agentPort = await agent.listen({ host: HOST, port: 0 });
});
after(() => {
  http.close();
  agent.close();
});

const get = (path: string, init?: RequestInit) => fetch(`http://${HOST}:${port}${path}`, init);

/** All that comes after `text` was sent, until the server closes. */
function exchange(to: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(to, HOST, () => socket.write(text));
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(received));
    socket.on('error', reject);
  });
}

test('alive: whatever keeps the node from taking sessions', async () => {
  report = { ...READY, ready: false, weight: 0, reasons: [reason('store-down')] };
  const answer = await get('/healthz');
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { alive: true, node: 'n1' });
});

test('ready, or 503 with reasons that machines read', async () => {
  report = READY;
  const before = asked;
  const ready = await get('/readyz?from=anywhere');
  assert.equal(ready.status, 200);
  assert.equal(ready.headers.get('cache-control'), 'no-store');
  assert.deepEqual(await ready.json(), READY);
  report = { ...READY, ready: false, state: 'draining', weight: 0, reasons: [reason('draining')] };
  const drains = await get('/readyz');
  assert.equal(drains.status, 503);
  assert.equal(drains.headers.get('content-type'), 'application/json');
  assert.deepEqual(await drains.json(), report);
  const head = await get('/readyz', { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [503, '']);
  assert.equal(asked - before, 3);
});

test('metrics are collected once for who asks at the same time, and a failure is told, not shown', async () => {
  const gate = Promise.withResolvers<void>();
  scrape = async () => {
    await gate.promise;
    return { contentType: 'text/plain; version=0.0.4', body: 'up 1\n' };
  };
  const before = scrapes;
  const answers = [get('/metrics'), get('/metrics')];
  while (scrapes === before) await new Promise((resolve) => setTimeout(resolve, 5));
  setTimeout(gate.resolve, 100);
  for (const answer of await Promise.all(answers)) {
    assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4');
    assert.equal(await answer.text(), 'up 1\n');
  }
  assert.equal(scrapes - before, 1);
  scrape = () => Promise.reject(new Error('what nobody outside should read'));
  const failed = await get('/metrics');
  assert.equal(failed.status, 500);
  assert.doesNotMatch(await failed.text(), /nobody outside/);
  assert.equal(faults.length, 1);
});

for (const [what, request, status] of [
  ['another path', 'GET /secrets HTTP/1.1\r\nHost: n\r\n\r\n', 404],
  ['a path that climbs', 'GET /../../etc/passwd HTTP/1.1\r\nHost: n\r\n\r\n', 404],
  ['another method', 'POST /healthz HTTP/1.1\r\nHost: n\r\nContent-Length: 4\r\n\r\nbody', 405],
  ['an option request', 'OPTIONS * HTTP/1.1\r\nHost: n\r\n\r\n', 405],
  ['a body', 'GET /healthz HTTP/1.1\r\nHost: n\r\nContent-Length: 4\r\n\r\nbody', 400],
  ['a chunked body', 'GET /healthz HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  [
    'a body to come',
    'GET /healthz HTTP/1.1\r\nHost: n\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
    400,
  ],
  ['headers without end', `GET /healthz HTTP/1.1\r\nHost: n\r\nX: ${'x'.repeat(20_000)}`, 431],
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2p1\r\n', 400],
] as const) {
  test(`${what} is refused with ${status}, and the connection is closed`, async () => {
    const answer = await exchange(port, request);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), answer);
  });
}

test('the agent check says its line to whoever connects, and closes', async () => {
  report = READY;
  assert.equal(await exchange(agentPort, ''), 'up ready 99%\n');
  report = { ...READY, ready: false, state: 'maintenance', weight: 0, reasons: [reason('maintenance')] };
  assert.equal(await exchange(agentPort, 'agent-send text that nobody reads\n'), 'maint\n');
});

test('an agent connection that never closes is closed', async () => {
  const socket = connect({ port: agentPort, host: HOST, allowHalfOpen: true });
  socket.resume();
  await new Promise((resolve) => socket.once('end', resolve));
  // The server gives up on it by itself: writing to it fails then.
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const poke = setInterval(() => socket.write('x'), 100);
  await closed;
  clearInterval(poke);
});
