/** What a worker can do with a session that runs, whatever its protocol. */
import type { EndCode, KeystrokeLine } from '../../workers/messages.ts';
import type { SessionState } from '../metrics/worker-families.ts';
import type { Protocol } from '../policy/capability.ts';

export interface LiveSession {
  readonly id: string;
  readonly protocol: Protocol;
  readonly state: SessionState;
  /** Relayed so far, in bytes. */
  readonly traffic: { readonly fromClient: number; readonly fromTarget: number };
  /** Stops the person's input and says so on the screen. */
  lock(message: string): void;
  unlock(message: string): void;
  /** Shows `reason` and ends the session. */
  end(code: EndCode, reason: string): void;
  /** Shows a line without changing anything. */
  notify(message: string): void;
  /** Called about every 250 ms: limits of time, keystrokes that are due. */
  tick(now: number, keystrokes: KeystrokeLine[]): void;
}
