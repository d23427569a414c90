/**
 * Replies in the order of their requests (RFC 4254 §4 and §5.4), although some requests
 * are answered by the peer and some by the gateway.
 */
import { SshWireError } from './connection.ts';

/** Requests one side may leave unanswered; PuTTY's window probes stay far below. */
const MAX_UNANSWERED = 4096;

/** What an open request waits for: the peer's reply to pass on or to keep, or its turn to act. */
type Expected =
  | { readonly kind: 'forward'; readonly answered?: (succeeded: boolean) => void }
  | { readonly kind: 'asked'; readonly answered: (succeeded: boolean) => void }
  | { readonly kind: 'decided'; readonly act: () => void };

const FORWARD: Expected = { kind: 'forward' };

export class ReplyQueue {
  readonly #expected: Expected[] = [];

  /** A request went to the peer, whose reply goes to the requester; `answered` hears of it first. */
  forwarded(answered?: (succeeded: boolean) => void): void {
    this.#push(answered === undefined ? FORWARD : { kind: 'forward', answered });
  }

  /** The gateway itself asked the peer: the reply ends here. */
  asked(answered: (succeeded: boolean) => void): void {
    this.#push({ kind: 'asked', answered });
  }

  /** The gateway decided a request: `act` answers it once all earlier ones are answered. */
  decided(act: () => void): void {
    if (this.#expected.length === 0) act();
    else this.#push({ kind: 'decided', act });
  }

  /**
   * The peer replied.
   * @param forward passes the reply on to the requester
   */
  replied(succeeded: boolean, forward: () => void): void {
    const expected = this.#expected.shift();
    if (expected === undefined || expected.kind === 'decided')
      throw new SshWireError('a reply came for which no request is open');
    expected.answered?.(succeeded);
    if (expected.kind === 'forward') forward();
    for (let next = this.#expected[0]; next?.kind === 'decided'; next = this.#expected[0]) {
      this.#expected.shift();
      next.act();
    }
  }

  #push(expected: Expected): void {
    if (this.#expected.length >= MAX_UNANSWERED)
      throw new SshWireError(`more than ${MAX_UNANSWERED} requests are unanswered`);
    this.#expected.push(expected);
  }
}
