/** A leg's stream of PDUs over loopback TLS: how reads are cut does not matter, nor how slow the peer is. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Pause, PduStream, StreamClosedError } from '../../../../gateway/rdp/stream/stream.ts';
import { acceptTls, dialTls } from '../../../../gateway/rdp/stream/tls.ts';
import { leg, settled, TLS } from '../legs.ts';

/** A fast-path PDU of `length` bytes, at least 4, all of value `fill` behind its header. */
function pdu(length: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(fill);
  bytes.set([0, 0x80 | (length >> 8), length & 0xff]);
  return bytes;
}

/** Both ends of a TLS connection; `early` follows the server's handshake at once. */
async function secured(t: TestContext, early?: Uint8Array): Promise<[client: PduStream, server: PduStream]> {
  const sockets: Socket[] = [];
  const listening = createServer({ noDelay: true });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listening.close();
  });
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const address = listening.address();
  const port = typeof address === 'object' && address !== null ? address.port : assert.fail();
  const accepted = once(listening, 'connection') as Promise<[Socket]>;
  const near = connect({ port, host: '127.0.0.1', noDelay: true });
  const [far] = await accepted;
  sockets.push(near, far);
  const [client, server] = [new PduStream(near), new PduStream(far)];
  const handshake = server
    .secure((plain) => acceptTls(plain, TLS))
    .then(() => {
      if (early !== undefined) server.send(early);
    });
  await Promise.all([client.secure((plain) => dialTls(plain, '127.0.0.1')), handshake]);
  return [client, server];
}

/** What `stream` gets, copied, until there are `count`. */
function received(stream: PduStream, count: number): Promise<Uint8Array[]> {
  const pdus: Uint8Array[] = [];
  return new Promise((resolve, reject) => {
    stream.onMalformed = reject;
    stream.take((each) => {
      pdus.push(new Uint8Array(each));
      if (pdus.length === count) resolve(pdus);
    });
  });
}

test('PDUs of all sizes arrive whole and in order, however reads cut them', async (t) => {
  const [client, server] = await secured(t);
  // Sizes that put headers and ends at every place of a record.
  const sent = Array.from({ length: 400 }, (_, n) => pdu(4 + ((n * 7919) % 32_000), n & 0xff));
  const came = received(client, sent.length);
  for (const each of sent) server.send(each);
  assert.deepEqual(await came, sent);
});

test('a PDU that comes byte by byte is one', async () => {
  const { stream, peer } = leg();
  const sent = [pdu(300, 7), pdu(5, 8)];
  const came = received(stream, 2);
  for (const byte of Buffer.concat(sent)) {
    peer.write(Buffer.of(byte));
    await settled();
  }
  assert.deepEqual(await came, sent);
});

test('what arrives with the handshake comes first', async (t) => {
  const [client, server] = await secured(t, pdu(40, 1));
  server.send(pdu(50, 2));
  assert.deepEqual(await client.next(), pdu(40, 1));
  assert.deepEqual(await received(client, 1), [pdu(50, 2)]);
});

test('what was sent is what its memory held then', async (t) => {
  const [client, server] = await secured(t);
  const came = received(client, 3);
  const memory = pdu(1000, 0);
  for (const value of [1, 2, 3]) {
    memory.fill(value, 3);
    server.send(memory);
  }
  memory.fill(9);
  assert.deepEqual(await came, [pdu(1000, 1), pdu(1000, 2), pdu(1000, 3)]);
});

