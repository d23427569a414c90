/** RDP clients, FreeRDP's and rdesktop, and FreeRDP's shadow server: a target that speaks NLA. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, freePort, type RunResult, run, runOk, startDaemon } from './process.ts';
import { waitForPort } from './rdp-port.ts';
import { temporaryFolder } from './temp.ts';
import { type Display, startDisplay, waitForWindow } from './x11.ts';
import { makeCertificate } from './xrdp.ts';

/** What xfreerdp's exit codes say. */
const EXIT_CODES: Readonly<Record<number, string>> = {
  0: 'success',
  1: 'disconnected',
  2: 'logged off',
  3: 'idle timeout',
  4: 'log-on timeout',
  5: 'replaced by another connection',
  6: 'server out of memory',
  7: 'connection denied by the server',
  9: 'insufficient privileges for remote access',
  11: 'ended by the user',
  12: 'logged off by the user',
  128: 'wrong arguments',
  130: 'protocol error',
  131: 'connection failed',
  132: 'authentication failed',
  133: 'negotiation failed',
  134: 'log-on failed',
  135: 'account locked out',
  138: 'failed after the connection was made',
  141: 'cannot connect',
  142: 'refused in the MCS connect',
  143: 'TLS failed',
  144: 'insufficient privileges',
  145: 'cancelled',
  147: 'transport failed',
  149: 'password must change',
  151: 'account disabled',
  154: 'wrong password',
  155: 'access denied',
  156: 'account restricted',
  255: 'unknown',
};

/** An exit code of xfreerdp in words; 128 + n after signal n where no word is known. */
export function exitWord(code: number): string {
  return EXIT_CODES[code] ?? `exit code ${code}`;
}

export interface ClientOptions {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Where it shows the session. */
  readonly display: Display;
  /** `WIDTHxHEIGHT`; default 640x480. */
  readonly size?: string;
  /** Bits per pixel it asks for; default 32 (xfreerdp), 16 (rdesktop). */
  readonly bpp?: 8 | 15 | 16 | 24 | 32;
  /** Further arguments, as the program spells them. */
  readonly extra?: readonly string[];
}

export interface RdpClient {
  readonly daemon: Daemon;
  /** Resolves with its window once the session is up; fails with the client's output if it ends before. */
  window(): Promise<string>;
  /** Resolves with the exit code when it ends by itself; for xfreerdp, see {@link exitWord}. */
  readonly exited: Promise<number>;
  /** Closes the client, as a person who closes its window would. */
  stop(): Promise<void>;
}

/** Clients keep what they know of servers in their home folder: each run gets its own. */
function clientEnv(display: Display): Record<string, string> {
  return { ...display.env, HOME: temporaryFolder('rdp-client'), LC_ALL: 'C.UTF-8' };
}

function client(daemon: Daemon, display: Display, title: string): RdpClient {
  return {
    daemon,
    exited: daemon.exited,
    window(): Promise<string> {
      const ended = daemon.exited.then((code): never => {
        throw new Error(`the client ended before it had a session: ${exitWord(code)}\n${daemon.output()}`);
      });
      // The session outlives this wait: its end is then no error of ours.
      ended.catch(() => {});
      return Promise.race([waitForWindow(display, title), ended]);
    },
    async stop(): Promise<void> {
      await daemon.stop();
    },
  };
}

/** A title of its own, and the session at the display's corner: screenshots are the session. */
const SHOWN = ['/t:FreeRDP', '/cert:ignore', '-decorations', '-grab-keyboard', '/log-level:WARN'] as const;

function freerdpArguments(options: Omit<ClientOptions, 'display'>): string[] {
  return [
    `/v:127.0.0.1:${options.port}`,
    `/u:${options.user}`,
    `/p:${options.password}`,
    `/size:${options.size ?? '640x480'}`,
    `/bpp:${options.bpp ?? 32}`,
    ...SHOWN,
    ...(options.extra ?? []),
  ];
}

/** Starts xfreerdp; the session is up when {@link RdpClient.window} resolves. */
export function xfreerdp(options: ClientOptions): RdpClient {
  const { display } = options;
  const daemon = startDaemon('xfreerdp', freerdpArguments(options), { env: clientEnv(display) });
  return client(daemon, display, '^FreeRDP$');
}

