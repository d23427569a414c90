/**
 * The static virtual channels of a relayed session: each leg has numbers of its own, and the
 * channel police says what goes on. While the session is locked the client's data waits.
 */

import type { DialedTarget } from '../back/dial.ts';
import { ChannelPolice, type Policed } from '../channels/police.ts';
import type { RdpChannelPolicy, Side } from '../channels/policy.ts';
import type { StaticChannel } from '../front/accept.ts';
import { PduError } from '../pdu/cursor.ts';
import { encodeSendDataIndication, encodeSendDataRequest, type SendDataHeader } from '../pdu/mcs-data.ts';
import { SERVER_CHANNEL_ID } from '../pdu/share.ts';
import { withData } from '../pdu/x224.ts';
import type { PduStream } from '../stream/stream.ts';

/** What waits at most while the session is locked: answers to what the target asked before. */
const HELD_BYTES = 4 * 1024 ** 2;

export interface ChannelRelayOptions {
  readonly front: PduStream;
  readonly target: DialedTarget;
  /** Static channels that policy lets through. */
  readonly channels: readonly StaticChannel[];
  readonly policy: RdpChannelPolicy;
  onEvent(event: Policed['events'][number]): void;
}

export class ChannelRelay {
  readonly #options: ChannelRelayOptions;
  readonly #police: ChannelPolice;
  /** Names of the channels that both legs have, by each leg's own number. */
  readonly #names: Readonly<Record<Side, Map<number, string>>> = { client: new Map(), target: new Map() };
  /** Numbers, by name. */
  readonly #numbers: Readonly<Record<Side, Map<string, number>>> = { client: new Map(), target: new Map() };
  #locked = false;
  #held: { readonly name: string; readonly chunk: Uint8Array }[] = [];
  #heldBytes = 0;

  constructor(options: ChannelRelayOptions) {
    this.#options = options;
    this.#police = new ChannelPolice(options.channels, options.policy);
    for (const { name, id } of options.channels) {
      const there = options.target.channels.get(name);
      if (there === undefined) continue;
      this.#names.client.set(id, name);
      this.#names.target.set(there, name);
      this.#numbers.client.set(name, id);
      this.#numbers.target.set(name, there);
    }
  }

  /**
   * Takes data of a channel. Those for a channel that policy left out, or that the target does
   * not have, are dropped.
   * @throws PduError when `from` breaks the protocol of the channel
   */
  take(from: Side, pdu: Uint8Array, { channelId, dataOffset, dataLength }: SendDataHeader): void {
    const name = this.#names[from].get(channelId);
    if (name === undefined) return;
    const chunk = pdu.subarray(dataOffset, dataOffset + dataLength);
    if (from === 'client' && this.#locked) this.#hold(name, chunk);
    else this.#judge(from, name, chunk);
  }

  lock(): void {
    this.#locked = true;
  }

  /** What waited goes on. @throws PduError as {@link take} */
  unlock(): void {
    this.#locked = false;
    this.#heldBytes = 0;
    for (const { name, chunk } of this.#held.splice(0)) this.#judge('client', name, chunk);
  }

  /** The target is left for another one: the client hears that what it has begun is over. */
  leave(): void {
    for (const name of this.#numbers.client.keys())
      for (const chunk of this.#police.leave(name)) this.#send('client', name, chunk);
  }

  /** Dropped, the rest of a message or an answer would be missed once the session is unlocked. */
  #hold(name: string, chunk: Uint8Array): void {
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > HELD_BYTES)
      throw new PduError('channel data', 0, `are more than the ${HELD_BYTES} bytes that wait for an unlock`);
    this.#held.push({ name, chunk: new Uint8Array(chunk) });
  }

  #judge(from: Side, name: string, chunk: Uint8Array): void {
    const verdict =
      from === 'client' ? this.#police.fromClient(name, chunk) : this.#police.fromTarget(name, chunk);
    for (const event of verdict.events) this.#options.onEvent(event);
    for (const each of verdict.toClient) this.#send('client', name, each);
    for (const each of verdict.toTarget) this.#send('target', name, each);
  }

  #send(to: Side, name: string, data: Uint8Array): void {
    const channelId = this.#numbers[to].get(name);
    if (channelId === undefined) return;
    const { front, target } = this.#options;
    if (to === 'client')
      front.send(
        withData((pdu) => encodeSendDataIndication(pdu, { initiator: SERVER_CHANNEL_ID, channelId, data })),
      );
    else
      target.stream.send(
        withData((pdu) => encodeSendDataRequest(pdu, { initiator: target.userId, channelId, data })),
      );
  }
}
