/** `sallyport audit`: what happened, newest first. */
import type { Command } from 'commander';
import { countOption, openStore, SESSION_ID, withCommon } from './common.ts';
import { printList, timeText, UsageError } from './output.ts';
import { findSession } from './sessions.ts';

interface Options {
  readonly config?: string;
  readonly json?: boolean;
  readonly code?: string;
  readonly user?: string;
  readonly session?: string;
  readonly since?: string;
  readonly limit: string;
}

export function addAudit(program: Command): void {
  withCommon(program.command('audit').description('show the audit log, newest first'))
    .option('--code <code>', 'only events of this code, for example user.login.failed')
    .option('--user <name>', 'only what this person did')
    .option('--session <id>', `only events of this session: ${SESSION_ID}`)
    .option('--since <time>', 'only from this time on, ISO 8601')
    .option('--limit <count>', 'at most this many', '100')
    .action(async (options: Options) => {
      const since = options.since === undefined ? undefined : Date.parse(options.since);
      if (since !== undefined && Number.isNaN(since))
        throw new UsageError(`--since: ${options.since} is not a time, write it like 2026-11-21T10:00:00`);
      const limit = countOption('--limit', options.limit);
      await using store = await openStore(options.config);
      const filter = {
        ...(options.code === undefined ? {} : { code: options.code }),
        ...(options.user === undefined ? {} : { actor: options.user }),
        ...(options.session === undefined
          ? {}
          : { sessionId: (await findSession(store, options.session)).id }),
        ...(since === undefined ? {} : { since }),
      };
      const rows = await store.audit(filter, { limit });
      printList(
        rows,
        [
          { title: 'TIME', value: (row) => timeText(row.at) },
          { title: 'CODE', value: (row) => row.code },
          { title: 'ACTOR', value: (row) => row.actor },
          { title: 'FROM', value: (row) => row.source },
          { title: 'SESSION', value: (row) => row.sessionId?.slice(-12) },
          {
            title: 'DETAIL',
            value: (row) =>
              Object.entries(row.detail)
                .map(([name, value]) => `${name}=${value}`)
                .join(' '),
          },
        ],
        {
          json: options.json,
          empty: Object.keys(filter).length === 0 ? 'nothing was audited yet' : 'no event matches',
        },
      );
    });
}
