/** People who come for one thing and are gone: what such sessions leave behind shows in a soak. */
import { rejects } from 'node:assert/strict';
import type { Client } from 'ssh2';
import { logOn } from '../ssh/client.ts';
import type { Endpoint } from '../ssh/jobs.ts';

/** `refused`: asks for an account that there is none of. */
export const ERRANDS = ['exec', 'sftp', 'refused'] as const;
export type Errand = (typeof ERRANDS)[number];

/** Far more than any takes. */
const ERRAND_MS = 30_000;

/**
 * Logs on through the gateway, does the errand, and leaves.
 * @param endpoint login `user@account@system`
 * @returns ms from TCP connect to the session; undefined: it was refused, as it should be
 * @throws Error when it went otherwise than it should
 */
export async function passBy(endpoint: Endpoint, errand: Errand): Promise<number | undefined> {
  const begun = performance.now();
  const login = errand === 'refused' ? endpoint.login.replace(/@[^@]+@/, '@nobody@') : endpoint.login;
  const client = await logOn({ ...endpoint, login });
  const late = setTimeout(() => client.destroy(), ERRAND_MS);
  try {
    if (errand === 'sftp') await listFolder(client);
    else if (errand === 'exec') await command(client);
    else await rejects(command(client), 'nobody was let in');
    return errand === 'refused' ? undefined : performance.now() - begun;
  } finally {
    clearTimeout(late);
    client.end();
  }
}

/** @throws Error when it did not end with 0 */
async function command(client: Client): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.once('close', () => reject(new Error('the connection was closed before the command ended')));
    client.exec('true', (error, channel) => {
      if (error) return reject(error);
      // Its end may be in the same packets as its beginning.
      channel.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`it ended with ${code}`))));
      channel.resume();
    });
  });
}

async function listFolder(client: Client): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.once('close', () => reject(new Error('the connection was closed before the listing')));
    client.sftp((error, sftp) => {
      if (error) reject(error);
      else sftp.readdir('.', (failure) => (failure ? reject(failure) : resolve()));
    });
  });
}
