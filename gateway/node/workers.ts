/** What the session workers of a node are, and what they are told. */
import type { Logger } from 'pino';
import type { Ports } from '../../workers/messages.ts';
import { processes, type SpoolShare } from '../../workers/process.ts';
import type { WorkerSettings } from '../../workers/settings.ts';
import type { UnitKind } from '../../workers/supervisor.ts';
import { threads } from '../../workers/thread.ts';
import type { Bootstrapped } from '../bootstrap/bootstrap.ts';
import { archiveSettings } from '../config/archive.ts';
import type { Config } from '../config/config.ts';
import type { Lease } from '../control/lease.ts';
import type { NodeSpool } from './spool.ts';

/** Session workers are threads of this process, or of several others. */
export function unitsOf(
  { sessions, processes: count }: Config['workers'],
  settings: WorkerSettings,
  { deadline }: Lease,
  { shares }: NodeSpool,
  log: Logger,
): UnitKind {
  if (count === 1) return threads(settings);
  const joinSpool = (tell: (bytes: number) => void): SpoolShare => shares.join(tell);
  return processes(settings, { threads: sessions / count, deadline, joinSpool, log });
}

export const unitCount = ({ sessions, processes }: Config['workers']): number =>
  processes === 1 ? sessions : processes;

/** @param ports to listen on, where those of the configuration may be any */
export function settingsOf(
  { config, hostKeys, signingKey, recipients, tls }: Bootstrapped,
  { run, deadline }: Lease,
  spool: NodeSpool,
  ports: Ports | undefined,
): WorkerSettings {
  const { archive, listen, ssh } = config;
  return {
    node: config.node.name,
    listen: {
      ssh: { ...listen.ssh, port: ports?.ssh ?? listen.ssh.port },
      rdp: { ...listen.rdp, port: ports?.rdp ?? listen.rdp.port },
    },
    proxyFrom: listen.proxyProtocol.from,
    ssh: {
      hostKeys,
      banner: ssh.banner,
      loginGraceMs: ssh.loginGraceSeconds * 1000,
      connectTimeoutMs: ssh.connectTimeoutSeconds * 1000,
      maxChannels: ssh.maxChannels,
    },
    rdp:
      tls === undefined
        ? undefined
        : {
            tls,
            banner: ssh.banner ?? '',
            nla: config.rdp.nla,
            loginGraceMs: ssh.loginGraceSeconds * 1000,
            connectTimeoutMs: ssh.connectTimeoutSeconds * 1000,
          },
    archive: {
      settings: archiveSettings(config, run),
      recipients,
      window: { ...archive.window, graceSeconds: archive.graceSeconds },
      onFailure: archive.onFailure,
      spool: spool.settings,
      memoryBytes: archive.window.nodeBytes / config.workers.sessions,
    },
    deadline: deadline.memory,
    signingKey,
  };
}
