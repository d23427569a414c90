/** Targets that misbehave before there is a session: nothing, garbage, another identity. */
import { createServer, type Server, type Socket } from 'node:net';
import ssh2, { type Connection } from 'ssh2';
import { PYTHON } from './packages.ts';
import { startDaemon, until } from './process.ts';

export interface FaultyTarget {
  readonly port: number;
  stop(): Promise<void>;
}

/** Accepts connections, on a free port of 127.0.0.1 by default, and hands each to `onConnection`. */
export async function startTcpTarget(
  onConnection: (socket: Socket) => void = () => {},
  at: { readonly host?: string; readonly port?: number } = {},
): Promise<FaultyTarget> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  const port = await listen(server, at);
  return {
    port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/**
 * A port that answers no connection: a listener whose queue is full and who never accepts, so
 * that the kernel drops every further SYN, as a firewall would.
 */
export async function startBlackhole(): Promise<FaultyTarget> {
  const script = [
    'import socket, time',
    'listener = socket.socket()',
    'listener.bind(("127.0.0.1", 0))',
    'listener.listen(0)',
    'queued = []',
    'for _ in range(3):',
    '    one = socket.socket()',
    '    one.setblocking(False)',
    '    one.connect_ex(listener.getsockname())',
    '    queued.append(one)',
    'time.sleep(0.2)',
    'print(listener.getsockname()[1], flush=True)',
    'time.sleep(600)',
  ].join('\n');
  const daemon = startDaemon(PYTHON, ['-c', script]);
  const port = await until('the black hole', () => {
    const line = /^(\d+)\n/.exec(daemon.output());
    return line === null ? undefined : Number(line[1]);
  });
  return {
    port,
    async stop() {
      await daemon.stop();
    },
  };
}

export interface Impostor extends FaultyTarget {
  /** `type base64` of the key that it shows. */
  readonly hostKey: string;
  /** Every log-on that was tried, with its secret: what an attacker in between would have learned. */
  readonly learned: readonly { readonly method: string; readonly secret: string }[];
  /** Connections that came as far as the key exchange's end or further. */
  readonly connections: number;
}

/**
 * An SSH server with a key of its own that lets everybody in and remembers what it is told.
 * @param serve what it does with each of its connections
 */
export async function startImpostor(
  serve: (connection: Connection, socket: Socket) => void = () => {},
): Promise<Impostor> {
  const { private: privateKey, public: publicKey } = ssh2.utils.generateKeyPairSync('ed25519');
  const learned: { method: string; secret: string }[] = [];
  let connections = 0;
  const ssh = new ssh2.Server({ hostKeys: [privateKey] }, (connection) => {
    connections += 1;
    connection.on('error', () => {});
    connection.on('authentication', (context) => {
      learned.push({
        method: context.method,
        secret: context.method === 'password' ? context.password : '',
      });
      context.accept();
    });
  });
  const target = await startTcpTarget((socket) => {
    ssh.once('connection', (connection) => serve(connection, socket));
    ssh.injectSocket(socket);
  });
  return {
    ...target,
    hostKey: publicKey.split(' ', 2).join(' '),
    learned,
    get connections() {
      return connections;
    },
  };
}

function listen(
  server: Server,
  { host = '127.0.0.1', port = 0 }: { readonly host?: string; readonly port?: number },
): Promise<number> {
  return new Promise((resolve) => {
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
