/** Finds and runs ffmpeg, which encodes videos. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { accessSync, constants as files } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, setPriority } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { VideoError } from './error.ts';

/** What ffmpeg says last explains its end; the rest is dropped. */
const MAX_SAID_CHARACTERS = 2000;

/**
 * FFMPEG_PATH, else the first `ffmpeg` on the PATH, else that of the package ffmpeg-static.
 *
 * @throws VideoError: there is none
 */
export function findFfmpeg(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const named = env['FFMPEG_PATH'];
  if (named !== undefined && named !== '') {
    if (isExecutable(named)) return named;
    throw new VideoError(`FFMPEG_PATH: ${named} is no program that can be run`);
  }
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const file = join(folder, 'ffmpeg');
    if (folder !== '' && isExecutable(file)) return file;
  }
  const bundled = fromPackage();
  if (bundled !== undefined && isExecutable(bundled)) return bundled;
  throw new VideoError(
    'no ffmpeg to encode the video with: install the package ffmpeg (apt install ffmpeg), or run ' +
      'npm install ffmpeg-static, or set FFMPEG_PATH to the program',
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, files.X_OK);
    return true;
  } catch {
    return false;
  }
}

function fromPackage(): string | undefined {
  try {
    const path: unknown = createRequire(import.meta.url)('ffmpeg-static');
    return typeof path === 'string' ? path : undefined;
  } catch {
    // Not installed: it downloads its program when it is, so it is nobody's dependency here.
    return undefined;
  }
}

export class Ffmpeg implements Disposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #said = '';
  readonly #ended: Promise<string | undefined>;

  constructor(program: string, args: readonly string[]) {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-MAX_SAID_CHARACTERS);
    });
    // An encoder that ended takes no more: how it ended is told by `finished`.
    child.stdin.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (code, signal) => {
        if (code === 0) resolve(undefined);
        else resolve(`ended with ${code ?? signal}: ${this.#said.trim()}`);
      });
    });
    // Sessions on the same machine go first.
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  }

  /** What it writes to its standard output. */
  get output(): AsyncIterable<Buffer> {
    return this.#child.stdout;
  }

  /** Resolves when it has taken all of `bytes`, which may then be used again; false: it takes no more. */
  write(bytes: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      this.#child.stdin.write(bytes, (error) => resolve(error === null || error === undefined));
    });
  }

  /** Tells it that this was all. */
  end(): void {
    this.#child.stdin.end();
  }

  /** Resolves when it has ended well; rejects with {@link VideoError} and its own words otherwise. */
  async finished(): Promise<void> {
    const problem = await this.#ended;
    if (problem !== undefined) throw new VideoError(`ffmpeg: ${problem}`);
  }

  /** Ends it if it still runs. */
  [Symbol.dispose](): void {
    this.#child.stdin.destroy();
    this.#child.kill('SIGKILL');
  }
}
