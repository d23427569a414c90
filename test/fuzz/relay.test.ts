/**
 * The relay between two legs in memory whose peers talk at random: first as RFC 4254 allows,
 * where nothing may be found wrong, then with mutated messages, where everything may be
 * refused but nothing may break. Seeded: a failure names the seed that shows it again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { CAPABILITIES } from '../../gateway/policy/capability.ts';
import type { Leg } from '../../gateway/ssh/leg.ts';
import { SessionRecord } from '../../gateway/ssh/record.ts';
import { Relay } from '../../gateway/ssh/relay.ts';
import {
  dataOffset,
  encodeMessage,
  Message,
  readUint32,
  WireReader,
} from '../../gateway/ssh/wire/connection.ts';
import { EventKind, type Recording } from '../../recorder/index.ts';

const MAX_CHANNELS = 8;
const WINDOW = 2 ** 21;
const WINDOWS = [WINDOW, 2_000, 0] as const;
const ROUNDS = 150;
const STEPS = 800;

/** Numerical Recipes' linear congruential generator; the upper bits are the good ones. */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(of: readonly [T, ...T[]]): T {
    return of[this.below(of.length)] ?? of[0];
  }
}

/** What a leg is to the relay: a place to send to, and somebody who hands messages in. */
class FakeLeg {
  onMessage: (message: Uint8Array) => void = () => {};
  onCongestion: (congested: boolean) => void = () => {};
  /** What the relay sent, as the peer gets it. */
  onSent: (message: Uint8Array) => void = () => {};
  send(message: Uint8Array, recipient?: number): void {
    const copy = message.slice();
    if (recipient !== undefined) new DataView(copy.buffer).setUint32(1, recipient);
    this.onSent(copy);
  }
  pause(): void {}
  resume(): void {}
}

interface Known {
  /** Bytes that this peer may still send, and bytes that it let the other send and did not get. */
  allowed: number;
  granted: number;
  /** The number by which this peer addresses the channel; undefined while it is being opened. */
  address: number | undefined;
  sentEof: boolean;
  sentClose: boolean;
}

/** One side that follows RFC 4254: what it may say next depends on what it heard. */
class Peer {
  readonly outbox: Uint8Array[] = [];
  /** More came than this peer had let the other send. */
  overrun = false;
  readonly #dice: Dice;
  readonly #isClient: boolean;
  /** By the number that this peer gave. */
  readonly #channels = new Map<number, Known>();
  #next = 0;

  constructor(dice: Dice, isClient: boolean) {
    this.#dice = dice;
    this.#isClient = isClient;
  }

  hear(message: Uint8Array): void {
    const dice = this.#dice;
    switch (message[0]) {
      case Message.channelOpen: {
        const reader = new WireReader(message);
        reader.text('type');
        const theirs = reader.uint32('sender');
        const allowed = reader.uint32('window');
        if (dice.chance(15)) {
          this.outbox.push(encodeMessage(Message.channelOpenFailure, theirs, 2, 'not now', ''));
          return;
        }
        const own = this.#next++;
        const granted = dice.pick(WINDOWS);
        this.#channels.set(own, { address: theirs, allowed, granted, sentEof: false, sentClose: false });
        const maxPacket = dice.pick([32_768, 1_000, 7]);
        this.outbox.push(encodeMessage(Message.channelOpenConfirmation, theirs, own, granted, maxPacket));
        return;
      }
      case Message.channelOpenConfirmation: {
        const channel = this.#channels.get(readUint32(message, 1));
        if (channel !== undefined) {
          channel.address = readUint32(message, 5);
          channel.allowed = readUint32(message, 9);
        }
        return;
      }
      case Message.channelWindowAdjust: {
        const channel = this.#channels.get(readUint32(message, 1));
        if (channel !== undefined) channel.allowed += readUint32(message, 5);
        return;
      }
      case Message.channelData:
      case Message.channelExtendedData: {
        const channel = this.#channels.get(readUint32(message, 1));
        if (channel !== undefined) channel.granted -= message.length - dataOffset(message);
        this.overrun ||= (channel?.granted ?? 0) < 0;
        return;
      }
      case Message.channelOpenFailure:
        this.#channels.delete(readUint32(message, 1));
        return;
      case Message.channelClose: {
        const own = readUint32(message, 1);
        const channel = this.#channels.get(own);
        if (channel?.address !== undefined && !channel.sentClose)
          this.outbox.push(encodeMessage(Message.channelClose, channel.address));
        this.#channels.delete(own);
        return;
      }
      case Message.channelRequest: {
        const reader = new WireReader(message, 5);
        reader.text('type');
        const channel = this.#channels.get(readUint32(message, 1));
        if (reader.boolean('want reply') && channel?.address !== undefined && !channel.sentClose) {
          const answer = dice.chance(80) ? Message.channelSuccess : Message.channelFailure;
          this.outbox.push(encodeMessage(answer, channel.address));
        }
        return;
      }
      case Message.globalRequest: {
        const reader = new WireReader(message);
        reader.text('name');
        if (reader.boolean('want reply')) this.outbox.push(encodeMessage(Message.requestFailure));
      }
    }
  }

