/** Whether this node is in service: its drain, what operators order of it, and who is told. */
import type { Logger } from 'pino';
import type { ControlNotice } from '../../workers/messages.ts';
import { sealMsOf } from '../../workers/supervisor.ts';
import { type AuditCode, auditRow } from '../audit/events.ts';
import type { Bootstrapped } from '../bootstrap/bootstrap.ts';
import type { LiveSession } from '../control/session-registry.ts';
import type { CommandRow } from '../store/port.ts';
import { Drain, type DrainPhase } from './drain.ts';

export interface ServiceOptions {
  readonly parts: Pick<Bootstrapped, 'config' | 'store'>;
  readonly log: Logger;
  /** Id of the run that orders are for. */
  readonly run: () => string;
  readonly sessions: () => readonly LiveSession[];
  readonly send: (worker: number, notice: ControlNotice) => void;
  /** Whether a load balancer looks at this node, and has to see first that it drains. */
  readonly watched: () => boolean;
  /** People may come in, or no longer: workers and peers are to know. */
  readonly onChange: () => void;
}

/** What is told when the drain goes on to a phase. */
const MOVES: Readonly<Record<DrainPhase, readonly [AuditCode, string]>> = {
  draining: ['node.draining', 'node drains'],
  maintenance: ['node.drained', 'node has drained'],
  serving: ['node.resumed', 'node serves again'],
};

export class Service {
  readonly #options: ServiceOptions;
  readonly #drain: Drain;
  readonly #ordered = Promise.withResolvers<number>();
  #stopping = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
    const { parts, sessions, send } = options;
    const hands = {
      sessions,
      notify: ({ id, worker }: LiveSession, message: string) =>
        send(worker, { type: 'notify', sessionId: id, message }),
      end: ({ id, worker }: LiveSession, why: string) =>
        send(worker, { type: 'stop', sessionId: id, reason: why }),
      moved: (phase: DrainPhase) => this.#moved(phase),
      now: Date.now,
      monotonic: () => performance.now(),
    };
    this.#drain = new Drain(hands, sealMsOf(parts.config.archive.graceSeconds));
  }

  get phase(): DrainPhase {
    // What stops is not out of service until somebody resumes it.
    return this.#stopping ? 'draining' : this.#drain.phase;
  }

  /** Why no session is opened, for who wants one; undefined: it is. */
  get refusal(): string | undefined {
    return this.#drain.refusal;
  }

  /** The node stops for good, whoever ordered it. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Resolves when an operator ordered this node to stop, to what its sessions still have, ms. */
  get ordered(): Promise<number> {
    return this.#ordered.promise;
  }

  /** Drains for good; resolves when no session is left. `limitMs` as {@link Drain.begin} has it. */
  async stop(limitMs: number = this.#limitMs): Promise<void> {
    const drained = this.#drain.begin(limitMs, this.#graceMs);
    this.#stopping = true;
    await drained;
  }

  /** Carries out what an operator ordered of this node; returns `ok`, or why it has nothing to do. */
  obey({ verb, subject, limitMs = this.#limitMs }: CommandRow): string {
    if (subject !== this.#options.run()) return 'this node has started again since';
    if (this.#stopping) return 'this node is being stopped';
    switch (verb) {
      case 'drain':
        if (this.#drain.phase === 'maintenance') return 'it has drained already';
        void this.#drain.begin(limitMs, this.#graceMs);
        return 'ok';
      case 'stop':
        this.#ordered.resolve(limitMs);
        return 'ok';
      case 'resume':
        return this.#drain.resume() ? 'ok' : 'it is not draining';
      default:
        return `${verb} is no order of a node`;
    }
  }

  get #limitMs(): number {
    return this.#options.parts.config.drain.seconds * 1000;
  }

  /** Nobody waits for load balancers where there are none. */
  get #graceMs(): number {
    return this.#options.watched() ? this.#options.parts.config.drain.graceSeconds * 1000 : 0;
  }

  #moved(phase: DrainPhase): void {
    const { parts, log, sessions, onChange } = this.#options;
    const detail = { sessions: sessions().length };
    const [code, text] = MOVES[phase];
    log.warn(detail, text);
    onChange();
    // That it has stopped a node says itself.
    if (this.#stopping) return;
    void parts.store
      .insertAudit(auditRow({ node: parts.config.node.name, code, detail }))
      .catch((error: unknown) => log.error({ err: error, code }, 'audit row not written'));
  }
}
