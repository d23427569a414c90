/** `sallyport apply FILE`: declares users, systems, accounts and policies. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { applyDocument, type Change } from '../apply/apply.ts';
import { openNode } from '../bootstrap/bootstrap.ts';
import { configOf, operator, withCommon } from './common.ts';
import { printJson, UsageError } from './output.ts';

const MARKS = { created: '+', updated: '~', unchanged: ' ' } as const;

export function addApply(program: Command): void {
  withCommon(
    program
      .command('apply')
      .description('declare users, systems, accounts and policies from YAML; prints what changed')
      .argument('<file>', "YAML document, '-' for standard input"),
  ).action(async (file: string, options: { config?: string; json?: boolean }) => {
    const config = configOf(options.config);
    const text = read(file);
    const { store, masterKey } = await openNode(config);
    try {
      const changes = await applyDocument(store, masterKey, text, {
        baseDir: file === '-' ? process.cwd() : dirname(resolve(file)),
        env: process.env,
        by: operator(),
        node: config.node.name,
        source: file === '-' ? 'standard input' : file,
      });
      if (options.json === true)
        printJson(changes.map((change) => ({ id: `${change.kind}/${change.name}`, ...change })));
      else process.stdout.write(report(changes));
    } finally {
      await store.close();
    }
  });
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function report(changes: readonly Change[]): string {
  const lines = changes.map(({ action, kind, name, fields }) => {
    const what = fields.length === 0 ? '' : `: ${fields.join(', ')}`;
    return `${MARKS[action]} ${kind} ${name} ${action}${what}`;
  });
  const changed = changes.filter((change) => change.action !== 'unchanged').length;
  lines.push(changed === 0 ? 'nothing changed' : `${changed} changed, ${changes.length - changed} unchanged`);
  return `${lines.join('\n')}\n`;
}
