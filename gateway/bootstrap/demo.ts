/** Starts and ends the demonstration's target as a child of the node that has it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { EmbeddedVault, type MasterKey } from '../../vault-client/index.ts';
import type { Store } from '../store/port.ts';
import type { DemoAnswer, DemoOrder } from './demo-target.ts';
import { DEMO, DEMO_NODE } from './first-rows.ts';
import { publicLine } from './keys.ts';

/** A fresh Node starts in well under a second; a loaded machine takes longer. */
const START_MS = 15_000;
const STOP_MS = 2000;

export interface DemoTarget {
  readonly stop: () => Promise<void>;
}

/**
 * Starts the target when this node has it: on the port of the demonstration's system, or on
 * a free one. The system then gets what is true: port and host key.
 *
 * @returns undefined when the demonstration is not, or no more, on this node's loopback
 * @throws Error when the target does not start
 */
export async function startDemo(
  store: Store,
  masterKey: MasterKey,
  node: string,
  hostKey: string,
): Promise<DemoTarget | undefined> {
  const system = await store.system(DEMO);
  if (system?.host !== '127.0.0.1' || (await store.setting(DEMO_NODE)) !== node) return undefined;
  const lease = { account: DEMO, system: DEMO, user: 'system', sessionId: 'demo target' };
  const { credential } = await new EmbeddedVault(store, masterKey).checkOut(lease);
  if (credential.password === undefined) return undefined;

  const child = fork(join(import.meta.dirname, 'demo-target.ts'), {
    execArgv: [],
    // Not the gateway's environment: it may hold the master key.
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    // By message: arguments and environment can be read in process lists.
    const order: DemoOrder = {
      port: system.port,
      username: DEMO,
      password: credential.password.expose(),
      hostKey,
    };
    child.send(order);
    const port = await portOf(child);
    const publicKey = publicLine('demo_host_key', hostKey);
    if (port !== system.port || publicKey !== system.hostKey) {
      await store.transaction(async (tx) => {
        const row = await tx.system(DEMO);
        if (row !== undefined) await tx.putSystem({ ...row, port, hostKey: publicKey });
      });
    }
  } catch (error) {
    await stop(child);
    throw error;
  }
  return { stop: () => stop(child) };
}

async function portOf(child: ChildProcess): Promise<number> {
  const wait = { signal: AbortSignal.timeout(START_MS) };
  const exited = once(child, 'exit', wait).then(() => {
    throw new Error('demo target: ended before it was ready');
  });
  const [answer] = (await Promise.race([once(child, 'message', wait), exited])) as [DemoAnswer];
  exited.catch(() => {});
  if ('problem' in answer) throw new Error(`demo target: ${answer.problem}`);
  return answer.port;
}

/** It ends when the channel closes; if it does not, it is made to. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  if (child.connected) child.disconnect();
  await exited;
  clearTimeout(timer);
}
