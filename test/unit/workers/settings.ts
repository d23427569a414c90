/** Settings of session workers that listen on free ports and write to a folder. */
import { generateKeyPairSync } from 'node:crypto';
import ssh2 from 'ssh2';
import { generateIdentity } from '../../../recorder/index.ts';
import type { WorkerSettings } from '../../../workers/settings.ts';
import { temporaryFolder } from '../../support/temp.ts';

export async function workerSettings(): Promise<WorkerSettings> {
  const { recipient } = await generateIdentity();
  return {
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
      recipients: [recipient],
      window: { bytes: 2 ** 20, ms: 1_000, graceSeconds: 1 },
      onFailure: 'pause',
      spool: { folder: '', limit: 0, used: new SharedArrayBuffer(8) },
      memoryBytes: 2 ** 28,
    },
    deadline: new SharedArrayBuffer(8),
    signingKey: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
