/** The gateway itself, started as people start it, on ports and in a folder of its own. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Daemon, freePort, type RunResult, run, runOk, startDaemon } from './process.ts';
import { waitForSsh } from './sshd.ts';
import { atExit, temporaryFolder } from './temp.ts';

const SALLYPORT = join(import.meta.dirname, '../../bin/sallyport.js');

/** The documents of `apply`, as far as tests write them. */
export interface ApplyDocument {
  readonly users?: readonly Readonly<Record<string, unknown>>[];
  readonly systems?: readonly Readonly<Record<string, unknown>>[];
  readonly accounts?: readonly Readonly<Record<string, unknown>>[];
  readonly policies?: readonly Readonly<Record<string, unknown>>[];
}

export interface GatewayOptions {
  /** Keys of sallyport.yaml, over the test defaults; `{ listen: { … } }` adds to the ports. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly document?: ApplyDocument;
  /** Added to the environment of `serve`. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Gateway {
  readonly host: '127.0.0.1';
  readonly sshPort: number;
  readonly rdpPort: number;
  readonly healthPort: number;
  readonly agentCheckPort: number;
  readonly dataDir: string;
  readonly configFile: string;
  readonly pid: number;
  /** Standard output and error of `serve`, of all starts. */
  log(): string;
  /** Runs a CLI command; `--config` is added after the arguments. Never rejects on an exit code. */
  sallyport(
    args: readonly string[],
    options?: { readonly input?: string; readonly timeoutMs?: number },
  ): Promise<RunResult>;
  /** Runs a CLI command with `--json` and parses what it printed; a failure is an error. */
  json<T>(args: readonly string[]): Promise<T>;
  /** Applies a document; a failure is an error with what the CLI said. */
  apply(document: ApplyDocument): Promise<RunResult>;
  /** Starts `serve` again on the same folder and ports after {@link stop} or {@link kill9}. */
  start(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>;
  /** SIGKILL to the process alone, as a crash would end it. */
  kill9(): Promise<void>;
}

/** Starts a gateway with a fresh data folder, waits until it takes SSH connections, applies the document. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const folder = temporaryFolder('gateway');
  const dataDir = join(folder, 'data');
  mkdirSync(dataDir, { mode: 0o700 });
  const [sshPort, rdpPort, consolePort, healthPort, agentCheckPort] = await Promise.all(
    Array.from({ length: 5 }, freePort),
  );
  if (
    sshPort === undefined ||
    rdpPort === undefined ||
    healthPort === undefined ||
    agentCheckPort === undefined
  )
    throw new Error('no free ports');
  const { listen, ...rest } = options.config ?? {};
  const config = {
    // The demonstration's own target would only take time here.
    node: { name: 'test-node', dataDir, demo: false },
    listen: {
      ssh: `127.0.0.1:${sshPort}`,
      rdp: `127.0.0.1:${rdpPort}`,
      console: `127.0.0.1:${consolePort}`,
      health: `127.0.0.1:${healthPort}`,
      agentCheck: `127.0.0.1:${agentCheckPort}`,
      ...(typeof listen === 'object' ? listen : {}),
    },
    rdp: { address: `127.0.0.1:${rdpPort}` },
    workers: { sessions: 2 },
    drain: { seconds: 10 },
    ...rest,
  };
  const configFile = join(folder, 'sallyport.yaml');
  writeFileSync(configFile, stringify(config));

  const starts: Daemon[] = [];
  const start = async (): Promise<void> => {
    const daemon = startDaemon(process.execPath, [SALLYPORT, 'serve', '--config', configFile], {
      cwd: folder,
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    starts.push(daemon);
    await waitForSsh(daemon, sshPort);
  };
  await start();
  const running = (): Daemon => starts.at(-1) ?? assert.fail('the gateway was never started');
  const log = (): string => starts.map((daemon) => daemon.output()).join('');
  // What the gateway warned of explains a failed test better than the client can.
  atExit(() => {
    const warnings = log()
      .split('\n')
      .filter((line) => /^\{"level":[456]0/.test(line));
    if (process.exitCode !== undefined && process.exitCode !== 0 && warnings.length > 0)
      process.stderr.write(`warnings of the gateway:\n${warnings.slice(-20).join('\n')}\n`);
  });

  const command = (args: readonly string[]): string[] => [SALLYPORT, ...args, '--config', configFile];
  const gateway: Gateway = {
    host: '127.0.0.1',
    sshPort,
    rdpPort,
    healthPort,
    agentCheckPort,
    dataDir,
    configFile,
    get pid() {
      return running().pid;
    },
    log,
    sallyport: (args, runOptions = {}) =>
      run(process.execPath, command(args), { cwd: folder, ...runOptions }),
    async json<T>(args: readonly string[]): Promise<T> {
      const { text } = await runOk(process.execPath, command([...args, '--json']), { cwd: folder });
      return JSON.parse(text) as T;
    },
    apply(document) {
      const file = join(folder, 'apply.yaml');
      writeFileSync(file, stringify(document), { mode: 0o600 });
      return runOk(process.execPath, command(['apply', file]), { cwd: folder });
    },
    start,
    stop: () => running().stop(15_000),
    async kill9() {
      running().kill('SIGKILL');
      await running().exited;
    },
  };
  if (options.document !== undefined) await gateway.apply(options.document);
  return gateway;
}
