/**
 * Relays an RDP session between the client's leg and the target's, from activation on.
 * PDUs go on as they came, with the other leg's numbers patched in; only what policy or the
 * recorder would not bear is changed: capabilities, channel data, keys of cached bitmaps.
 */
import { type AcceptedClient, IO_CHANNEL, type StaticChannel } from './accept.ts';
import { ChannelPolice } from './channels/police.ts';
import type { ChannelEvent, RdpChannelPolicy, Side } from './channels/policy.ts';
import type { DialedTarget } from './dial.ts';
import {
  decodeConfirmActive,
  decodeDemandActive,
  encodeConfirmActive,
  encodeDemandActive,
} from './pdu/activation.ts';
import { CapabilityType } from './pdu/capabilities.ts';
import { PduError, Reader, Writer } from './pdu/cursor.ts';
import { encodeErrorInfo } from './pdu/error-info.ts';
import { readFastPathOutput } from './pdu/fast-path.ts';
import { decodeFastPathInput, decodeSlowPathInput } from './pdu/input.ts';
import { DisconnectReason, DomainPdu, domainPduOf, encodeDisconnectProviderUltimatum } from './pdu/mcs.ts';
import {
  encodeSendDataIndication,
  encodeSendDataRequest,
  patchSendData,
  readSendData,
  type SendDataHeader,
} from './pdu/mcs-data.ts';
import {
  DataType,
  encodeShareControl,
  encodeShareData,
  readShareControl,
  readShareData,
  SERVER_CHANNEL_ID,
  type ShareControl,
  ShareType,
} from './pdu/share.ts';
import { withData } from './pdu/x224.ts';
import { confirmForTarget, demandForClient } from './profile.ts';
import type { DesktopRecord } from './record.ts';
import { Pause, type PduStream } from './stream.ts';

export interface RelayOptions {
  readonly front: PduStream;
  readonly client: AcceptedClient;
  readonly target: DialedTarget;
  /** Static channels that policy lets through. */
  readonly channels: readonly StaticChannel[];
  readonly policy: RdpChannelPolicy;
  readonly record: DesktopRecord;
  /** For the audit log. */
  onRefusal(request: string, reason: string): void;
  /** A side said good-bye by MCS; the owner ends the session. */
  onGoodbye(side: Side): void;
  /** A leg broke the protocol; the owner ends the session. */
  onProtocolError(fault: Side, error: Error): void;
  /** An error of ours, likewise. */
  onFault(error: unknown): void;
}

const FAST_PATH_ACTION = 0x03;
/** TS_BITMAP_CAPABILITYSET (2.2.7.1.2), behind its header. */
const PREFERRED_BITS = 0;
const DESKTOP_WIDTH = 8;
const DESKTOP_HEIGHT = 10;
const BITMAP_CAPABILITY_BYTES = 12;

