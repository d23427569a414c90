/**
 * Network level authentication with real peers: our client logs on to FreeRDP's server, FreeRDP's client to our
 * server. Both run over real X.224 and TLS, as far as the last message of CredSSP.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { createSecureContext, type TLSSocket, TLSSocket as TlsServer, connect as tlsConnect } from 'node:tls';
import { CredSspClient } from '../../gateway/rdp/credssp/client.ts';
import { CredSspError } from '../../gateway/rdp/credssp/errors.ts';
import { ntlmHash, sessionBaseKeyOf } from '../../gateway/rdp/credssp/ntlm.ts';
import { subjectPublicKeyOf } from '../../gateway/rdp/credssp/public-key.ts';
import { type CredSspIdentity, CredSspServer } from '../../gateway/rdp/credssp/server.ts';
import { tsRequestLength } from '../../gateway/rdp/credssp/ts-request.ts';
import { Reader } from '../../gateway/rdp/pdu/cursor.ts';
import { tpktLength, withTpkt } from '../../gateway/rdp/pdu/tpkt.ts';
import {
  decodeConnectionConfirm,
  encodeConnectionConfirm,
  encodeConnectionRequest,
  Protocol,
} from '../../gateway/rdp/pdu/x224.ts';
import { Secret } from '../../vault-client/index.ts';
import { exitWord, runXfreerdp, type Shadow, startShadow } from '../support/freerdp.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { loadTrace } from '../support/rdp-traces.ts';
import { temporaryFolder } from '../support/temp.ts';
import { type Display, startDisplay } from '../support/x11.ts';
import { makeCertificate } from '../support/xrdp.ts';

const NEEDS = [
  'freerdp2-x11',
  'freerdp2-shadow-x11',
  'winpr-utils',
  'xvfb',
  'xauth',
  'xterm',
  'xdotool',
] as const;
const PASSWORD = 'Pässwort-€-7';

/** The bytes of a socket message by message, as `lengthOf` cuts them; undefined at its end. */
function messagesOf(socket: TLSSocket) {
  const chunks: AsyncIterator<Buffer> = socket.iterator({ destroyOnReturn: false });
  let held = Buffer.alloc(0);
  return async (lengthOf: (bytes: Uint8Array) => number | undefined): Promise<Uint8Array | undefined> => {
    for (;;) {
      const length = lengthOf(held);
      if (length !== undefined && length <= held.length) {
        const message = held.subarray(0, length);
        held = held.subarray(length);
        return message;
      }
      const { value, done } = await chunks.next();
      if (done) return undefined;
      held = Buffer.concat([held, value]);
    }
  };
}