  /** Says something of its own accord. */
  speak(): void {
    const dice = this.#dice;
    const open = [...this.#channels.values()].filter(
      ({ address, sentClose }) => address !== undefined && !sentClose,
    );
    const channel = open[dice.below(open.length)];
    if (channel?.address === undefined || dice.chance(15)) return this.#unbound();
    const to = channel.address;
    switch (dice.below(8)) {
      case 0:
      case 1:
      case 2:
        if (!channel.sentEof) this.#say(Message.channelData, to, this.#data(channel));
        return;
      case 3:
        if (!channel.sentEof && !this.#isClient)
          this.#say(Message.channelExtendedData, to, 1, this.#data(channel));
        return;
      case 4: {
        const more = dice.below(5_000);
        channel.granted += more;
        this.#say(Message.channelWindowAdjust, to, more);
        return;
      }
      case 5:
        return this.#request(to);
      case 6:
        channel.sentEof ||= this.#say(Message.channelEof, to);
        return;
      case 7:
        if (dice.chance(40)) channel.sentClose = this.#say(Message.channelClose, to);
    }
  }

  #data(channel: Known): string {
    const text = 'd'.repeat(Math.min(channel.allowed, this.#dice.below(200)));
    channel.allowed -= text.length;
    return text;
  }

  #request(to: number): void {
    const dice = this.#dice;
    if (!this.#isClient) {
      this.#say(Message.channelRequest, to, 'exit-status', false, 0);
      return;
    }
    const want = dice.chance(70);
    switch (dice.below(7)) {
      case 0:
        this.#say(Message.channelRequest, to, 'pty-req', want, 'xterm', 80, 24, 0, 0, '');
        return;
      case 1:
        this.#say(Message.channelRequest, to, 'shell', want);
        return;
      case 2:
        this.#say(Message.channelRequest, to, 'exec', want, dice.pick(['id', 'scp -t x', 'scp -f y']));
        return;
      case 3:
        this.#say(Message.channelRequest, to, 'subsystem', want, 'sftp');
        return;
      case 4:
        this.#say(Message.channelRequest, to, 'window-change', false, 100, 40, 0, 0);
        return;
      case 5:
        this.#say(Message.channelRequest, to, 'winadj@putty.projects.tartarus.org', true);
        return;
      case 6:
        this.#say(Message.channelRequest, to, 'signal', false, 'INT');
    }
  }

  /** Opens and global requests. */
  #unbound(): void {
    const dice = this.#dice;
    if (dice.chance(30)) {
      this.#say(
        Message.globalRequest,
        dice.pick(['keepalive@openssh.com', 'what@example.org', 'tcpip-forward']),
        dice.chance(80),
      );
      return;
    }
    const own = this.#next++;
    const granted = dice.pick(WINDOWS);
    this.#channels.set(own, { address: undefined, allowed: 0, granted, sentEof: false, sentClose: false });
    const head = [own, granted, dice.pick([32_768, 500, 3])] as const;
    const address = ['127.0.0.1', 80, '127.0.0.1', 4_000] as const;
    if (!this.#isClient) this.#say(Message.channelOpen, 'forwarded-tcpip', ...head, ...address);
    else if (dice.chance(70)) this.#say(Message.channelOpen, 'session', ...head);
    else this.#say(Message.channelOpen, 'direct-tcpip', ...head, ...address);
  }

