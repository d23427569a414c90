/**
 * Thread entry of a session worker: listens itself on the shared port, owns its sessions
 * from accept to seal and writes their recordings to the archive itself.
 */
import { createPrivateKey } from 'node:crypto';
import { flushCompileCache } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import type { Standing } from '../gateway/control/admission.ts';
import { Listener } from '../gateway/listener/listener.ts';
import { withSharedRead } from '../gateway/listener/shared-read.ts';
import type { Protocol } from '../gateway/policy/capability.ts';
import { RdpFront } from '../gateway/rdp/front/front.ts';
import { endWithError } from '../gateway/rdp/front/refuse.ts';
import { ErrorInfo } from '../gateway/rdp/pdu/error-info.ts';
import { runRdpSession } from '../gateway/rdp/session.ts';
import type { LiveSession } from '../gateway/session/live.ts';
import type { SessionServices } from '../gateway/session/session.ts';
import { SshFront } from '../gateway/ssh/front.ts';
import { runSshSession } from '../gateway/ssh/session.ts';
import { turnAway } from '../gateway/ssh/turn-away.ts';
import { DisconnectReason } from '../gateway/ssh/wire/connection.ts';
import { type OnArchiveFailure, openArchives, Recorder } from '../recorder/index.ts';
import { Deadline } from './deadline.ts';
import { LeasedArchive } from './leased-archive.ts';
import type { ControlNotice, EndCode, KeystrokeLine, TurnedAwayNotice } from './messages.ts';
import { WorkerMetrics } from './metrics.ts';
import { ControlClient, type ToWorker } from './rpc.ts';
import type { WorkerSettings } from './settings.ts';

/** Keystrokes reach the store in batches of at most this age. */
const TICK_MS = 250;
const BEAT_MS = 1_000;
/** How often the control plane is told how far recordings are. */
const HEADS_MS = 2_000;
const LEASE_LOST = 'the gateway was cut off from its peers, and nothing may go on unrecorded';
/** How often the event loop's lag is looked at: stalls that people notice are longer, and each look wakes the thread. */
const LAG_MS = 50;

/** What an SSH client shows that comes while too many others log on, or choose a target. */
const NO_PLACE: Readonly<Record<'limit' | 'source-limit', string>> = {
  limit: 'too many connections are logging on to this node: try again in a minute',
  'source-limit': 'too many connections from your address are logging on: try again in a minute',
};

