/**
 * What a test file needs: one sshd as target, one gateway before it, and the door that clients
 * are given. With SALLYPORT_TEST_DIRECT=1 the door is the sshd itself: what fails there too is
 * the fault of the test or the machine, not of the gateway.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SSH_CAPABILITIES } from '../../gateway/policy/capability.ts';
import { type ApplyDocument, type Gateway, startGateway } from './gateway.ts';
import { type RunOptions, type RunResult, run, runOk } from './process.ts';
import { generateKey, type Sshd, type SshdOptions, startSshd } from './sshd.ts';
import { temporaryFolder } from './temp.ts';
import { openTerminal, type Terminal, type TerminalOptions } from './terminal.ts';

/** Clients are pointed at the target itself. */
export const DIRECT = process.env['SALLYPORT_TEST_DIRECT'] === '1';

/** What a client is told: where, as whom, with which password, and the host key to expect. */
export interface Door {
  readonly host: string;
  readonly port: number;
  readonly login: string;
  readonly password: string;
  /** `type base64` lines of the server's host keys. */
  readonly hostKeys: readonly string[];
  /** OpenSSH known_hosts file with these keys. */
  readonly knownHosts: string;
  /** OpenSSH client configuration in which the door is called `target`. */
  readonly sshConfig: string;
  /** Environment that hands the password to OpenSSH clients without a terminal. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Bed {
  readonly sshd: Sshd;
  /** The gateway; an error where the door is direct, which only {@link gatewayTest} files avoid. */
  readonly gateway: Gateway;
  readonly door: Door;
  readonly folder: string;
  /** Another door of the same gateway: another user, account or system. */
  doorFor(login: string, password: string): Door;
  /** What the tests' users and the account on the target are called. */
  readonly targetLogin: (user: string) => string;
  stop(): Promise<void>;
}

export interface BedOptions {
  readonly sshd?: SshdOptions;
  /** Keys of sallyport.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Added to the environment of `serve`. */
  readonly env?: Readonly<Record<string, string>>;
  /** What is applied beside the base document, which names alice, web01 and its account. */
  readonly document?: (sshd: Sshd) => ApplyDocument;
}

/** The password of every user that tests apply. */
export const PASSWORD = 'correct horse battery staple';

export const ALL_CAPABILITIES = SSH_CAPABILITIES;

/** Starts the servers. The base policy lets alice do everything on the account of web01, recorded. */
export async function startBed(options: BedOptions = {}): Promise<Bed> {
  const folder = temporaryFolder('bed');
  const sshd = await startSshd(options.sshd);
  const account = sshd.account.name;
  if (DIRECT) {
    const door = await openDoor(folder, {
      host: sshd.host,
      port: sshd.port,
      login: account,
      password: sshd.account.password,
    });
    return {
      sshd,
      get gateway(): Gateway {
        throw new Error('the clients are pointed at the target itself: there is no gateway');
      },
      door,
      folder,
      doorFor: () => door,
      targetLogin: () => account,
      stop: () => sshd.stop(),
    };
  }
  const extra = options.document?.(sshd) ?? {};
  const gateway = await startGateway({
    ...(options.config === undefined ? {} : { config: options.config }),
    ...(options.env === undefined ? {} : { env: options.env }),
    document: {
      users: [{ name: 'alice', password: PASSWORD, role: 'requester' }, ...(extra.users ?? [])],
      systems: [
        { name: 'web01', protocol: 'ssh', host: sshd.host, port: sshd.port, hostKey: sshd.hostKey },
        ...(extra.systems ?? []),
      ],
      accounts: [
        { name: account, system: 'web01', password: sshd.account.password },
        ...(extra.accounts ?? []),
      ],
      policies: [
        {
          name: 'everything',
          users: ['alice'],
          accounts: ['*@web01'],
          allow: ALL_CAPABILITIES,
          record: true,
          keystrokes: true,
          maxSessions: 50,
        },
        ...(extra.policies ?? []),
      ],
    },
  });
  const targetLogin = (user: string): string => `${user}@${account}@web01`;
  const base = { host: gateway.host, port: gateway.sshPort };
  const door = await openDoor(folder, { ...base, login: targetLogin('alice'), password: PASSWORD });
  let doors = 0;
  return {
    sshd,
    gateway,
    door,
    folder,
    doorFor(login, password) {
      doors += 1;
      return writeDoor(join(folder, `door${doors}`), { ...base, login, password }, door.hostKeys);
    },
    targetLogin,
    async stop() {
      await gateway.stop();
      await sshd.stop();
    },
  };
}

