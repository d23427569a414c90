/**
 * Holds the static virtual channels of a session to policy and tells what went over them.
 * What is allowed goes on byte for byte; what is not is answered in the other side's place.
 */
import { PduError, Reader } from '../pdu/cursor.ts';
import { ClipboardPolice } from './clipboard-police.ts';
import { DevicePolice } from './device-police.ts';
import { DynamicPolice } from './dynamic-police.ts';
import type { ChannelEvent, MessagePolice, RdpChannelPolicy, Side } from './policy.ts';
import { otherSide, staticChannelAllowed } from './policy.ts';
import { ChunkFlag, chunks, decodeChunkHeader, Reassembler } from './virtual-channel.ts';

export type {
  ChannelEvent,
  ClipboardScope,
  Direction,
  FileAccess,
  FileEvent,
  RdpChannelPolicy,
  Side,
} from './policy.ts';
export { staticChannelAllowed } from './policy.ts';

/** A static channel that was joined. */
export interface StaticChannel {
  /** As in CHANNEL_DEF ([MS-RDPBCGR] 2.2.1.3.4.1). */
  readonly name: string;
  /** CHANNEL_DEF options. */
  readonly options: number;
}

/** CHANNEL_OPTION_SHOW_PROTOCOL: the header goes to the application too, and its chunks say so. */
const OPTION_SHOW_PROTOCOL = 0x0020_0000;

/** Of the gateway's own messages, none longer than what it answers: only a flood while the other message never ends. */
const WAITING_MAX = 1024;

/**
 * What follows from one chunk. Events are to be recorded before chunks are sent. Chunks, header
 * and all, may be views of the chunk that was given: send or copy them before its memory is
 * used again.
 */
export interface Policed {
  readonly toClient: readonly Uint8Array[];
  readonly toTarget: readonly Uint8Array[];
  readonly events: readonly ChannelEvent[];
}

/** INVARIANT: messages in `waiting` for a side wait only while one is under way to it. */
interface Channel {
  readonly flags: number;
  /** Undefined: passed on unseen. */
  readonly police: MessagePolice | undefined;
  readonly from: Readonly<Record<Side, Reassembler>>;
  readonly waiting: Readonly<Record<Side, Uint8Array[]>>;
}

export class ChannelPolice {
  readonly #channels = new Map<string, Channel>();
  /** Names of the caller's, not of the wire, on which data was refused. */
  readonly #refused = new Set<string>();

  /** Of `channels`, those that policy does not allow are left out: nothing goes over them. */
  constructor(channels: readonly StaticChannel[], policy: RdpChannelPolicy) {
    for (const { name, options } of channels) {
      if (!staticChannelAllowed(name, policy)) continue;
      this.#channels.set(name.toLowerCase(), {
        flags: (options & OPTION_SHOW_PROTOCOL) !== 0 ? ChunkFlag.showProtocol : 0,
        police: policeOf(name.toLowerCase(), policy),
        from: { client: new Reassembler(), target: new Reassembler() },
        waiting: { client: [], target: [] },
      });
    }
  }

  /**
   * Takes a chunk of the client's on the channel `name`: CHANNEL_PDU_HEADER and data.
   *
   * @throws PduError when the client breaks the protocol: the session cannot go on
   */
  fromClient(name: string, chunk: Uint8Array): Policed {
    return this.#take('client', name, chunk);
  }

  /** As `fromClient`, of the target. */
  fromTarget(name: string, chunk: Uint8Array): Policed {
    return this.#take('target', name, chunk);
  }

  /** The target is left for another one: chunks on the channel `name` that end for the client what it has begun. */
  leave(name: string): Uint8Array[] {
    const channel = this.#channels.get(name.toLowerCase());
    return (channel?.police?.leave?.() ?? []).flatMap((message) => chunks(message, channel?.flags));
  }

  #take(from: Side, name: string, chunk: Uint8Array): Policed {
    const out: Record<Side, Uint8Array[]> = { client: [], target: [] };
    const events: ChannelEvent[] = [];
    const to = otherSide(from);
    const channel = this.#channels.get(name.toLowerCase());
    if (channel === undefined) {
      // Once: nobody answers, so a peer may go on for long.
      if (!this.#refused.has(name))
        events.push({ kind: 'refused', what: `data on channel ${name}`, reason: 'policy does not allow it' });
      this.#refused.add(name);
    } else if (channel.police === undefined) {
      decodeChunkHeader(new Reader(chunk));
      out[to].push(chunk);
    } else {
      const { police, waiting } = channel;
      const outcome = {
        send: (side: Side, message: Uint8Array) => wait(waiting[side], message),
        tell: (event: ChannelEvent) => events.push(event),
      };
      const judge = (head: Uint8Array, length: number) => police.judge(from, head, length, outcome);
      out[to].push(...channel.from[from].push(chunk, judge));
      release(channel, out);
    }
    return { toClient: out.client, toTarget: out.target, events };
  }
}

function policeOf(name: string, policy: RdpChannelPolicy): MessagePolice | undefined {
  switch (name) {
    case 'cliprdr':
      return new ClipboardPolice(policy.clipboard);
    case 'rdpdr':
      return new DevicePolice(policy);
    case 'drdynvc':
      return new DynamicPolice(policy);
    default:
      return undefined;
  }
}

function wait(waiting: Uint8Array[], message: Uint8Array): void {
  if (waiting.length >= WAITING_MAX)
    throw new PduError('message', 0, `asks for one more than ${WAITING_MAX} answers during another message`);
  waiting.push(message);
}

/** Sends what waits for a side, unless a message is under way to it. */
function release(channel: Channel, out: Readonly<Record<Side, Uint8Array[]>>): void {
  for (const side of ['client', 'target'] as const) {
    if (channel.from[otherSide(side)].forwarding) continue;
    for (const message of channel.waiting[side].splice(0)) out[side].push(...chunks(message, channel.flags));
  }
}
