/** Session workers that die: the port stays open, the owner is told, another one takes the place. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import pino from 'pino';
import ssh2 from 'ssh2';
import { generateIdentity } from '../../../recorder/index.ts';
import type { ControlRequests } from '../../../workers/messages.ts';
import { Supervisor } from '../../../workers/supervisor.ts';
import { until } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';

const died: number[] = [];
const beats = new Set<number>();
const log: string[] = [];
/** Nobody logs on here: a question would be a fault of the test. */
const control: ControlRequests = new Proxy({} as ControlRequests, {
  get: () => () => Promise.reject(new Error('nothing is to be asked')),
});
const identity = await generateIdentity();
const supervisor = new Supervisor(
  {
    node: 'n',
    listen: { ssh: { host: '127.0.0.1', port: 0 }, rdp: { host: '127.0.0.1', port: 0 } },
    rdp: undefined,
    proxyFrom: [],
    ssh: {
      hostKeys: [ssh2.utils.generateKeyPairSync('ed25519').private],
      banner: undefined,
      loginGraceMs: 30_000,
      connectTimeoutMs: 10_000,
      maxChannels: 10,
    },
    archive: {
      settings: { urls: [`file:${temporaryFolder('archive')}`] },
      recipients: [identity.recipient],
      window: { bytes: 2 ** 20, ms: 1_000, graceSeconds: 1 },
      onFailure: 'pause',
      spool: { folder: '', limit: 0, used: new SharedArrayBuffer(8) },
      memoryBytes: 2 ** 28,
    },
    deadline: new SharedArrayBuffer(8),
    signingKey: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  },
  {
    forWorker: () => control,
    notice: (worker, notice) => {
      if (notice.type === 'beat') beats.add(worker);
    },
    workerDied: async (worker) => {
      died.push(worker);
    },
  },
  pino({}, { write: (line: string) => log.push(line) }),
  new URL('./mortal-worker.ts', import.meta.url),
);
const { ssh: port } = await supervisor.start(2);
after(() => supervisor.stop());

/** Resolves with whether an SSH server greets. */
function greeted(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', (chunk) => {
      resolve(chunk.toString('latin1').startsWith('SSH-2.0-Sallyport'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

for (const [how, worker] of [
  ['throw', 1],
  ['exit', 2],
] as const) {
  test(`a worker that dies by ${how} is told of and replaced, and the port never closes`, async () => {
    const bystander = connect(port, '127.0.0.1');
    await new Promise((resolve) => bystander.once('data', resolve));
    const before = died.length;
    supervisor.send(worker, { type: 'lock', sessionId: how, message: '' });
    await until('the death is told', () => (died.length > before ? true : undefined));
    assert.equal(died.at(-1), worker);
    for (let count = 0; count < 20; count += 1) assert.ok(await greeted(), `connection ${count}`);
    await until('another one beats', () => (beats.has(worker + 2) ? true : undefined));
    assert.ok(await greeted());
    bystander.destroy();
  });
}

test('a death is logged with its cause, a replacement too', () => {
  assert.match(log.join(''), /a session worker failed/);
  assert.match(log.join(''), /this worker was told to throw/);
  assert.match(log.join(''), /a session worker is replaced/);
});