test('a peer that does not read congests the stream, and frees it when it reads', async (t) => {
  const [client, server] = await secured(t);
  client.pause(Pause.starting);
  const told: boolean[] = [];
  const freed = new Promise<void>((resolve) => {
    server.onCongestion = (congested) => {
      told.push(congested);
      if (!congested) resolve();
    };
  });
  let count = 0;
  // What the kernel takes is no congestion: more than that is sent.
  while (!server.congested && count < 10_000) {
    for (let burst = 0; burst < 8; burst += 1, count += 1) server.send(pdu(32_000, count & 0xff));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(told, [true]);
  const came = received(client, count);
  client.resume(Pause.starting);
  await freed;
  assert.deepEqual(told, [true, false]);
  assert.ok((await came).every((each, n) => Buffer.compare(each, pdu(32_000, n & 0xff)) === 0));
});

test('records of 8 KiB, however many wait, are read no more in one turn than is fair to others', async (t) => {
  const [client, server] = await secured(t);
  client.pause(Pause.starting);
  let count = 0;
  for (; !server.congested && count < 10_000; count += 1) {
    server.send(pdu(8_000, count & 0xff));
    // Each a record of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const perTurn: number[] = [];
  let [left, inTurn] = [count, 0];
  const all = new Promise<void>((resolve) => {
    client.take((each) => {
      if (inTurn === 0)
        setImmediate(() => {
          perTurn.push(inTurn);
          inTurn = 0;
        });
      inTurn += each.length;
      left -= 1;
      if (left === 0) setImmediate(resolve);
    });
  });
  client.resume(Pause.starting);
  await all;
  assert.equal(
    perTurn.reduce((sum, bytes) => sum + bytes, 0),
    count * 8_000,
  );
  // A turn's share, and what had been taken from the kernel when it was used up.
  assert.ok(Math.max(...perTurn) <= (512 + 64) * 1024, `${Math.max(...perTurn)} bytes in one turn`);
});

test('what was sent before the end is sent, however much waits', async (t) => {
  const [client, server] = await secured(t);
  const sent = Array.from({ length: 60 }, (_, n) => pdu(30_000, n));
  const came = received(client, sent.length);
  for (const each of sent) server.send(each);
  server.end();
  assert.deepEqual(await came, sent);
});

test('a stream that is gone takes nothing and says so', { timeout: 30_000 }, async (t) => {
  const [client, server] = await secured(t);
  const closed = new Promise<void>((resolve) => {
    client.onClose = () => resolve();
  });
  client.send(pdu(10, 1));
  server.destroy();
  await closed;
  client.send(pdu(10, 2));
  assert.equal(client.closed, true);
  await assert.rejects(client.next(), StreamClosedError);
  // Whoever attends to it only now, too.
  await new Promise<void>((resolve) => {
    client.onClose = () => resolve();
  });
});

test('what was sent before the close is taken before the close is told', async () => {
  const { stream, peer } = leg();
  peer.end(pdu(9, 1));
  await settled();
  assert.equal(stream.closed, true);
  const heard: string[] = [];
  stream.onClose = () => heard.push('closed');
  stream.take(() => heard.push('PDU'));
  await settled();
  assert.deepEqual(heard, ['PDU', 'closed']);
});

test('what is no PDU stops the stream at its place', async () => {
  const { stream, peer } = leg();
  const came: number[] = [];
  const malformed = new Promise<unknown>((resolve) => {
    stream.onMalformed = resolve;
  });
  stream.take((each) => came.push(each.length));
  peer.write(Buffer.concat([pdu(9, 1), Buffer.of(0x02, 0xff), pdu(9, 1)]));
  assert.match(String(await malformed), /action at offset 9 is 2/);
  peer.write(pdu(9, 1));
  await settled();
  assert.deepEqual(came, [9]);
});

test('a peer that is answered and answered and does not read is let go, with all that waits for it', async () => {
  const { stream, peer } = leg();
  peer.pause();
  let error: Error | undefined;
  stream.onClose = (why) => {
    error = why;
  };
  // Nothing is passed on any more at a mebibyte; only answers of the gateway's own come to this.
  const one = pdu(32_000, 7);
  for (let n = 0; n < 600; n += 1) stream.send(one);
  await settled();
  assert.ok(stream.closed);
  assert.match(String(error), /wait for a peer that does not read/);
});
