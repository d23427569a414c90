/** Sessions that a load process holds: how each is opened, what is done in it, and how it ends. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { killGroup } from '../../test/support/process.ts';
import { Typist } from '../people/typist.ts';
import { openDesktop, pressKey } from '../rdp/client.ts';
import { isEcho } from '../rdp/content.ts';
import { logOn, startCommand, startShell } from '../ssh/client.ts';
import type { Endpoint as Shell } from '../ssh/jobs.ts';
import { type Order, PROMPT } from './jobs.ts';

/** What a session tells while it is there. */
export interface Listener {
  /** ms from a key to its answer. */
  answered(ms: number): void;
  /** Bytes that the target showed. */
  shown(bytes: number): void;
  /** It ended, or showed what it should not. May be told more than once. */
  failed(why: string): void;
}

/** An open session. */
export interface Held {
  /** Presses a key, where somebody types. */
  press(): void;
  /** Keys that were not answered yet. */
  unanswered(): number;
  /** Closes the connection; {@link Listener.failed} tells of it too. */
  close(): void;
}

/** Real desktops and shells need longer than synthetic ones, and all are opened at once. */
const OPEN_MS = 120_000;

/** Resolves when there is a prompt, a first byte or an active desktop. */
export async function openSession(order: Order, listener: Listener): Promise<Held> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not open after ${OPEN_MS / 1000} s`)), OPEN_MS);
  try {
    return await Promise.race([open(order, listener), late]);
  } finally {
    clearTimeout(timer);
  }
}

function open(order: Order, listener: Listener): Promise<Held> {
  if (order.work === 'desktop') return openWork(order, listener);
  switch (order.work) {
    case 'type':
      return openShell(order, listener);
    case 'openssh':
      return openClient(order, listener);
    case 'watch':
    case 'bulk':
      return openOutput(order, listener);
  }
}

type ShellOrder = Exclude<Order, { work: 'desktop' }>;

/** A typist on what `write` writes to; `ready` resolves at the first prompt. */
function typing(
  write: (bytes: Uint8Array) => void,
  listener: Listener,
): { typist: Typist; ready: Promise<void>; take(bytes: Uint8Array): void; fail(why: string): void } {
  const ready = Promise.withResolvers<void>();
  const fail = (why: string): void => {
    ready.reject(new Error(why));
    listener.failed(why);
  };
  // Once it is ready nobody waits for it any more.
  ready.promise.catch(() => {});
  const typist = new Typist({
    send: write,
    now: () => performance.now(),
    answered: (ms) => listener.answered(ms),
    failed: fail,
  });
  const take = (bytes: Uint8Array): void => {
    listener.shown(bytes.length);
    typist.take(bytes);
    if (typist.ready) ready.resolve();
  };
  return { typist, ready: ready.promise, take, fail };
}

async function openShell({ endpoint }: ShellOrder, listener: Listener): Promise<Held> {
  const client = await logOn(endpoint);
  const channel = await startShell(client);
  const { typist, ready, take, fail } = typing((bytes) => void channel.write(bytes), listener);
  channel.on('data', take);
  client.on('close', () => fail('the connection was closed'));
  channel.on('close', () => fail('the shell ended'));
  await ready;
  return {
    press: () => typist.press(),
    unanswered: () => typist.unanswered,
    close: () => void client.end(),
  };
}

/** Starts OpenSSH's client as it is installed, on a terminal of the target alone: keys go to it as they are. */
function startOpenssh({ host, port, login, keyFile }: Shell): ChildProcessWithoutNullStreams {
  const options = [
    'LogLevel=ERROR',
    'IdentitiesOnly=yes',
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'GlobalKnownHostsFile=/dev/null',
  ].flatMap((option) => ['-o', option]);
  const args = ['-F', 'none', '-tt', ...options, '-i', keyFile, '-p', String(port), '-l', login, host];
  const child = spawn('ssh', args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  const kill = (): void => killGroup(child.pid, 'SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.removeListener('exit', kill));
  child.stdin.on('error', () => {});
  return child;
}

/** Logs on with OpenSSH's client and leaves at the first prompt with `exit`. */
export async function visit(endpoint: Shell): Promise<void> {
  const child = startOpenssh(endpoint);
  const timer = setTimeout(() => killGroup(child.pid, 'SIGKILL'), OPEN_MS);
  let [said, shown, left] = ['', '', false];
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-500);
  });
  child.stdout.on('data', (chunk: Buffer) => {
    shown = (shown + chunk.toString()).slice(-500);
    if (left || !shown.endsWith(PROMPT)) return;
    left = true;
    child.stdin.write('exit\r');
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  clearTimeout(timer);
  if (code !== 0 || !left) throw new Error(`ssh ended with ${code}: ${said.trim()}`);
}

async function openClient({ endpoint }: ShellOrder, listener: Listener): Promise<Held> {
  const child = startOpenssh(endpoint);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-500);
  });
  const { typist, ready, take, fail } = typing((bytes) => void child.stdin.write(bytes), listener);
  child.stdout.on('data', take);
  child.once('error', (error) => fail(`ssh: ${error.message}`));
  child.once('exit', (code) => fail(`ssh ended with ${code}: ${said.trim()}`));
  await ready;
  const close = (): void => killGroup(child.pid, 'SIGTERM');
  return { press: () => typist.press(), unanswered: () => typist.unanswered, close };
}

/** A command that shows something of its own accord; its name is that of the work. */
async function openOutput({ work, endpoint }: ShellOrder, listener: Listener): Promise<Held> {
  const client = await logOn(endpoint);
  const channel = await startCommand(client, work);
  const first = Promise.withResolvers<void>();
  const fail = (why: string): void => {
    first.reject(new Error(why));
    listener.failed(why);
  };
  channel.on('data', (bytes: Buffer) => {
    listener.shown(bytes.length);
    first.resolve();
  });
  client.on('close', () => fail('the connection was closed'));
  channel.on('close', () => fail('the command ended'));
  await first.promise;
  return { press: () => {}, unanswered: () => 0, close: () => void client.end() };
}

/** A desktop on which somebody works: each key is answered by an update, and others come between. */
async function openWork({ endpoint }: Order & { work: 'desktop' }, listener: Listener): Promise<Held> {
  const stream = await openDesktop(endpoint);
  const pressed: number[] = [];
  stream.onClose = (error) => listener.failed(error?.message ?? 'the desktop ended');
  stream.take((pdu) => {
    listener.shown(pdu.length);
    if (!isEcho(pdu)) return;
    const at = pressed.shift();
    if (at === undefined) listener.failed('an update that no key asked for');
    else listener.answered(performance.now() - at);
  });
  return {
    press() {
      pressed.push(performance.now());
      pressKey(stream);
    },
    unanswered: () => pressed.length,
    close: () => stream.end(),
  };
}
