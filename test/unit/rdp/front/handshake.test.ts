/** Both handshakes against each other over loopback TLS: the gateway's client logs on to the gateway's server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { dialDesktop } from '../../../../gateway/rdp/back/dial.ts';
import {
  type AcceptedClient,
  acceptClient,
  IO_CHANNEL,
  RefusedClientError,
} from '../../../../gateway/rdp/front/accept.ts';
import { PduError, Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { encodePreconnection } from '../../../../gateway/rdp/pdu/preconnection.ts';
import { withTpkt } from '../../../../gateway/rdp/pdu/tpkt.ts';
import {
  decodeConnectionConfirm,
  encodeConnectionConfirm,
  encodeConnectionRequest,
  FailureCode,
  Protocol,
} from '../../../../gateway/rdp/pdu/x224.ts';
import { type PduStream, StreamClosedError } from '../../../../gateway/rdp/stream/stream.ts';
import { acceptTls, TlsHandshakeError } from '../../../../gateway/rdp/stream/tls.ts';
import { TargetError } from '../../../../gateway/session/dial.ts';
import { startBlackhole } from '../../../support/faulty-targets.ts';
import { freePort } from '../../../support/process.ts';
import {
  dialling,
  dialOptions,
  leg,
  realBlocks,
  settled,
  startTarget,
  TLS,
  TLS_FINGERPRINT,
} from '../legs.ts';
import { connections } from '../pdu/connections.ts';

test('what a client says of itself arrives at the target, less what is not passed on, with the leased credential', async (t) => {
  const accepted = Promise.withResolvers<AcceptedClient>();
  const target = await startTarget(t, (stream) => {
    acceptClient(stream, { tls: TLS }).then(accepted.resolve, accepted.reject);
  });
  const pinned: string[] = [];
  const dialled = await dialling(target, { pin: async (shown) => void pinned.push(shown) });
  const { client, stream, channels, ioChannel, userId, first } = await accepted.promise.then((there) => ({
    client: there,
    ...dialled,
  }));
  assert.deepEqual(pinned, [TLS_FINGERPRINT]);
  assert.deepEqual([client.info.domain, client.info.userName], ['CORP', 'admin']);
  assert.equal(client.password.expose(), 'leased');
  assert.equal(client.requestedProtocols, Protocol.ssl | Protocol.hybrid | Protocol.hybridEx);
  assert.deepEqual(
    client.blocks.channels?.map(({ name }) => name),
    ['cliprdr'],
  );
  assert.equal(client.blocks.core.clientName, realBlocks().core.clientName);
  assert.deepEqual([ioChannel, userId, channels.get('cliprdr')], [IO_CHANNEL, client.userId, IO_CHANNEL + 1]);
  assert.equal(first, undefined);
  assert.equal(client.info.extended?.autoReconnectCookie, undefined);
  assert.equal(client.info.flags & 0x0204_9e80, 0);
  stream.destroy();
});

test('a pinned certificate must be the one that is shown, before anything is sent', async (t) => {
  let heard = 0;
  const target = await startTarget(t, async (stream) => {
    await acceptClient(stream, { tls: TLS }).catch((error: unknown) => {
      if (!(error instanceof StreamClosedError)) heard += 1;
    });
  });
  await assert.rejects(
    dialling(target, { identity: `sha256:${'0'.repeat(64)}` }),
    (error) => error instanceof TargetError && error.code === 'target-certificate',
  );
  assert.equal(heard, 0);
  const right = await dialling(target, { identity: TLS_FINGERPRINT });
  right.stream.destroy();
});

/** A target that answers the connection request with `confirm` and then does `then`. */
function answering(
  t: TestContext,
  confirm: Parameters<typeof encodeConnectionConfirm>[1],
  then: (stream: PduStream) => unknown = () => {},
) {
  return startTarget(t, async (stream) => {
    await stream.next();
    stream.send(withTpkt((writer) => encodeConnectionConfirm(writer, confirm)));
    await then(stream);
  });
}

