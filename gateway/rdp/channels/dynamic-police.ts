/** Lets only those dynamic channels come into being that policy allows, and only their data pass. */
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import { DISPLAY_CONTROL_CHANNEL, decodeDisplayControl } from './display-control.ts';
import type { DynamicHeader } from './drdynvc.ts';
import {
  DYNAMIC_HEADER_BYTES,
  DynamicCommand,
  decodeCreateRequest,
  decodeCreateResponse,
  decodeDynamicCapabilities,
  decodeDynamicClose,
  decodeDynamicData,
  decodeDynamicHeader,
  encodeCreateResponse,
  encodeDynamicCapabilities,
  encodeDynamicClose,
} from './drdynvc.ts';
import type { MessagePolice, Outcome, RdpChannelPolicy, Side } from './policy.ts';
import { dynamicChannelRefusal, otherSide } from './policy.ts';
import type { Verdict } from './virtual-channel.ts';

/** Version 3 would bring compressed data and the move to UDP. */
const VERSION_MAX = 2;
/** PDUs are at most as long as a chunk; chunks may be negotiated up to 16,256 bytes. */
const PDU_BYTES_MAX = 64 * 1024;
/** Windows opens about twenty. */
const CHANNELS_MAX = 1024;
/** HRESULT_FROM_WIN32(ERROR_NOT_FOUND): what a client says that has nobody for that name. */
const NO_LISTENER = 0x8007_0490 | 0;

interface DynamicChannel {
  readonly name: string;
  /** The client has not answered yet. */
  pending: boolean;
}

export class DynamicPolice implements MessagePolice {
  readonly #policy: RdpChannelPolicy;
  readonly #channels = new Map<number, DynamicChannel>();

  constructor(policy: RdpChannelPolicy) {
    this.#policy = policy;
  }

  judge(from: Side, head: Uint8Array, length: number, outcome: Outcome): Verdict {
    if (head.length === 0) return 1;
    if (length > PDU_BYTES_MAX)
      throw new PduError('drdynvc PDU', 0, `has ${length} bytes, more than ${PDU_BYTES_MAX}`);
    const reader = new Reader(head);
    const header = decodeDynamicHeader(reader);
    switch (header.command) {
      case DynamicCommand.dataFirst:
      case DynamicCommand.data: {
        const need = Math.min(length, DYNAMIC_HEADER_BYTES);
        return head.length < need ? need : this.#judgeData(from, header, head, length, outcome);
      }
      case DynamicCommand.capabilities:
        return head.length < length ? length : judgeCapabilities(from, reader, outcome);
      case DynamicCommand.create:
        if (head.length < length) return length;
        return from === 'target'
          ? this.#judgeRequest(reader, header, outcome)
          : this.#judgeResponse(reader, header);
      case DynamicCommand.close:
        return head.length < length ? length : this.#judgeClose(from, reader, header);
      case DynamicCommand.dataFirstCompressed:
      case DynamicCommand.dataCompressed:
        // What else the channel carries would be useless without it.
        throw new PduError('drdynvc Cmd', 0, 'is compressed data, which was not negotiated');
      case DynamicCommand.softSyncRequest:
      case DynamicCommand.softSyncResponse:
        return refuse(outcome, 'move of dynamic channels to UDP', 'it would pass by the gateway');
      default:
        return refuse(outcome, `drdynvc command ${header.command}`, 'it is unknown');
    }
  }

  leave(): Uint8Array[] {
    return Array.from(this.#channels.keys(), (channel) => {
      const writer = new Writer(5);
      encodeDynamicClose(writer, channel);
      return writer.done();
    });
  }

  #judgeRequest(reader: Reader, header: DynamicHeader, outcome: Outcome): Verdict {
    const { channel, name } = decodeCreateRequest(reader, header);
    const reason = this.#channels.has(channel)
      ? 'its number is in use'
      : this.#channels.size >= CHANNELS_MAX
        ? 'too many are open'
        : dynamicChannelRefusal(name, this.#policy);
    if (reason === undefined) {
      this.#channels.set(channel, { name: name.toLowerCase(), pending: true });
      return 'forward';
    }
    const writer = new Writer();
    encodeCreateResponse(writer, { channel, status: NO_LISTENER });
    outcome.send('target', writer.done());
    return refuse(outcome, `dynamic channel ${name.slice(0, 256)}`, reason);
  }

  #judgeResponse(reader: Reader, header: DynamicHeader): Verdict {
    const { channel, status } = decodeCreateResponse(reader, header);
    const known = this.#channels.get(channel);
    if (known?.pending !== true) return 'swallow';
    if (status < 0) this.#channels.delete(channel);
    known.pending = false;
    return 'forward';
  }

  /** Both sides close, the second in answer; a number may be in use again before that answer comes. */
  #judgeClose(from: Side, reader: Reader, header: DynamicHeader): Verdict {
    const channel = decodeDynamicClose(reader, header);
    if (from === 'target' || this.#channels.get(channel)?.pending === false) this.#channels.delete(channel);
    return 'forward';
  }

  /** Data of channels that are closed is on its way still, so it is dropped without a word. */
  #judgeData(from: Side, header: DynamicHeader, head: Uint8Array, length: number, outcome: Outcome): Verdict {
    const reader = new Reader(head, 1);
    const { channel, data } = decodeDynamicData(reader, header);
    const known = this.#channels.get(channel);
    if (known === undefined) return 'swallow';
    if (known.name !== DISPLAY_CONTROL_CHANNEL) return 'forward';
    if (head.length < length) return length;
    if (header.command === DynamicCommand.dataFirst)
      return refuse(outcome, 'display control in parts', 'a layout of all monitors fits in one');
    const pdu = decodeDisplayControl(new Reader(data));
    if ((pdu.type === 'caps') !== (from === 'target'))
      throw new PduError('DISPLAYCONTROL_HEADER.Type', 0, `is not for the ${from} to send`);
    if (pdu.type === 'layout') outcome.tell({ kind: 'layout', monitors: pdu.monitors });
    return 'forward';
  }
}

function judgeCapabilities(from: Side, reader: Reader, outcome: Outcome): Verdict {
  const capabilities = decodeDynamicCapabilities(reader);
  if (capabilities.version <= VERSION_MAX) return 'forward';
  const writer = new Writer();
  encodeDynamicCapabilities(writer, { ...capabilities, version: VERSION_MAX });
  outcome.send(otherSide(from), writer.done());
  return 'swallow';
}

function refuse(outcome: Outcome, what: string, reason: string): Verdict {
  outcome.tell({ kind: 'refused', what, reason });
  return 'swallow';
}
