/** Tells the administrator that session workers died: a report, the audit log and the log. */
import { basename } from 'node:path';
import type { Logger } from 'pino';
import { crashFolder, writeCrashReport } from '../../workers/crash-report.ts';
import type { WorkerDeath } from '../../workers/death.ts';
import { auditRow } from '../audit/events.ts';
import type { Bootstrapped } from '../bootstrap/bootstrap.ts';
import { VERSION } from '../version.ts';

/** `sessions`: ids of those that ended with them. Never rejects. */
export async function tellDeath(
  { config, store }: Pick<Bootstrapped, 'config' | 'store'>,
  death: WorkerDeath,
  sessions: readonly string[],
  log: Logger,
): Promise<void> {
  const { name: node, dataDir } = config.node;
  const worker = death.workers.map((dead) => dead.worker).join(', ');
  const fields = { worker, reason: death.reason, sessions: sessions.length };
  try {
    const crash = { node, version: VERSION, death, sessions };
    const report = await writeCrashReport(crashFolder(dataDir), crash);
    log.error({ ...fields, report }, 'a session worker died with its sessions');
    const detail = { ...fields, report: basename(report) };
    await store.insertAudit(auditRow({ node, code: 'worker.died', detail }));
  } catch (error) {
    log.error({ ...fields, err: error }, 'the death of a session worker is not told in full');
  }
}