const SSL = { negotiation: { kind: 'selected', flags: 0, selectedProtocol: Protocol.ssl } } as const;
const HYBRID = { negotiation: { kind: 'selected', flags: 0, selectedProtocol: Protocol.hybrid } } as const;

for (const [what, code, words, start] of [
  [
    'closes at once',
    'target-unreachable',
    /closed the connection/,
    (t: TestContext) => startTarget(t, (stream) => stream.destroy()),
  ],
  [
    'says nothing',
    'target-unreachable',
    /did not complete the RDP log-on within 0.3 s/,
    (t: TestContext) => startTarget(t, () => {}),
  ],
  [
    'speaks another protocol',
    'target-unreachable',
    /does not speak RDP/,
    (t: TestContext) => startTarget(t, (stream) => stream.send(Buffer.from('SSH-2.0-none\r\n'))),
  ],
  [
    'answers without a negotiation',
    'target-unreachable',
    /only Standard RDP Security/,
    (t: TestContext) => answering(t, {}),
  ],
  [
    'allows no TLS',
    'target-unreachable',
    /only Standard RDP Security/,
    (t: TestContext) =>
      answering(t, { negotiation: { kind: 'failed', failureCode: FailureCode.sslNotAllowedByServer } }),
  ],
  [
    'closes instead of TLS',
    'target-unreachable',
    /TLS handshake failed/,
    (t: TestContext) => answering(t, SSL, (stream) => stream.end()),
  ],
  [
    'speaks no TLS',
    'target-unreachable',
    /TLS handshake failed/,
    (t: TestContext) => answering(t, SSL, (stream) => stream.send(Buffer.alloc(100, 'x'))),
  ],
  [
    'closes before it challenges',
    'target-unreachable',
    /network level authentication with .* failed/,
    (t: TestContext) =>
      answering(t, HYBRID, async (stream) => {
        await stream.secure((plain) => acceptTls(plain, TLS));
        stream.end();
      }),
  ],
  [
    'says garbage where it should challenge',
    'target-unreachable',
    /broke the protocol|failed/,
    (t: TestContext) =>
      answering(t, HYBRID, async (stream) => {
        await stream.secure((plain) => acceptTls(plain, TLS));
        stream.send(Buffer.from('no challenge'));
      }),
  ],
] as const)
  test(`a target that ${what} is told of`, async (t) => {
    const target = await start(t);
    await assert.rejects(dialling(target, { timeoutMs: what === 'says nothing' ? 300 : 20_000 }), (error) => {
      assert.ok(error instanceof TargetError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, words);
      return true;
    });
  });

test('every failure of the negotiation is told in words', async (t) => {
  for (const [failureCode, words] of [
    [FailureCode.sslNotAllowedByServer, /allows only Standard RDP Security, .*: enable TLS there/],
    [FailureCode.sslCertNotOnServer, /has no certificate for TLS: give it one/],
    [FailureCode.sslWithUserAuthRequiredByServer, /wants a certificate of the client/],
    [FailureCode.hybridRequiredByServer, /wants network level authentication/],
    [FailureCode.inconsistentFlags, /refused the connection \(negotiation failure 4\)/],
  ] as const) {
    const target = await answering(t, { negotiation: { kind: 'failed', failureCode } });
    await assert.rejects(dialling(target), (error) => {
      assert.ok(error instanceof TargetError && error.code === 'target-unreachable', String(error));
      assert.match(error.message, words);
      return true;
    });
  }
});

test('a target that is not there is told of, and why', async (t) => {
  const closed = await freePort();
  const hole = await startBlackhole();
  t.after(() => hole.stop());
  for (const [host, port, words] of [
    ['127.0.0.1', closed, /^cannot reach win01 \(127\.0\.0\.1:\d+\): connection refused$/],
    ['127.0.0.1', hole.port, /^cannot reach win01 .*: no answer within 0\.4 s$/],
    ['no-such-host.invalid', 3389, /^cannot reach win01 .*: its name cannot be resolved$/],
    ['255.255.255.255', 3389, /^cannot reach win01 .*: no route to host$/],
  ] as const) {
    const options = dialOptions(port, { timeoutMs: port === hole.port ? 400 : 20_000 });
    const { authorization } = options;
    const system = { ...authorization.system, host };
    await assert.rejects(
      dialDesktop({ ...options, authorization: { ...authorization, system } }),
      (error) => {
        assert.ok(error instanceof TargetError && error.code === 'target-unreachable', String(error));
        assert.match(error.message, words);
        return true;
      },
    );
  }
});

