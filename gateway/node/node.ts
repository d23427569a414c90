/** One running node: joins store, vault, control plane and session workers, and ends them in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { BackgroundPool, openArchives } from '../../recorder/index.ts';
import { EmbeddedVault } from '../../vault-client/index.ts';
import type { Ports, WorkerNotice } from '../../workers/messages.ts';
import type { WorkerSettings } from '../../workers/settings.ts';
import { Supervisor } from '../../workers/supervisor.ts';
import { hashPassword, verifyPassword } from '../apply/password.ts';
import { auditRow } from '../audit/events.ts';
import type { Bootstrapped } from '../bootstrap/bootstrap.ts';
import { VERSION } from '../cli/version.ts';
import { archiveSettings } from '../config/archive.ts';
import { ControlPlane, type WorkerDesk } from '../control/control-plane.ts';
import type { Lease } from '../control/lease.ts';
import { type Exposition, NodeMetrics } from '../metrics/node-metrics.ts';
import { NodeSpool } from './spool.ts';
import { compacts, Tenure } from './tenure.ts';

/** How long people have to read why their session ends where the node was taken for lost. */
const RETIRE_MS = 3000;

export class Node {
  readonly #parts: Bootstrapped;
  readonly #log: Logger;
  readonly #control: ControlPlane;
  readonly #tenure: Tenure;
  readonly #background = new BackgroundPool();
  readonly #spool: NodeSpool;
  readonly #desks = new Map<number, WorkerDesk>();
  readonly #metrics: NodeMetrics;
  readonly #counts = { turnedAway: 0, probes: 0, dropped: 0 };
  #supervisor: Supervisor;
  #stopping = false;

