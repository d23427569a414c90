/** `sallyport serve`: runs the gateway until it is told to stop. */
import { flushCompileCache } from 'node:module';
import type { Command } from 'commander';
import pino from 'pino';
import { type Bootstrapped, bootstrap } from '../bootstrap/bootstrap.ts';
import { asGateway } from '../bootstrap/demo-programs.ts';
import { ListenError } from '../listener/free-port.ts';
import { exitNow } from '../node/exit.ts';
import { Node, type NodePorts } from '../node/node.ts';
import { VERSION } from '../version.ts';
import { configOf } from './common.ts';
import { UsageError } from './output.ts';

/** Ctrl-C reaches everyone at the terminal, npm too, which passes it on: within this time it is one signal. */
const ONE_SIGNAL_MS = 1_000;
/** All has been stopped; what keeps the process for longer is stuck. */
const STUCK_MS = 3_000;

export function addServe(program: Command): void {
  program
    .command('serve', { isDefault: false })
    .description('run the gateway (creates everything it needs on the first run)')
    .option('--config <file>', 'configuration file (default: ./sallyport.yaml where there is one)')
    .action(async (options: { config?: string }) => {
      const config = configOf(options.config);
      const log = pino({ level: config.log.level, base: { node: config.node.name } }, pino.destination(2));
      const parts = await bootstrap(config).catch(inUse);
      for (const warning of parts.warnings) log.warn(warning);
      const { node, ports } = await Node.start(parts, log).catch(async (error: unknown) => {
        await parts.stopDemo();
        await parts.store.close();
        return inUse(error);
      });
      // Who reads that it is ready may tell it to stop; on a first run the flush takes a while.
      const end = stopped(node);
      process.stdout.write(welcome(parts, ports));
      flushCompileCache();
      try {
        await end;
        await parts.stopDemo();
      } finally {
        setTimeout(() => {
          log.warn('a thread of this process is stuck: it is ended with it');
          exitNow(process.exitCode === 1 ? 1 : 0);
        }, STUCK_MS).unref();
      }
    });
}

/** An address that cannot be had is told without a stack. */
function inUse(error: unknown): never {
  throw error instanceof ListenError ? new UsageError(`${error.key}: ${error.message}`) : error;
}

/** Resolves when the node has stopped, after SIGTERM, SIGINT or an operator's order; a second signal ends it at once. */
function stopped(node: Node): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (limitMs?: number): void => void node.stop(limitMs).then(resolve, reject);
    let signalledAt: number | undefined;
    const onSignal = (): void => {
      const now = performance.now();
      if (signalledAt !== undefined && now - signalledAt < ONE_SIGNAL_MS) return;
      if (signalledAt !== undefined) exitNow(1);
      signalledAt = now;
      stop();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    void node.ordered.then(stop);
  });
}

function welcome({ config, created, demo, tls }: Bootstrapped, { ssh, rdp, health }: NodePorts): string {
  const { listen } = config;
  const lines = [
    `Sallyport ${VERSION} is ready on node ${config.node.name}`,
    `  SSH          ${address(listen.ssh.host, ssh)}`,
    ...(rdp === undefined ? [] : [`  RDP          ${address(listen.rdp.host, rdp)}`]),
    ...(listen.health === undefined || health === undefined
      ? []
      : [`  health       http://${address(listen.health.host, health)}/readyz`]),
    `  data         ${config.node.dataDir}`,
    `  archive      ${config.archive.urls.join(', ')}`,
    ...(tls === undefined ? [] : [`  certificate  ${tls.fingerprint}`]),
  ];
  if (created.adminPassword !== undefined)
    lines.push('', 'First run. Note these passwords, they are not shown again:');
  if (created.adminPassword !== undefined) lines.push(`  administrator  admin  ${created.adminPassword}`);
  if (created.demoPassword !== undefined) lines.push(`  demo user      demo   ${created.demoPassword}`);
  if (demo !== undefined)
    lines.push(
      '',
      'Try it:',
      `  ssh -p ${ssh} ${demo.login}@127.0.0.1`,
      'and watch afterwards what was recorded:',
      '  npx sallyport recordings ls',
      '  npx sallyport recordings play ID',
      ...(asGateway
        ? [
            'Programs of the demonstration run as this user, who can read the keys: `node.demo: false` ends it.',
          ]
        : []),
    );
  return `${lines.join('\n')}\n\n`;
}

const address = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
