/**
 * The servers of the benchmark on loopback: one synthetic RDP server as target, and before it, side
 * by side, HAProxy passing TLS on and the gateway.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { obstacle } from '../../test/support/packages.ts';
import { startHaproxy } from '../../test/support/peers.ts';
import { type Daemon, freePort, startDaemon, until } from '../../test/support/process.ts';
import { temporaryFolder } from '../../test/support/temp.ts';
import { type Endpoint, PASSWORD, type TargetFacts } from './jobs.ts';

/** Session workers of every gateway here; one session uses one of them. */
export const GATEWAY_WORKERS = 2;

/** What the target shows: names of its accounts. */
export const ACCOUNTS = ['dense', 'compressible', 'echo', 'typing', 'idle'] as const;
export type Account = (typeof ACCOUNTS)[number];

/** `plain`: the gateway for a user whom policy does not record. */
export const PATHS = ['direct', 'haproxy', 'plain', 'recorded'] as const;
export type Path = (typeof PATHS)[number];

export interface Bed {
  readonly target: TargetFacts;
  readonly haproxyPort: number;
  readonly gateway: Gateway;
  /** Process ids of what stands between client and target. */
  readonly servers: Readonly<Partial<Record<Path, number>>>;
  /** Bytes of a flood. */
  readonly floodBytes: number;
  stop(): Promise<void>;
}

/**
 * Starts a gateway on the target: alice's sessions are recorded, those of bob are not.
 * @param nla whether people log on with NLA, as most clients do, or with a password over TLS
 */
export async function startBenchGateway(target: TargetFacts, nla = true): Promise<Gateway> {
  const policy = { allow: ['desktop'], accounts: ['*@target'], keystrokes: true };
  return await startGateway({
    config: { workers: { sessions: GATEWAY_WORKERS }, rdp: { nla: nla ? 'preferred' : 'never' } },
    document: {
      users: ['alice', 'bob'].map((name) => ({ name, password: PASSWORD, nla, role: 'requester' })),
      systems: [
        {
          name: 'target',
          protocol: 'rdp',
          host: '127.0.0.1',
          port: target.rdpPort,
          certificate: target.fingerprint,
        },
      ],
      accounts: ACCOUNTS.map((name) => ({ name, system: 'target', password: PASSWORD })),
      policies: [
        { name: 'recorded', users: ['alice'], ...policy, record: true },
        { name: 'plain', users: ['bob'], ...policy, record: false },
      ],
    },
  });
}

/** A desktop of the target behind a gateway. */
export function gatewayEndpoint(gateway: Gateway, user: 'alice' | 'bob', account: Account): Endpoint {
  return { protocol: 'rdp', port: gateway.rdpPort, login: `${user}+${account}+target` };
}

/** A desktop of the target itself. */
export function directEndpoint(target: TargetFacts, account: Account): Endpoint {
  return { protocol: 'rdp', port: target.rdpPort, login: account };
}

/** `mib`: size of a flood in MiB. */
export async function startBed(mib: number): Promise<Bed> {
  const missing = obstacle(['haproxy']);
  if (missing !== undefined) throw new Error(`the rdp benchmark ${missing}`);
  const folder = temporaryFolder('bench-rdp');
  const floodBytes = mib * 2 ** 20;
  const daemon = startDaemon(process.execPath, [
    join(import.meta.dirname, 'target.ts'),
    folder,
    String(floodBytes),
  ]);
  const target = await targetFacts(daemon);
  const haproxyPort = await freePort();
  const haproxy = await startHaproxy(haproxyConfig(folder, haproxyPort, target.tlsPort), haproxyPort);
  const gateway = await startBenchGateway(target);
  return {
    target,
    gateway,
    haproxyPort,
    servers: { haproxy: haproxy.pid, plain: gateway.pid, recorded: gateway.pid },
    floodBytes,
    async stop() {
      await Promise.all([haproxy.stop(), gateway.stop()]);
      await daemon.stop();
    },
  };
}

async function targetFacts(daemon: Daemon): Promise<TargetFacts> {
  const line = await until('the target', () => /^(\{.*\})\n/m.exec(daemon.output())?.[1], 60_000);
  return JSON.parse(line) as TargetFacts;
}

/** TLS on both sides in one thread, with the target's own certificate. */
function haproxyConfig(folder: string, port: number, targetPort: number): string {
  const pem = join(folder, 'haproxy.pem');
  const parts = ['tls.crt', 'tls.key'].map((name) => readFileSync(join(folder, name), 'utf8'));
  writeFileSync(pem, parts.join(''), { mode: 0o600 });
  const lines = [
    'global',
    '  nbthread 1',
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 1h',
    '  timeout server 1h',
    'listen rdp',
    `  bind 127.0.0.1:${port} ssl crt ${pem}`,
    `  server target 127.0.0.1:${targetPort} ssl verify none`,
  ];
  return `${lines.join('\n')}\n`;
}
