/**
 * What is kept of an RDP session: screen updates as they came, what was typed as text, the
 * mouse, the clipboard and files. Everything that the relay passes on comes by here first;
 * nothing is decoded but input, a few bytes an event.
 */
import { EventKind, RdpKeystrokeLog, type Recording } from '../../../recorder/index.ts';
import type { KeystrokeLine } from '../../../workers/messages.ts';
import type { ChannelEvent } from '../channels/policy.ts';
import type { InputEvent } from '../pdu/input.ts';

/** The one channel of a desktop's recording. */
const DESKTOP = 0;

export interface DesktopRecordOptions {
  readonly sessionId: string;
  /** Undefined: policy does not record (`record: false`). */
  readonly recording: Recording | undefined;
  /** Policy logs keystrokes. */
  readonly keystrokes: boolean;
  /** Policy keeps the names of keys only. */
  readonly maskKeystrokes: boolean;
  /** `keyboardLayout` of the client's core data. */
  readonly keyboardLayout: number;
}

export class DesktopRecord {
  readonly #options: DesktopRecordOptions;
  readonly #recording: Recording | undefined;
  readonly #keys: RdpKeystrokeLog | undefined;
  readonly #mouse = new Uint8Array(6);
  readonly #mouseView = new DataView(this.#mouse.buffer);

  constructor(options: DesktopRecordOptions) {
    this.#options = options;
    this.#recording = options.recording;
    if (options.keystrokes)
      this.#keys = new RdpKeystrokeLog({
        now: Date.now,
        layout: options.keyboardLayout,
        mask: options.maskKeystrokes ? 'always' : 'never',
      });
  }

  /** The target activated a desktop of this size. */
  desktop(width: number, height: number, bitsPerPixel: number): void {
    this.#recording?.note(EventKind.desktop, DESKTOP, { width, height, bitsPerPixel });
  }

  /** The updates of a fast-path PDU. */
  fastPath(updates: Uint8Array): void {
    this.#recording?.write(EventKind.fastPathOutput, DESKTOP, updates);
  }

  /** A slow-path data PDU that draws, from `pduType2` of its share data header on. */
  slowPath(data: Uint8Array): void {
    this.#recording?.write(EventKind.slowPathOutput, DESKTOP, data);
  }

  input(event: InputEvent): void {
    switch (event.kind) {
      case 'key':
        this.#keys?.key(event);
        return;
      case 'unicode':
        this.#keys?.unicode(event.code, event.release);
        return;
      case 'sync':
        this.#keys?.synchronize(event.toggles);
        return;
      case 'mouse':
      case 'extendedMouse': {
        const view = this.#mouseView;
        // The fourth and fifth button have flags of their own, which would read as others.
        view.setUint16(0, event.kind === 'mouse' ? event.flags : MOVE, true);
        view.setUint16(2, event.x, true);
        view.setUint16(4, event.y, true);
        this.#recording?.write(EventKind.mouse, DESKTOP, this.#mouse);
        if ((event.flags & BUTTON_DOWN) !== 0) this.#keys?.focus();
        return;
      }
      case 'relativeMouse':
      case 'qoe':
        // Not negotiated (profile.ts), and without meaning.
        return;
    }
  }

  channel(event: ChannelEvent): void {
    const recording = this.#recording;
    switch (event.kind) {
      case 'clipboard':
        recording?.note(EventKind.clipboard, DESKTOP, {
          direction: event.direction === 'toTarget' ? 'to-target' : 'from-target',
          ...(event.text === undefined ? {} : { text: event.text }),
          bytes: event.bytes,
        });
        return;
      case 'clipboard-files':
        recording?.note(EventKind.clipboard, DESKTOP, {
          direction: event.direction === 'toTarget' ? 'to-target' : 'from-target',
          files: event.names,
          bytes: 0,
        });
        return;
      case 'file': {
        const { operation, path, to, bytesToTarget = 0, bytesFromTarget = 0 } = event;
        const bytes = bytesToTarget + bytesFromTarget;
        recording?.note(EventKind.file, DESKTOP, {
          protocol: 'rdpdr',
          operation,
          path,
          ...(to === undefined ? {} : { to }),
          ...(operation === 'close' ? { bytes } : {}),
        });
        return;
      }
      case 'refused':
        this.refusal(event.what, event.reason);
        return;
      case 'layout':
        // The target answers with a new desktop, which is recorded.
        return;
    }
  }

  refusal(request: string, reason: string): void {
    this.#recording?.note(EventKind.refusal, DESKTOP, { request, reason });
  }

  notice(text: string): void {
    this.#recording?.note(EventKind.notice, DESKTOP, { text });
  }

  /** Hands over what was typed; to be called every 250 ms. */
  takeKeystrokes(lines: KeystrokeLine[]): void {
    const keys = this.#keys;
    if (keys === undefined) return;
    keys.tick();
    for (const piece of keys.take()) {
      lines.push({ sessionId: this.#options.sessionId, channel: DESKTOP, ...piece });
      if (piece.kind === 'keys') this.#recording?.write(EventKind.input, DESKTOP, Buffer.from(piece.text));
    }
  }

  /** What was typed last can be taken now. */
  end(): void {
    this.#keys?.end();
  }
}

/** PTRFLAGS_DOWN with a button (2.2.8.1.1.3.1.1.3). */
const BUTTON_DOWN = 0x8000;
/** PTRFLAGS_MOVE. */
const MOVE = 0x0800;
