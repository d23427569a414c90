/**
 * Speaks with the person before there is a target, and where there will be none: activates
 * a desktop of the gateway's own on the client ([MS-RDPBCGR] 1.3.1.1) and draws the logon
 * screen on it. Handing over deactivates it; the target's own activation follows.
 */
import { Keyboard } from '../../../recorder/index.ts';
import { skipsAlpha } from '../overlay/overlay-desktop.ts';
import { Painter } from '../overlay/painter.ts';
import { decodeConfirmActive, encodeDeactivateAll, encodeDemandActive } from '../pdu/activation.ts';
import { findCapability } from '../pdu/capabilities.ts';
import { bitmapCapability, GeneralFlag, generalCapability } from '../pdu/capability-base.ts';
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import {
  ControlAction,
  decodeControl,
  encodeControl,
  encodeFonts,
  encodeSynchronize,
  FONT_MAP,
} from '../pdu/finalization.ts';
import { decodeFastPathInput, decodeSlowPathInput, type InputEvent } from '../pdu/input.ts';
import { readSendData } from '../pdu/mcs-data.ts';
import {
  BITS_PER_PIXEL,
  type BitsPerPixel,
  bitmapUpdates,
  defaultPointer,
  encodeFastPathOutput,
  encodeSlowPathOutput,
  type PixelForm,
  paletteUpdate,
  synchronizeUpdate,
  type Update,
} from '../pdu/output.ts';
import {
  DataType,
  encodeShareControl,
  encodeShareData,
  readShareControl,
  readShareData,
  SERVER_CHANNEL_ID,
  ShareType,
} from '../pdu/share.ts';
import { type Action, KEY_NAMES, type View } from '../screen/event.ts';
import { LogonScreen } from '../screen/logon-screen.ts';
import { screenSize } from '../screen-size.ts';
import { Pause, type PduStream, StreamClosedError } from '../stream/stream.ts';
import { type AcceptedClient, IO_CHANNEL, sendOnIoChannel } from './accept.ts';
import { depthOf, deskCapabilities } from './desk-capabilities.ts';

/** Of the gateway's own share; unlike those that servers take, so that a late answer to it is known for one. */
const SHARE_ID = 0x00ff_03ea;
/** How often the indicator of waiting moves. */
const TICK_MS = 100;
const DESCRIPTOR = new TextEncoder().encode('RDP\0');
const FAST_PATH_ACTION = 0x03;
/** Pointer flags (2.2.8.1.1.3.1.1.3). */
const Mouse = { down: 0x8000, wheel: 0x0200, wheelNegative: 0x0100, rotation: 0x00ff } as const;
/** Left, right, middle. */
const BUTTONS = [0x1000, 0x2000, 0x4000] as const;
/** TS_SYNC_CAPS_LOCK. */
const CAPS_LOCK = 4;
/** One notch of a wheel. */
const NOTCH = 120;

export class Desk {
  readonly #stream: PduStream;
  readonly #client: AcceptedClient;
  readonly #screen: LogonScreen;
  readonly #keyboard: Keyboard;
  readonly #painter: Painter;
  readonly #started = performance.now();
  #fastPath = false;
  #bitsPerPixel: BitsPerPixel = 16;
  #form: PixelForm = {};
  #activated = false;
  #over = false;
  #buttons = 0;
  #ticker: NodeJS.Timeout | undefined;
  #waiter: { resolve(action: Action): void; reject(error: Error): void } | undefined;
  /** The client broke the protocol, perhaps in what it had sent before there was a desk. */
  #failure: Error | undefined;