  #say(...message: Parameters<typeof encodeMessage>): true {
    this.outbox.push(encodeMessage(...message));
    return true;
  }
}

/** The relay, its legs, and what it recorded of channels. */
function bench(onError: (error: Error) => void) {
  const [front, back] = [new FakeLeg(), new FakeLeg()];
  const seen = { open: 0, most: 0, faults: [] as unknown[], refusals: 0 };
  const recording: Recording = {
    write() {},
    note(kind) {
      if (kind === EventKind.channelOpen) seen.open += 1;
      if (kind === EventKind.channelClose) seen.open -= 1;
      seen.most = Math.max(seen.most, seen.open);
    },
    hashStream: () => ({ update() {}, digest: (then) => then('') }),
    paused: false,
    seal: () => Promise.reject(new Error('is not sealed here')),
  };
  const record = new SessionRecord({ sessionId: 's', recording, keystrokes: true, execLimit: 10_000 });
  const relay = new Relay({
    front: front as unknown as Leg,
    back: back as unknown as Leg,
    record,
    policy: 'fuzz',
    allow: CAPABILITIES,
    maxChannels: MAX_CHANNELS,
    onRefusal: () => {
      seen.refusals += 1;
    },
    onProtocolError: (_fault, error) => onError(error),
    onFault: (error) => seen.faults.push(error),
  });
  relay.start({ channel: undefined, release: () => [], fail() {} });
  return { relay, front, back, record, seen };
}

/** Changes a message in one of the ways in which a hostile or broken peer would. */
function mutate(dice: Dice, message: Uint8Array): Uint8Array {
  const bytes = message.slice();
  switch (dice.below(6)) {
    case 0: {
      const at = dice.below(bytes.length);
      bytes[at] = dice.below(256);
      return bytes;
    }
    case 1:
      return bytes.subarray(0, dice.below(bytes.length + 1));
    case 2:
      return Uint8Array.from([...bytes, ...Array.from({ length: dice.below(40) }, () => dice.below(256))]);
    case 3:
      if (bytes.length >= 5) bytes.set([0xff, 0xff, 0xff, dice.below(256)], 1);
      return bytes;
    case 4:
      return Uint8Array.from([
        80 + dice.below(48),
        ...Array.from({ length: dice.below(64) }, () => dice.below(256)),
      ]);
    default:
      bytes[0] = dice.pick([90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 80, 81, 82]);
      return bytes;
  }
}

/** Whether a message does something at the target: types, opens, starts, signals. */
function acts(message: Uint8Array): boolean {
  if (message[0] === Message.channelRequest)
    return new WireReader(message, 5).text('type') !== 'window-change';
  if (message[0] === Message.globalRequest)
    return new WireReader(message).text('name') !== 'keepalive@openssh.com';
  return message[0] === Message.channelData || message[0] === Message.channelOpen;
}

/** One session of random talk. Returns how many messages were handed in before it ended. */
function session(
  seed: number,
  mutations: number,
  onError: (error: Error) => void,
): ReturnType<typeof bench>['seen'] {
  const dice = new Dice(seed);
  let over = false;
  const { relay, front, back, record, seen } = bench((error) => {
    over = true;
    onError(error);
  });
  const client = new Peer(dice, true);
  const target = new Peer(dice, false);
  front.onSent = (message) => client.hear(message);
  let locked = false;
  let leaked = 0;
  back.onSent = (message) => {
    if (locked && acts(message)) leaked += 1;
    target.hear(message);
  };
  for (let step = 0; step < STEPS && !over; step += 1) {
    const [peer, leg] = dice.chance(50) ? [client, front] : [target, back];
    if (dice.chance(60)) peer.speak();
    const message = peer.outbox.shift();
    if (message !== undefined) leg.onMessage(dice.chance(mutations) ? mutate(dice, message) : message);
    if (!locked && dice.chance(2)) {
      relay.lock('locked');
      locked = true;
    } else if (locked && dice.chance(5)) {
      locked = false;
      relay.unlock('unlocked');
    }
    if (dice.chance(1)) record.takeKeystrokes([]);
    assert.ok(seen.open <= MAX_CHANNELS, `seed ${seed}: ${seen.open} channels`);
  }
  assert.equal(leaked, 0, `seed ${seed}: something passed while the session was locked`);
  if (mutations === 0) assert.ok(!client.overrun && !target.overrun, `seed ${seed}: a window was overrun`);
  if (dice.chance(50)) relay.abort('the end');
  relay.finish();
  assert.deepEqual(seen.faults, [], `seed ${seed}`);
  assert.equal(seen.open, 0, `seed ${seed}: every channel's record is closed in the end`);
  return seen;
}

