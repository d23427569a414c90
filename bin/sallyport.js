#!/usr/bin/env node
// Starts the CLI on the Node that runs this where it is new enough, otherwise on the one that the project pins.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');
const main = join(root, 'gateway/cli/main.ts');
if (Number(process.versions.node.split('.')[0]) >= 24) {
  const { keepCompiledCode } = await import(join(root, 'gateway/cli/compile-cache.ts'));
  keepCompiledCode();
  await import(main);
} else {
  const pinned = join(root, 'node_modules/.bin/node');
  if (!existsSync(pinned)) {
    process.stderr.write('sallyport: needs Node 24 or newer: run `npm ci` in its folder first\n');
    process.exit(1);
  }
  const child = spawn(pinned, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code) => process.exit(code ?? 1));
}