export class DesktopRelay {
  readonly #options: RelayOptions;
  readonly #front: PduStream;
  readonly #back: PduStream;
  readonly #police: ChannelPolice;
  /** The other leg's number of a static channel, and its name, by each leg's own number. */
  readonly #fromClient = new Map<number, { name: string; other: number }>();
  readonly #fromTarget = new Map<number, { name: string; other: number }>();
  #shareId = 0;
  #locked = false;
  #over = false;
  /** Something happened that counts against the idle limit; the owner clears it. */
  active = true;
  bytesFromClient = 0;
  bytesFromTarget = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#front = options.front;
    this.#back = options.target.stream;
    this.#police = new ChannelPolice(options.channels, options.policy);
    for (const { name, id } of options.channels) {
      const there = options.target.channels.get(name);
      if (there === undefined) continue;
      this.#fromClient.set(id, { name, other: there });
      this.#fromTarget.set(there, { name, other: id });
    }
  }

  /** From now on PDUs flow. */
  start(): void {
    const { first } = this.#options.target;
    this.#front.onCongestion = (congested) =>
      congested ? this.#back.pause(Pause.congestion) : this.#back.resume(Pause.congestion);
    this.#back.onCongestion = (congested) =>
      congested ? this.#front.pause(Pause.congestion) : this.#front.resume(Pause.congestion);
    this.#front.onMalformed = (error) => this.#failed('client', error);
    this.#back.onMalformed = (error) => this.#failed('target', error);
    this.#front.take((pdu) => this.#guard('client', pdu));
    if (first !== undefined) this.#guard('target', first);
    this.#back.take((pdu) => this.#guard('target', pdu));
  }

  /** Input is dropped while the session is locked; the picture goes on. */
  set locked(locked: boolean) {
    this.#locked = locked;
  }

  /**
   * Tells the client why it ends (2.2.5.1) and says good-bye on both legs.
   * @param code of the Set Error Info PDU: what the client's own words are chosen by
   */
  abort(code: number): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#shareId !== 0)
      this.#toClient((writer) =>
        encodeShareData(
          writer,
          { type: DataType.setErrorInfo, source: SERVER_CHANNEL_ID, shareId: this.#shareId },
          (body) => encodeErrorInfo(body, code),
        ),
      );
    const goodbye = withData((writer) =>
      encodeDisconnectProviderUltimatum(writer, DisconnectReason.userRequested),
    );
    this.#front.send(goodbye);
    this.#back.send(goodbye);
  }

  #guard(from: Side, pdu: Uint8Array): void {
    if (this.#over) return;
    try {
      if (from === 'client') {
        this.bytesFromClient += pdu.length;
        this.#receiveFromClient(pdu);
      } else {
        this.bytesFromTarget += pdu.length;
        this.#receiveFromTarget(pdu);
      }
    } catch (error) {
      this.#failed(from, error);
    }
  }

  #failed(from: Side, error: unknown): void {
    if (error instanceof PduError) this.#options.onProtocolError(from, error);
    else this.#options.onFault(error);
  }

  // --- target to client ------------------------------------------------------------------

  #receiveFromTarget(pdu: Uint8Array): void {
    if (((pdu[0] ?? 0) & FAST_PATH_ACTION) === 0) {
      this.#options.record.fastPath(pdu.subarray(readFastPathOutput(pdu)));
      this.#front.send(pdu);
      return;
    }
    const data = readSendData(pdu);
    if (data === undefined) return this.#goodbye('target', pdu);
    if (data.channelId !== this.#options.target.ioChannel) return this.#channelFromTarget(pdu, data);
    const control = readShareControl(pdu, data.dataOffset, data.dataOffset + data.dataLength);
    // Servers may put several PDUs into one; each is judged by itself.
    if (control.end < data.dataOffset + data.dataLength || this.#changes(control)) {
      for (let at = data.dataOffset; at < data.dataOffset + data.dataLength; ) {
        const each = readShareControl(pdu, at, data.dataOffset + data.dataLength);
        this.#shareFromTarget(pdu, at, each);
        at = each.end;
      }
      return;
    }
    this.#recordShareData(pdu, control);
    patchSendData(pdu, SERVER_CHANNEL_ID, IO_CHANNEL);
    this.#front.send(pdu);
  }

  /** Whether a PDU of this type does not go on as it came. */
  #changes({ type }: ShareControl): boolean {
    return type === ShareType.demandActive || type === ShareType.serverRedirection;
  }

  #shareFromTarget(pdu: Uint8Array, offset: number, control: ShareControl): void {
    switch (control.type) {
      case ShareType.demandActive: {
        const demand = decodeDemandActive(new Reader(pdu, control.dataOffset, control.end));
        this.#shareId = demand.shareId;
        const bitmap = demand.capabilitySets.find(({ type }) => type === CapabilityType.bitmap)?.body;
        if (bitmap === undefined || bitmap.length < BITMAP_CAPABILITY_BYTES)
          throw new PduError('capabilitySets', control.dataOffset, 'have no bitmap set, so no desktop size');
        const view = new DataView(bitmap.buffer, bitmap.byteOffset, bitmap.length);
        this.#options.record.desktop(
          view.getUint16(DESKTOP_WIDTH, true),
          view.getUint16(DESKTOP_HEIGHT, true),
          view.getUint16(PREFERRED_BITS, true),
        );
        this.#toClient((writer) =>
          encodeShareControl(writer, ShareType.demandActive, SERVER_CHANNEL_ID, (body) =>
            encodeDemandActive(body, demandForClient(demand)),
          ),
        );
        return;
      }
      case ShareType.serverRedirection:
        // It would take the client past the gateway.
        throw new PduError(
          'pduType',
          offset,
          'redirects the session to another host, which is not followed yet',
        );
      default: {
        this.#recordShareData(pdu, control);
        this.#toClient((writer) => writer.bytes(pdu.subarray(offset, control.end)));
      }
    }
  }

  #recordShareData(pdu: Uint8Array, control: ShareControl): void {
    if (control.type !== ShareType.data) return;
    const data = readShareData(pdu, control);
    if (data.type !== DataType.update && data.type !== DataType.pointer) return;
    if (data.compressedType !== 0)
      throw new PduError('compressedType', control.dataOffset, 'says compressed, which was not negotiated');
    this.#options.record.slowPath(data.type, pdu.subarray(data.dataOffset, control.end));
  }

  #toClient(write: (writer: Writer) => void): void {
    const writer = new Writer(512);
    write(writer);
    const data = writer.done();
    this.#front.send(
      withData((pdu) =>
        encodeSendDataIndication(pdu, { initiator: SERVER_CHANNEL_ID, channelId: IO_CHANNEL, data }),
      ),
    );
  }

  // --- client to target ------------------------------------------------------------------

  #receiveFromClient(pdu: Uint8Array): void {
    if (((pdu[0] ?? 0) & FAST_PATH_ACTION) === 0) {
      this.active = true;
      if (this.#locked) return;
      for (const event of decodeFastPathInput(new Reader(pdu))) this.#options.record.input(event);
      this.#back.send(pdu);
      return;
    }
    const data = readSendData(pdu);
    if (data === undefined) return this.#goodbye('client', pdu);
    const { userId, ioChannel } = this.#options.target;
    if (data.channelId !== IO_CHANNEL) return this.#channelFromClient(pdu, data);
    const end = data.dataOffset + data.dataLength;
    const control = readShareControl(pdu, data.dataOffset, end);
    if (control.end !== end)
      throw new PduError(
        'totalLength',
        data.dataOffset,
        'leaves room for another PDU, which clients do not send',
      );
    if (control.type === ShareType.confirmActive) {
      const confirm = decodeConfirmActive(new Reader(pdu, control.dataOffset, control.end));
      this.#toTarget((writer) =>
        encodeShareControl(writer, ShareType.confirmActive, userId, (body) =>
          encodeConfirmActive(body, confirmForTarget(confirm)),
        ),
      );
      return;
    }
    if (control.type !== ShareType.data)
      throw new PduError('pduType', data.dataOffset, `is ${control.type}, which clients do not send`);
    const share = readShareData(pdu, control);
    // The recorder would never see pixels that the client has kept from another session.
    if (share.type === DataType.bitmapCachePersistentList) return;
    if (share.type === DataType.input) {
      this.active = true;
      if (this.#locked) return;
      for (const event of decodeSlowPathInput(new Reader(pdu, share.dataOffset, control.end)))
        this.#options.record.input(event);
    }
    patchSendData(pdu, userId, ioChannel);
    // pduSource: who the target knows the client as.
    pdu[data.dataOffset + 4] = userId & 0xff;
    pdu[data.dataOffset + 5] = userId >> 8;
    this.#back.send(pdu);
  }

  #toTarget(write: (writer: Writer) => void): void {
    const { userId: initiator, ioChannel: channelId } = this.#options.target;
    const writer = new Writer(512);
    write(writer);
    const data = writer.done();
    this.#back.send(withData((pdu) => encodeSendDataRequest(pdu, { initiator, channelId, data })));
  }

  // --- virtual channels ------------------------------------------------------------------

  #channelFromClient(pdu: Uint8Array, data: SendDataHeader): void {
    const channel = this.#fromClient.get(data.channelId);
    // Data for a channel that policy left out, or that the target does not have.
    if (channel === undefined || this.#locked) return;
    this.#judged('client', channel.name, pdu, data);
  }

  #channelFromTarget(pdu: Uint8Array, data: SendDataHeader): void {
    const channel = this.#fromTarget.get(data.channelId);
    if (channel === undefined) return;
    this.#judged('target', channel.name, pdu, data);
  }

  #judged(from: Side, name: string, pdu: Uint8Array, data: SendDataHeader): void {
    const chunk = pdu.subarray(data.dataOffset, data.dataOffset + data.dataLength);
    const verdict =
      from === 'client' ? this.#police.fromClient(name, chunk) : this.#police.fromTarget(name, chunk);
    for (const event of verdict.events) this.#tell(event);
    for (const each of verdict.toClient) this.#sendChunk('client', name, each);
    for (const each of verdict.toTarget) this.#sendChunk('target', name, each);
  }

  #sendChunk(to: Side, name: string, data: Uint8Array): void {
    const { userId, channels } = this.#options.target;
    if (to === 'target') {
      const channelId = channels.get(name);
      if (channelId !== undefined)
        this.#back.send(
          withData((pdu) => encodeSendDataRequest(pdu, { initiator: userId, channelId, data })),
        );
      return;
    }
    const channelId = this.#options.channels.find((each) => each.name === name)?.id;
    if (channelId !== undefined)
      this.#front.send(
        withData((pdu) => encodeSendDataIndication(pdu, { initiator: SERVER_CHANNEL_ID, channelId, data })),
      );
  }

  #tell(event: ChannelEvent): void {
    this.#options.record.channel(event);
    if (event.kind === 'refused') this.#options.onRefusal(event.what, event.reason);
  }

  #goodbye(from: Side, pdu: Uint8Array): void {
    if (domainPduOf(pdu) !== DomainPdu.disconnectProviderUltimatum)
      throw new PduError('DomainMCSPDU', 7, `is choice ${domainPduOf(pdu)} in the middle of a session`);
    const other = from === 'client' ? this.#back : this.#front;
    other.send(pdu);
    this.#options.onGoodbye(from);
  }
}
