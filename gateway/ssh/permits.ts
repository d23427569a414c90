/** What a session may do now: its policy's capabilities, the limit on channels, an operator's lock. */
import type { Capability } from '../policy/capability.ts';
import { OpenFailure } from './wire/connection.ts';
import type { Need } from './wire/permission.ts';

const LOCKED = 'the session is locked';

export class Permits {
  readonly #policy: string;
  readonly #allow: readonly Capability[];
  readonly #maxChannels: number;
  /** An operator has locked the session: nothing may be opened, started or signalled. */
  locked = false;

  /**
   * @param policy its name, for the person who is refused
   * @param maxChannels open channels a client may hold at once
   */
  constructor(policy: string, allow: readonly Capability[], maxChannels: number) {
    this.#policy = policy;
    this.#allow = allow;
    this.#maxChannels = maxChannels;
  }

  /**
   * Why a channel may not be opened, with the code for CHANNEL_OPEN_FAILURE (RFC 4254 §5.1).
   * @param open how many channels are open now
   */
  refusalOfOpen(
    need: Need,
    type: string,
    open: number,
  ): { readonly code: OpenFailure; readonly text: string } | undefined {
    if (this.locked) return { code: OpenFailure.administrativelyProhibited, text: LOCKED };
    if (open >= this.#maxChannels)
      return {
        code: OpenFailure.resourceShortage,
        text: `more than ${this.#maxChannels} channels are open on this connection`,
      };
    if (need === 'never') return { code: OpenFailure.unknownChannelType, text: `${type} is not supported` };
    const text = this.#refusalByPolicy(need);
    return text === undefined ? undefined : { code: OpenFailure.administrativelyProhibited, text };
  }

  /**
   * Why a request, global or a channel's (RFC 4254 §4 and §5.4), may not be made.
   * @param heldByLock whether a locked session refuses it
   */
  refusalOfRequest(need: Need, type: string, heldByLock: boolean): string | undefined {
    if (need === 'never') return `${type} is not supported`;
    if (this.locked && heldByLock) return LOCKED;
    return this.#refusalByPolicy(need);
  }

  #refusalByPolicy(need: Capability | 'free'): string | undefined {
    if (need === 'free' || this.#allow.includes(need)) return undefined;
    return `policy ${this.#policy} does not allow ${need}`;
  }
}
