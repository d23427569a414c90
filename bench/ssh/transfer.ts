/** One bulk transfer with OpenSSH's client, timed without its log-on. */
import { spawn } from 'node:child_process';
import { killGroup, runOk } from '../../test/support/process.ts';
import { atExit } from '../../test/support/temp.ts';
import { digestFile } from '../../test/support/tree.ts';
import type { Bed, Line, Path, Payload } from './bed.ts';

export type Direction = 'download' | 'upload';

const LIMIT_MS = 180_000;

/**
 * Moves the payload once. The clock starts when the remote command has said that it runs and
 * stops when the client has ended, so it counts the bytes and the end of the command alone.
 *
 * @returns seconds
 * @throws Error when the client ends with anything but 0
 */
export async function transfer(
  bed: Pick<Bed, 'sshConfig'>,
  host: string,
  direction: Direction,
  { file }: Payload,
): Promise<number> {
  const client = ['ssh', '-F', bed.sshConfig, host];
  const [command, ...args] =
    direction === 'download'
      ? [...client, `echo ready >&2; read -r go; exec cat ${file}`]
      : // A pipe of the shell's own feeds the client, as `cat FILE | ssh` of a person would.
        ['bash', '-c', UPLOAD, 'bash', file, ...client, 'echo ready >&2; exec cat > /dev/null'];
  if (command === undefined) throw new Error('no command');
  const child = spawn(command, args, { detached: true, stdio: ['pipe', 'ignore', 'pipe'] });
  const withdraw = atExit(() => killGroup(child.pid, 'SIGKILL'));
  const timer = setTimeout(() => killGroup(child.pid, 'SIGKILL'), LIMIT_MS);
  let said = '';
  let started: number | undefined;
  child.stdin.on('error', () => {});
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
    if (started !== undefined || !said.includes('ready\n')) return;
    started = performance.now();
    child.stdin.end('go\n');
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0 || started === undefined)
      throw new Error(`${direction} through ${host} ended with ${code ?? 'a signal'}: ${said.trim()}`);
    return (performance.now() - started) / 1000;
  } finally {
    clearTimeout(timer);
    withdraw();
  }
}

/** Waits for `go` on standard input, then feeds FILE to the client. */
const UPLOAD = 'exec 3<&0; file=$1; shift; { read -r go <&3; exec cat "$file"; } | "$@"';

/** Moves the payload both ways and compares checksums: what is timed afterwards moves the right bytes. */
export async function verifyTransfers(bed: Bed, host: Path | Line, { file }: Payload): Promise<void> {
  const shell = (script: string) =>
    runOk('bash', ['-o', 'pipefail', '-c', script, 'bash', bed.sshConfig, host, file], {
      timeoutMs: LIMIT_MS,
    });
  const wanted = digestFile(file);
  const came = await shell('ssh -F "$1" "$2" cat "$3" | sha256sum');
  const went = await shell('ssh -F "$1" "$2" sha256sum < "$3"');
  for (const [direction, { text }] of [['download', came] as const, ['upload', went] as const])
    if (!text.startsWith(wanted)) throw new Error(`${direction} through ${host} changed the bytes`);
}
