/**
 * Programs of the demonstration's target: a shell or a command, on a terminal or not. The
 * terminal comes from the program `script` (util-linux), because Node has none.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';

export interface Terminal {
  readonly term: string;
  readonly columns: number;
  readonly rows: number;
}

// As root the programs run as nobody: whoever tries the demonstration must not read the
// gateway's keys. Otherwise they have the gateway's own user, for there is no other.
const NOBODY = 65_534;
const root = process.getuid?.() === 0;
/** Whether the demonstration's person can read what the gateway can. */
export const asGateway = !root;
const identity = root ? { uid: NOBODY, gid: NOBODY } : {};
const home = root ? tmpdir() : homedir();

const SFTP_SERVERS = [
  '/usr/lib/openssh/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
];
export const sftpServer: string | undefined = SFTP_SERVERS.find((path) => existsSync(path));

/** Whether this machine has what a terminal needs. */
export const hasTerminals: boolean = ['/usr/bin/script', '/bin/script'].some((path) => existsSync(path));

/**
 * Starts a program in a process group of its own.
 *
 * @param command for `/bin/sh -c`; undefined: an interactive shell
 */
export function startProgram(
  command: string | undefined,
  terminal: Terminal | undefined,
  variables: Readonly<Record<string, string>>,
): ChildProcessWithoutNullStreams {
  const options = { detached: true, cwd: home, env: environment(terminal, variables), ...identity };
  if (terminal === undefined) return spawn('/bin/sh', command === undefined ? [] : ['-c', command], options);
  const { columns, rows } = terminal;
  const inner = command === undefined ? '/bin/sh -i' : `/bin/sh -c ${quoted(command)}`;
  const line = `stty rows ${rows} cols ${columns} 2>/dev/null; exec ${inner}`;
  return spawn('script', ['-q', '-f', '-e', '-c', line, '/dev/null'], options);
}

/** Nothing of the gateway's own environment: it may hold the master key. */
function environment(
  terminal: Terminal | undefined,
  variables: Readonly<Record<string, string>>,
): NodeJS.ProcessEnv {
  return {
    ...variables,
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: home,
    USER: 'demo',
    LOGNAME: 'demo',
    SHELL: '/bin/sh',
    PS1: 'demo$ ',
    ...(terminal === undefined ? {} : { TERM: terminal.term }),
  };
}

/** Tells the terminal of a program its new size; the program gets SIGWINCH. */
export function resizeTerminal(program: ChildProcessWithoutNullStreams, columns: number, rows: number): void {
  const device = program.pid === undefined ? undefined : terminalOf(program.pid);
  if (device === undefined) return;
  spawnSync('stty', ['-F', device, 'rows', String(rows), 'cols', String(columns)], { stdio: 'ignore' });
}

/** The device that `script` gave its child; undefined while it has none, or no more. */
function terminalOf(pid: number): string | undefined {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ');
    const device = readlinkSync(`/proc/${child}/fd/0`);
    return device.startsWith('/dev/pts/') ? device : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Ends the program as a hang-up does. `script` is deaf to SIGHUP, and waits for shells that
 * ignore SIGTERM; once it is killed, its terminal hangs up on them.
 */
export function endProgram(program: ChildProcessWithoutNullStreams): void {
  signalProgram(program, program.spawnfile === 'script' ? 'SIGKILL' : 'SIGHUP');
}

/** Sends a signal to the program and what it started. */
export function signalProgram(program: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): void {
  if (program.pid === undefined || program.exitCode !== null || program.signalCode !== null) return;
  try {
    process.kill(-program.pid, signal);
  } catch {
    // It ended just now.
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
