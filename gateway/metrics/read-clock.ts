/**
 * Which socket this thread is handling a read of, and since when: what is written to another socket
 * meanwhile is what came in, passed on. One look at the time for each read, none for each message.
 */
import type { Histogram } from './sheet.ts';

let reading: object | undefined;
let since = 0;

/** Bytes of `reader` are handled from now on, until {@link readEnds}. */
export function readBegins(reader: object): void {
  reading = reader;
  since = performance.now();
}

export function readEnds(): void {
  reading = undefined;
}

/** How long what is passed on to one socket was on its way through this thread. */
export class RelayDelay {
  readonly #writer: object;
  readonly #histogram: Histogram;
  /** When the read began of which something waits to be written; 0: nothing waits. */
  #since = 0;

  /** @param writer the socket that is written to; `histogram`: seconds */
  constructor(writer: object, histogram: Histogram) {
    this.#writer = writer;
    this.#histogram = histogram;
  }

  /** Something is to be written. What answers a read of the same socket is not passed on. */
  taken(): void {
    if (this.#since === 0 && reading !== undefined && reading !== this.#writer) this.#since = since;
  }

  /** All of it is with the socket. */
  written(): void {
    if (this.#since === 0) return;
    this.#histogram.observe((performance.now() - this.#since) / 1000);
    this.#since = 0;
  }
}
