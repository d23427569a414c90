/**
 * A session channel that the desk answered becomes a relayed one: the target is asked to open
 * its end of it (RFC 4254 §5.1), and the client, which has long been told that it is open,
 * hears nothing of that.
 */
import { type ChannelLegs, RelayChannel } from './channel.ts';
import type { HandOver, ServedChannel } from './desk.ts';
import type { SessionRecord } from './record.ts';
import { type ChannelOpenConfirmation, encodeMessage, Message, WireReader } from './wire/connection.ts';

export class Adoption {
  readonly channel: RelayChannel;
  readonly served: ServedChannel;
  readonly desk: HandOver;

  constructor(served: ServedChannel, desk: HandOver, record: SessionRecord, legs: ChannelLegs) {
    this.served = served;
    this.desk = desk;
    this.channel = new RelayChannel(
      'session',
      'client',
      record.openChannel({ type: 'session', openedBy: 'client' }),
      legs,
      { number: served.clientNumber, window: served.clientWindow, maxPacket: served.clientMaxPacket },
      { number: 0, window: 0, maxPacket: 0 },
    );
    this.channel.clientAddress = served.address;
  }

  /** CHANNEL_OPEN for the target, with the number and window that the client gave. */
  openMessage(): Uint8Array {
    const { clientNumber, clientWindow, clientMaxPacket } = this.served;
    return encodeMessage(Message.channelOpen, 'session', clientNumber, clientWindow, clientMaxPacket);
  }

  /** The target has opened it: data may flow, in the window that the client believes it has. */
  confirmed(confirmation: ChannelOpenConfirmation): void {
    this.channel.confirm('target', confirmation);
    this.channel.up?.adopt(confirmation.window, confirmation.maxPacket, this.served.believed);
  }

  /** The target answered with CHANNEL_OPEN_FAILURE; the client is told in its program's terms. */
  failed(message: Uint8Array): void {
    const reader = new WireReader(message, 9);
    this.desk.fail(`the target refused a session: ${reader.text('description')}`);
  }
}
