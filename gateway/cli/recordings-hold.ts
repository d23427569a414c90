/** `sallyport recordings hold` and `release`: legal holds. */
import type { Command } from 'commander';
import { hold, release } from '../retention/hold.ts';
import { configOf, openStore, operator, SESSION_ID, withCommon } from './common.ts';
import { printJson, UsageError } from './output.ts';
import { findSession } from './sessions.ts';

interface HoldOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly reason: string;
}

const VERBS = [
  { verb: 'hold', done: 'held', act: hold, description: 'forbid that recordings are deleted (legal hold)' },
  { verb: 'release', done: 'released', act: release, description: 'allow it again' },
] as const;

export function addHold(recordings: Command): void {
  for (const { verb, done, act, description } of VERBS)
    withCommon(recordings.command(verb).description(description).argument('<id...>', SESSION_ID))
      .requiredOption('--reason <text>', 'kept with the recording and in the audit log')
      .action(async (ids: readonly string[], options: HoldOptions) => {
        const reason = options.reason.trim();
        if (reason === '') throw new UsageError('--reason: say why, it is kept in the audit log');
        const node = configOf(options.config).node.name;
        await using store = await openStore(options.config);
        const sessions = [];
        for (const id of new Set(ids)) sessions.push(await findSession(store, id));
        const found = sessions.map(({ id }) => id);
        await act(store, found, { by: operator(), node, reason });
        if (options.json === true) printJson(found.map((id) => ({ id, state: done, reason })));
        else
          for (const { id, user, account, system } of sessions)
            process.stdout.write(`${done}: ${id}, ${user} on ${account}@${system}\n`);
      });
}
