/** Many people who type through one gateway, into an SSH server that echoes: light enough for a hundred of them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import ssh2, { type ClientChannel, type Connection } from 'ssh2';
import type { ApplyDocument, Gateway } from './gateway.ts';
import { until } from './process.ts';
import { atExit } from './temp.ts';

const KEYS_APART_MS = 250;
/** A gateway lets so many of one address log on at a time, and more. */
const AT_ONCE = 8;
const USER = 'crowd';
const userKey = ssh2.utils.generateKeyPairSync('ed25519');

export interface EchoTarget {
  /** Declares it, and who may open it. */
  readonly document: ApplyDocument;
  close(): void;
}

/** An SSH server whose shell sends each key back. */
export async function startEchoTarget(): Promise<EchoTarget> {
  const hostKey = ssh2.utils.generateKeyPairSync('ed25519');
  const connections = new Set<Connection>();
  const ssh = new ssh2.Server({ hostKeys: [hostKey.private] }, (connection) => {
    connections.add(connection);
    connection.on('error', () => {});
    connection.on('close', () => connections.delete(connection));
    connection.on('authentication', (context) => context.accept());
    connection.on('session', (accept) => {
      const session = accept();
      session.on('pty', (acceptPty) => acceptPty?.());
      session.on('shell', (acceptShell) => {
        const channel = acceptShell();
        channel.pipe(channel);
      });
    });
  });
  const server = createServer({ noDelay: true }, (socket) => ssh.injectSocket(socket));
  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const close = (): void => {
    server.close();
    for (const connection of connections) connection.end();
  };
  atExit(close);
  const { port } = server.address() as AddressInfo;
  return {
    document: {
      users: [{ name: USER, sshKeys: [userKey.public], role: 'requester' }],
      systems: [{ name: 'echo', protocol: 'ssh', host: '127.0.0.1', port, hostKey: hostKey.public }],
      accounts: [{ name: 'root', system: 'echo', password: 'of the target' }],
      policies: [{ name: 'crowd', users: [USER], accounts: ['root@echo'], allow: ['shell'], record: true }],
    },
    close,
  };
}

/** Somebody who types, each key once the one before has come back. */
export class Typist {
  readonly #client: ssh2.Client;
  readonly #timer: NodeJS.Timeout;
  readonly #channel: ClientChannel;
  #sentAt: number | undefined;
  #keys = 0;
  #slowest = 0;
  #closed = false;

  private constructor(client: ssh2.Client, channel: ClientChannel) {
    this.#client = client;
    this.#channel = channel;
    channel.on('data', (bytes: Buffer) => this.#take(bytes));
    client.on('close', () => {
      this.#closed = true;
      clearInterval(this.#timer);
    });
    this.#timer = setInterval(() => this.#press(), KEYS_APART_MS);
  }

  static async open({ host, sshPort }: Gateway): Promise<Typist> {
    const client = new ssh2.Client();
    const [username, privateKey] = [`${USER}@root@echo`, userKey.private];
    client.connect({ host, port: sshPort, username, privateKey, readyTimeout: 60_000 });
    await once(client, 'ready');
    client.on('error', () => {});
    const channel = await new Promise<ClientChannel>((resolve, reject) => {
      client.once('close', () => reject(new Error('the connection was closed before the shell')));
      client.shell({ term: 'vt100' }, (error, opened) => (error ? reject(error) : resolve(opened)));
    });
    return new Typist(client, channel);
  }

  /** Keys that have come back. */
  get keys(): number {
    return this.#keys;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The longest that a key has taken since this was asked last, ms; of one that is under way so far. */
  slowest(): number {
    const underWay = this.#sentAt === undefined ? 0 : performance.now() - this.#sentAt;
    const slowest = Math.max(this.#slowest, underWay);
    this.#slowest = 0;
    return slowest;
  }

  end(): void {
    this.#client.end();
  }

  #press(): void {
    if (this.#sentAt !== undefined) return;
    this.#sentAt = performance.now();
    this.#channel.write(this.#letter());
  }

  #letter(): string {
    return String.fromCharCode(97 + (this.#keys % 26));
  }

  #take(bytes: Buffer): void {
    if (this.#sentAt === undefined) return;
    assert.equal(bytes.toString(), this.#letter(), 'a key comes back as another one');
    this.#slowest = Math.max(this.#slowest, performance.now() - this.#sentAt);
    this.#sentAt = undefined;
    this.#keys += 1;
  }
}

/** Opens `count` sessions; all of them type. */
export async function openCrowd(gateway: Gateway, count: number): Promise<Typist[]> {
  const crowd: Typist[] = [];
  let left = count;
  const open = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      crowd.push(await Typist.open(gateway));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, open));
  await allType(crowd);
  return crowd;
}

/** A worker that is silent for so long is found blocked (workers/supervisor.ts): whoever shared its fate waits longer. */
const FOUND_BLOCKED_MS = 5_000;

/**
 * Nobody of those who are left has waited as long as who was with a worker that stood still.
 * @returns the longest that a key has taken since it was asked last, ms
 */
export function assertUnnoticed(crowd: readonly Typist[]): number {
  const slowest = Math.max(...crowd.map((typist) => typist.slowest()));
  assert.ok(slowest < FOUND_BLOCKED_MS, `a key of somebody else took ${slowest.toFixed(0)} ms`);
  return slowest;
}

/** Resolves when each has had two more keys back. */
export async function allType(crowd: readonly Typist[]): Promise<void> {
  const before = new Map(crowd.map((typist) => [typist, typist.keys]));
  const type = (typist: Typist): boolean => typist.keys >= (before.get(typist) ?? 0) + 2;
  await until('everybody to type', () => (crowd.every(type) ? true : undefined));
}
