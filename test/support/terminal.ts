/** A program on a terminal of its own, as a person at a keyboard has it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { PYTHON } from './packages.ts';
import { killGroup } from './process.ts';
import { atExit } from './temp.ts';

export interface Terminal {
  /** Everything that the terminal was sent so far, byte for byte. */
  readonly screen: Buffer;
  /** Types. */
  type(text: string): void;
  resize(columns: number, rows: number): void;
  /**
   * Resolves with the match when the output after the last expected match fits `pattern`;
   * rejects with what was shown instead after `timeoutMs` (default 15,000) or at the end.
   */
  expect(pattern: RegExp | string, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Resolves with the exit code when the program ended and its last output is in `screen`. */
  readonly ended: Promise<number>;
  kill(): void;
}

export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts `command` on a new pseudo-terminal (80 × 24 unless said otherwise). */
export function openTerminal(
  command: string,
  args: readonly string[],
  options: TerminalOptions = {},
): Terminal {
  const size = [String(options.columns ?? 80), String(options.rows ?? 24)];
  const child = spawn(PYTHON, [join(import.meta.dirname, 'terminal.py'), ...size, command, ...args], {
    env: { ...process.env, TERM: 'xterm-256color', ...options.env },
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
  });
  const withdraw = atExit(() => killGroup(child.pid, 'SIGKILL'));
  const [keyboard, output, , control] = child.stdio;
  if (!(keyboard instanceof Writable && control instanceof Writable && output instanceof Readable))
    throw new Error('the terminal helper has no pipes');
  control.on('error', () => {});
  keyboard.on('error', () => {});
  const chunks: Buffer[] = [];
  /** What no expectation has matched yet. latin1: patterns are ASCII, and chunks are cut anywhere. */
  let unread = '';
  let done = false;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const each of [...waiting]) each();
  };
  output.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    unread += chunk.toString('latin1');
    wake();
  });
  const ended = new Promise<number>((resolve) => {
    child.on('close', (code) => {
      done = true;
      withdraw();
      wake();
      resolve(code ?? 128 + 9);
    });
  });

  return {
    get screen(): Buffer {
      return Buffer.concat(chunks);
    },
    type: (keys) => {
      keyboard.write(keys);
    },
    resize: (columns, rows) => {
      control.write(`${columns} ${rows}\n`);
    },
    expect(pattern, timeoutMs = 15_000): Promise<RegExpExecArray> {
      const regex =
        typeof pattern === 'string' ? new RegExp(pattern.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')) : pattern;
      return new Promise((resolve, reject) => {
        const finish = (): void => {
          clearTimeout(timer);
          waiting.delete(look);
        };
        const fail = (why: string): void => {
          finish();
          reject(new Error(`${why}: expected ${regex} after:\n${JSON.stringify(unread)}`));
        };
        const look = (): void => {
          const match = regex.exec(unread);
          if (match !== null) {
            unread = unread.slice(match.index + match[0].length);
            finish();
            resolve(match);
          } else if (done) fail('the program ended');
        };
        const timer = setTimeout(() => fail(`not shown within ${timeoutMs} ms`), timeoutMs);
        waiting.add(look);
        look();
      });
    },
    ended,
    kill: () => killGroup(child.pid, 'SIGKILL'),
  };
}
