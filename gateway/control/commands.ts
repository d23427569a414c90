/** Carries out what operators order: of live sessions lock, unlock and terminate; orders of the node it hands on. */
import type { ControlNotice } from '../../workers/messages.ts';
import { type CommandRow, SESSION_VERBS, type Store } from '../store/port.ts';
import type { AuditTrail } from './audit-trail.ts';
import type { Clock } from './clock.ts';
import { fact, type LiveSession, type SessionRegistry } from './session-registry.ts';

export const LOCKED_MESSAGE = 'Your session has been locked. Please contact your administrator.';
export const UNLOCKED_MESSAGE = 'Your session has been unlocked.';

const EVENTS = {
  lock: 'session.locked',
  unlock: 'session.unlocked',
  terminate: 'session.terminated',
} as const;

export class Commands {
  readonly #store: Store;
  readonly #sessions: SessionRegistry;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #node: string;
  readonly #send: (worker: number, notice: ControlNotice) => void;
  readonly #obey: (order: CommandRow) => string;
  /** Id of the order that failed half-way: what it did already must not refuse its second try. */
  #halfWay: string | undefined;
  /** The last order of the node itself. */
  #obeyed: { readonly id: string; readonly result: string } | undefined;

  constructor(options: {
    store: Store;
    sessions: SessionRegistry;
    audit: AuditTrail;
    clock: Clock;
    node: string;
    send: (worker: number, notice: ControlNotice) => void;
    /** Carries out an order of the node itself; returns `ok`, or why it has nothing to do. */
    obey: (order: CommandRow) => string;
  }) {
    this.#store = options.store;
    this.#sessions = options.sessions;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#node = options.node;
    this.#send = options.send;
    this.#obey = options.obey;
  }

  /**
   * Carries out every open command, in the order in which they were given. One that fails
   * half-way stays open and is carried out again: each may be repeated without harm.
   */
  async poll(): Promise<void> {
    const open = await this.#store.openCommands(this.#node);
    const inOrder = open.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    for (const command of inOrder) {
      if (!isSessionCommand(command)) {
        await this.#finishOwn(command);
        continue;
      }
      const session = this.#sessions.live(command.subject);
      const refusal = this.#refusalOf(command, session);
      if (session !== undefined && refusal === undefined) {
        this.#halfWay = command.id;
        await this.#carryOut(command, session);
      }
      await this.#store.finishCommand(command.id, this.#clock.now(), refusal ?? 'ok');
      this.#halfWay = undefined;
    }
  }

  /** An order of the node: carried out once, however often its end must be written. */
  async #finishOwn(command: CommandRow): Promise<void> {
    const { id } = command;
    this.#obeyed = this.#obeyed?.id === id ? this.#obeyed : { id, result: this.#obey(command) };
    await this.#store.finishCommand(id, this.#clock.now(), this.#obeyed.result);
  }

  /** Why an order has nothing to do: nobody is told twice that their session is locked. */
  #refusalOf({ id, verb }: SessionCommand, session: LiveSession | undefined): string | undefined {
    if (session === undefined) return 'no such session on this node';
    if (id === this.#halfWay) return undefined;
    if (verb === 'lock' && session.locked) return 'is locked already';
    if (verb === 'unlock' && !session.locked) return 'is not locked';
    return undefined;
  }

  async #carryOut(command: SessionCommand, session: LiveSession): Promise<void> {
    const { verb, by, reason } = command;
    this.#send(session.worker, noticeOf(command));
    if (verb !== 'terminate') await this.#sessions.setLocked(session, verb === 'lock');
    const { user, account, system } = session;
    const detail = { user, account, system, ...(reason === undefined ? {} : { reason }) };
    await this.#audit.write(fact(session, EVENTS[verb], by, detail));
  }
}

type SessionCommand = CommandRow & { readonly verb: (typeof SESSION_VERBS)[number] };

const isSessionCommand = (command: CommandRow): command is SessionCommand =>
  SESSION_VERBS.some((verb) => verb === command.verb);

function noticeOf({ verb, subject: sessionId, by, reason }: SessionCommand): ControlNotice {
  switch (verb) {
    case 'lock':
      return { type: 'lock', sessionId, message: LOCKED_MESSAGE };
    case 'unlock':
      return { type: 'unlock', sessionId, message: UNLOCKED_MESSAGE };
    case 'terminate':
      return { type: 'terminate', sessionId, reason: reason ?? `terminated by ${by}` };
  }
}
