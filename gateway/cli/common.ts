/** What all subcommands share: options, opening the store of a configuration. */
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { type Config, loadConfig } from '../config/config.ts';
import { openStoreAt } from '../store/open.ts';
import type { Store } from '../store/port.ts';
import { UsageError } from './output.ts';

/** Adds `--config` and `--json`, which every subcommand has. */
export function withCommon(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file (default: ./sallyport.yaml where there is one)')
    .option('--json', 'print JSON');
}

export function configOf(file: string | undefined): Config {
  return loadConfig({ file });
}

/** Opens the store that the configuration names; it is never created here. */
export async function openStore(file: string | undefined): Promise<Store & AsyncDisposable> {
  const config = configOf(file);
  const path = config.store.url.startsWith('sqlite:') ? config.store.url.slice('sqlite:'.length) : undefined;
  if (path !== undefined && !existsSync(path))
    throw new UsageError(`there is no store at ${path} yet: start the gateway first (sallyport serve)`);
  const store = await openStoreAt(config.store.url);
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}

/** Who runs this command, for the audit log: the person behind sudo where there is one. */
export function operator(): string {
  return process.env['SUDO_USER'] ?? userInfo().username;
}