test('a certificate that no authority has issued is refused where one must have, before anything is sent', async (t) => {
  const target = await startTarget(t, (stream) => acceptClient(stream, { tls: TLS }));
  await assert.rejects(dialling(target, { identity: 'ca' }), (error) => {
    assert.ok(error instanceof TargetError && error.code === 'target-certificate', String(error));
    assert.match(error.message, /no trusted authority has issued it .*Nothing was sent to it/);
    return true;
  });
});

function request(requestedProtocols: number): Uint8Array {
  return withTpkt((writer) =>
    encodeConnectionRequest(writer, { negotiation: { flags: 0, requestedProtocols } }),
  );
}

test('a client that offers no TLS is told so', async () => {
  for (const protocols of [Protocol.rdp, Protocol.hybrid, Protocol.rdstls]) {
    const { stream, peer, received } = leg();
    peer.write(request(protocols));
    await assert.rejects(acceptClient(stream, { tls: TLS }), RefusedClientError);
    await settled();
    const [confirm] = received();
    assert.deepEqual(decodeConnectionConfirm(new Reader(confirm ?? assert.fail(), 4)), {
      negotiation: { kind: 'failed', failureCode: FailureCode.sslRequiredByServer },
    });
    stream.destroy();
  }
});

test('a preconnection PDU may come first, in any pieces', async () => {
  const writer = new Writer();
  encodePreconnection(writer, { id: 7, text: 'a text' });
  const bytes = Buffer.concat([writer.done(), request(Protocol.rdp)]);
  for (const size of [1, 5, bytes.length]) {
    const { stream, peer } = leg();
    const outcome = assert.rejects(acceptClient(stream, { tls: TLS }), RefusedClientError);
    for (let at = 0; at < bytes.length; at += size) peer.write(bytes.subarray(at, at + size));
    await outcome;
    stream.destroy();
  }
  const { stream, peer } = leg();
  peer.write(Uint8Array.of(0xff, 0xff, 0xff, 0x7f));
  await assert.rejects(acceptClient(stream, { tls: TLS }), PduError);
  stream.destroy();
});

test('a client whose TLS is none is not an error of the gateway', async (t) => {
  for (const bytes of [Buffer.alloc(200, 'x'), Buffer.alloc(0)]) {
    const outcome = Promise.withResolvers<unknown>();
    const port = await startTarget(t, (stream) => {
      acceptClient(stream, { tls: TLS }).catch(outcome.resolve);
    });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(request(Protocol.ssl));
    await once(socket, 'data');
    if (bytes.length > 0) socket.write(bytes);
    else socket.end();
    const error = await outcome.promise;
    assert.ok(error instanceof TlsHandshakeError && error instanceof StreamClosedError, String(error));
    socket.destroy();
  }
});

test('what real clients send is accepted, and each is told its channels', async (t) => {
  const names: string[] = [];
  for (const { name, connect } of connections().filter((each) => !each.name.includes('nla'))) {
    const blocks = realBlocks(name);
    const accepted = Promise.withResolvers<AcceptedClient>();
    const target = await startTarget(t, (stream) => {
      acceptClient(stream, { tls: TLS }).then(accepted.resolve, accepted.reject);
    });
    const channels = (blocks.channels ?? []).map((channel, i) => ({ ...channel, id: 1004 + i }));
    const dialled = await dialling(target, { blocks, channels });
    const client = await accepted.promise;
    assert.deepEqual(
      [...dialled.channels.keys()],
      channels.map((channel) => channel.name),
      name,
    );
    assert.equal(client.blocks.core.desktopWidth, blocks.core.desktopWidth, name);
    assert.ok(connect.length > 4);
    dialled.stream.destroy();
    names.push(name);
  }
  assert.ok(names.length > 10, names.join());
});
