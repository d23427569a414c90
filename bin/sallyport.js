#!/usr/bin/env node
// Starts the CLI on the Node that the project pins, whatever Node the machine has.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');
const main = join(root, 'gateway/cli/main.ts');
if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import(main);
} else {
  const pinned = join(root, 'node_modules/.bin/node');
  if (!existsSync(pinned)) {
    process.stderr.write('sallyport: needs Node 24 or newer: run `npm ci` in its folder first\n');
    process.exit(1);
  }
  // The child shares the terminal, so it gets Ctrl-C itself.
  process.on('SIGINT', () => {});
  const child = spawnSync(pinned, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(child.status ?? 1);
}
