/**
 * Process entry: the target of the benchmark, an RDP server whose desktops show what the account's
 * name says, from the first key on:
 *
 *     dense, compressible   so many bytes as fast as they go (content.ts)
 *     echo                  a small update for each key
 *     typing                ten lines of text a second
 *     work                  a small update for each key, and ten lines of text a second for two of ten seconds
 *     idle                  nothing
 *
 * It listens a second time for TLS alone, without RDP: there the client's first line is such a name,
 * and the PDUs follow. That is for what passes TLS on and knows no RDP.
 *
 * Arguments: a folder for its key, and the bytes of a flood. Says its ports and fingerprint as JSON.
 */
import { X509Certificate } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { openCertificate } from '../../gateway/bootstrap/keys.ts';
import { subjectPublicKeyOf } from '../../gateway/rdp/credssp/public-key.ts';
import { Reader } from '../../gateway/rdp/pdu/cursor.ts';
import { decodeFastPathInput } from '../../gateway/rdp/pdu/input.ts';
import { PduStream } from '../../gateway/rdp/stream/stream.ts';
import { acceptTls } from '../../gateway/rdp/stream/tls.ts';
import { CELL, DESKTOP, ECHO, type Flood, floodOf, logLine, paintPdus, textPicture } from './content.ts';
import { type Identity, serveHandshake } from './handshake.ts';
import type { TargetFacts } from './jobs.ts';

const COLUMNS = 80;
const LINES_PER_SECOND = 10;
/** Lines are encoded once: what they cost is not the gateway's business. */
const LINES = Array.from({ length: 200 }, (_, n) =>
  paintPdus(textPicture(logLine(n, COLUMNS)), 0, (n * CELL.height) % DESKTOP.height),
);
/** `work`: of so many ticks of a line each, the first ones show one. */
const WORK_TICKS = { all: 100, busy: 20 } as const;

const [folder = '.', bytes = '0'] = process.argv.slice(2);
const floods: Readonly<Record<string, Flood>> = {
  dense: floodOf('dense', Number(bytes)),
  compressible: floodOf('compressible', Number(bytes)),
};

function send(stream: PduStream, pdus: readonly Uint8Array[]): void {
  for (const pdu of pdus) stream.send(pdu);
}

/** Sends a flood as fast as the peer takes it. */
async function pour(stream: PduStream, { pdus, count }: Flood): Promise<void> {
  let room = Promise.withResolvers<void>();
  let congested = false;
  stream.onCongestion = (now) => {
    congested = now;
    if (now) room = Promise.withResolvers();
    else room.resolve();
  };
  for (let sent = 0; sent < count && !stream.closed; ) {
    // As many as a busy server has ready at once.
    for (let burst = 0; burst < 8 && sent < count; burst += 1, sent += 1)
      stream.send(pdus[sent % pdus.length] ?? new Uint8Array());
    await new Promise((resolve) => setImmediate(resolve));
    if (congested) await room.promise;
  }
}

/** What a key does to the desktop of `name`. */
function onKeyOf(name: string, stream: PduStream): () => void {
  const flood = floods[name];
  let timer: NodeJS.Timeout | undefined;
  let line = 0;
  stream.onClose = () => clearInterval(timer);
  if (flood !== undefined) return () => void pour(stream, flood);
  if (name === 'echo') return () => send(stream, ECHO);
  const works = name === 'work';
  if (name !== 'typing' && !works) return () => {};
  // Desktops are not busy all at the same time.
  let tick = works ? Math.floor(Math.random() * WORK_TICKS.all) : 0;
  const onTick = (): void => {
    tick += 1;
    if (works && tick % WORK_TICKS.all >= WORK_TICKS.busy) return;
    send(stream, LINES[line % LINES.length] ?? []);
    line += 1;
  };
  return () => {
    timer ??= setInterval(onTick, 1000 / LINES_PER_SECOND);
    if (works) send(stream, ECHO);
  };
}

async function serveDesktop(socket: Socket, identity: Identity): Promise<void> {
  const stream = new PduStream(socket);
  const onKey = onKeyOf(await serveHandshake(stream, identity), stream);
  stream.take((pdu) => {
    // A client that leaves says so on the slow path.
    if (pdu[0] === 3) return;
    for (const event of decodeFastPathInput(new Reader(pdu)))
      if (event.kind === 'key' && !event.release) onKey();
  });
}

async function serveTls(socket: Socket, identity: Identity): Promise<void> {
  const stream = new PduStream(socket);
  await stream.secure((plain) => acceptTls(plain, identity.tls));
  const line = await stream.next((chunk, offset, end) => {
    const at = chunk.subarray(offset, end).indexOf(0x0a);
    return at < 0 ? undefined : at + 1;
  });
  onKeyOf(Buffer.from(line).toString().trim(), stream)();
}

async function listen(serve: (socket: Socket) => Promise<void>): Promise<number> {
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    // A connection that ends is the client's business: it says what failed.
    serve(socket).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve));
  return (server.address() as AddressInfo).port;
}

const made = await openCertificate(folder, 'target');
if (made === undefined) throw new Error('openssl is not installed');
const certificate = new X509Certificate(made.certificate);
const identity: Identity = {
  tls: createSecureContext({ key: made.key, cert: made.certificate }),
  publicKey: subjectPublicKeyOf(certificate.raw),
};
const facts: TargetFacts = {
  rdpPort: await listen((socket) => serveDesktop(socket, identity)),
  tlsPort: await listen((socket) => serveTls(socket, identity)),
  fingerprint: `sha256:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`,
};
process.stdout.write(`${JSON.stringify(facts)}\n`);
