/**
 * The servers of the benchmark on loopback: one sshd as target, and before it, side by side, a
 * jump host, HAProxy, the gateway, and lines of 50 ms to the target and to the gateway.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { obstacle } from '../../test/support/packages.ts';
import { startHaproxy } from '../../test/support/peers.ts';
import { type Daemon, freePort, startDaemon, until } from '../../test/support/process.ts';
import { type Sshd, startSshd } from '../../test/support/sshd.ts';
import { atExit } from '../../test/support/temp.ts';
import { randomFile } from '../../test/support/tree.ts';
import type { Endpoint } from './jobs.ts';

/** The only cipher of client and target, hence of both legs of the gateway. */
export const CIPHER = 'aes128-gcm@openssh.com';

/** Added to each direction of a long line. */
export const ONE_WAY_MS = 25;

/** Session workers of every gateway here; one session uses one of them. */
export const GATEWAY_WORKERS = 2;

export const PATHS = ['direct', 'jump', 'haproxy', 'gateway', 'gateway-full'] as const;
export type Path = (typeof PATHS)[number];
export type Line = 'direct-50ms' | 'gateway-50ms' | 'relay';

/** What a transfer moves. */
export interface Payload {
  readonly file: string;
  readonly bytes: number;
}

export interface Bed {
  readonly target: Sshd;
  readonly gateway: Gateway;
  /** OpenSSH client configuration in which every path and line is a host. */
  readonly sshConfig: string;
  readonly endpoints: Readonly<Record<Exclude<Path, 'jump'>, Endpoint>>;
  /**
   * Process id of the server that a client of this path connects to, where it is one process.
   * Not sshd: part of what its children used is lost with them.
   */
  readonly servers: Readonly<Partial<Record<Path, number>>>;
  /** Random bytes in memory (`/dev/shm`): no compression helps, no disk hinders. */
  readonly bulk: Payload;
  /** A quarter of it, for what takes its time: a long line, checksums. */
  readonly short: Payload;
  stop(): Promise<void>;
}

/**
 * Starts a gateway on the target: alice's sessions are recorded as usual, those of bob in full. `archive`:
 * where to, as the configuration has it; `more`: further keys of it.
 */
export async function startBenchGateway(
  target: Sshd,
  archive: Readonly<Record<string, unknown>> = {},
  more: Readonly<Record<string, unknown>> = {},
): Promise<Gateway> {
  const key = readFileSync(keyFileOf(target, '.pub'), 'utf8').trim();
  const policy = { allow: ['shell', 'exec'], accounts: ['*@target'], record: true, keystrokes: true };
  return await startGateway({
    config: { workers: { sessions: GATEWAY_WORKERS }, archive, ...more },
    document: {
      users: ['alice', 'bob'].map((name) => ({ name, sshKeys: [key], role: 'requester' })),
      systems: [
        { name: 'target', protocol: 'ssh', host: target.host, port: target.port, hostKey: target.hostKey },
      ],
      accounts: [{ name: target.account.name, system: 'target', privateKey: target.privateKey }],
      policies: [
        { name: 'usual', users: ['alice'], ...policy },
        { name: 'full', users: ['bob'], ...policy, execLimit: 'full' },
      ],
    },
  });
}

/** Where `user` logs on to reach the target through a gateway. */
export function gatewayEndpoint(gateway: Gateway, target: Sshd, user: 'alice' | 'bob'): Endpoint {
  const login = `${user}@${target.account.name}@target`;
  return { host: gateway.host, port: gateway.sshPort, login, keyFile: keyFileOf(target) };
}

const keyFileOf = (sshd: Sshd, ending = ''): string => join(sshd.folder, `user_key${ending}`);

