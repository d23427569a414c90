/** xrdp as a target: real desktops of a throw-away account, without systemd, several side by side. */
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAccount, type SystemAccount } from './account.ts';
import { type Daemon, freePort, processesOf, runOk, startDaemon, until } from './process.ts';
import { waitForPort } from './rdp-port.ts';
import { temporaryFolder } from './temp.ts';
import type { XServer } from './x11.ts';

export interface XrdpOptions {
  /**
   * `negotiate` (default): TLS when the client can; `rdp`: the security of RDP itself, without TLS,
   * which rdesktop can, while FreeRDP signs with a checksum that xrdp does not take.
   */
  readonly security?: 'negotiate' | 'tls' | 'rdp';
  /** The session that the credentials of the Client Info PDU open; '' asks in a log-on box. Default Xorg. */
  readonly autorun?: 'Xorg' | '';
  /** Colour depth that the server allows at most. Default 32. */
  readonly maxBpp?: 8 | 15 | 16 | 24 | 32;
  /** Bulk compression (MPPC) of what is sent to clients that offer it. Default true. */
  readonly bulkCompression?: boolean;
  /** Lines of a shell script that is the session: when it ends, the session ends. Default {@link TERMINAL}. */
  readonly startwm?: readonly string[];
  /** Lines of xrdp.ini's [Channels]; all channels are on by default. */
  readonly channels?: Readonly<Record<string, boolean>>;
}

/** The title of the terminal that {@link TERMINAL} shows. */
export const SESSION_TITLE = 'xrdp-session';

/**
 * The lightest desktop: one xterm with a bitmap font, no window manager. The shell in it says
 * by `~/ready` that it reads the keyboard.
 */
export const TERMINAL: readonly string[] = [
  `exec xterm -geometry 78x24+0+0 -fa '' -fn fixed -T ${SESSION_TITLE} -e /bin/bash --rcfile ~/.session`,
];

export interface Xrdp {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly account: SystemAccount;
  /** Its TLS certificate and key, PEM, for who stands between it and a client. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** `sha256:…`, of the certificate. */
  readonly fingerprint: string;
  /** Waits until the shells of `sessions` sessions since the last {@link endSessions} have begun. Default 1. */
  ready(sessions?: number): Promise<void>;
  /** Where the session that began last is shown, for programs that are to run in it. After {@link ready}. */
  desktop(): XServer;
  /** Ends all sessions, as a person who logs off everywhere would, and waits until they are gone. */
  endSessions(): Promise<void>;
  /** What both servers logged. */
  log(): string;
  stop(): Promise<void>;
}

/**
 * Starts a server that sees our sesman.ini as /etc/xrdp/sesman.ini: xrdp looks nowhere else for
 * the port of its session manager. Its mount namespace also keeps clients' drives to itself.
 */
function startApart(config: string, command: readonly string[]): Daemon {
  const script = 'mount --bind "$0" /etc/xrdp/sesman.ini && exec "$@"';
  return startDaemon('unshare', ['--mount', '/bin/sh', '-c', script, config, ...command]);
}

type Section = Readonly<Record<string, string | number | boolean>>;
function ini(sections: Readonly<Record<string, Section>>, extra: readonly string[] = []): string {
  const lines = Object.entries(sections).flatMap(([name, keys]) => [
    `[${name}]`,
    ...Object.entries(keys).map(([key, value]) => `${key}=${value}`),
  ]);
  return `${[...lines, ...extra].join('\n')}\n`;
}

