/** The port to whatever keeps the credentials of managed accounts. */
import type { Secret } from './secret.ts';

/** What logs on to a target. At least one of `password` and `privateKey` is there. */
export interface Credential {
  readonly username: string;
  readonly password: Secret | undefined;
  /** OpenSSH or PEM text. */
  readonly privateKey: Secret | undefined;
  readonly passphrase: Secret | undefined;
}

/** A checked-out credential. Times are ms since the epoch. */
export interface Lease {
  readonly id: string;
  readonly credential: Credential;
  readonly checkedOutAt: number;
  /** When the vault takes it back by itself; undefined: when it is checked in. */
  readonly expiresAt: number | undefined;
}

export interface CheckOut {
  readonly account: string;
  readonly system: string;
  /** The person whose session needs it. */
  readonly user: string;
  readonly sessionId: string;
}

export interface VaultClient {
  /** @throws VaultError when there is no such account or its secret cannot be read */
  checkOut(request: CheckOut): Promise<Lease>;
  /** Gives the lease back. Doing so twice is harmless, so that every clean-up may. */
  checkIn(leaseId: string): Promise<void>;
}