type Entrance = Pick<Door, 'host' | 'port' | 'login' | 'password'>;

/** Learns the host keys of a server on loopback and writes a client configuration for it. */
export async function openDoor(folder: string, entrance: Entrance): Promise<Door> {
  const scan = await runOk('ssh-keyscan', ['-T', '10', '-p', String(entrance.port), entrance.host]);
  const hostKeys = scan.text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' ').slice(1, 3).join(' '));
  if (hostKeys.length === 0) throw new Error(`no host key on port ${entrance.port}: ${scan.stderr}`);
  return writeDoor(join(folder, 'door'), entrance, hostKeys);
}

function writeDoor(prefix: string, entrance: Entrance, hostKeys: readonly string[]): Door {
  const knownHosts = `${prefix}.known_hosts`;
  writeFileSync(knownHosts, hostKeys.map((key) => `[${entrance.host}]:${entrance.port} ${key}\n`).join(''));
  const askpass = `${prefix}.askpass`;
  writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$SALLYPORT_TEST_PASSWORD"\n', { mode: 0o700 });
  const sshConfig = `${prefix}.ssh_config`;
  const lines = [
    'Host target',
    `  HostName ${entrance.host}`,
    `  Port ${entrance.port}`,
    `  User "${entrance.login}"`,
    'Host *',
    `  UserKnownHostsFile ${knownHosts}`,
    '  GlobalKnownHostsFile /dev/null',
    '  StrictHostKeyChecking yes',
    '  PreferredAuthentications password',
    '  PubkeyAuthentication no',
    '  NumberOfPasswordPrompts 1',
    '  LogLevel ERROR',
    '  ConnectTimeout 20',
  ];
  writeFileSync(sshConfig, `${lines.join('\n')}\n`);
  return {
    ...entrance,
    hostKeys,
    knownHosts,
    sshConfig,
    env: {
      SSH_ASKPASS: askpass,
      SSH_ASKPASS_REQUIRE: 'force',
      SALLYPORT_TEST_PASSWORD: entrance.password,
      SSHPASS: entrance.password,
      SSH_AUTH_SOCK: '',
      LC_ALL: 'C.UTF-8',
    },
  };
}

/** Runs `ssh [options] target [command]` through a door. */
export function ssh(door: Door, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return openssh(door, 'ssh', args, options);
}

/** Runs ssh, scp, sftp with the door's configuration; the door's host is called `target`. */
export function openssh(
  door: Door,
  program: 'ssh' | 'scp' | 'sftp',
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return run(program, ['-F', door.sshConfig, ...args], { ...options, env: { ...door.env, ...options.env } });
}

/** Opens `ssh [options] target [command]` on a terminal. Its screen holds only what came over the channel. */
export function sshTerminal(door: Door, args: readonly string[], options: TerminalOptions = {}): Terminal {
  return openTerminal('ssh', ['-F', door.sshConfig, '-q', ...args], {
    ...options,
    env: { ...door.env, ...options.env },
  });
}

/** Makes a key pair for a user; returns the private key's file and the public line. */
export async function userKey(folder: string, name: string): Promise<{ file: string; line: string }> {
  const file = join(folder, name);
  return { file, line: await generateKey(file) };
}
