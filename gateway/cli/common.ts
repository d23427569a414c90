/** What all subcommands share: options, opening the store of a configuration. */
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { type Config, loadConfig } from '../config/config.ts';
import { openStoreAt } from '../store/open.ts';
import type { Store } from '../store/port.ts';
import { UsageError } from './output.ts';

/** What `<id>` may be, see `findSession`. */
export const SESSION_ID = 'session id, or a unique beginning or end of it';

/** Adds `--config`, which every subcommand that reads the configuration has. */
export function withConfig(command: Command): Command {
  return command.option(
    '--config <file>',
    'configuration file (default: ./sallyport.yaml where there is one)',
  );
}

/** Adds `--config` and `--json`. */
export function withCommon(command: Command): Command {
  return withConfig(command).option('--json', 'print JSON');
}

/** @throws UsageError: `text` is no whole number from `least` */
export function countOption(name: string, text: string, least = 1): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < least)
    throw new UsageError(`${name}: wants a whole number from ${least}, not ${text}`);
  return value;
}

/** @throws UsageError: `text` is no number from 0 */
export function numberOption(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new UsageError(`${name}: ${text} is not a number`);
  return value;
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
