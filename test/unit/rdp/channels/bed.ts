/** What the tests of RDP channels share: policies, and a police whose two sides speak in whole messages. */
import assert from 'node:assert/strict';
import type {
  ChannelEvent,
  Policed,
  RdpChannelPolicy,
  Side,
} from '../../../../gateway/rdp/channels/police.ts';
import { ChannelPolice } from '../../../../gateway/rdp/channels/police.ts';
import { chunks, Reassembler } from '../../../../gateway/rdp/channels/virtual-channel.ts';
import { Writer } from '../../../../gateway/rdp/pdu/cursor.ts';

export const NOTHING: RdpChannelPolicy = {
  clipboard: { toTarget: 'none', fromTarget: 'none' },
  drives: false,
  printers: false,
  smartCards: false,
  ports: false,
  audioOutput: false,
  audioInput: false,
  displayControl: false,
  staticChannels: [],
  dynamicChannels: [],
};

export const EVERYTHING: RdpChannelPolicy = {
  clipboard: { toTarget: 'all', fromTarget: 'all' },
  drives: true,
  printers: true,
  smartCards: true,
  ports: true,
  audioOutput: true,
  audioInput: true,
  displayControl: true,
  staticChannels: ['rail'],
  dynamicChannels: ['*'],
};

export const CHANNELS = ['cliprdr', 'rdpdr', 'rdpsnd', 'drdynvc', 'rail'].map((name) => ({
  name,
  options: 0,
}));

/** The bytes that an encoder writes. */
export function written(encode: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  encode(writer);
  return writer.done();
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function bytes(...parts: (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part.replaceAll(' ', ''), 'hex') : part)),
  );
}

/** What came of one message, in messages. */
export interface Came {
  readonly toClient: readonly Uint8Array[];
  readonly toTarget: readonly Uint8Array[];
  readonly events: readonly ChannelEvent[];
}

/** One channel under police. */
export class Wire {
  readonly police: ChannelPolice;
  readonly #channel: string;

  constructor(channel: string, policy: RdpChannelPolicy) {
    this.police = new ChannelPolice(CHANNELS, policy);
    this.#channel = channel;
  }

  /** Sends `message` whole, in chunks of `chunkBytes`. */
  send(from: Side, message: Uint8Array, chunkBytes?: number): Came {
    const came = { toClient: [] as Uint8Array[], toTarget: [] as Uint8Array[], events: [] as ChannelEvent[] };
    for (const chunk of chunks(message, 0, chunkBytes)) {
      const policed = this.push(from, chunk);
      came.toClient.push(...policed.toClient);
      came.toTarget.push(...policed.toTarget);
      came.events.push(...policed.events);
    }
    return { toClient: messages(came.toClient), toTarget: messages(came.toTarget), events: came.events };
  }

  /** One chunk, whose memory is used again at once, as a socket's is: the results are copied before. */
  push(from: Side, chunk: Uint8Array): Policed {
    const read = new Uint8Array(chunk);
    const policed =
      from === 'client'
        ? this.police.fromClient(this.#channel, read)
        : this.police.fromTarget(this.#channel, read);
    const copy = (list: readonly Uint8Array[]) => list.map((part) => new Uint8Array(part));
    const result = { ...policed, toClient: copy(policed.toClient), toTarget: copy(policed.toTarget) };
    read.fill(0xee);
    return result;
  }

  /** The message goes on byte for byte and nothing is answered. */
  passes(from: Side, message: Uint8Array): readonly ChannelEvent[] {
    const came = this.send(from, message);
    const [there, back] = from === 'client' ? [came.toTarget, came.toClient] : [came.toClient, came.toTarget];
    assert.deepEqual(there.map(hex), [hex(message)]);
    assert.deepEqual(back, []);
    return came.events;
  }
}

/** Chunks put together to messages. */
export function messages(list: readonly Uint8Array[]): Uint8Array[] {
  const out: Uint8Array[] = [];
  const reassembler = new Reassembler();
  for (const chunk of list)
    reassembler.push(chunk, (head, length) => {
      if (head.length < length) return length;
      out.push(new Uint8Array(head));
      return 'swallow';
    });
  return out;
}

/** Texts of the refusals among events. */
export function refusals(events: readonly ChannelEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'refused' ? [`${event.what}: ${event.reason}`] : []));
}
