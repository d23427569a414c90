/** Clients that nobody has logged on to yet, at the gateway's own desktop: they may not cost more than they read. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import { type AcceptedClient, IO_CHANNEL } from '../../../../gateway/rdp/front/accept.ts';
import { Desk } from '../../../../gateway/rdp/front/desk.ts';
import { PduError } from '../../../../gateway/rdp/pdu/cursor.ts';
import { DataType } from '../../../../gateway/rdp/pdu/share.ts';
import { PduStream } from '../../../../gateway/rdp/stream/stream.ts';
import { Secret } from '../../../../vault-client/index.ts';
import { fromClient, realBlocks, sessionOf, settled, shareData } from '../legs.ts';

/** What a client sends to have a desktop, up to its list of fonts. */
const ACTIVATION = (() => {
  const { messages, demand } = sessionOf('xrdp-16');
  return messages
    .slice(demand)
    .flatMap(({ from, bytes }) => (from === 'client' ? [bytes] : []))
    .slice(0, 5);
})();
const FONT_LIST = ACTIVATION[4] ?? assert.fail();
const REFRESH = Buffer.from(
  fromClient(IO_CHANNEL, shareData(DataType.refreshRect, IO_CHANNEL + 1, new Uint8Array(4))),
);

interface Waiting {
  readonly stream: CountingStream;
  readonly socket: Duplex;
  readonly peer: Duplex;
  readonly desk: Desk;
}

/** A desk whose client reads nothing until the test does. */
function deskFor(width: number, height: number, inTurn?: (work: () => void) => void): Waiting {
  const [socket, peer] = duplexPair();
  const stream = new CountingStream(socket as unknown as Socket);
  const desk = new Desk(stream, clientOf(width, height), '', inTurn);
  stream.onClose = () => desk.closed();
  return { stream, socket, peer, desk };
}

function clientOf(width: number, height: number): AcceptedClient {
  const { core, ...blocks } = realBlocks();
  return {
    cookie: undefined,
    requestedProtocols: 1,
    blocks: { ...blocks, core: { ...core, desktopWidth: width, desktopHeight: height } },
    userId: IO_CHANNEL + 1,
    channels: [],
    info: { codePage: 0, flags: 0, domain: '', userName: '', alternateShell: '', workingDir: '' },
    password: new Secret(''),
    nla: undefined,
  };
}

/** What is sent and never read waits: an update on top of a mebibyte. */
const UNSENT_MAX = 1.1 * 1024 ** 2;

class CountingStream extends PduStream {
  sent = 0;
  override send(pdu: Uint8Array): void {
    this.sent += pdu.length;
    super.send(pdu);
  }
}

test('a client that asks for the whole picture again and again and reads none of it', async () => {
  const { stream, socket, peer, desk } = deskFor(1024, 768);
  desk.ask({ kind: 'log-on', user: '' }).catch(() => {});
  for (const pdu of ACTIVATION) peer.write(pdu);
  for (let n = 0; n < 200; n += 1) {
    peer.write(REFRESH);
    await settled();
  }
  assert.ok(stream.sent < UNSENT_MAX, `${stream.sent} bytes wait for the client`);

  // Once it reads it gets everything, to the end.
  let heard = 0;
  peer.on('data', (chunk: Buffer) => {
    heard += chunk.length;
  });
  let last = -1;
  while (heard !== last || socket.writableLength > 0) {
    last = heard;
    await settled();
  }
  assert.ok(heard > 10_000, `${heard} bytes of picture`);
  peer.destroy();
  await settled();
});

test('a picture is painted in the turns that its client has, however often it asks, and not behind its end', async () => {
  const turns: (() => void)[] = [];
  const { stream, peer, desk } = deskFor(1024, 768, (work) => turns.push(work));
  desk.ask({ kind: 'log-on', user: '' }).catch(() => {});
  peer.resume();
  for (const pdu of ACTIVATION) peer.write(pdu);
  await settled();
  const before = stream.sent;
  for (let n = 0; n < 200; n += 1) {
    peer.write(REFRESH);
    await settled();
  }
  assert.equal(stream.sent, before, 'nothing of it without a turn');
  assert.equal(turns.length, 1);
  turns.shift()?.();
  const once = stream.sent;
  assert.ok(once > before);
  await settled();
  assert.equal(stream.sent, once, 'one bit of it a turn');
  assert.equal(turns.length, 1);
  peer.write(REFRESH);
  await settled();
  // The connection is the target's now.
  desk.handOver();
  const last = stream.sent;
  turns.shift()?.();
  assert.equal(stream.sent, last);
  peer.destroy();
  await settled();
});

test('a desktop of 65535 × 65535 pixels costs no more than one that there is', async () => {
  const { stream, peer, desk } = deskFor(0xffff, 0xffff);
  const asked = desk.ask({ kind: 'log-on', user: '' }).catch((error: Error) => error.message);
  for (const pdu of ACTIVATION) peer.write(pdu);
  for (let n = 0; n < 20; n += 1) await settled();
  assert.ok(stream.sent > 0 && stream.sent < UNSENT_MAX, `${stream.sent} bytes wait for the client`);
  peer.destroy();
  assert.equal(await asked, 'the client left');
});

test('a client that activates the desktop often leaves nothing that runs on when it has gone', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const { peer, desk } = deskFor(800, 600);
  desk.show({ kind: 'waiting', text: 'One moment' });
  peer.resume();
  for (const pdu of ACTIVATION) peer.write(pdu);
  for (let n = 0; n < 200; n += 1) peer.write(FONT_LIST);
  await settled();
  assert.equal(timers() - before, 1);
  peer.destroy();
  await settled();
  assert.equal(timers() - before, 0);
});

test('a client that broke the protocol before there was a desk is let go, and who asks it is told', async () => {
  const [socket, peer] = duplexPair();
  const stream = new PduStream(socket as unknown as Socket);
  // It came with the log-on, and is looked at only when there is a desk.
  peer.write(Uint8Array.of(0x33, 0x33, 0x33, 0x33));
  await settled();
  const desk = new Desk(stream, clientOf(800, 600), '');
  await assert.rejects(desk.ask({ kind: 'log-on', user: '' }), PduError);
  assert.ok(socket.writableEnded);
  peer.destroy();
});
