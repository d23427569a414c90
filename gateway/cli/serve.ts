/** `sallyport serve`: runs the gateway until it is told to stop. */
import type { Command } from 'commander';
import pino from 'pino';
import type { Ports } from '../../workers/messages.ts';
import { type Bootstrapped, bootstrap } from '../bootstrap/bootstrap.ts';
import { ListenError } from '../listener/free-port.ts';
import { Node } from '../node/node.ts';
import { configOf } from './common.ts';
import { UsageError } from './output.ts';
import { VERSION } from './version.ts';

/** How long people may go on after SIGTERM; a second signal ends it at once. */
const DRAIN_MS = 10_000;

export function addServe(program: Command): void {
  program
    .command('serve', { isDefault: false })
    .description('run the gateway (creates everything it needs on the first run)')
    .option('--config <file>', 'configuration file (default: ./sallyport.yaml where there is one)')
    .action(async (options: { config?: string }) => {
      const config = configOf(options.config);
      const log = pino({ level: config.log.level, base: { node: config.node.name } }, pino.destination(2));
      const parts = await bootstrap(config).catch((error: unknown) => {
        throw error instanceof ListenError ? new UsageError(`${error.key}: ${error.message}`) : error;
      });
      for (const warning of parts.warnings) log.warn(warning);
      const { node, ports } = await Node.start(parts, log).catch(async (error: unknown) => {
        await parts.stopDemo();
        await parts.store.close();
        throw error;
      });
      process.stdout.write(welcome(parts, ports));
      await stopSignal(async (deadline) => {
        await node.stop(deadline);
        await parts.stopDemo();
      });
    });
}

/** Resolves when the node has stopped after SIGTERM or SIGINT. */
function stopSignal(stop: (deadline: number) => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const onSignal = (): void => {
      if (stopping) process.exit(1);
      stopping = true;
      stop(Date.now() + DRAIN_MS).then(resolve, reject);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

function welcome({ config, created, demo, tls }: Bootstrapped, { ssh, rdp }: Ports): string {
  const { listen } = config;
  const lines = [
    `Sallyport ${VERSION} is ready on node ${config.node.name}`,
    `  SSH          ${address(listen.ssh.host, ssh)}`,
    ...(rdp === undefined ? [] : [`  RDP          ${address(listen.rdp.host, rdp)}`]),
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
    );
  return `${lines.join('\n')}\n\n`;
}

const address = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
