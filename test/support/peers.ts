/** Other servers around the gateway: Dropbear, HAProxy, an SSH agent, a slow line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createAccount, type SystemAccount } from './account.ts';
import { type Daemon, freePort, runOk, startDaemon, until } from './process.ts';
import { waitForPort } from './rdp-port.ts';
import { waitForSsh } from './sshd.ts';
import { temporaryFolder } from './temp.ts';

export interface Dropbear {
  readonly port: number;
  readonly account: SystemAccount;
  /** `ssh-ed25519 AAAA…` */
  readonly hostKey: string;
  stop(): Promise<void>;
}

/** Starts Dropbear's server with password log-on for an account of its own. */
export async function startDropbear(): Promise<Dropbear> {
  const account = await createAccount();
  const folder = temporaryFolder('dropbear');
  const port = await freePort();
  const keyFile = join(folder, 'host_key');
  const made = await runOk('dropbearkey', ['-t', 'ed25519', '-f', keyFile]);
  const hostKey = /^(ssh-ed25519 \S+)/m.exec(made.text)?.[1];
  if (hostKey === undefined) throw new Error(`dropbearkey printed no public key: ${made.text}`);
  const daemon = startDaemon('/usr/sbin/dropbear', [
    ...['-F', '-E', '-r', keyFile, '-P', join(folder, 'pid'), '-p', `127.0.0.1:${port}`],
  ]);
  await waitForSsh(daemon, port);
  return {
    port,
    account,
    hostKey,
    async stop(): Promise<void> {
      await daemon.stop();
      account.remove();
    },
  };
}

/** Starts HAProxy on a configuration text; resolves when it takes connections on `port`. */
export async function startHaproxy(config: string, port: number): Promise<Daemon> {
  const file = join(temporaryFolder('haproxy'), 'haproxy.cfg');
  writeFileSync(file, config);
  const daemon = startDaemon('/usr/sbin/haproxy', ['-db', '-f', file]);
  await waitForPort(daemon, port);
  return daemon;
}

export interface Agent {
  readonly socket: string;
  /** SHA256 fingerprint of the key that it holds. */
  readonly fingerprint: string;
  stop(): Promise<void>;
}

/** Starts an SSH agent that holds the key in `keyFile`. */
export async function startAgent(keyFile: string): Promise<Agent> {
  const socket = join(temporaryFolder('agent'), 'agent');
  const daemon = startDaemon('ssh-agent', ['-D', '-a', socket]);
  const env = { SSH_AUTH_SOCK: socket };
  await until('the agent', () =>
    runOk('ssh-add', ['-q', keyFile], { env }).then(
      () => true,
      () => undefined,
    ),
  );
  const listed = await runOk('ssh-keygen', ['-lf', `${keyFile}.pub`]);
  const fingerprint = /SHA256:\S+/.exec(listed.text)?.[0];
  if (fingerprint === undefined) throw new Error(`no fingerprint in ${listed.text}`);
  return {
    socket,
    fingerprint,
    async stop(): Promise<void> {
      await daemon.stop();
    },
  };
}

export interface SlowLine {
  readonly port: number;
  /** Cuts every connection without a farewell (TCP reset). */
  cut(): void;
  close(): void;
}

/**
 * A TCP relay on loopback that delivers everything `delayMs` later, in each direction, and no more than
 * `bytesPerSecond`.
 */
export async function startSlowLine(
  to: number,
  delayMs: number,
  bytesPerSecond = Number.POSITIVE_INFINITY,
): Promise<SlowLine> {
  const sockets = new Set<Socket>();
  const later = (from: Socket, into: Socket): void => {
    // The relay itself bounds nothing: a line holds what the peers' own windows let them send.
    from.on('data', (chunk) => {
      if (bytesPerSecond !== Number.POSITIVE_INFINITY) {
        from.pause();
        setTimeout(() => from.resume(), (chunk.length / bytesPerSecond) * 1000);
      }
      setTimeout(() => into.write(chunk), delayMs);
    });
    from.on('end', () => setTimeout(() => into.end(), delayMs));
    from.on('error', () => into.destroy());
    from.on('close', () => sockets.delete(from));
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    sockets.add(near).add(far);
    later(near, far);
    later(far, near);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port,
    cut,
    close() {
      cut();
      server.close();
    },
  };
}

/** Reads a file that a remote command wrote, when it is there and complete (ends with a newline). */
export function completeFile(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    return text.endsWith('\n') ? text : undefined;
  } catch {
    return undefined;
  }
}