/** `mib`: size of the bulk payload in MiB. */
export async function startBed(mib: number): Promise<Bed> {
  const missing = obstacle(['openssh-server', 'openssh-client', 'haproxy']);
  if (missing !== undefined) throw new Error(`the ssh benchmark ${missing}`);
  const folder = mkdtempSync('/dev/shm/sallyport-bench-');
  atExit(() => rmSync(folder, { recursive: true, force: true }));
  // The account on the target reads the file in it.
  chmodSync(folder, 0o755);

  const config = [`Ciphers ${CIPHER}`, 'Compression no', 'MaxStartups 2000', 'LogLevel ERROR'];
  const [target, jump] = await Promise.all([startSshd({ config }), startSshd({ config })]);
  const haproxyPort = await freePort();
  const haproxy = await startHaproxy(haproxyConfig(haproxyPort, target.port), haproxyPort);
  const gateway = await startBenchGateway(target);
  const lines = await Promise.all([
    startRelay(target.port, ONE_WAY_MS),
    startRelay(gateway.sshPort, ONE_WAY_MS),
    startRelay(target.port, 0),
  ]);

  const direct = {
    host: target.host,
    port: target.port,
    login: target.account.name,
    keyFile: keyFileOf(target),
  };
  const endpoints = {
    direct,
    haproxy: { ...direct, port: haproxyPort },
    gateway: gatewayEndpoint(gateway, target, 'alice'),
    'gateway-full': gatewayEndpoint(gateway, target, 'bob'),
  };
  const hop = { host: jump.host, port: jump.port, login: jump.account.name, keyFile: keyFileOf(jump) };
  const sshConfig = join(folder, 'ssh_config');
  const hosts: Readonly<Record<Path | Line | 'hop', Endpoint>> = {
    ...endpoints,
    jump: direct,
    hop,
    'direct-50ms': { ...direct, port: lines[0].port },
    'gateway-50ms': { ...endpoints.gateway, port: lines[1].port },
    relay: { ...direct, port: lines[2].port },
  };
  writeFileSync(sshConfig, clientConfig(hosts));
  const payload = (name: string, bytes: number): Payload => ({
    file: randomFile(join(folder, name), bytes),
    bytes,
  });
  return {
    target,
    gateway,
    sshConfig,
    endpoints,
    servers: {
      haproxy: haproxy.pid,
      gateway: gateway.pid,
      'gateway-full': gateway.pid,
    },
    bulk: payload('bulk', mib * 2 ** 20),
    short: payload('short', mib * 2 ** 18),
    async stop() {
      await Promise.all([...lines.map((line) => line.daemon.stop()), haproxy.stop(), gateway.stop()]);
      await Promise.all([target.stop(), jump.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function haproxyConfig(port: number, targetPort: number): string {
  const lines = [
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 1h',
    '  timeout server 1h',
    'listen ssh',
    `  bind 127.0.0.1:${port}`,
    `  server target 127.0.0.1:${targetPort}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** Resolves with the port of a delaying relay to `targetPort`. */
async function startRelay(targetPort: number, delayMs: number): Promise<{ port: number; daemon: Daemon }> {
  const script = join(import.meta.dirname, 'delay-relay.ts');
  const daemon = startDaemon(process.execPath, [script, String(targetPort), String(delayMs)]);
  const port = await until('the port of the relay', () => /^(\d+)\n/.exec(daemon.output())?.[1]);
  return { port: Number(port), daemon };
}

/** OpenSSH's client configuration of these hosts. */
export function clientConfig(hosts: Readonly<Record<string, Endpoint>>): string {
  const sections = Object.entries(hosts).map(([name, { host, port, login, keyFile }]) => [
    `Host ${name}`,
    `  HostName ${host}`,
    `  Port ${port}`,
    `  User "${login}"`,
    `  IdentityFile ${keyFile}`,
    ...(name === 'jump' ? ['  ProxyJump hop'] : []),
  ]);
  const all = [
    'Host *',
    `  Ciphers ${CIPHER}`,
    // One key exchange for all: with its own first choice OpenSSH is a third as fast at set-ups.
    '  KexAlgorithms curve25519-sha256',
    '  Compression no',
    '  IdentitiesOnly yes',
    '  PreferredAuthentications publickey',
    // The servers live as long as the benchmark, on loopback: their keys prove nothing.
    '  StrictHostKeyChecking no',
    '  UserKnownHostsFile /dev/null',
    '  GlobalKnownHostsFile /dev/null',
    '  LogLevel ERROR',
  ];
  return `${[...sections.flat(), ...all].join('\n')}\n`;
}
