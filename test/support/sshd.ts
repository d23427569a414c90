/** A private OpenSSH server on a loopback port, with an account of its own. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createAccount, type SystemAccount } from './account.ts';
import { type Daemon, freePort, runOk, startDaemon, until } from './process.ts';
import { temporaryFolder } from './temp.ts';

export interface SshdOptions {
  /** Which sftp server answers the subsystem. Default `internal-sftp`. */
  readonly sftp?: 'internal-sftp' | 'sftp-server';
  /** RFC 4252 method names that the server offers. Default password and publickey. */
  readonly methods?: readonly ('password' | 'publickey' | 'keyboard-interactive')[];
  /** Further lines of sshd_config, before the defaults (sshd takes the first value it sees). */
  readonly config?: readonly string[];
  /** Default: a free one. A restarted server can take the port of the one before it. */
  readonly port?: number;
}

export interface Sshd {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly account: SystemAccount;
  /** The Ed25519 host key, as `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
  /** A private key in OpenSSH form that logs on to the account. */
  readonly privateKey: string;
  readonly folder: string;
  /** The server's log so far (LogLevel VERBOSE). */
  log(): string;
  stop(): Promise<void>;
}

/** Makes an Ed25519 key pair without passphrase; returns its public line without comment. */
export async function generateKey(
  file: string,
  type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519',
): Promise<string> {
  await runOk('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', file]);
  return readFileSync(`${file}.pub`, 'utf8').trim();
}

/** Resolves with the first line that a server on `port` sends. */
function greeting(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(1000, () => socket.destroy());
    socket.once('data', (chunk) => {
      resolve(chunk.toString('latin1').split('\r\n', 1)[0]);
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(undefined));
  });
}

/** Resolves when an SSH server greets on `port`; rejects with its output when it ends before that. */
export async function waitForSsh(daemon: Daemon, port: number, timeoutMs = 20_000): Promise<void> {
  let ended: number | undefined;
  void daemon.exited.then((code) => {
    ended = code;
  });
  await until(
    `an SSH greeting on port ${port}`,
    async () => {
      if (ended !== undefined) throw new Error(`the server ended with ${ended}:\n${daemon.output()}`);
      return (await greeting(port))?.startsWith('SSH-2.0-') ? true : undefined;
    },
    timeoutMs,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${daemon.output().slice(-4000)}`);
  });
}

/** Starts sshd as root with password and key log-on, all forwarding and a sftp subsystem. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const account = await createAccount();
  const folder = temporaryFolder('sshd');
  const port = options.port ?? (await freePort());
  const hostKey = await generateKey(join(folder, 'host_key'));
  writeFileSync(join(folder, 'authorized_keys'), `${await generateKey(join(folder, 'user_key'))}\n`);
  // sshd reads the keys with the account's rights.
  await runOk('chmod', ['-R', 'go+rX', folder]);
  await runOk('chmod', ['600', join(folder, 'host_key'), join(folder, 'user_key')]);
  const methods = options.methods ?? ['password', 'publickey'];
  const allowed = (method: (typeof methods)[number]): string => (methods.includes(method) ? 'yes' : 'no');
  const log = join(folder, 'sshd.log');
  const config = [
    ...(options.config ?? []),
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host_key')}`,
    `PidFile ${join(folder, 'sshd.pid')}`,
    // The folder lies under /tmp, which others may write to.
    'StrictModes no',
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    `PasswordAuthentication ${allowed('password')}`,
    `PubkeyAuthentication ${allowed('publickey')}`,
    `KbdInteractiveAuthentication ${allowed('keyboard-interactive')}`,
    // Keyboard-interactive asks through PAM; without it PAM would only slow things down.
    `UsePAM ${allowed('keyboard-interactive')}`,
    `AllowUsers ${account.name}`,
    'AllowTcpForwarding yes',
    'AllowStreamLocalForwarding yes',
    'AllowAgentForwarding yes',
    'X11Forwarding yes',
    'X11UseLocalhost yes',
    'AcceptEnv LANG LC_*',
    'PrintMotd no',
    'PrintLastLog no',
    'MaxSessions 100',
    'MaxStartups 200',
    'MaxAuthTries 6',
    'UseDNS no',
    'LogLevel VERBOSE',
    `Subsystem sftp ${options.sftp === 'sftp-server' ? '/usr/lib/openssh/sftp-server' : 'internal-sftp'}`,
  ];
  writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`);
  // Privilege separation wants its empty folder, which a boot would have made.
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const daemon = startDaemon('/usr/sbin/sshd', ['-D', '-f', join(folder, 'sshd_config'), '-E', log]);
  await waitForSsh(daemon, port).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${existsSync(log) ? readFileSync(log, 'utf8') : ''}`);
  });
  return {
    host: '127.0.0.1',
    port,
    account,
    hostKey,
    privateKey: readFileSync(join(folder, 'user_key'), 'utf8'),
    folder,
    log: () => readFileSync(log, 'utf8'),
    async stop(): Promise<void> {
      await daemon.stop();
      account.remove();
    },
  };
}
