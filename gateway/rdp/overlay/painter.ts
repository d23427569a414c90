/** Sends pictures of the gateway's own, a bit at a time: other sessions have their turn in between. */
import type { Update } from '../pdu/output.ts';

/** Updates sent in one go, some 16 KiB of pixels each before they are compressed. */
const UPDATES_A_TURN = 64;

export interface PainterOptions {
  /** What is to be sent now; asked for when all that it gave before was sent. */
  changes(): Generator<Update, void, undefined>;
  send(update: Update): void;
  /** The client has not read what was sent: nothing more is sent until the next {@link Painter.paint}. */
  congested(): boolean;
  /** When the next bit is sent, from the next turn of the event loop on; by default at once then. */
  readonly inTurn?: (work: () => void) => void;
}

export class Painter {
  readonly #options: PainterOptions;
  /** Of what is being painted, those that are not sent yet. */
  #updates: Generator<Update, void, undefined> | undefined;
  #next: NodeJS.Immediate | undefined;

  constructor(options: PainterOptions) {
    this.#options = options;
  }

  /** Once a turn, however often it is called, and no more than the client reads: else it could ask for any amount. */
  paint(): void {
    const { inTurn = (work) => work() } = this.#options;
    this.#next ??= setImmediate(() =>
      inTurn(() => {
        // It may have been dropped while it waited for its turn.
        if (this.#next === undefined) return;
        this.#next = undefined;
        this.#paintSome();
      }),
    );
  }

  /** Sends nothing more of what is being painted. */
  drop(): void {
    this.#updates = undefined;
    clearImmediate(this.#next);
    this.#next = undefined;
  }

  #paintSome(): void {
    const { changes, send, congested } = this.#options;
    for (let left = UPDATES_A_TURN; left > 0; left -= 1) {
      if (congested()) return;
      const begins = this.#updates === undefined;
      this.#updates ??= changes();
      const { value, done } = this.#updates.next();
      if (done !== true) {
        send(value);
        continue;
      }
      this.#updates = undefined;
      if (begins) return;
    }
    this.paint();
  }
}
