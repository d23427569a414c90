/** One running node: joins store, vault, control plane and session workers, and ends them in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { BackgroundPool, openArchives } from '../../recorder/index.ts';
import { EmbeddedVault } from '../../vault-client/index.ts';
import type { WorkerDeath } from '../../workers/death.ts';
import type { ControlRequests, Ports, WorkerNotice } from '../../workers/messages.ts';
import { answering, Supervisor, sealMsOf } from '../../workers/supervisor.ts';
import { hashPassword } from '../apply/password.ts';
import { PasswordPool } from '../apply/password-pool.ts';
import { auditRow } from '../audit/events.ts';
import type { Bootstrapped } from '../bootstrap/bootstrap.ts';
import { archiveSettings } from '../config/archive.ts';
import type { Limits } from '../control/admission.ts';
import { ControlPlane, type WorkerDesk } from '../control/control-plane.ts';
import { NodeMetrics } from '../metrics/node-metrics.ts';
import { timedStore } from '../metrics/timed-store.ts';
import { VERSION } from '../version.ts';
import { tellDeath } from './deaths.ts';
import { DoorLog } from './door-log.ts';
import { exitNow } from './exit.ts';
import { type HealthPorts, NodeHealth } from './health.ts';
import { Service } from './service.ts';
import { showStanding } from './shown.ts';
import { Sides } from './sides.ts';
import { NodeSpool } from './spool.ts';
import { compacts, Tenure } from './tenure.ts';
import { settingsOf, unitCount, unitsOf } from './workers.ts';

/** Where the node takes connections. */
export type NodePorts = Ports & HealthPorts;

/** Jobs at a time, below the priority of sessions: two, and one more for what is urgent. */
const BACKGROUND = { processes: 3, spare: 1 };
/** How long people have to read why their session ends where the node was taken for lost. */
const RETIRE_MS = 3000;
/** How long a stop waits for threads of the background to end. */
const POOLS_MS = 5_000;

export class Node {
  readonly #parts: Bootstrapped;
  readonly #log: Logger;
  readonly #control: ControlPlane;
  readonly #tenure: Tenure;
  readonly #background: BackgroundPool;
  readonly #sides: Sides;
  readonly #passwords = new PasswordPool();
  readonly #spool: NodeSpool;
  readonly #desks = new Map<number, WorkerDesk & ControlRequests>();
  readonly #metrics: NodeMetrics;
  readonly #door: DoorLog;
  readonly #counts = { turnedAway: 0, probes: 0, dropped: 0 };
  readonly #health: NodeHealth;
  readonly #service: Service;
  #supervisor: Supervisor;
  /** Session workers that cannot be ended, of all runs. */
  #stuck = 0;
  #stopped: Promise<void> | undefined;