function heap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('peers that keep to RFC 4254 are never found at fault', () => {
  let most = 0;
  for (let seed = 1; seed <= ROUNDS; seed += 1) {
    const seen = session(seed, 0, (error) => assert.fail(`seed ${seed}: ${error.message}`));
    most = Math.max(most, seen.most);
  }
  assert.equal(most, MAX_CHANNELS, 'the bound was reached, so it was tried');
});

test('mutated messages are refused as protocol errors, and nothing else happens', (t) => {
  const errors = new Map<string, number>();
  const before = heap();
  for (let seed = 1; seed <= ROUNDS * 4; seed += 1) {
    session(seed, 1 + (seed % 8), (error) => {
      const kind = error.message.replace(/\d+/g, 'N');
      errors.set(kind, (errors.get(kind) ?? 0) + 1);
    });
  }
  const grown = heap() - before;
  t.diagnostic(`${errors.size} kinds of protocol errors; memory grew by ${grown} bytes`);
  assert.ok(errors.size > 10, [...errors.keys()].join('\n'));
  assert.ok(grown < 16 * 1024 ** 2);
});

test('a flood on a locked session ends it before it is kept', () => {
  for (const [name, message] of [
    ['data', encodeMessage(Message.channelData, 0, 'x'.repeat(32_000))],
    ['tiny data', encodeMessage(Message.channelData, 0, 'x')],
    ['requests', encodeMessage(Message.channelRequest, 0, 'signal', false, 'x'.repeat(30_000))],
  ] as const) {
    let error: Error | undefined;
    const { relay, front, back } = bench((caught) => {
      error ??= caught;
    });
    front.onMessage(encodeMessage(Message.channelOpen, 'session', 0, WINDOW, 32_768));
    back.onMessage(encodeMessage(Message.channelOpenConfirmation, 0, 0, WINDOW, 32_768));
    front.onMessage(encodeMessage(Message.channelRequest, 0, 'exec', false, 'cat'));
    let passed = 0;
    back.onSent = () => {
      passed += 1;
    };
    relay.lock('locked');
    let bytes = 0;
    for (; error === undefined && bytes < 2 ** 28; bytes += message.length) front.onMessage(message);
    assert.equal(passed, 0, `${name}: nothing passes`);
    assert.ok(error !== undefined && bytes <= WINDOW + 2 ** 20, `${name}: kept ${bytes} bytes`);
  }
});

test('requests that nobody answers are bounded', () => {
  for (const message of [
    encodeMessage(Message.globalRequest, 'keepalive@openssh.com', true),
    encodeMessage(Message.channelRequest, 0, 'env', true, 'a', 'b'),
  ]) {
    let error: Error | undefined;
    const { front, back } = bench((caught) => {
      error ??= caught;
    });
    front.onMessage(encodeMessage(Message.channelOpen, 'session', 0, WINDOW, 32_768));
    back.onMessage(encodeMessage(Message.channelOpenConfirmation, 0, 0, WINDOW, 32_768));
    let count = 0;
    for (; error === undefined && count < 10_000; count += 1) front.onMessage(message);
    assert.match(error?.message ?? '', /more than 4096 requests are unanswered/);
  }
});
