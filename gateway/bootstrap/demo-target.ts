/**
 * The demonstration's target: a small SSH server in a process of its own, on loopback only,
 * with one account whose password the vault alone knows. Started by demo.ts, which tells it
 * everything in one message; it ends with its parent.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:net';
import ssh2 from 'ssh2';
import {
  endProgram,
  hasTerminals,
  resizeTerminal,
  sftpServer,
  signalProgram,
  startProgram,
  type Terminal,
} from './demo-programs.ts';

/** What the parent sends once. */
export interface DemoOrder {
  /** Tried first; any free port when it is taken. */
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** Private host key, OpenSSH form. */
  readonly hostKey: string;
}
/** The answer. */
export type DemoAnswer = { readonly port: number } | { readonly problem: string };

const LOOPBACK = '127.0.0.1';
// A person tries it, not a crowd: what one process can be made to start is bounded.
const MAX_PROGRAMS = 64;
const programs = new Set<ChildProcessWithoutNullStreams>();

process.once('message', (order: DemoOrder) => serve(order));
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole process group; the parent decides when sessions end.
process.on('SIGINT', () => {});
process.on('exit', () => {
  for (const program of programs) endProgram(program);
});

function serve(order: DemoOrder): void {
  const ssh = new ssh2.Server({ hostKeys: [order.hostKey] }, (client) => {
    client.on('error', () => {});
    client.on('authentication', (context) => {
      const right =
        context.method === 'password' &&
        context.username === order.username &&
        same(context.password, order.password);
      if (right) context.accept();
      else context.reject(['password']);
    });
    client.on('session', (accept) => serveSession(accept()));
  });
  // A socket of our own: without Nagle's delay, each key echoes at once.
  const server = createServer({ noDelay: true }, (socket) => {
    if (socket.remoteAddress === LOOPBACK) ssh.injectSocket(socket);
    else socket.destroy();
  });
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE' && order.port !== 0) serve({ ...order, port: 0 });
    else answer({ problem: error.message });
  });
  server.listen(order.port, LOOPBACK, () => {
    const address = server.address();
    if (typeof address === 'object' && address !== null) answer({ port: address.port });
  });
}

function answer(message: DemoAnswer): void {
  process.send?.(message);
}

function same(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

function serveSession(session: ssh2.Session): void {
  const variables: Record<string, string> = {};
  let terminal: Terminal | undefined;
  let program: ChildProcessWithoutNullStreams | undefined;
  session.on('pty', (accept, reject, info) => {
    if (!hasTerminals) return reject();
    // The type leaves the terminal's name out.
    const term: unknown = Reflect.get(info, 'term');
    terminal = { term: typeof term === 'string' ? term : 'dumb', columns: info.cols, rows: info.rows };
    accept?.();
  });
  session.on('window-change', (accept, _reject, info) => {
    if (program !== undefined) resizeTerminal(program, info.cols, info.rows);
    accept?.();
  });
  session.on('env', (accept, reject, info) => {
    // As a stock sshd does: only what says how text is written.
    if (!/^(LANG|LC_[A-Z]+)$/.test(info.key)) return reject?.();
    variables[info.key] = String(Reflect.get(info, 'val'));
    accept?.();
  });
  session.on('signal', (accept, _reject, info) => {
    const signal = `SIG${info.name.replace(/^SIG/, '')}`;
    if (program !== undefined && isSignal(signal)) signalProgram(program, signal);
    accept?.();
  });
  const start = (channel: ssh2.ServerChannel, command: string | undefined, on: Terminal | undefined) => {
    program = runProgram(channel, command, on, variables);
  };
  session.on('shell', (accept) => start(accept(), undefined, terminal));
  session.on('exec', (accept, _reject, info) => start(accept(), info.command, terminal));
  session.on('subsystem', (accept, reject, info) => {
    if (info.name !== 'sftp' || sftpServer === undefined) return reject();
    start(accept(), `exec ${sftpServer}`, undefined);
  });
}

function runProgram(
  channel: ssh2.ServerChannel,
  command: string | undefined,
  terminal: Terminal | undefined,
  variables: Readonly<Record<string, string>>,
): ChildProcessWithoutNullStreams | undefined {
  const fail = (why: string) => {
    channel.stderr.write(`demo target: ${why}\n`);
    channel.exit(126);
    channel.end();
  };
  channel.on('error', () => {});
  if (programs.size >= MAX_PROGRAMS) {
    fail('too many programs run already');
    return undefined;
  }
  const program = startProgram(command, terminal, variables);
  programs.add(program);
  program.on('error', (error) => {
    programs.delete(program);
    fail(error.message);
  });
  program.stdin.on('error', () => {});
  channel.pipe(program.stdin);
  program.stdout.pipe(channel, { end: false });
  program.stderr.pipe(channel.stderr, { end: false });
  channel.on('close', () => endProgram(program));
  program.on('close', (code, signal) => {
    programs.delete(program);
    if (signal !== null) channel.exit(signal.replace(/^SIG/, ''));
    else channel.exit(code ?? 255);
    channel.end();
  });
  return program;
}

/** Those of RFC 4254 §6.10 that end or interrupt a program. */
function isSignal(name: string): name is NodeJS.Signals {
  return [
    'SIGABRT',
    'SIGALRM',
    'SIGHUP',
    'SIGINT',
    'SIGKILL',
    'SIGQUIT',
    'SIGTERM',
    'SIGUSR1',
    'SIGUSR2',
  ].includes(name);
}
