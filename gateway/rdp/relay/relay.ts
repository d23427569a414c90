/**
 * Relays an RDP session between the client's leg and the target's, from activation on.
 * PDUs go on as they came, with the other leg's numbers patched in; only what policy or the
 * recorder would not bear is changed: capabilities, channel data, keys of cached bitmaps.
 */

import type { DialedTarget } from '../back/dial.ts';
import type { ChannelEvent, RdpChannelPolicy, Side } from '../channels/policy.ts';
import { type AcceptedClient, IO_CHANNEL, type StaticChannel } from '../front/accept.ts';
import { Overlay } from '../overlay/overlay.ts';
import { type OverlaidDesktop, overlaidDesktop, skipsAlpha } from '../overlay/overlay-desktop.ts';
import {
  decodeConfirmActive,
  decodeDemandActive,
  encodeConfirmActive,
  encodeDeactivateAll,
  encodeDemandActive,
} from '../pdu/activation.ts';
import { findCapability } from '../pdu/capabilities.ts';
import { bitmapCapability } from '../pdu/capability-base.ts';
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import { encodeErrorInfo } from '../pdu/error-info.ts';
import { readFastPathOutput } from '../pdu/fast-path.ts';
import { EarlyCapability } from '../pdu/gcc-client.ts';
import {
  decodeFastPathInput,
  decodeSlowPathInput,
  encodeFastPathInput,
  encodeSlowPathInput,
  type InputEvent,
} from '../pdu/input.ts';
import { DisconnectReason, domainPduOf, encodeDisconnectProviderUltimatum } from '../pdu/mcs.ts';
import { encodeSendDataIndication, encodeSendDataRequest, patchSendData } from '../pdu/mcs-data.ts';
import { encodeSlowPathOutput } from '../pdu/output.ts';
import {
  isStandardRedirection,
  leadsNowhere,
  readRedirection,
  type ServerRedirectionWithPassword,
} from '../pdu/redirection.ts';
import { encodeRefreshRect } from '../pdu/refresh-rect.ts';
import { decodeSaveSessionInfo, encodeSaveSessionInfo, InfoType } from '../pdu/save-session-info.ts';
import {
  DataType,
  encodeShareControl,
  encodeShareData,
  readShareControl,
  readShareData,
  SERVER_CHANNEL_ID,
  type ShareControl,
  type ShareData,
  ShareType,
} from '../pdu/share.ts';
import { withData } from '../pdu/x224.ts';
import { confirmForTarget, dataTypeAllowed, demandForClient } from '../profile.ts';
import { Pause, type PduStream } from '../stream/stream.ts';
import { ChannelRelay } from './channel-relay.ts';
import { checkUncompressed, isRelease, leaves, readDataOf } from './checks.ts';
import type { DesktopRecord } from './record.ts';
import { UpdateCheck } from './update-check.ts';

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
  /** The target sends the session on: this relay has let go of it, and the client waits for another. */
  onRedirection(redirection: ServerRedirectionWithPassword): void;
  /** A leg broke the protocol; the owner ends the session. */
  onProtocolError(fault: Side, error: Error): void;
  /** An error of ours, likewise. */
  onFault(error: unknown): void;
}

const FAST_PATH_ACTION = 0x03;
/** A peer is refused a handful of things; one that is hostile could fill the audit log with them. */
const REFUSALS_TOLD = 100;
/** From pduType2 to the end of a share data header (2.2.8.1.1.1.2). */
const TYPE_BYTES = 4;

const GOODBYE = withData((writer) =>
  encodeDisconnectProviderUltimatum(writer, DisconnectReason.userRequested),
);

