/**
 * Until when this node may write, in memory that all its threads share: the control plane moves it with
 * each renewal of the node's lease, and workers keep to it however long the control plane is silent.
 * The time is monotonic: no clock that is set changes it, and it is the same in all processes of a machine.
 */
export class Deadline {
  readonly memory: SharedArrayBuffer;
  readonly #at: BigInt64Array;
  readonly #followers = new Set<(ms: number) => void>();

  /** @param memory of the same deadline in another thread; it has passed until it is set */
  constructor(memory = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#at = new BigInt64Array(memory);
  }

  get passed(): boolean {
    return process.hrtime.bigint() >= Atomics.load(this.#at, 0);
  }

  /** `ms`: as {@link monotonicMs} counts. */
  set(ms: number): void {
    Atomics.store(this.#at, 0, BigInt(Math.trunc(ms * 1e6)));
    for (const tell of this.#followers) tell(ms);
  }

  /**
   * Tells where this deadline is and where this thread moves it, for one who does not share its memory: of a
   * time that comes late the earlier one holds.
   * @returns what ends that
   */
  follow(tell: (ms: number) => void): () => void {
    this.#followers.add(tell);
    tell(Number(Atomics.load(this.#at, 0)) / 1e6);
    return () => this.#followers.delete(tell);
  }
}

/** Of the machine, the same in all its threads; it stands still for nobody but a machine that sleeps. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
