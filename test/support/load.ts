/** People at work through a gateway, and what each of them was shown: output, typing, a picture that moves. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ALL_CAPABILITIES, type Door, sshTerminal } from './bed.ts';
import { updateOf } from './faults.ts';
import { type RdpClient, xfreerdp } from './freerdp.ts';
import type { Gateway } from './gateway.ts';
import { startDaemon, until } from './process.ts';
import type { RdpBed } from './rdp-bed.ts';
import { type Spy, startSpy } from './rdp-spy.ts';
import type { Terminal } from './terminal.ts';

/** Stands in no command line, only in the output of {@link runOutput} and at the prompt of {@link startTyping}. */
export const MARKER = 'line-of-the-secret-report';
const OUTPUT = 'm=line-of-the-secret; seq -f "$m-report %015.0f" 1 100000000';
const PROMPT = "m=line-of-the-secret; PS1='$m-report $ '";
const KEYS_APART_MS = 40;

/** A policy under which all of what commands print is recorded. */
export function recordedInFull(user: string): Readonly<Record<string, unknown>> {
  return {
    name: `full-${user}`,
    users: [user],
    accounts: ['*@web01'],
    allow: ALL_CAPABILITIES,
    execLimit: 'full',
    keystrokes: true,
  };
}

export interface Output {
  /** Resolves with the client's exit code. */
  readonly ended: Promise<number>;
  /** What the client was sent so far. */
  shown(): Buffer;
  /** How many bytes that is. */
  size(): number;
  /** What the client said on its standard error. */
  said(): string;
  /** Ends the client. */
  stop(): void;
}

/** Runs a command that prints numbered lines as fast as they are taken, into a file; resolves with the first. */
export async function runOutput(door: Door, file: string): Promise<Output> {
  const client = ['ssh', '-F', door.sshConfig, 'target', OUTPUT];
  const daemon = startDaemon('/bin/sh', ['-c', 'exec "$@" > "$0"', file, ...client], { env: door.env });
  await until('output', () => (statSync(file, { throwIfNoEntry: false })?.size ? true : undefined));
  return {
    ended: daemon.exited,
    shown: () => readFileSync(file),
    size: () => statSync(file).size,
    said: () => daemon.output(),
    stop: () => daemon.kill('SIGTERM'),
  };
}

/** Opens a shell and types into it at an even pace until it ends. */
export async function startTyping(door: Door): Promise<Terminal> {
  const terminal = sshTerminal(door, ['target']);
  await terminal.expect('$ ', 30_000);
  terminal.type(`${PROMPT}\r`);
  await terminal.expect(`${MARKER} $ `, 30_000);
  const typist = setInterval(() => terminal.type('echo $((6*7))\r'), KEYS_APART_MS);
  void terminal.ended.then(() => clearInterval(typist));
  return terminal;
}

/** The session of an xrdp whose desktop shows numbers that run, as fast as it can paint them. */
export const RUNNING_PICTURE: readonly string[] = [
  'echo $DISPLAY >> ready',
  "exec xterm -fa '' -fn fixed -e seq -f '%015.0f of a picture' 1 100000000",
];

/** Stands before a gateway's RDP port and sees what clients are shown. */
export async function startDesktopSpy({ rdpPort, dataDir }: Gateway): Promise<Spy> {
  const keys = join(dataDir, 'keys');
  return await startSpy({
    port: rdpPort,
    certificateFile: join(keys, 'tls.crt'),
    keyFile: join(keys, 'tls.key'),
  });
}

export interface Watched {
  readonly client: RdpClient;
  /** Resolves when its connection is over. */
  readonly ended: Promise<unknown>;
  /** Of each PDU that draws what is recorded of it. */
  shown(): readonly Buffer[];
  /** How many bytes these are. */
  size(): number;
}

/** Opens a desktop through a spy, one at a time; resolves when its picture moves. */
export async function watchDesktop(bed: RdpBed, spy: Spy): Promise<Watched> {
  const number = spy.connections.length;
  const client = bed.open(xfreerdp, { port: spy.port });
  const updates: Buffer[] = [];
  let [seen, bytes] = [0, 0];
  const shown = (): readonly Buffer[] => {
    const messages = spy.connections[number]?.messages ?? [];
    for (; seen < messages.length; seen += 1) {
      const message = messages[seen];
      const update = message?.from === 'server' ? updateOf(message.bytes) : undefined;
      if (update === undefined) continue;
      updates.push(update);
      bytes += update.length;
    }
    return updates;
  };
  const size = (): number => {
    shown();
    return bytes;
  };
  await until('a picture that moves', () => (shown().length > 50 ? true : undefined), 60_000);
  const ended = spy.connections[number]?.ended ?? Promise.resolve();
  return { client, ended, shown, size };
}
