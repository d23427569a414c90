/**
 * How much of a node's spool each of its processes takes: threads count in memory that they share, processes
 * tell each other here. Each keeps to the limit by what it knows, so that the spool may be larger than that by
 * what the others write within a tenth of a second.
 */
import type { SpoolShare } from '../../workers/process.ts';

interface Member {
  bytes: number;
  tell(elsewhere: number): void;
}

export class SpoolShares {
  /** What the main process counts: files whose writers are gone. */
  readonly #own: BigInt64Array;
  readonly #members = new Set<Member>();

  /** `own`: memory of {@link SpoolSettings.used} of the main process. */
  constructor(own: SharedArrayBuffer) {
    this.#own = new BigInt64Array(own);
  }

  /** Bytes in all processes. */
  get used(): number {
    let bytes = Number(Atomics.load(this.#own, 0));
    for (const member of this.#members) bytes += member.bytes;
    return bytes;
  }

  join(tell: (elsewhere: number) => void): SpoolShare {
    const member: Member = { bytes: 0, tell };
    this.#members.add(member);
    this.changed();
    return {
      set: (bytes) => {
        member.bytes = bytes;
        this.changed();
      },
      leave: () => {
        if (!this.#members.delete(member)) return;
        Atomics.add(this.#own, 0, BigInt(member.bytes));
        this.changed();
      },
    };
  }

  /**
   * What the main process counts has changed. `nothingLeft`: there are no files of writers that are gone; what
   * a process had not told when it was killed is forgotten then.
   */
  changed(nothingLeft = false): void {
    if (nothingLeft && this.#members.size > 0) Atomics.store(this.#own, 0, 0n);
    for (const member of this.#members) member.tell(this.used - member.bytes);
  }
}
