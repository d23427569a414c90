/**
 * The main thread's hold on its session workers: starts them on one shared port, carries
 * their requests to the control plane, and replaces one that dies or no longer beats.
 */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { ControlNotice, ControlRequests, Ports, WorkerNotice } from './messages.ts';
import { answerRequest, type ToMain } from './rpc.ts';
import type { WorkerSettings } from './settings.ts';

/** What the supervisor needs of the control plane. */
export interface WorkerOwner {
  /** The requests of one worker. */
  forWorker(worker: number): ControlRequests;
  notice(worker: number, notice: WorkerNotice): void;
  /** The worker is gone and took its sessions along. */
  workerDied(worker: number): Promise<void>;
}

/** A worker blocked this long is replaced: its listener still gets a share of new connections. */
const SILENCE_MS = 15_000;
/** Respawn back-off: doubled with each death within a minute. */
const RESPAWN_MS = 100;
const RESPAWN_MAX_MS = 10_000;
/** Heap of one worker; 600 sessions take about 150 MB. A leak ends one worker, not the node. */
const HEAP_MB = 2_048;

// A worker's memory is buffers more than objects. Without this V8 collects the whole heap
// after every few megabytes of them, which took a third of the CPU of a bulk transfer.
// It holds for the isolates made from now on, the workers'.
setFlagsFromString('--external-memory-accounted-in-global-limit');

interface Member {
  readonly worker: Worker;
  /** Monotonic: a clock that is set must not end a worker. */
  lastBeat: number;
  drained: boolean;
}

export class Supervisor {
  /** No two workers of a process have one number, whoever supervises them. */
  static #nextId = 1;
  readonly #settings: WorkerSettings;
  readonly #owner: WorkerOwner;
  readonly #log: Logger;
  readonly #script: URL;
  readonly #members = new Map<number, Member>();
  /** 0: any free one, until the first worker has bound it. */
  #listen: WorkerSettings['listen'];
  #stopping = false;
  #recentDeaths = 0;
  #watchdog: NodeJS.Timeout | undefined;
  #watchedAt = performance.now();

  /** @param script what each worker runs */
  constructor(
    settings: WorkerSettings,
    owner: WorkerOwner,
    log: Logger,
    script = new URL('./session-worker.ts', import.meta.url),
  ) {
    this.#script = script;
    this.#settings = settings;
    this.#owner = owner;
    this.#log = log;
    this.#listen = settings.listen;
  }

  /** Resolves to the ports once `count` workers listen; rejects when the first cannot. */
  async start(count: number): Promise<Ports> {
    // The first binds the ports, the others share them.
    const ports = await this.#spawn();
    const { ssh, rdp } = this.#listen;
    this.#listen = { ssh: { ...ssh, port: ports.ssh }, rdp: { ...rdp, port: ports.rdp ?? rdp.port } };
    await Promise.all(Array.from({ length: count - 1 }, () => this.#spawn()));
    this.#watchdog = setInterval(() => this.#watch(), SILENCE_MS / 3);
    return ports;
  }

  send(worker: number, notice: ControlNotice): void {
    this.#members.get(worker)?.worker.postMessage(notice);
  }

  /** Takes no new connections and ends every session; resolves when none is left, or cannot be sealed. */
  async drain(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    for (const id of this.#members.keys()) this.send(id, { type: 'drain' });
    // Ending sessions seal their recordings; the archive's grace bounds that.
    const last = Date.now() + (this.#settings.archive.window.graceSeconds + 5) * 1_000;
    while (Date.now() < last && [...this.#members.values()].some((member) => !member.drained))
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    await Promise.all([...this.#members.values()].map((member) => member.worker.terminate()));
  }

  /** Starts one worker; resolves to its ports when it listens. */
  #spawn(): Promise<Ports> {
    const id = Supervisor.#nextId++;
    const worker = new Worker(this.#script, {
      name: `sessions-${id}`,
      workerData: { ...this.#settings, listen: this.#listen },
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    const member: Member = { worker, lastBeat: performance.now(), drained: false };
    this.#members.set(id, member);
    const control = this.#owner.forWorker(id);
    return new Promise((resolve, reject) => {
      worker.on('message', (message: ToMain) => {
        if (message.type === 'request') {
          void answerRequest(message, control, worker, (name, error, session) =>
            this.#log.error(
              { worker: id, session, request: name, err: error },
              'a request of a worker failed',
            ),
          );
          return;
        }
        if (message.type === 'listening') resolve(message);
        else if (message.type === 'beat') member.lastBeat = performance.now();
        else if (message.type === 'drained') member.drained = true;
        else if (message.type === 'fault')
          this.#log.error(
            { worker: id, session: message.sessionId, fault: message.text },
            'an error cost a session',
          );
        this.#owner.notice(id, message);
      });
      worker.on('error', (error) => {
        this.#log.error({ worker: id, err: error }, 'a session worker failed');
        reject(error);
      });
      worker.on('exit', (code) => {
        this.#members.delete(id);
        reject(new Error(`a session worker exited with code ${code} before it listened`));
        void this.#replace(id);
      });
    });
  }

  async #replace(id: number): Promise<void> {
    await this.#owner.workerDied(id);
    if (this.#stopping || this.#watchdog === undefined) return;
    const wait = Math.min(RESPAWN_MAX_MS, RESPAWN_MS * 2 ** this.#recentDeaths);
    this.#recentDeaths += 1;
    setTimeout(() => {
      this.#recentDeaths = Math.max(0, this.#recentDeaths - 1);
    }, 60_000).unref();
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (this.#stopping) return;
    this.#log.warn({ worker: id }, 'a session worker is replaced');
    await this.#spawn().catch(() => {
      // Its exit event has been seen and brings the next try.
    });
  }

  #watch(): void {
    const now = performance.now();
    // Where this thread was stopped, so were the others: nobody could be heard.
    const slept = now - this.#watchedAt > SILENCE_MS;
    this.#watchedAt = now;
    for (const [id, member] of this.#members) {
      if (slept) member.lastBeat = now;
      if (now - member.lastBeat < SILENCE_MS) continue;
      this.#log.error({ worker: id }, 'a session worker is blocked and is ended');
      void member.worker.terminate();
    }
  }
}