  /**
   * Activates the desktop.
   * @param inTurn when a bit of the picture is sent: clients that have not logged on may ask for it without end
   */
  constructor(
    stream: PduStream,
    client: AcceptedClient,
    banner: string,
    inTurn: (work: () => void) => void = (work) => work(),
  ) {
    this.#stream = stream;
    this.#client = client;
    this.#painter = new Painter({
      changes: () => this.#changes(),
      send: (update) => this.#draw(update),
      congested: () => stream.congested,
      inTurn,
    });
    const { keyboardLayout } = client.blocks.core;
    this.#screen = new LogonScreen({ ...screenSize(client.blocks), keyboardLayout, banner });
    this.#keyboard = new Keyboard(keyboardLayout);
    stream.onMalformed = (error) => this.#failed(error);
    // Who does not read is not listened to: each answer would wait in memory.
    stream.onCongestion = (congested) => {
      if (congested) return stream.pause(Pause.congestion);
      stream.resume(Pause.congestion);
      this.#painter.paint();
    };
    stream.take((pdu) => this.#guard(pdu));
    sendOnIoChannel(stream, (writer) =>
      encodeShareControl(writer, ShareType.demandActive, SERVER_CHANNEL_ID, (body) =>
        encodeDemandActive(body, {
          shareId: SHARE_ID,
          sourceDescriptor: DESCRIPTOR,
          pad: 0,
          capabilitySets: deskCapabilities(client.blocks),
          sessionId: 0,
        }),
      ),
    );
  }

  /** Shows `view`. */
  show(view: View): void {
    this.#screen.show(view);
    this.#painter.paint();
  }

  /**
   * Shows `view` and resolves with what the person does.
   * @throws StreamClosedError when they leave, PduError when their client breaks the protocol
   */
  ask(view: View): Promise<Action> {
    this.show(view);
    return this.next();
  }

  /** What the person does next. */
  next(): Promise<Action> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      else if (this.#stream.closed) reject(new StreamClosedError('the client left'));
      else this.#waiter = { resolve, reject };
    });
  }

  /** The client left: whoever asks is told. */
  closed(): void {
    this.#stop();
    this.#waiter?.reject(new StreamClosedError('the client left'));
    this.#waiter = undefined;
  }

  /** Gives the client to the target, whose activation comes next. */
  handOver(): void {
    this.#stop();
    this.#stream.resume(Pause.congestion);
    sendOnIoChannel(this.#stream, (writer) =>
      encodeShareControl(writer, ShareType.deactivateAll, SERVER_CHANNEL_ID, (body) =>
        encodeDeactivateAll(body, SHARE_ID),
      ),
    );
  }

  #stop(): void {
    this.#over = true;
    clearInterval(this.#ticker);
    this.#painter.drop();
  }

  #guard(pdu: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#receive(pdu);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (this.#over) return;
    this.#stop();
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.#stream.end();
    this.#waiter?.reject(this.#failure);
    this.#waiter = undefined;
  }

  #receive(pdu: Uint8Array): void {
    if (((pdu[0] ?? 0) & FAST_PATH_ACTION) === 0) {
      for (const event of decodeFastPathInput(new Reader(pdu))) this.#input(event);
      this.#answer();
      return;
    }
    const data = readSendData(pdu);
    if (data === undefined) {
      // A good-bye of MCS, or what a client sends instead of one.
      this.#stream.end();
      return;
    }
    // Virtual channels have nobody to speak with yet.
    if (data.channelId !== IO_CHANNEL) return;
    const control = readShareControl(pdu, data.dataOffset, data.dataOffset + data.dataLength);
    if (control.type === ShareType.confirmActive) {
      this.#confirmed(new Reader(pdu, control.dataOffset, control.end));
      return;
    }
    if (control.type !== ShareType.data)
      throw new PduError('pduType', data.dataOffset, `is ${control.type}, which clients do not send`);
    const share = readShareData(pdu, control);
    const body = new Reader(pdu, share.dataOffset, control.end);
    switch (share.type) {
      case DataType.control:
        if (decodeControl(body).action === ControlAction.requestControl)
          this.#send(DataType.control, (writer) =>
            encodeControl(writer, {
              action: ControlAction.grantedControl,
              grantId: this.#client.userId,
              controlId: SERVER_CHANNEL_ID,
            }),
          );
        return;
      case DataType.fontList:
        this.#send(DataType.fontMap, (writer) => encodeFonts(writer, FONT_MAP));
        this.#begin();
        return;
      case DataType.input:
        for (const event of decodeSlowPathInput(body)) this.#input(event);
        this.#answer();
        return;
      case DataType.refreshRect:
        this.#screen.invalidate();
        this.#painter.paint();
    }
  }

  #confirmed(body: Reader): void {
    const confirm = decodeConfirmActive(body);
    const { capabilitySets } = confirm;
    const general = findCapability(capabilitySets, generalCapability);
    const bitmap = findCapability(capabilitySets, bitmapCapability);
    this.#fastPath = ((general?.extraFlags ?? 0) & GeneralFlag.fastPathOutput) !== 0;
    const wanted = BITS_PER_PIXEL.find((bits) => bits === bitmap?.preferredBitsPerPixel);
    this.#bitsPerPixel = wanted ?? depthOf(this.#client.blocks);
    this.#form = { skipAlpha: skipsAlpha(confirm) };
    this.#send(DataType.synchronize, (writer) =>
      encodeSynchronize(writer, { targetUser: this.#client.userId }),
    );
    this.#send(DataType.control, (writer) =>
      encodeControl(writer, { action: ControlAction.cooperate, grantId: 0, controlId: 0 }),
    );
  }

  /** The client is ready to show something. */
  #begin(): void {
    this.#activated = true;
    this.#draw(synchronizeUpdate());
    if (this.#bitsPerPixel === 8) this.#draw(paletteUpdate());
    this.#draw(defaultPointer());
    this.#screen.invalidate();
    this.#painter.paint();
    // Clients may activate it more than once.
    clearInterval(this.#ticker);
    this.#ticker = setInterval(() => {
      if (!this.#screen.moving) return;
      this.#screen.tick();
      this.#painter.paint();
    }, TICK_MS);
  }

  #input(event: InputEvent): void {
    switch (event.kind) {
      case 'key':
      case 'unicode': {
        const typed =
          event.kind === 'key'
            ? this.#keyboard.key(event)
            : this.#keyboard.unicode(event.code, event.release);
        for (const each of typed) {
          if (each.kind === 'text') this.#screen.input(each);
          else {
            const name = KEY_NAMES.find((known) => known === each.key);
            if (name !== undefined)
              this.#screen.input({ kind: 'key', name, shift: each.shift, ctrl: each.ctrl });
          }
        }
        return;
      }
      case 'sync':
        this.#keyboard.synchronize(event.toggles);
        this.#screen.capsLock((event.toggles & CAPS_LOCK) !== 0);
        return;
      case 'mouse': {
        const { flags, x, y } = event;
        BUTTONS.forEach((flag, bit) => {
          if ((flags & flag) === 0) return;
          if ((flags & Mouse.down) !== 0) this.#buttons |= 1 << bit;
          else this.#buttons &= ~(1 << bit);
        });
        const turned = (flags & Mouse.wheel) === 0 ? 0 : flags & Mouse.rotation;
        // Nine bits in two's complement.
        const wheel = (flags & Mouse.wheelNegative) !== 0 ? turned - 256 : turned;
        const at = performance.now() - this.#started;
        this.#screen.input({ kind: 'mouse', x, y, buttons: this.#buttons, wheel: wheel / NOTCH, at });
        return;
      }
    }
  }

  #answer(): void {
    for (const action of this.#screen.actions()) {
      const waiter = this.#waiter;
      this.#waiter = undefined;
      waiter?.resolve(action);
    }
    this.#painter.paint();
  }

  *#changes(): Generator<Update, void, undefined> {
    if (!this.#activated || this.#over) return;
    for (const dirty of this.#screen.takeDirty())
      yield* bitmapUpdates(dirty, this.#bitsPerPixel, dirty.x, dirty.y, this.#form);
  }

  #draw(update: Update): void {
    if (this.#fastPath) {
      const writer = new Writer(update.data.length + 16);
      encodeFastPathOutput(writer, update);
      this.#stream.send(writer.done());
    } else
      sendOnIoChannel(this.#stream, (writer) =>
        encodeSlowPathOutput(writer, { shareId: SHARE_ID, source: SERVER_CHANNEL_ID }, update),
      );
  }

  #send(type: number, body: (writer: Writer) => void): void {
    sendOnIoChannel(this.#stream, (writer) =>
      encodeShareData(writer, { type, source: SERVER_CHANNEL_ID, shareId: SHARE_ID }, body),
    );
  }
}
