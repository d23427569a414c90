/** An amount that several share, each as long as it needs its part. */
export class Allowance {
  #left: number;

  constructor(amount: number) {
    this.#left = amount;
  }

  /** @returns gives it back, once however often it is called; undefined: there is not so much left */
  take(amount: number): (() => void) | undefined {
    if (amount > this.#left) return undefined;
    this.#left -= amount;
    let taken = amount;
    return () => {
      this.#left += taken;
      taken = 0;
    };
  }
}
