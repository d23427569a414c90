/** One running node: joins store, vault, control plane and session workers, and ends them in order. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { BackgroundPool } from '../../recorder/index.ts';
import { EmbeddedVault } from '../../vault-client/index.ts';
import type { Ports, WorkerNotice } from '../../workers/messages.ts';
import type { WorkerSettings } from '../../workers/settings.ts';
import { Supervisor } from '../../workers/supervisor.ts';
import { hashPassword, verifyPassword } from '../apply/password.ts';
import { auditRow } from '../audit/events.ts';
import type { Bootstrapped } from '../bootstrap/bootstrap.ts';
import { archiveSettings } from '../config/archive.ts';
import { ControlPlane, type WorkerDesk } from '../control/control-plane.ts';

export class Node {
  readonly #parts: Bootstrapped;
  readonly #log: Logger;
  readonly #control: ControlPlane;
  readonly #supervisor: Supervisor;
  readonly #background = new BackgroundPool();
  readonly #run = randomUUID();
  readonly #desks = new Map<number, WorkerDesk>();
  readonly #counts = { turnedAway: 0, probes: 0, dropped: 0 };

  private constructor(parts: Bootstrapped, dummyHash: string, log: Logger) {
    const { config, store, masterKey } = parts;
    this.#parts = parts;
    this.#log = log;
    this.#control = new ControlPlane({
      store,
      vault: new EmbeddedVault(store, masterKey),
      masterKey,
      node: config.node.name,
      run: () => this.#run,
      maxSessions: config.capacity.maxSessions,
      retention: config.archive.retention,
      clock: { now: Date.now, sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)) },
      log,
      verifyPassword,
      dummyHash,
      send: (worker, notice) => this.#supervisor.send(worker, notice),
    });
    this.#supervisor = new Supervisor(
      settingsOf(parts),
      {
        forWorker: (worker) => this.#desk(worker),
        notice: (worker, notice) => this.#notice(worker, notice),
        workerDied: async (worker) => {
          this.#desks.delete(worker);
          await this.#control.workerDied(worker);
        },
      },
      log,
    );
  }

  /** Starts everything; `bootstrap` found the ports free. @returns the node and the ports it listens on */
  static async start(parts: Bootstrapped, log: Logger): Promise<{ node: Node; ports: Ports }> {
    // No account has this password: it costs what a real check costs.
    const dummyHash = await hashPassword(crypto.randomUUID());
    const node = new Node(parts, dummyHash, log);
    const { config, store } = parts;
    await node.#control.start();
    const ports = await node.#supervisor.start(config.workers.sessions).catch(async (error: unknown) => {
      await node.#supervisor.stop();
      await node.#control.stop();
      throw error;
    });
    await store.insertAudit(
      auditRow({ node: config.node.name, code: 'node.started', detail: portsOf(ports) }),
    );
    log.info({ ...portsOf(ports), workers: config.workers.sessions }, 'node started');
    return { node, ports };
  }

  /**
   * Takes no new connections, tells the people in running sessions, waits for them until
   * `deadline` (ms since the epoch), ends what is left, seals, stops.
   */
  async stop(deadline: number): Promise<void> {
    const { config, store } = this.#parts;
    await this.#supervisor.drain(deadline);
    await this.#supervisor.stop();
    await this.#background[Symbol.asyncDispose]();
    await this.#control.stop();
    await store.insertAudit(
      auditRow({ node: config.node.name, code: 'node.stopped', detail: { ...this.#counts } }),
    );
    await store.close();
    this.#log.info(this.#counts, 'node stopped');
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
      case 'sealed':
        void this.#putSides(notice.sessionId, notice.key);
        return;
      case 'turned-away':
        this.#counts.turnedAway += 1;
        return;
      case 'dropped':
        // A probe of a load balancer connects and leaves: counted, not logged as a failure.
        if (notice.spoke) this.#counts.dropped += 1;
        else this.#counts.probes += 1;
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

const portsOf = ({ ssh, rdp }: Ports): { ssh: number; rdp?: number } =>
  rdp === undefined ? { ssh } : { ssh, rdp };

function settingsOf({ config, hostKeys, signingKey, recipients, tls }: Bootstrapped): WorkerSettings {
  const { archive, listen, ssh } = config;
  return {
    node: config.node.name,
    listen: { ssh: listen.ssh, rdp: listen.rdp },
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
      settings: archiveSettings(config),
      recipients,
      window: { ...archive.window, graceSeconds: archive.graceSeconds },
    },
    signingKey,
  };
}
