/** HAProxy as `deploy/haproxy.cfg` sets it up, before nodes of a test. */
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import type { Gateway } from './gateway.ts';
import { startHaproxy } from './peers.ts';
import { freePort } from './process.ts';
import { temporaryFolder } from './temp.ts';

/** Where the balancer connects from: the address whose PROXY header the nodes trust. */
export const BALANCER = '127.0.0.2';
/** The nodes of the file, in its order. */
const NODES = ['10.0.0.11', '10.0.0.12'] as const;
export const DEPLOYED = join(import.meta.dirname, '../../deploy/haproxy.cfg');

export interface Server {
  /** `UP`, `DOWN`, `DRAIN`, `MAINT` … */
  readonly status: string;
  /** Of 100. */
  readonly weight: number;
  /** Open through this balancer. */
  readonly sessions: number;
}

export interface Balancer {
  readonly sshPort: number;
  readonly rdpPort: number;
  /** What it thinks of a node: 0 for the first, 1 for the second. */
  server(backend: 'ssh-nodes' | 'rdp-nodes', node: number): Promise<Server>;
  stop(): Promise<void>;
}

/** Starts HAProxy on the deployed file, in which nothing but addresses, ports and the socket's path is replaced. */
export async function startBalancer(nodes: readonly [Gateway, Gateway]): Promise<Balancer> {
  const [sshPort, rdpPort] = [await freePort(), await freePort()];
  const socket = join(temporaryFolder('balancer'), 'admin.sock');
  let config = readFileSync(DEPLOYED, 'utf8');
  const replace = (what: string, by: string): void => {
    if (!config.includes(what)) throw new Error(`deploy/haproxy.cfg has no "${what}"`);
    config = config.replaceAll(what, by);
  };
  replace('/run/haproxy/admin.sock', socket);
  replace('source 10.0.0.10', `source ${BALANCER}`);
  replace('bind :4422', `bind 127.0.0.1:${sshPort}`);
  replace('bind :4489', `bind 127.0.0.1:${rdpPort}`);
  // On one machine each node has health and agent ports of its own.
  replace(' port 8480', '');
  replace(' agent-port 8481', '');
  for (const [index, gateway] of nodes.entries()) {
    replace(`${NODES[index]}:4422`, `127.0.0.1:${gateway.sshPort}`);
    replace(`${NODES[index]}:4489`, `127.0.0.1:${gateway.rdpPort}`);
    const own = `port ${gateway.healthPort} agent-port ${gateway.agentCheckPort}`;
    config = config.replaceAll(new RegExp(`(server gw${index + 1} .*)`, 'g'), `$1 ${own}`);
  }
  const daemon = await startHaproxy(config, sshPort);
  return {
    sshPort,
    rdpPort,
    async server(backend, node) {
      const row = (await statistics(socket)).find(
        (each) => each['pxname'] === backend && each['svname'] === `gw${node + 1}`,
      );
      if (row === undefined) throw new Error(`HAProxy has no gw${node + 1} in ${backend}`);
      const { status = '', weight, scur } = row;
      return { status, weight: Number(weight), sessions: Number(scur) };
    },
    async stop() {
      await daemon.stop();
    },
  };
}

/** `show stat` of HAProxy's management socket (management.txt §9.1): CSV with a head. */
async function statistics(socket: string): Promise<readonly Readonly<Record<string, string>>[]> {
  const text = await new Promise<string>((resolve, reject) => {
    const connection = createConnection(socket, () => connection.write('show stat\n'));
    let answer = '';
    connection.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk;
    });
    connection.on('end', () => resolve(answer)).on('error', reject);
  });
  const [head = '', ...lines] = text.trim().split('\n');
  const names = head.replace(/^# /, '').split(',');
  return lines.map((line) => {
    const values = line.split(',');
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
  });
}
