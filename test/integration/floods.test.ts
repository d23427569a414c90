/**
 * Floods of connections that never log on, and bulk transfers, while a hundred people type and a few have a
 * desktop open: every key comes back about as soon, no session ends, and whoever comes meanwhile or later is let in.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before } from 'node:test';
import { plainPacket } from '../../gateway/ssh/turn-away.ts';
import { encodeMessage, Message, recipientOf } from '../../gateway/ssh/wire/connection.ts';
import { ALL_CAPABILITIES, type Bed, type Door, PASSWORD, startBed, userKey } from '../support/bed.ts';
import { assertUndisturbed, Evidence, stillServes } from '../support/evidence.ts';
import { assertPrompt, keyFigures } from '../support/latency.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { run, until } from '../support/process.ts';
import { type RawChannel, RawClient } from '../support/raw-client.ts';
import { type DesktopClient, type DesktopTarget, openDesktop, startDesktop } from '../support/rdp-actors.ts';
import { kexInit } from '../support/ssh-packet.ts';
import { temporaryFolder } from '../support/temp.ts';
import { TLS_FINGERPRINT } from '../unit/rdp/legs.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const PEOPLE = 100;
const DESKTOPS = 3;
/** Log on at the same time: more would wait for their own targets. */
const AT_A_TIME = 8;
const KEYS_APART_MS = 250;
/** Of those who transfer much, and what each of them does. */
const BULKS = 2;
const BULK_BYTES = 100_000_000;
/** Where floods come from; people come from 127.0.0.1. */
const ATTACKER = '127.6.6.6';

let bed: Bed;
let evidence: Evidence;
let target: DesktopTarget;
const people: Typist[] = [];
const desktops: DesktopClient[] = [];

/** Types one key after the other, each when the one before was echoed. */
class Typist {
  readonly client: RawClient;
  readonly #channel: RawChannel;
  #echoed: () => void = () => {};
  #over = false;
  #running = Promise.resolve();
  /** ms from key to echo, since they were taken last. */
  latencies: number[] = [];

  private constructor(client: RawClient, channel: RawChannel) {
    this.client = client;
    this.#channel = channel;
    client.onMessage = (message) => {
      if (message[0] === Message.channelData && recipientOf(message) === channel.own) this.#echoed();
    };
  }

  static async sitDown(door: Door, privateKey: string): Promise<Typist> {
    const client = await RawClient.connect(door, privateKey);
    return new Typist(client, await client.exec('cat'));
  }

  start(): void {
    this.#running = this.#type();
  }

  /** Resolves when the last key has come back. */
  stop(): Promise<void> {
    this.#over = true;
    return this.#running;
  }

  async #type(): Promise<void> {
    while (!this.#over) {
      const typed = performance.now();
      const echo = new Promise<void>((resolve) => {
        this.#echoed = resolve;
      });
      this.client.send(Message.channelData, this.#channel.peer, 'k');
      await echo;
      this.latencies.push(performance.now() - typed);
      await new Promise((resolve) => setTimeout(resolve, KEYS_APART_MS));
    }
  }
}

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  const key = await userKey(temporaryFolder('floods'), 'typist');
  target = await startDesktop();
  const everything = { users: ['typist'], accounts: ['*'], record: true };
  bed = await startBed({
    document: () => ({
      users: [{ name: 'typist', password: PASSWORD, sshKeys: [key.line], role: 'requester' }],
      systems: [
        {
          name: 'win01',
          protocol: 'rdp',
          host: '127.0.0.1',
          port: target.port,
          certificate: TLS_FINGERPRINT,
        },
      ],
      accounts: [{ name: 'admin', system: 'win01', password: 'leased' }],
      policies: [{ name: 'all', allow: [...ALL_CAPABILITIES, 'desktop'], ...everything }],
    }),
  });
  evidence = await Evidence.of(bed.gateway);
  const privateKey = readFileSync(key.file, 'utf8');
  const door = bed.doorFor(bed.targetLogin('typist'), PASSWORD);
  await inTurns(PEOPLE, AT_A_TIME, async () => {
    people.push(await Typist.sitDown(door, privateKey));
  });
  for (let count = 0; count < DESKTOPS; count += 1) {
    const client = await openDesktop(bed.gateway.rdpPort, 'typist+admin+win01', { password: PASSWORD });
    desktops.push(client);
    await client.activated();
  }
  for (const person of people) person.start();
});
after(async () => {
  for (const { client } of people) client.end();
  for (const { stream } of desktops) stream.destroy();
  await evidence?.close();
  await bed?.stop();
  target?.stop();
});

async function inTurns(count: number, atOnce: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const hand = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, hand));
}

/** A connection of the flood; what comes is thrown away. */
function attack(port: number, from = ATTACKER): Socket {
  const socket = connect({ port, host: bed.gateway.host, localAddress: from });
  socket.on('error', () => {});
  socket.resume();
  return socket;
}

const bothPorts = (): readonly number[] => [bed.gateway.sshPort, bed.gateway.rdpPort];
const closed = (socket: Socket): Promise<void> =>
  socket.destroyed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve()));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What the keys of all people took since this was asked last. */
const latencies = (): number[] => people.flatMap((person) => person.latencies.splice(0));

/** Everybody's next key comes back, nobody has gone, and all desktops are alive. */
async function undisturbed(): Promise<void> {
  const had = people.map((person) => person.latencies.length);
  await until('the next key of each of them', () =>
    people.every((person, i) => person.latencies.length > (had[i] ?? 0)) ? true : undefined,
  );
  assert.ok(!people.some(({ client }) => client.closed), 'a session ended');
  const before = target.sessions.map(({ received }) => received.length);
  for (const desktop of desktops) desktop.press();
  await until('a key at each desktop', () =>
    target.sessions.every(({ received }, i) => received.length > (before[i] ?? 0)) ? true : undefined,
  );
  assertUndisturbed(bed.gateway);
}

