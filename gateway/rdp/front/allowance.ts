/** An amount that several share, each as long as it needs its part. */
export class Allowance {
  readonly #share: number;
  #left: number;
  /** INVARIANT: no key has more than {@link Allowance.#share}, and none is here that has nothing. */
  readonly #taken = new Map<string, number>();

  /** @param share what one key may take of `amount` */
  constructor(amount: number, share: number) {
    this.#left = amount;
    this.#share = share;
  }

  /** @returns gives it back, once however often it is called; undefined: there is not so much left, for `key` or at all */
  take(key: string, amount: number): (() => void) | undefined {
    const before = this.#taken.get(key) ?? 0;
    if (amount > this.#left || before + amount > this.#share) return undefined;
    this.#change(key, amount);
    let taken = amount;
    return () => {
      if (taken > 0) this.#change(key, -taken);
      taken = 0;
    };
  }

  #change(key: string, amount: number): void {
    this.#left -= amount;
    const taken = (this.#taken.get(key) ?? 0) + amount;
    if (taken === 0) this.#taken.delete(key);
    else this.#taken.set(key, taken);
  }
}