class SessionWorker {
  readonly #settings: WorkerSettings;
  readonly #client: ControlClient;
  readonly #deadline: Deadline;
  readonly #metrics = new WorkerMetrics();
  readonly #recorder: Recorder;
  readonly #sessions = new Map<string, LiveSession>();
  readonly #ssh: Listener;
  readonly #rdp: Listener | undefined;
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_MS });
  #draining = false;
  /** Why nobody new is let in. */
  #closed: Standing | undefined;
  /** Who was turned away since the last beat, by protocol and reason: a flood must not flood the control plane. */
  readonly #turnedAway = new Map<string, TurnedAwayNotice>();

  constructor(settings: WorkerSettings, client: ControlClient) {
    this.#settings = settings;
    this.#client = client;
    client.onAnswer = (name, seconds) => this.#metrics.asked(name, seconds);
    this.#deadline = new Deadline(settings.deadline);
    this.#recorder = this.#makeRecorder();
    const services = this.#makeServices();
    const ssh = this.#makeSshFront(services);
    const rdp = this.#makeRdpFront(services);
    const common = {
      proxyFrom: settings.proxyFrom,
      onProbe: () => client.notify({ type: 'dropped', spoke: false }),
    };
    this.#ssh = new Listener({
      ...settings.listen.ssh,
      ...common,
      wrap: withSharedRead,
      onConnection: (socket, source) => {
        if (this.#closed === undefined) return ssh.accept(socket, source);
        const { code, message } = this.#closed;
        // A probe of a load balancer is none whom anything was refused.
        turnAway(socket, message, (spoke) => {
          if (spoke) this.#countTurnedAway('ssh', code, source);
          else common.onProbe();
        });
      },
      onTurnedAway: (reason, source) => this.#countTurnedAway('ssh', reason, source),
      farewell: (socket, reason) => turnAway(socket, NO_PLACE[reason]),
    });
    // TLS reads into memory of its own.
    this.#rdp =
      rdp === undefined
        ? undefined
        : new Listener({
            ...settings.listen.rdp,
            ...common,
            onConnection: (socket, source) => rdp.accept(socket, source, this.#closed),
            // What RDP has to say can be said only behind a handshake, which is what there are too many of.
            onTurnedAway: (reason, source) => this.#countTurnedAway('rdp', reason, source),
          });
  }

  async start(): Promise<void> {
    const [ssh, rdp] = await Promise.all([this.#ssh.listen(), this.#rdp?.listen()]);
    this.#client.notify({ type: 'listening', ssh, rdp });
    this.#lag.enable();
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.#beat(), BEAT_MS);
    setInterval(() => this.#tellHeads(), HEADS_MS);
  }

  receive(notice: ControlNotice): void {
    switch (notice.type) {
      case 'lock':
        this.#sessions.get(notice.sessionId)?.lock(notice.message);
        return;
      case 'unlock':
        this.#sessions.get(notice.sessionId)?.unlock(notice.message);
        return;
      case 'terminate':
        this.#sessions.get(notice.sessionId)?.end('terminated', notice.reason);
        return;
      case 'notify':
        this.#sessions.get(notice.sessionId)?.notify(notice.message);
        return;
      case 'stop':
        this.#sessions.get(notice.sessionId)?.end('node-stopping', notice.reason);
        return;
      case 'door':
        this.#closed = notice.closed;
        return;
      case 'drain':
        this.#drain();
    }
  }

  #makeRecorder(): Recorder {
    const { settings, client } = { settings: this.#settings, client: this.#client };
    return new Recorder({
      archive: new LeasedArchive(openArchives(settings.archive.settings), this.#deadline),
      recipients: settings.archive.recipients,
      node: settings.node,
      signingKey: createPrivateKey(settings.signingKey),
      window: settings.archive.window,
      memoryBytes: settings.archive.memoryBytes,
      onFailure: this.#onArchiveFailure(),
      onSealed: (sessionId, key) => client.notify({ type: 'sealed', sessionId, key }),
      observer: this.#metrics.observer,
    });
  }

  #makeServices(): Omit<SessionServices, 'figures'> {
    const client = this.#client;
    return {
      control: client.control,
      recorder: this.#recorder,
      audit: (event) => client.notify({ type: 'audit', event }),
      keystrokes: (lines) => client.notify({ type: 'keystrokes', lines }),
      started: (session) => this.#sessions.set(session.id, session),
      ended: (session) => {
        this.#sessions.delete(session.id);
        this.#metrics.ended(session);
        this.#reportDrained();
      },
      onFault: (error, sessionId) => this.#fault(error, sessionId),
    };
  }

  #onArchiveFailure(): OnArchiveFailure {
    const { onFailure, spool } = this.#settings.archive;
    if (onFailure !== 'spool') return { action: onFailure };
    return {
      action: 'spool',
      spool,
      onEvent: (event) => this.#client.notify({ type: 'spool', event }),
      marked: (sessionId) => this.#client.control.spooled({ sessionId }),
    };
  }

  #makeSshFront(services: Omit<SessionServices, 'figures'>): SshFront {
    const { settings, client } = { settings: this.#settings, client: this.#client };
    const { connectTimeoutMs, maxChannels } = settings.ssh;
    const figures = this.#metrics.figures.ssh;
    return new SshFront({
      hostKeys: settings.ssh.hostKeys,
      banner: settings.ssh.banner,
      loginGraceMs: settings.ssh.loginGraceMs,
      control: client.control,
      onAuthenticated: (connection) => {
        const { socket, source, leg } = connection;
        const full = this.#ssh.loggedOn(socket, source);
        if (full !== undefined) return leg.disconnect(DisconnectReason.tooManyConnections, NO_PLACE[full]);
        const started = (session: LiveSession): void => {
          this.#ssh.settled(socket);
          services.started(session);
        };
        void runSshSession(connection, { ...services, started, figures, connectTimeoutMs, maxChannels });
      },
      onDropped: (spoke) => client.notify({ type: 'dropped', spoke }),
      onConnectionClosed: (connection) => client.notify({ type: 'connection-closed', connection }),
      onFault: (error) => this.#fault(error),
    });
  }

  #makeRdpFront(services: Omit<SessionServices, 'figures'>): RdpFront | undefined {
    const { settings, client } = { settings: this.#settings, client: this.#client };
    if (settings.rdp === undefined) return undefined;
    const { tls, banner, nla, loginGraceMs, connectTimeoutMs } = settings.rdp;
    const figures = this.#metrics.figures.rdp;
    return new RdpFront({
      tls,
      banner,
      nla,
      name: settings.node,
      loginGraceMs,
      control: client.control,
      onTurnedAway: (code, source) => this.#countTurnedAway('rdp', code, source),
      onAuthenticated: (authenticated) => {
        const { socket, source, reception } = authenticated;
        if (this.#rdp?.loggedOn(socket, source) !== undefined)
          return endWithError(reception.stream, reception.client, ErrorInfo.serverDeniedConnection);
        const started = (session: LiveSession): void => {
          this.#rdp?.settled(socket);
          services.started(session);
        };
        void runRdpSession(authenticated, { ...services, started, figures, connectTimeoutMs });
      },
      onNlaBroken: (connection, source, code) => {
        const detail = { protocol: 'rdp', factor: `nla: ${code}` };
        client.notify({
          type: 'audit',
          event: { code: 'user.login.failed', sessionId: undefined, connection, source, detail },
        });
      },
      onDropped: (spoke) => client.notify({ type: 'dropped', spoke }),
      onConnectionClosed: (connection) => client.notify({ type: 'connection-closed', connection }),
      onFault: (error) => this.#fault(error),
    });
  }

  #tick(): void {
    const lines: KeystrokeLine[] = [];
    const now = Date.now();
    for (const session of this.#sessions.values()) session.tick(now, lines);
    if (lines.length > 0) this.#client.notify({ type: 'keystrokes', lines });
    if (this.#deadline.passed) this.#endAll('lease-lost', LEASE_LOST);
  }

  #tellHeads(): void {
    const heads = this.#recorder.takeHeads();
    if (heads.length > 0) this.#client.notify({ type: 'heads', heads });
  }

  #endAll(code: EndCode, reason: string): void {
    for (const session of this.#sessions.values()) session.end(code, reason);
  }

  #countTurnedAway(protocol: Protocol, reason: string, source: string): void {
    const key = `${protocol} ${reason}`;
    this.#turnedAway.set(key, {
      protocol,
      reason,
      source,
      count: (this.#turnedAway.get(key)?.count ?? 0) + 1,
    });
  }

  #beat(): void {
    const heap = getHeapStatistics();
    const connections = { ssh: this.#ssh.connections, rdp: this.#rdp?.connections ?? 0 };
    const lagMs = Math.max(0, this.#lag.max / 1e6 - LAG_MS);
    this.#client.notify({
      type: 'beat',
      sessions: this.#sessions.size,
      connections: connections.ssh + connections.rdp,
      lagMs,
      metrics: this.#metrics.collect({
        sessions: this.#sessions.values(),
        connections,
        lagMs,
        recorder: this.#recorder.standing(),
      }),
      pid: process.pid,
      heapShare: heap.used_heap_size / heap.heap_size_limit,
      rssBytes: process.memoryUsage.rss(),
    });
    for (const turned of this.#turnedAway.values()) this.#client.notify({ type: 'turned-away', ...turned });
    this.#turnedAway.clear();
    this.#lag.reset();
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#ssh.close();
    this.#rdp?.close();
    if (this.#deadline.passed) this.#endAll('lease-lost', LEASE_LOST);
    else this.#endAll('node-stopping', 'this gateway is being stopped');
    this.#reportDrained();
  }

  #reportDrained(): void {
    if (this.#draining && this.#sessions.size === 0) this.#client.notify({ type: 'drained' });
  }

  #fault(error: unknown, sessionId?: string): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#client.notify({ type: 'fault', text, sessionId });
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const client = new ControlClient(port);
  const worker = new SessionWorker(workerData as WorkerSettings, client);
  port.on('message', (message: ToWorker) => {
    if (!client.receive(message)) worker.receive(message);
  });
  // A rejection here is fatal for the worker, and only for it: the supervisor replaces it.
  await worker.start();
  // Not only at its end, which may be sudden: the next one starts sooner.
  flushCompileCache();
}