export class DesktopRelay {
  readonly #options: RelayOptions;
  readonly #front: PduStream;
  readonly #back: PduStream;
  readonly #channels: ChannelRelay;
  readonly #updates = new UpdateCheck();
  readonly #overlay: Overlay;
  /** Where the overlay can be shown: what the target's last Demand Active says. */
  #desktop: OverlaidDesktop | undefined;
  /** Of the target's last Demand Active; 0 before the first. */
  #shareId = 0;
  /** The client has confirmed it. What it sent before was meant for a desktop of the gateway's own. */
  #confirmed = false;
  #locked = false;
  /** Types of data PDUs that were dropped, told of once. */
  readonly #dropped = new Set<string>();
  /** Told of so far. */
  #refusals = 0;
  /** The target sent the session on: the client may only leave. */
  #redirected = false;
  /** A leg left or broke the protocol: nothing is relayed any more. */
  #stopped = false;
  /** Both legs have heard that it is over. */
  #over = false;
  /** Something happened that counts against the idle limit. */
  #active = true;
  bytesFromClient = 0;
  bytesFromTarget = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#front = options.front;
    this.#back = options.target.stream;
    const { front, target, channels, policy } = options;
    this.#channels = new ChannelRelay({
      front,
      target,
      channels,
      policy,
      onEvent: (event) => this.#tell(event),
    });
    this.#overlay = new Overlay({
      keyboardLayout: options.client.blocks.core.keyboardLayout,
      send: (update) =>
        this.#toClient((writer) =>
          encodeSlowPathOutput(writer, { shareId: this.#shareId, source: SERVER_CHANNEL_ID }, update),
        ),
      refresh: (part) =>
        this.#toTarget((writer) =>
          encodeShareData(
            writer,
            { type: DataType.refreshRect, source: options.target.userId, shareId: this.#shareId },
            (body) => encodeRefreshRect(body, part),
          ),
        ),
      congested: () => this.#front.congested,
    });
  }

  /** Who has not done its part of the activation (1.3.1.1) yet; undefined: there is a desktop. */
  get waitsFor(): Side | undefined {
    if (this.#confirmed) return undefined;
    return this.#shareId === 0 ? 'target' : 'client';
  }

  /** Whether anything happened since the last call that counts against the idle limit. */
  takeActive(): boolean {
    const active = this.#active;
    this.#active = false;
    return active;
  }

  /** From now on PDUs flow. */
  start(): void {
    const { first } = this.#options.target;
    this.#front.onCongestion = (congested) => {
      if (congested) return this.#back.pause(Pause.congestion);
      this.#back.resume(Pause.congestion);
      this.#overlay.drained();
    };
    this.#back.onCongestion = (congested) =>
      congested ? this.#front.pause(Pause.congestion) : this.#front.resume(Pause.congestion);
    this.#front.onMalformed = (error) => this.#failed('client', error);
    this.#back.onMalformed = (error) => this.#failed('target', error);
    this.#front.take((pdu) => this.#fromClientLeg(pdu));
    if (first !== undefined) this.#fromTargetLeg(first);
    this.#back.take((pdu) => this.#fromTargetLeg(pdu));
  }

  /**
   * From now on input is dropped, channel data waits, and `text` covers the desktop. Of the keyboard
   * only releases pass, or what was held down would be so for the next key.
   */
  lock(text: string): void {
    this.#locked = true;
    this.#channels.lock();
    this.#overlay.lock(text);
  }

  unlock(): void {
    this.#locked = false;
    this.#guard('client', () => this.#channels.unlock());
    this.#overlay.unlock();
  }

  /** Shows a message over the desktop, for some seconds. */
  notify(text: string): void {
    this.#overlay.notify(text);
  }

  /** Relays nothing more, says good-bye to the target, and shows why over the desktop until {@link abort}. */
  lastWords(text: string): void {
    this.#stopped = true;
    this.#back.send(GOODBYE);
    this.#overlay.notify(text);
  }

  /**
   * Tells the client why it ends (2.2.5.1) and says good-bye on both legs.
   * @param code of the Set Error Info PDU: what the client's own words are chosen by
   */
  abort(code: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#stop();
    if (this.#shareId !== 0 && this.#readsErrorInfo())
      this.#toClient((writer) =>
        encodeShareData(
          writer,
          { type: DataType.setErrorInfo, source: SERVER_CHANNEL_ID, shareId: this.#shareId },
          (body) => encodeErrorInfo(body, code),
        ),
      );
    this.#front.send(GOODBYE);
    this.#back.send(GOODBYE);
  }

  #stop(): void {
    this.#stopped = true;
    this.#overlay.close();
  }

  #readsErrorInfo(): boolean {
    const flags = this.#options.client.blocks.core.earlyCapabilityFlags ?? 0;
    return (flags & EarlyCapability.supportErrInfoPdu) !== 0;
  }

  #fromClientLeg(pdu: Uint8Array): void {
    if (!this.#stopped) this.bytesFromClient += pdu.length;
    this.#guard('client', () => this.#receiveFromClient(pdu));
  }

  #fromTargetLeg(pdu: Uint8Array): void {
    if (!this.#stopped) this.bytesFromTarget += pdu.length;
    this.#guard('target', () => this.#receiveFromTarget(pdu));
  }

  #guard(from: Side, receive: () => void): void {
    if (this.#stopped) return;
    try {
      receive();
    } catch (error) {
      this.#failed(from, error);
    }
  }

  #failed(from: Side, error: unknown): void {
    if (this.#stopped || (from === 'target' && this.#redirected)) return;
    this.#stop();
    if (error instanceof PduError) this.#options.onProtocolError(from, error);
    else this.#options.onFault(error);
  }

  // --- target to client ------------------------------------------------------------------

  #receiveFromTarget(pdu: Uint8Array): void {
    if (this.#redirected) return;
    if (((pdu[0] ?? 0) & FAST_PATH_ACTION) === 0) {
      const updates = readFastPathOutput(pdu);
      // Recorded first: what ends a session is evidence too.
      this.#options.record.fastPath(pdu.subarray(updates));
      this.#updates.fastPath(pdu, updates);
      const shown = this.#overlay.fastPath(pdu, updates);
      if (shown !== undefined) this.#front.send(shown);
      return;
    }
    const data = readDataOf('target', pdu);
    if (data === undefined) return this.#goodbye('target', pdu);
    if (data.channelId !== this.#options.target.ioChannel) return this.#channels.take('target', pdu, data);
    const end = data.dataOffset + data.dataLength;
    if (isStandardRedirection(pdu, data.dataOffset, end)) return this.#sentOn(pdu, data.dataOffset, end);
    // Servers may put several PDUs into one; each is judged by itself.
    for (let at = data.dataOffset; at < end && !this.#redirected; ) {
      const control = readShareControl(pdu, at, end);
      if (!this.#shareFromTarget(pdu, at, control)) {
        // Dropped, or another has gone in its place.
      } else if (control.end - at === data.dataLength) {
        patchSendData(pdu, SERVER_CHANNEL_ID, IO_CHANNEL);
        this.#front.send(pdu);
      } else this.#toClient((writer) => writer.bytes(pdu.subarray(at, control.end)));
      at = control.end;
    }
  }

  /** @returns whether the PDU goes on as it came */
  #shareFromTarget(pdu: Uint8Array, offset: number, control: ShareControl): boolean {
    switch (control.type) {
      case ShareType.demandActive:
        this.#activate(pdu, control);
        return false;
      case ShareType.deactivateAll:
        this.#overlay.deactivated();
        return true;
      case ShareType.data:
        return this.#dataFromTarget(pdu, control, readShareData(pdu, control));
      case ShareType.flow:
        // Nobody has sent them for decades; a client would answer what the gateway refuses.
        return false;
      case ShareType.serverRedirection:
        this.#sentOn(pdu, offset, control.end);
        return false;
      default:
        throw new PduError('pduType', offset, `is ${control.type}, which servers do not send`);
    }
  }

  /** Redirections are never relayed: they would take the client past the gateway. */
  #sentOn(pdu: Uint8Array, offset: number, end: number): void {
    const redirection = readRedirection(pdu, offset, end);
    if (redirection === undefined || leadsNowhere(redirection)) return;
    this.#redirected = true;
    this.#overlay.close();
    this.#channels.leave();
    if (this.#shareId !== 0)
      this.#toClient((writer) =>
        encodeShareControl(writer, ShareType.deactivateAll, SERVER_CHANNEL_ID, (body) =>
          encodeDeactivateAll(body, this.#shareId),
        ),
      );
    this.#shareId = 0;
    this.#confirmed = false;
    this.#options.onRedirection(redirection);
  }

  #activate(pdu: Uint8Array, control: ShareControl): void {
    const demand = decodeDemandActive(new Reader(pdu, control.dataOffset, control.end));
    this.#shareId = demand.shareId;
    this.#updates.reset();
    const bitmap = findCapability(demand.capabilitySets, bitmapCapability);
    if (bitmap === undefined)
      throw new PduError('capabilitySets', control.dataOffset, 'have no bitmap set, so no desktop size');
    const { desktopWidth, desktopHeight, preferredBitsPerPixel } = bitmap;
    this.#options.record.desktop(desktopWidth, desktopHeight, preferredBitsPerPixel);
    this.#overlay.deactivated();
    this.#desktop = overlaidDesktop(demand, this.#options.client.blocks);
    this.#toClient((writer) =>
      encodeShareControl(writer, ShareType.demandActive, SERVER_CHANNEL_ID, (body) =>
        encodeDemandActive(body, demandForClient(demand)),
      ),
    );
  }

  /** @returns whether the PDU goes on as it came */
  #dataFromTarget(pdu: Uint8Array, control: ShareControl, data: ShareData): boolean {
    if (!this.#allowed('target', data.type)) return false;
    checkUncompressed(data, control);
    switch (data.type) {
      case DataType.update:
        this.#options.record.slowPath(pdu.subarray(data.dataOffset - TYPE_BYTES, control.end));
        this.#updates.slowPath(pdu, data.dataOffset, control.end);
        return this.#overlay.slowPath(pdu.subarray(data.dataOffset, control.end));
      case DataType.pointer:
        this.#options.record.slowPath(pdu.subarray(data.dataOffset - TYPE_BYTES, control.end));
        this.#updates.slowPointer(pdu, data.dataOffset, control.end);
        return true;
      case DataType.fontMap:
        // The last PDU of an activation; what is painted goes out behind it.
        if (this.#desktop !== undefined) this.#overlay.activated(this.#desktop);
        return true;
      case DataType.saveSessionInfo:
        return this.#savedSession(pdu, control, data);
      default:
        return true;
    }
  }

  /**
   * Who has logged on, or why not. The auto-reconnect cookie is a log-on at the target, so the
   * client does not get it: with it, whoever reaches the target gets in without the gateway.
   */
  #savedSession(pdu: Uint8Array, control: ShareControl, { dataOffset, shareId }: ShareData): boolean {
    const infoType = new Reader(pdu, dataOffset, control.end).u32le('infoType');
    if (infoType < InfoType.logonExtended) return true;
    const info = decodeSaveSessionInfo(new Reader(pdu, dataOffset, control.end));
    if (info.kind !== 'extended' || info.autoReconnect === undefined) return true;
    if (info.errors !== undefined)
      this.#toClient((writer) =>
        encodeShareData(
          writer,
          { type: DataType.saveSessionInfo, source: SERVER_CHANNEL_ID, shareId },
          (body) => encodeSaveSessionInfo(body, { ...info, autoReconnect: undefined }),
        ),
      );
    return false;
  }

  /** Whether a data PDU of this type goes on; the first of each that does not is told of. */
  #allowed(from: Side, type: number): boolean {
    if (dataTypeAllowed(from, type)) return true;
    const what = `data PDU of type 0x${type.toString(16)} from the ${from}`;
    // What clients send as a matter of course is nothing to tell of.
    if (type !== DataType.bitmapCachePersistentList && !this.#dropped.has(what))
      this.#tell({ kind: 'refused', what, reason: 'it is none that this side sends' });
    this.#dropped.add(what);
    return false;
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
      if (!this.#confirmed) return;
      const events = decodeFastPathInput(new Reader(pdu));
      const kept = this.#input(events);
      if (kept.length === events.length) this.#back.send(pdu);
      else if (kept.length > 0) {
        const writer = new Writer();
        encodeFastPathInput(writer, kept);
        this.#back.send(writer.done());
      }
      return;
    }
    const data = readDataOf('client', pdu);
    if (data === undefined) return this.#goodbye('client', pdu);
    if (this.#redirected) return;
    if (data.channelId !== IO_CHANNEL) return this.#channels.take('client', pdu, data);
    const end = data.dataOffset + data.dataLength;
    const control = readShareControl(pdu, data.dataOffset, end);
    if (control.type === ShareType.flow) return;
    if (control.end !== end)
      throw new PduError(
        'totalLength',
        data.dataOffset,
        'leaves room for another PDU, which clients do not send',
      );
    const { userId, ioChannel } = this.#options.target;
    if (control.type === ShareType.confirmActive) {
      const confirm = decodeConfirmActive(new Reader(pdu, control.dataOffset, control.end));
      if (this.#shareId === 0 || confirm.shareId !== this.#shareId) return;
      this.#confirmed = true;
      this.#desktop = this.#desktop && { ...this.#desktop, skipAlpha: skipsAlpha(confirm) };
      this.#toTarget((writer) =>
        encodeShareControl(writer, ShareType.confirmActive, userId, (body) =>
          encodeConfirmActive(body, confirmForTarget(confirm)),
        ),
      );
      return;
    }
    if (control.type !== ShareType.data)
      throw new PduError('pduType', data.dataOffset, `is ${control.type}, which clients do not send`);
    if (!this.#dataFromClient(pdu, control, readShareData(pdu, control))) return;
    patchSendData(pdu, userId, ioChannel);
    // pduSource: who the target knows the client as.
    pdu[data.dataOffset + 4] = userId & 0xff;
    pdu[data.dataOffset + 5] = userId >> 8;
    this.#back.send(pdu);
  }

  /** @returns whether the PDU goes on */
  #dataFromClient(pdu: Uint8Array, control: ShareControl, share: ShareData): boolean {
    if (!this.#confirmed || !this.#allowed('client', share.type)) return false;
    checkUncompressed(share, control);
    if (share.type === DataType.refreshRect || share.type === DataType.suppressOutput)
      this.#overlay.repaintSoon();
    if (share.type !== DataType.input) return true;
    const events = decodeSlowPathInput(new Reader(pdu, share.dataOffset, control.end));
    const kept = this.#input(events);
    if (kept.length === events.length) return true;
    if (kept.length > 0)
      this.#toTarget((writer) =>
        encodeShareData(
          writer,
          { type: DataType.input, source: this.#options.target.userId, shareId: share.shareId },
          (body) => encodeSlowPathInput(body, kept),
        ),
      );
    return false;
  }

  /** Records input. @returns what of it goes on */
  #input(events: readonly InputEvent[]): readonly InputEvent[] {
    this.#active = true;
    const kept = this.#locked ? events.filter(isRelease) : events;
    for (const event of kept) {
      if (event.kind === 'relativeMouse')
        throw new PduError('input event', 0, 'is a relative movement, which was not negotiated');
      this.#options.record.input(event);
    }
    return kept;
  }

  #toTarget(write: (writer: Writer) => void): void {
    const { userId: initiator, ioChannel: channelId } = this.#options.target;
    const writer = new Writer(512);
    write(writer);
    const data = writer.done();
    this.#back.send(withData((pdu) => encodeSendDataRequest(pdu, { initiator, channelId, data })));
  }

  #tell(event: ChannelEvent): void {
    this.#options.record.channel(event);
    if (event.kind !== 'refused') return;
    this.#refusals += 1;
    if (this.#refusals < REFUSALS_TOLD) this.#options.onRefusal(event.what, event.reason);
    else if (this.#refusals === REFUSALS_TOLD)
      this.#options.onRefusal('and more', `${REFUSALS_TOLD} were refused: the recording tells of the rest`);
  }

  /** A leg leaves; the other hears it in the one form that all understand. */
  #goodbye(from: Side, pdu: Uint8Array): void {
    if (!leaves(from, pdu))
      throw new PduError('DomainMCSPDU', 7, `is choice ${domainPduOf(pdu)} in the middle of a session`);
    this.#stop();
    this.#over = true;
    const other = from === 'client' ? this.#back : this.#front;
    other.send(GOODBYE);
    this.#options.onGoodbye(from);
  }
}