/** Where and in which colours the log-on box is drawn: xrdp has no defaults for these. */
const LOGON_BOX: Section = {
  ls_top_window_bg_color: '009cb5',
  ls_width: 350,
  ls_height: 430,
  ls_bg_color: 'dedede',
  ls_logo_x_pos: 55,
  ls_logo_y_pos: 50,
  ls_label_x_pos: 30,
  ls_label_width: 65,
  ls_input_x_pos: 110,
  ls_input_width: 210,
  ls_input_y_pos: 220,
  ls_btn_ok_x_pos: 142,
  ls_btn_ok_y_pos: 370,
  ls_btn_ok_width: 85,
  ls_btn_ok_height: 30,
  ls_btn_cancel_x_pos: 237,
  ls_btn_cancel_y_pos: 370,
  ls_btn_cancel_width: 85,
  ls_btn_cancel_height: 30,
};

const CHANNELS = {
  rdpdr: true,
  rdpsnd: true,
  drdynvc: true,
  cliprdr: true,
  rail: true,
  xrdpvr: true,
  tcutils: true,
};

function xrdpIni(port: number, folder: string, options: XrdpOptions): string {
  return ini({
    Globals: {
      ini_version: 1,
      fork: true,
      port: `tcp://127.0.0.1:${port}`,
      tcp_nodelay: true,
      security_layer: options.security ?? 'negotiate',
      crypt_level: 'high',
      certificate: join(folder, 'cert.pem'),
      key_file: join(folder, 'key.pem'),
      ssl_protocols: 'TLSv1.2, TLSv1.3',
      autorun: options.autorun ?? 'Xorg',
      allow_channels: true,
      allow_multimon: true,
      bitmap_cache: true,
      bitmap_compression: true,
      bulk_compression: options.bulkCompression ?? true,
      max_bpp: options.maxBpp ?? 32,
      new_cursors: true,
      use_fastpath: 'both',
      ...LOGON_BOX,
    },
    Logging: { LogFile: join(folder, 'xrdp.log'), LogLevel: 'INFO', EnableSyslog: false },
    Channels: { ...CHANNELS, ...options.channels },
    Xorg: {
      name: 'Xorg',
      lib: 'libxup.so',
      username: 'ask',
      password: 'ask',
      ip: '127.0.0.1',
      port: -1,
      code: 20,
    },
  });
}

function sesmanIni(port: number, folder: string): string {
  const xorg = ['/usr/lib/xorg/Xorg', '-config', 'xrdp/xorg.conf', '-noreset', '-nolisten', 'tcp'];
  return ini(
    {
      Globals: {
        ListenAddress: '127.0.0.1',
        ListenPort: port,
        EnableUserWindowManager: false,
        UserWindowManager: 'startwm.sh',
        DefaultWindowManager: join(folder, 'startwm.sh'),
        ReconnectScript: '/bin/true',
      },
      Security: {
        AllowRootLogin: false,
        MaxLoginRetry: 4,
        AlwaysGroupCheck: false,
        RestrictOutboundClipboard: 'none',
        RestrictInboundClipboard: 'none',
      },
      Sessions: {
        // Far from the numbers that others begin to look at, and apart from other instances.
        X11DisplayOffset: 1000 + Math.floor(Math.random() * 20_000),
        MaxSessions: 200,
        KillDisconnected: true,
        DisconnectedTimeLimit: 0,
        IdleTimeLimit: 0,
        // User, bits per pixel, connection: every connection gets a session of its own.
        Policy: 'UBC',
      },
      Logging: { LogFile: join(folder, 'sesman.log'), LogLevel: 'INFO', EnableSyslog: false },
      ChansrvLogging: { LogLevel: 'INFO', EnableSyslog: false },
      // Where the client's drives are: ~/thinclient_drives.
      Chansrv: { FuseMountName: 'thinclient_drives', FileUmask: '077', EnableFuseMount: true },
      SessionVariables: { LANG: 'C.UTF-8', PATH: '/usr/local/bin:/usr/bin:/bin' },
    },
    ['[Xorg]', ...[...xorg, '-logfile', '.xorgxrdp.%s.log'].map((each) => `param=${each}`)],
  );
}