  private constructor(parts: Bootstrapped, tenure: Tenure, spool: NodeSpool, dummyHash: string, log: Logger) {
    const { config, store, masterKey } = parts;
    this.#parts = parts;
    this.#tenure = tenure;
    this.#log = log;
    this.#spool = spool;
    this.#metrics = new NodeMetrics({
      node: config.node.name,
      version: VERSION,
      maxSessions: config.capacity.maxSessions,
      leaseHeld: () => tenure.lease.held,
    });
    this.#control = new ControlPlane({
      store,
      vault: new EmbeddedVault(store, masterKey),
      masterKey,
      node: config.node.name,
      run: () => tenure.lease.run,
      leaseHeld: () => tenure.lease.held,
      compacts: compacts(parts),
      maxSessions: config.capacity.maxSessions,
      retention: config.archive.retention,
      clock: CLOCK,
      log,
      heard: (fact) => this.#metrics.heard(fact),
      verifyPassword,
      dummyHash,
      send: (worker, notice) => this.#supervisor.send(worker, notice),
    });
    this.#supervisor = this.#newSupervisor();
  }

  /** Starts everything; `bootstrap` found the ports free. @returns the node and the ports it listens on */
  static async start(parts: Bootstrapped, log: Logger): Promise<{ node: Node; ports: Ports }> {
    // No account has this password: it costs what a real check costs.
    const dummyHash = await hashPassword(crypto.randomUUID());
    const spool = await openSpool(parts, log);
    const tenure = await Tenure.begin(parts, (sessionId) => spool.drain(sessionId), CLOCK, log);
    const node = new Node(parts, tenure, spool, dummyHash, log);
    const { config, store } = parts;
    node.#control.start();
    node.#metrics.start();
    const ports = await node.#supervisor.start(config.workers.sessions).catch(async (error: unknown) => {
      await node.#supervisor.stop();
      await node.#control.stop();
      await tenure.stop();
      throw error;
    });
    await store.insertAudit(
      auditRow({ node: config.node.name, code: 'node.started', detail: portsOf(ports) }),
    );
    spool.start();
    tenure.start({
      lost: () => node.#retire(),
      begun: () => node.#begin(ports),
      over: (error) => {
        log.fatal({ err: error }, 'this node was taken for lost and cannot begin again: it stops');
        process.exit(1);
      },
    });
    log.info({ ...portsOf(ports), workers: config.workers.sessions }, 'node started');
    return { node, ports };
  }

  /**
   * Takes no new connections, tells the people in running sessions, waits for them until
   * `deadline` (ms since the epoch), ends what is left, seals, stops.
   */
  async stop(deadline: number): Promise<void> {
    const { config, store } = this.#parts;
    this.#stopping = true;
    await this.#supervisor.drain(deadline);
    await this.#supervisor.stop();
    this.#spool.stop();
    await this.#background[Symbol.asyncDispose]();
    await this.#control.stop();
    this.#metrics.stop();
    await this.#tenure.stop();
    await store.insertAudit(
      auditRow({ node: config.node.name, code: 'node.stopped', detail: { ...this.#counts } }),
    );
    await store.close();
    this.#log.info(this.#counts, 'node stopped');
  }

  /** All metrics of the node, in Prometheus' text format. */
  metrics(): Promise<Exposition> {
    return this.#metrics.metrics();
  }

  #newSupervisor(ports?: Ports): Supervisor {
    const owner = {
      forWorker: (worker: number) => this.#desk(worker),
      notice: (worker: number, notice: WorkerNotice) => this.#notice(worker, notice),
      workerDied: async (worker: number) => {
        this.#desks.delete(worker);
        this.#metrics.workerDied(worker);
        await this.#control.workerDied(worker);
        this.#spool.workerDied(worker);
        this.#tenure.look();
      },
    };
    return new Supervisor(settingsOf(this.#parts, this.#tenure.lease, this.#spool, ports), owner, this.#log);
  }

  /** Peers finish the sessions of this run: here they end, and nothing of them is written any more. */
  async #retire(): Promise<void> {
    // Recordings cannot be sealed now, so that workers are not waited for.
    await Promise.race([this.#supervisor.drain(Date.now()), sleep(RETIRE_MS)]);
    await this.#supervisor.stop();
  }

  /** Takes connections as a new run. */
  async #begin(ports: Ports): Promise<void> {
    if (this.#stopping) return;
    this.#supervisor = this.#newSupervisor(ports);
    await this.#supervisor.start(this.#parts.config.workers.sessions);
  }

  #desk(worker: number): WorkerDesk {
    const known = this.#desks.get(worker);
    if (known !== undefined) return known;
    const desk = this.#control.forWorker(worker);
    this.#desks.set(worker, desk);
    return desk;
  }

  #notice(worker: number, notice: WorkerNotice): void {
    const desk = this.#desk(worker);
    switch (notice.type) {
      case 'connection-closed':
        desk.connectionClosed(notice.connection);
        return;
      case 'audit':
        desk.audit(notice.event);
        return;
      case 'keystrokes':
        desk.keystrokes(notice.lines);
        return;
      case 'heads':
        desk.heads(notice.heads);
        return;
      case 'sealed':
        void this.#putSides(notice.sessionId, notice.key);
        return;
      case 'spool':
        this.#spool.heard(worker, notice.event);
        return;
      case 'turned-away':
        this.#counts.turnedAway += 1;
        this.#metrics.turnedAway(notice.reason);
        return;
      case 'dropped':
        // A probe of a load balancer connects and leaves: counted, not logged as a failure.
        if (notice.spoke) this.#counts.dropped += 1;
        else this.#counts.probes += 1;
        if (notice.spoke) this.#metrics.dropped();
        else this.#metrics.probed();
        return;
      case 'beat':
        this.#metrics.workerTold(worker, notice.pid, notice.metrics);
    }
  }

  /** For who looks for a moment or searches later. Never rejects: a recording is whole without. */
  async #putSides(sessionId: string, key: Uint8Array): Promise<void> {
    try {
      const archive = archiveSettings(this.#parts.config);
      await this.#background.putSides({ archive, sessionId, opener: { key } });
    } catch (error) {
      this.#log.warn({ session: sessionId, err: error }, 'a recording has no index or text beside it');
    }
  }
}

const CLOCK = { now: Date.now, sleep: (ms: number) => sleep(ms) };

const portsOf = ({ ssh, rdp }: Ports): { ssh: number; rdp?: number } =>
  rdp === undefined ? { ssh } : { ssh, rdp };

async function openSpool({ config, store }: Bootstrapped, log: Logger): Promise<NodeSpool> {
  const { folder, bytes } = config.archive.spool;
  return await NodeSpool.open({
    folder,
    limit: bytes,
    archive: () => openArchives(archiveSettings(config)),
    audit: (code, sessionId, detail) =>
      void store
        .insertAudit(auditRow({ node: config.node.name, code, sessionId, detail }))
        .catch((error: unknown) => log.error({ err: error, code }, 'audit row not written')),
    log,
  });
}

/** @param ports to listen on, where those of the configuration may be any */
function settingsOf(
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
      // What a run leaves in the archive besides recordings goes when that run is finished.
      settings: { ...archiveSettings(config), writer: run },
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