function flood(name: string, body: () => Promise<unknown>): void {
  testWith(NEEDS, name, async (t) => {
    await undisturbed();
    latencies();
    await pause(1_000);
    const before = latencies();
    t.diagnostic(`before: ${keyFigures(before)}`);
    const more = await body();
    // The keys that were under way at its end count.
    await undisturbed();
    const during = latencies();
    t.diagnostic(`during: ${keyFigures(during)}`);
    if (typeof more === 'string') t.diagnostic(more);
    assertPrompt(before, during);
  });
}

flood('bytes that come one by one', async () => {
  const slow = bothPorts().flatMap((port) => Array.from({ length: 150 }, () => attack(port)));
  const words = [Buffer.from('SSH-2.0-slow as can be'), X224_REQUEST];
  for (let at = 0; at < 12; at += 1) {
    slow.forEach((socket, i) => {
      socket.write(words[i < 150 ? 0 : 1]?.subarray(at, at + 1) ?? '');
    });
    await pause(150);
  }
  for (const socket of slow) socket.destroy();
});

flood('five thousand connections that say nothing, from one address and from many', async () => {
  const crowd: Socket[] = [];
  for (let count = 0; count < 5_000; count += 1) {
    const from = count < 1_000 ? ATTACKER : `127.6.7.${1 + (count % 50)}`;
    crowd.push(attack(bothPorts()[count % 2] ?? 0, from));
    if (count % 100 === 99) await pause(20);
  }
  // While all places are taken, whoever else comes is given one.
  await stillServes(bed);
  for (const socket of crowd) socket.destroy();
});

flood('TLS handshakes that begin and do not go on', async () => {
  const half = Array.from({ length: 150 }, () => attack(bed.gateway.rdpPort));
  for (const socket of half) {
    // The header of a record of 512 bytes, and the beginning of a ClientHello.
    socket.once('data', () => socket.write(Buffer.from('16030102000100 01fc0303'.replace(' ', ''), 'hex')));
    socket.write(X224_REQUEST);
  }
  await pause(1_500);
  for (const socket of half) socket.destroy();
});

flood('key exchanges that begin and do not go on', async () => {
  const half = Array.from({ length: 150 }, () => attack(bed.gateway.sshPort));
  for (const socket of half)
    socket.write(Buffer.concat([IDENTIFICATION, plainPacket(kexInit('curve25519-sha256'))]));
  await pause(1_500);
  for (const socket of half) socket.destroy();
});

flood('key exchanges as fast as the gateway makes its half of them', async () => {
  const hello = Buffer.concat([
    IDENTIFICATION,
    plainPacket(kexInit('curve25519-sha256')),
    // SSH_MSG_KEX_ECDH_INIT (RFC 5656 §4): any 32 bytes are a point of Curve25519.
    plainPacket(encodeMessage(30, randomBytes(32))),
  ]);
  let answered = 0;
  await inTurns(1_000, 150, async (index) => {
    const socket = attack(bed.gateway.sshPort, `127.6.7.${1 + (index % 3)}`);
    let heard = 0;
    socket.on('data', ({ length }: Buffer) => {
      heard += length;
      // Its KEXINIT alone is shorter than with its reply.
      if (heard > 950) {
        answered += 1;
        socket.destroy();
      }
    });
    socket.write(hello);
    await Promise.race([closed(socket), pause(5_000)]);
    socket.destroy();
  });
  assert.ok(answered > 0);
  return `${answered} of 1000 had its half`;
});

flood('garbage', async () => {
  await inTurns(300, 50, async (index) => {
    const socket = attack(bothPorts()[index % 2] ?? 0);
    socket.write(randomBytes(64 * 1024));
    await Promise.race([closed(socket), pause(2_000)]);
    socket.destroy();
  });
});

flood('bulk transfers as fast as they are taken', async () => {
  const began = performance.now();
  const { sshConfig, env } = bed.doorFor(bed.targetLogin('typist'), PASSWORD);
  const client = ['ssh', '-F', sshConfig, 'target', `head -c ${BULK_BYTES} /dev/zero`];
  await Promise.all(
    Array.from({ length: BULKS }, async () => {
      const { code, text, stderr } = await run('/bin/sh', ['-c', '"$@" | wc -c', 'sh', ...client], { env });
      assert.deepEqual([code, Number(text)], [0, BULK_BYTES], stderr);
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  return `${((BULKS * BULK_BYTES) / 1e6 / seconds).toFixed(0)} MB/s`;
});

testWith(
  NEEDS,
  'after all that people log on, nobody was lost, and the audit trail was not filled',
  async () => {
    await Promise.all(people.map((person) => person.stop()));
    await stillServes(bed);
    const late = await openDesktop(bed.gateway.rdpPort, 'typist+admin+win01', { password: PASSWORD });
    await late.activated();
    late.stream.destroy();
    const active = (await evidence.sessions()).filter(
      ({ user, state }) => user === 'typist' && state === 'active',
    );
    assert.ok(active.length >= PEOPLE + DESKTOPS, `${active.length} sessions are open`);
    const refused = await evidence.audit('session.refused');
    assert.ok(refused.some(({ detail }) => detail['code'] === 'source-limit'));
    assert.ok(refused.length < 40, `${refused.length} rows`);
    assertUndisturbed(bed.gateway);
  },
);

const IDENTIFICATION = Buffer.from('SSH-2.0-flood\r\n', 'latin1');
/** X.224 Connection Request ([MS-RDPBCGR] 2.2.1.1) that offers TLS. */
const X224_REQUEST = Buffer.from('0300001306e000000000000100080001000000'.padEnd(38, '0'), 'hex');