/** Makes a certificate and its key, PEM files in `folder`; returns its fingerprint, `sha256:…` in hex. */
export async function makeCertificate(
  folder: string,
  name: string,
  keyFile = 'key.pem',
  certificateFile = 'cert.pem',
): Promise<string> {
  const key = join(folder, keyFile);
  const certificate = join(folder, certificateFile);
  await runOk('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', `/CN=${name}`],
    ...['-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`, '-keyout', key, '-out', certificate],
  ]);
  const { fingerprint256 } = new X509Certificate(readFileSync(certificate));
  return `sha256:${fingerprint256.replaceAll(':', '').toLowerCase()}`;
}

/** Starts xrdp and its session manager on ports of their own, with an account of their own. */
export async function startXrdp(options: XrdpOptions = {}): Promise<Xrdp> {
  const folder = temporaryFolder('xrdp');
  // The account runs the session's script in here; the key stays with root.
  chmodSync(folder, 0o711);
  const account = await createAccount();
  const running = (): number[] => processesOf(account.uid, readdirSync('/proc'));
  const signal = (name: NodeJS.Signals): void => {
    for (const pid of running()) {
      try {
        process.kill(pid, name);
      } catch {
        // It ended meanwhile.
      }
    }
  };

  const fingerprint = await makeCertificate(folder, 'xrdp.test');
  const port = await freePort();
  const managerPort = await freePort();
  writeFileSync(join(folder, 'xrdp.ini'), xrdpIni(port, folder, options));
  const managerConfig = join(folder, 'sesman.ini');
  writeFileSync(managerConfig, sesmanIni(managerPort, folder));
  const script = ['#!/bin/sh', 'cd', ...(options.startwm ?? TERMINAL)];
  writeFileSync(join(folder, 'startwm.sh'), `${script.join('\n')}\n`, { mode: 0o755 });
  const said = join(account.home, 'ready');
  writeFileSync(join(account.home, '.session'), `. ~/.bashrc\necho $DISPLAY >> ${said}\n`);
  /** DISPLAY of each session whose shell has begun. */
  const sessionsSaid = (): string[] =>
    existsSync(said) ? readFileSync(said, 'utf8').split('\n').slice(0, -1) : [];

  // Folders of both that a boot would have made.
  await runOk('/bin/sh', ['/usr/share/xrdp/socksetup']);
  const manager = startApart(managerConfig, ['/usr/sbin/xrdp-sesman', '-n', '-c', managerConfig]);
  await waitForPort(manager, managerPort);
  const server = startApart(managerConfig, ['/usr/sbin/xrdp', '-n', '-c', join(folder, 'xrdp.ini')]);
  await waitForPort(server, port);

  const endSessions = async (): Promise<void> => {
    signal('SIGTERM');
    const gone = (): true | undefined => (running().length === 0 ? true : undefined);
    await until('the sessions to end', gone, 5000).catch(() =>
      // Again and again: a session that has just begun may be starting programs still.
      until('the sessions to be killed', () => {
        signal('SIGKILL');
        return gone();
      }),
    );
    rmSync(said, { force: true });
  };
  const log = (): string =>
    ['xrdp.log', 'sesman.log']
      .map((name) => join(folder, name))
      .map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : ''))
      .join('\n');
  return {
    host: '127.0.0.1',
    port,
    account,
    certificateFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
    fingerprint,
    async ready(sessions = 1): Promise<void> {
      const reached = (): true | undefined => (sessionsSaid().length >= sessions ? true : undefined);
      await until('a session of xrdp', reached, 40_000).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${log()}`);
      });
    },
    desktop(): XServer {
      const display = sessionsSaid().at(-1);
      if (display === undefined) throw new Error('no session of xrdp has begun');
      return { env: { DISPLAY: display, XAUTHORITY: join(account.home, '.Xauthority') } };
    },
    endSessions,
    log,
    async stop(): Promise<void> {
      await server.stop();
      await endSessions();
      await manager.stop();
      account.remove();
    },
  };
}