  private constructor(
    parts: Bootstrapped,
    metrics: NodeMetrics,
    background: BackgroundPool,
    tenure: Tenure,
    spool: NodeSpool,
    health: NodeHealth,
    dummyHash: string,
    log: Logger,
  ) {
    const { config, store, masterKey } = parts;
    this.#parts = parts;
    this.#background = background;
    this.#sides = new Sides(background, () => archiveSettings(config, tenure.lease.run), log);
    this.#tenure = tenure;
    this.#log = log;
    this.#door = new DoorLog(log);
    this.#spool = spool;
    this.#metrics = metrics;
    this.#health = health;
    showStanding(metrics, { config, background, passwords: this.#passwords, tenure, spool, health });
    this.#service = new Service({
      parts,
      log,
      run: () => tenure.lease.run,
      sessions: () => this.#control.sessions,
      send: (worker, notice) => this.#supervisor.send(worker, notice),
      watched: () => health.watched,
      onChange: () => {
        this.#control.tellDoors();
        tenure.turn();
      },
    });
    this.#control = new ControlPlane({
      store,
      vault: new EmbeddedVault(store, masterKey),
      masterKey,
      node: config.node.name,
      run: () => tenure.lease.run,
      leaseHeld: () => tenure.lease.held,
      refusal: () => this.#service.refusal,
      obey: (order) => this.#service.obey(order),
      compacts: compacts(parts),
      maxSessions: config.capacity.maxSessions,
      maxMemory: config.capacity.maxMemory,
      limits: limitsOf(config.capacity),
      retention: config.archive.retention,
      clock: CLOCK,
      log,
      heard: (fact, times) => metrics.access.heard(fact, times),
      verifyPassword: (phc, password) => this.#passwords.verify(phc, password),
      dummyHash,
      send: (worker, notice) => this.#supervisor.send(worker, notice),
    });
    this.#supervisor = this.#newSupervisor();
  }

  /**
   * Starts everything; `bootstrap` found the ports free.
   * @returns the node and the ports it listens on
   * @throws ListenError, ConfigurationError
   */
  static async start(parts: Bootstrapped, log: Logger): Promise<{ node: Node; ports: NodePorts }> {
    const archive = openArchives(archiveSettings(parts.config));
    const { health, ports } = await NodeHealth.open(parts.config, archive, log);
    try {
      const { node, workerPorts } = await Node.#start(parts, health, log);
      return { node, ports: { ...workerPorts, ...ports } };
    } catch (error) {
      health.close();
      throw error;
    }
  }

  static async #start(
    bootstrapped: Bootstrapped,
    health: NodeHealth,
    log: Logger,
  ): Promise<{ node: Node; workerPorts: Ports }> {
    const { config } = bootstrapped;
    const { maxSessions } = config.capacity;
    const metrics = new NodeMetrics({ node: config.node.name, version: VERSION, maxSessions });
    const store = timedStore(bootstrapped.store, (...call) => metrics.storeCalled(...call));
    const parts = { ...bootstrapped, store };
    // No account has this password: it costs what a real check costs.
    const dummyHash = await hashPassword(crypto.randomUUID());
    const spool = await openSpool(parts, () => tenure.lease.run, log);
    const background = new BackgroundPool(BACKGROUND);
    const drain = (sessionId: string) => spool.drain(sessionId);
    const tenure = await Tenure.begin(parts, background, drain, () => standingOf(health), CLOCK, log);
    const node = new Node(parts, metrics, background, tenure, spool, health, dummyHash, log);
    node.#control.start();
    node.#metrics.start();
    const ports = await node.#supervisor.start(unitCount(config.workers)).catch(async (error: unknown) => {
      await node.#supervisor.stop();
      await node.#control.stop();
      await tenure.stop();
      await background[Symbol.asyncDispose]();
      await node.#passwords[Symbol.asyncDispose]();
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
        exitNow(1);
      },
    });
    node.#serve();
    log.info({ ...portsOf(ports), workers: config.workers.sessions }, 'node started');
    return { node, workerPorts: ports };
  }

  /** Resolves when an operator ordered this node to stop, to what its sessions still have, ms. */
  get ordered(): Promise<number> {
    return this.#service.ordered;
  }

  /**
   * Drains and stops: tells load balancers, then the people in running sessions, waits for these at most
   * `limitMs` (default: `drain.seconds`), ends what is left, seals. Asked again, it goes on under the new limit.
   */
  stop(limitMs?: number): Promise<void> {
    const drained = this.#service.stop(limitMs);
    this.#stopped ??= this.#stop(drained);
    return this.#stopped;
  }

  async #stop(drained: Promise<void>): Promise<void> {
    const { config, store } = this.#parts;
    await drained;
    await this.#supervisor.drain();
    await this.#supervisor.stop();
    this.#spool.stop();
    try {
      await this.#control.stop();
      this.#metrics.stop();
      this.#door.close();
      this.#sides.stop();
      await this.#tenure.stop();
      const pools = [this.#background, this.#passwords].map((pool) => pool[Symbol.asyncDispose]());
      // A thread that hangs in the archive ends with the process.
      await Promise.race([Promise.all(pools), sleep(POOLS_MS, undefined, { ref: false })]);
      this.#sides.close();
      await store.insertAudit(
        auditRow({ node: config.node.name, code: 'node.stopped', detail: { ...this.#counts } }),
      );
    } finally {
      this.#health.close();
      await store.close();
    }
    this.#log.info(this.#counts, 'node stopped');
  }

  /** Load balancers may send people from now on. */
  #serve(): void {
    const control = this.#control;
    const facts = {
      phase: () => this.#service.phase,
      sessions: () => control.sessions.length,
      storeDown: () => control.storeDown || this.#tenure.failing,
      leaseHeld: () => this.#tenure.lease.held,
      workerStuck: () => this.#stuck > 0,
      admission: () => {
        // Whoever is sent here because this node says that it has room must not find a door shut.
        control.tellDoors();
        return control.admission.standing();
      },
    };
    this.#health.started(facts, () => this.#metrics.metrics());
    this.#tenure.turn();
  }

  #newSupervisor(ports?: Ports): Supervisor {
    const owner = {
      forWorker: (worker: number) => this.#desk(worker),
      notice: (worker: number, notice: WorkerNotice) => this.#notice(worker, notice),
      workersDied: (death: WorkerDeath) => this.#workersDied(death),
    };
    const { lease } = this.#tenure;
    const settings = settingsOf(this.#parts, lease, this.#spool, ports);
    const log = this.#log;
    return new Supervisor({
      kind: unitsOf(this.#parts.config.workers, settings, lease, this.#spool, log),
      listen: settings.listen,
      sealMs: sealMsOf(this.#parts.config.archive.graceSeconds),
      line: answering(owner, log),
      log,
      onStuck: (ended) => {
        this.#stuck += 1;
        void ended.then(() => {
          this.#stuck -= 1;
        });
      },
    });
  }

  /** Ends the sessions of workers that are gone, and tells what they died of. Never rejects. */
  async #workersDied(death: WorkerDeath): Promise<void> {
    const workers = death.workers.map(({ worker }) => worker);
    const sessions = workers.flatMap((worker) => this.#control.sessionsOf(worker).map(({ id }) => id));
    for (const worker of workers) {
      this.#desks.delete(worker);
      this.#metrics.workerGone(worker, death.reason !== 'stopped');
      this.#health.beats.gone(worker);
    }
    const told = death.reason === 'stopped' ? undefined : tellDeath(this.#parts, death, sessions, this.#log);
    await Promise.all(workers.map((worker) => this.#control.workerDied(worker))).catch((error: unknown) =>
      this.#log.error({ err: error }, 'the sessions of a worker that died are not all closed'),
    );
    for (const worker of workers) this.#spool.workerDied(worker);
    this.#tenure.look();
    await told;
  }

  /** Peers finish the sessions of this run: here they end, and nothing of them is written any more. */
  async #retire(): Promise<void> {
    // Recordings cannot be sealed now, so that workers are not waited for.
    await Promise.race([this.#supervisor.drain(), sleep(RETIRE_MS)]);
    await this.#supervisor.stop();
  }

  /** Takes connections as a new run. */
  async #begin(ports: Ports): Promise<void> {
    if (this.#service.stopping) return;
    this.#supervisor = this.#newSupervisor(ports);
    await this.#supervisor.start(unitCount(this.#parts.config.workers));
  }

  #desk(worker: number): WorkerDesk & ControlRequests {
    const known = this.#desks.get(worker);
    if (known !== undefined) return known;
    const spooled: ControlRequests['spooled'] = ({ sessionId }) => this.#spool.marked(sessionId);
    const desk = { ...this.#control.forWorker(worker), spooled };
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
        if (notice.event.code === 'recording.failed') this.#health.suspectArchive();
        desk.audit(notice.event);
        return;
      case 'listening':
        this.#health.beats.heard(worker, 0);
        return;
      case 'keystrokes':
        desk.keystrokes(notice.lines);
        return;
      case 'heads':
        desk.heads(notice.heads);
        return;
      case 'sealed':
        void this.#sides.put(notice.sessionId, notice.key);
        return;
      case 'spool':
        this.#health.suspectArchive();
        this.#spool.heard(worker, notice.event);
        return;
      case 'turned-away':
        this.#counts.turnedAway += notice.count;
        this.#metrics.access.turnedAway(notice.reason, notice.count);
        this.#door.turnedAway(notice.reason, notice.count);
        desk.turnedAway(notice);
        return;
      case 'dropped':
        // A probe of a load balancer connects and leaves: counted, not logged as a failure.
        if (notice.spoke) this.#counts.dropped += 1;
        else this.#counts.probes += 1;
        if (notice.spoke) this.#metrics.access.dropped();
        else this.#metrics.access.probed();
        return;
      case 'beat':
        desk.beat(notice);
        this.#health.beats.heard(worker, notice.lagMs);
        this.#metrics.workerTold(worker, notice.pid, notice.metrics);
    }
  }
}

/** For `node ls`. */
function standingOf(health: NodeHealth): string {
  const { ready, reasons } = health.report();
  return ready ? 'ready' : reasons.map(({ code }) => code).join(',');
}

const CLOCK = { now: Date.now, sleep: (ms: number) => sleep(ms) };

const limitsOf = ({ perUser, perSource, perSystem }: Limits): Limits => ({ perUser, perSource, perSystem });

const portsOf = ({ ssh, rdp }: Ports): { ssh: number; rdp?: number } =>
  rdp === undefined ? { ssh } : { ssh, rdp };

/** `run`: of this node; asked when it is drained. */
async function openSpool(
  { config, store }: Bootstrapped,
  run: () => string,
  log: Logger,
): Promise<NodeSpool> {
  const { folder, bytes } = config.archive.spool;
  return await NodeSpool.open({
    folder,
    limit: bytes,
    archive: () => openArchives(archiveSettings(config, run())),
    mark: async (sessionId, spooled) => {
      await store.updateSession(sessionId, { spooledOn: spooled ? config.node.name : undefined });
    },
    audit: (code, sessionId, detail) =>
      void store
        .insertAudit(auditRow({ node: config.node.name, code, sessionId, detail }))
        .catch((error: unknown) =>
          log.error({ err: error, code, session: sessionId }, 'audit row not written'),
        ),
    log,
  });
}
