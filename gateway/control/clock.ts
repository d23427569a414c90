/** Time, as the control plane sees it; tests bring their own. */
export interface Clock {
  /** ms since the epoch */
  now(): number;
  sleep(ms: number): Promise<void>;
}