/** Starts xfreerdp with an .rdp file; `extra` comes behind it and wins. */
export function xfreerdpFile(file: string, display: Display, extra: readonly string[]): RdpClient {
  const args = [file, '/size:640x480', ...SHOWN, ...extra];
  return client(startDaemon('xfreerdp', args, { env: clientEnv(display) }), display, '^FreeRDP$');
}

/** Runs xfreerdp to its end; {@link exitWord} says what its code means. */
export function runXfreerdp(options: ClientOptions, timeoutMs = 60_000): Promise<RunResult> {
  return run('xfreerdp', freerdpArguments(options), { env: clientEnv(options.display), timeoutMs });
}

/** Starts rdesktop, which is told to trust the server's certificate. */
export function rdesktop(options: ClientOptions): RdpClient {
  const { display } = options;
  const args = [
    ...['-u', options.user, '-p', options.password, '-g', options.size ?? '640x480'],
    ...['-a', String(options.bpp ?? 16), '-T', 'rdesktop', ...(options.extra ?? [])],
    `127.0.0.1:${options.port}`,
  ];
  // It asks on its input whether an unknown certificate is to be trusted, at each server that it is sent on to.
  const daemon = startDaemon('/bin/sh', ['-c', 'yes yes | exec rdesktop "$@"', 'rdesktop', ...args], {
    env: clientEnv(display),
  });
  return client(daemon, display, '^rdesktop$');
}

export interface ShadowOptions {
  readonly user: string;
  readonly password: string;
  readonly domain?: string;
  /** Network level authentication, checked against `user` and `password`; otherwise TLS and no check. Default true. */
  readonly nla?: boolean;
  /** `WIDTHxHEIGHT` of the screen that it shares; default 640x480. */
  readonly size?: string;
  readonly extra?: readonly string[];
}

export interface Shadow {
  readonly port: number;
  /** The screen that all its clients share. */
  readonly display: Display;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** `sha256:…`, of the certificate. */
  readonly fingerprint: string;
  log(): string;
  stop(): Promise<void>;
}

/** Starts freerdp-shadow, which shares a screen of its own with a terminal in it (titled `shadow`). */
export async function startShadow(options: ShadowOptions): Promise<Shadow> {
  const folder = temporaryFolder('shadow');
  const [width, height] = (options.size ?? '640x480').split('x').map(Number);
  const display = await startDisplay(width, height);
  const domain = options.domain === undefined ? [] : ['-d', options.domain];
  const hash = ['-u', options.user, '-p', options.password, ...domain, '-f', 'sam'];
  const sam = join(folder, 'sam');
  writeFileSync(sam, (await runOk('winpr-hash', hash)).stdout, { mode: 0o600 });
  // It keeps its key pair below its home folder and would make one there.
  const keys = join(folder, '.config/freerdp/shadow');
  mkdirSync(keys, { recursive: true });
  const fingerprint = await makeCertificate(keys, 'shadow.test', 'shadow.key', 'shadow.crt');
  const env = { ...display.env, HOME: folder, LC_ALL: 'C.UTF-8' };
  writeFileSync(join(folder, '.session'), "PS1='$ '\n");
  const terminal = startDaemon(
    'xterm',
    [
      ...['-geometry', '78x24+0+0', '-fa', '', '-fn', 'fixed', '-T', 'shadow'],
      ...['-e', '/bin/bash', '--rcfile', join(folder, '.session')],
    ],
    { env, cwd: folder },
  );
  await waitForWindow(display, '^shadow$');
  const port = await freePort();
  const daemon = startDaemon(
    'freerdp-shadow-cli',
    [
      ...[`/port:${port}`, '/bind-address:127.0.0.1', `/sam-file:${sam}`],
      ...((options.nla ?? true) ? ['/sec:nla', '+auth'] : ['/sec:tls', '-auth']),
      ...(options.extra ?? []),
    ],
    { env },
  );
  await waitForPort(daemon, port);
  return {
    port,
    display,
    certificateFile: join(keys, 'shadow.crt'),
    keyFile: join(keys, 'shadow.key'),
    fingerprint,
    log: () => daemon.output(),
    async stop(): Promise<void> {
      await daemon.stop();
      await terminal.stop();
      await display.stop();
    },
  };
}
