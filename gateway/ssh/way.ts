/** The two directions of a relay, and what a message means in the one that it goes. */
import type { RelayChannel, Side } from './channel.ts';
import type { Leg } from './leg.ts';
import { recipientOf, SshWireError } from './wire/connection.ts';
import {
  type Need,
  needOfClientGlobal,
  needOfClientOpen,
  needOfTargetGlobal,
  needOfTargetOpen,
} from './wire/permission.ts';
import { ReplyQueue } from './wire/reply-queue.ts';

/** One direction of the relay: everything that depends on who sent a message. */
export interface Way {
  readonly from: 'client' | 'target';
  readonly leg: Leg;
  readonly other: Leg;
  /** Channels by the numbers that this sender addresses, and that the other side addresses. */
  readonly channels: Map<number, RelayChannel>;
  readonly otherChannels: Map<number, RelayChannel>;
  /** Replies to this sender's global requests, and to the other side's. */
  readonly replies: ReplyQueue;
  readonly otherReplies: ReplyQueue;
  readonly needOfOpen: (type: string) => Need;
  readonly needOfGlobal: (type: string) => Need;
}

/** Both ways between two legs: what is one's own channels and replies is the other's other ones. */
export function waysBetween(front: Leg, back: Leg): { readonly client: Way; readonly target: Way } {
  const channels = { client: new Map<number, RelayChannel>(), target: new Map<number, RelayChannel>() };
  const replies = { client: new ReplyQueue(), target: new ReplyQueue() };
  return {
    client: {
      from: 'client',
      leg: front,
      other: back,
      channels: channels.client,
      otherChannels: channels.target,
      replies: replies.client,
      otherReplies: replies.target,
      needOfOpen: needOfClientOpen,
      needOfGlobal: needOfClientGlobal,
    },
    target: {
      from: 'target',
      leg: back,
      other: front,
      channels: channels.target,
      otherChannels: channels.client,
      replies: replies.target,
      otherReplies: replies.client,
      needOfOpen: needOfTargetOpen,
      needOfGlobal: needOfTargetGlobal,
    },
  };
}

/**
 * The channel that a message names as its recipient.
 * @throws SshWireError when its sender has no such channel
 */
export function channelOf(way: Way, message: Uint8Array): RelayChannel {
  const number = recipientOf(message);
  const channel = way.channels.get(number);
  if (channel === undefined)
    throw new SshWireError(`message ${message[0]} names channel ${number}, which is not open`);
  return channel;
}

/** The channel as the receiver of a message knows it. */
export function otherSide(channel: RelayChannel, way: Way): Side {
  return way.from === 'client' ? channel.target : channel.client;
}