/** Logs on to a target as far as CredSSP goes. Resolves with what the target sends next, after `hello` was sent. */
async function logOn(
  port: number,
  username: string,
  password: string,
  hello: Uint8Array,
): Promise<Uint8Array> {
  const plain = connect(port, '127.0.0.1');
  const negotiation = { flags: 0, requestedProtocols: Protocol.ssl | Protocol.hybrid };
  plain.write(withTpkt((writer) => encodeConnectionRequest(writer, { negotiation })));
  const [confirm] = (await once(plain, 'data')) as [Buffer];
  const selected = decodeConnectionConfirm(new Reader(confirm, 4)).negotiation;
  assert.deepEqual(selected?.kind === 'selected' && selected.selectedProtocol, Protocol.hybrid);
  const socket = tlsConnect({ socket: plain, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    const client = new CredSspClient({
      username,
      domain: '',
      password: new Secret(password),
      publicKey: subjectPublicKeyOf(socket.getPeerCertificate().raw),
    });
    socket.write(client.start());
    const next = messagesOf(socket);
    for (let request = await next(tsRequestLength); request; request = await next(tsRequestLength)) {
      const { send, done } = client.receive(request);
      socket.write(send);
      if (!done) continue;
      socket.write(hello);
      return (
        (await next((bytes) => tpktLength(bytes, 0, bytes.length))) ??
        assert.fail('the target closed the connection behind CredSSP')
      );
    }
    throw client.closed();
  } finally {
    socket.destroy();
  }
}

interface NlaServer {
  readonly port: number;
  /** What the next log-on comes to. */
  next(): Promise<CredSspIdentity>;
  stop(): void;
}

/** A server for NLA alone: it closes the connection behind CredSSP. */
async function startNlaServer(): Promise<NlaServer> {
  const folder = temporaryFolder('nla');
  await makeCertificate(folder, 'gateway.test');
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(folder, name)));
  assert.ok(key && cert);
  const secureContext = createSecureContext({ key, cert });
  const publicKey = subjectPublicKeyOf(new X509Certificate(cert).raw);
  const waiting: PromiseWithResolvers<CredSspIdentity>[] = [];

  const serve = async (plain: Socket): Promise<CredSspIdentity> => {
    await once(plain, 'data');
    const negotiation = { kind: 'selected', flags: 1, selectedProtocol: Protocol.hybrid } as const;
    plain.write(withTpkt((writer) => encodeConnectionConfirm(writer, { negotiation })));
    const socket = new TlsServer(plain, { isServer: true, secureContext });
    const server = new CredSspServer({
      publicKey,
      targetName: 'gateway.test',
      verify: async (proof) =>
        proof.user === 'alice+root+win01' ? sessionBaseKeyOf(ntlmHash(PASSWORD), proof) : undefined,
    });
    try {
      const next = messagesOf(socket);
      for (let request = await next(tsRequestLength); request; request = await next(tsRequestLength)) {
        const { send, done } = await server.receive(request);
        if (send) socket.write(send);
        if (done) return done;
      }
      throw new Error('the client closed the connection during CredSSP');
    } catch (error) {
      if (error instanceof CredSspError && error.reply) socket.write(error.reply);
      throw error;
    } finally {
      socket.end();
    }
  };
  const listener: Server = createServer((socket) => {
    socket.on('error', () => {});
    const expected = waiting.shift();
    serve(socket).then(
      (identity) => expected?.resolve(identity),
      (error) => expected?.reject(error),
    );
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as AddressInfo).port,
    next() {
      const outcome = Promise.withResolvers<CredSspIdentity>();
      waiting.push(outcome);
      return outcome.promise;
    },
    stop: () => listener.close(),
  };
}

let shadow: Shadow;
let server: NlaServer;
let display: Display;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [shadow, server, display] = await Promise.all([
    startShadow({ user: 'shadow', password: PASSWORD }),
    startNlaServer(),
    startDisplay(),
  ]);
});
after(async () => {
  server?.stop();
  await Promise.all([shadow?.stop(), display?.stop()]);
});

/** MCS Connect Initial of a real client: who answers it has taken the log-on. */
const CONNECT_INITIAL = loadTrace('shadow-nla')[7]?.bytes ?? assert.fail('no such message');

testWith(NEEDS, 'our client logs on to a real server', async () => {
  const answer = await logOn(shadow.port, 'shadow', PASSWORD, CONNECT_INITIAL);
  assert.equal(Buffer.from(answer.subarray(4, 9)).toString('hex'), '02f0807f66', 'an MCS Connect Response');
});

for (const [who, user, password] of [
  ['a wrong password', 'shadow', 'wrong'],
  ['a user it does not know', 'nobody', PASSWORD],
] as const) {
  testWith(NEEDS, `a real server refuses our client for ${who}`, async () => {
    await assert.rejects(
      logOn(shadow.port, user, password, CONNECT_INITIAL),
      (error) => error instanceof CredSspError && error.code === 'logon-failed',
    );
  });
}

testWith(NEEDS, 'a real client logs on to our server and hands over its password', async () => {
  const outcome = server.next();
  const user = 'alice+root+win01';
  await runXfreerdp({ port: server.port, user, password: PASSWORD, display, extra: ['/sec:nla', '/d:CORP'] });
  const { delegated, ...proved } = await outcome;
  assert.deepEqual(proved, { user, domain: 'CORP' });
  assert.equal(delegated.user, user);
  assert.equal(delegated.domain, 'CORP');
  assert.equal(delegated.password.expose(), PASSWORD);
});

for (const [who, user, password] of [
  ['a wrong password', 'alice+root+win01', 'wrong'],
  ['an unknown user', 'mallory', PASSWORD],
] as const) {
  testWith(NEEDS, `our server tells a real client that it refuses ${who}`, async () => {
    const refused = assert.rejects(server.next(), {
      code: 'logon-failed',
      message: 'wrong user name or password',
    });
    const { code } = await runXfreerdp({ port: server.port, user, password, display, extra: ['/sec:nla'] });
    assert.equal(exitWord(code), 'log-on failed');
    await refused;
  });
}
