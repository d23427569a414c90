/** Where targets send a session on to, and what they say instead of a desktop. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DesktopRoute } from '../../../../gateway/rdp/back/route.ts';
import { type AcceptedClient, sendOnIoChannel } from '../../../../gateway/rdp/front/accept.ts';
import type { Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { ErrorInfo, encodeErrorInfo } from '../../../../gateway/rdp/pdu/error-info.ts';
import { DisconnectReason, encodeDisconnectProviderUltimatum } from '../../../../gateway/rdp/pdu/mcs.ts';
import { readSendData } from '../../../../gateway/rdp/pdu/mcs-data.ts';
import {
  encodeEnhancedRedirection,
  RedirectionFlag,
  type ServerRedirectionWithPassword,
} from '../../../../gateway/rdp/pdu/redirection.ts';
import {
  DataType,
  encodeShareControl,
  encodeShareData,
  SERVER_CHANNEL_ID,
  ShareType,
} from '../../../../gateway/rdp/pdu/share.ts';
import { Protocol, withData } from '../../../../gateway/rdp/pdu/x224.ts';
import type { PduStream } from '../../../../gateway/rdp/stream/stream.ts';
import { TargetError } from '../../../../gateway/session/dial.ts';
import { startTcpTarget } from '../../../support/faulty-targets.ts';
import { until } from '../../../support/process.ts';
import { type Dialling, dialOptions, realActivation } from '../legs.ts';
import { type ProvingTarget, startProvingTarget } from '../proving-target.ts';

const F = RedirectionFlag;
const DEMAND = realActivation('xrdp-16').demand;

/** A target that answers each log-on with the next of `answers`, the last one again and again. */
function target(t: TestContext, ...answers: ((stream: PduStream) => void)[]): Promise<ProvingTarget> {
  let count = 0;
  return startProvingTarget(
    t,
    Protocol.ssl,
    async () => {},
    (stream: PduStream, _client: AcceptedClient) => {
      answers[Math.min(count, answers.length - 1)]?.(stream);
      count += 1;
    },
  );
}

function desktop(stream: PduStream): void {
  sendOnIoChannel(stream, (writer) => writer.bytes(DEMAND));
}

function sendsOn(redirection: Partial<ServerRedirectionWithPassword>): (stream: PduStream) => void {
  return (stream) =>
    sendOnIoChannel(stream, (writer) =>
      encodeShareControl(writer, ShareType.serverRedirection, SERVER_CHANNEL_ID, (body) =>
        encodeEnhancedRedirection(body, { sessionId: 9, flags: 0, ...redirection }),
      ),
    );
}

interface Asked {
  readonly hosts: readonly string[];
  readonly userName: string | undefined;
}

/** A route whose control plane allows everything at the target's port, and what it was asked. */
function routeTo(port: number, dial: Dialling = {}, refusal?: string) {
  const asked: Asked[] = [];
  const reached: string[] = [];
  const options = dialOptions(port, dial);
  const { system } = options.authorization;
  const over = new AbortController();
  const route = new DesktopRoute({
    ...options,
    signal: over.signal,
    redirect: async (hosts, userName) => {
      asked.push({ hosts, userName });
      return refusal === undefined
        ? { granted: true, system: { ...system, name: `win0${asked.length + 1}` } }
        : { granted: false, message: refusal };
    },
    onRedirected: ({ name }) => void reached.push(name),
  });
  return { route, asked, reached, over };
}

function failsWith(code: string, message: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof TargetError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

test('a target that shows a desktop is where the way ends', async (t) => {
  const { port } = await target(t, desktop);
  const { route, asked } = routeTo(port);
  const { stream, first = assert.fail('no first PDU') } = await route.open();
  stream.destroy();
  const data = readSendData(first);
  assert.deepEqual(Buffer.from(first.subarray(data?.dataOffset)), Buffer.from(DEMAND));
  assert.deepEqual([asked, route.system.name], [[], 'win01']);
});

test('where the next server is, is asked in the order in which it is to be tried', async (t) => {
  const everywhere = {
    flags: F.targetNetAddress | F.targetFqdn | F.targetNetBiosName | F.targetNetAddresses,
    targetNetAddress: '10.0.0.7',
    targetFqdn: 'win02.corp.example',
    targetNetBiosName: 'WIN02',
    targetNetAddresses: ['10.0.0.7', 'fe80::7', ''],
  };
  const { port, clients } = await target(t, sendsOn(everywhere), desktop);
  const { route, asked, reached } = routeTo(port);
  (await route.open()).stream.destroy();
  const hosts = ['win02.corp.example', '10.0.0.7', 'fe80::7', 'WIN02'];
  assert.deepEqual(asked, [{ hosts, userName: undefined }]);
  assert.deepEqual([reached, route.system.name], [['win02'], 'win02']);
  assert.deepEqual(
    clients.map(({ blocks }) => blocks.cluster?.redirectedSessionId),
    [0, 9],
  );
  assert.equal(clients[1]?.password.expose(), 'leased', 'no other was given');
});

test('a routing token goes to the same address, whatever else stands there', async (t) => {
  const { port } = await target(
    t,
    sendsOn({
      flags: F.loadBalanceInfo | F.targetNetAddress,
      targetNetAddress: '10.0.0.7',
      loadBalanceInfo: Buffer.from('tsv://MS Terminal Services Plugin.1.Farm\r\n'),
    }),
    desktop,
  );
  const { route, asked } = routeTo(port);
  (await route.open()).stream.destroy();
  assert.deepEqual(asked, [{ hosts: [], userName: undefined }]);
});

test('a routing token of two lines is refused: it would be two', async (t) => {
  const loadBalanceInfo = Buffer.from('one\r\nCookie: mstshash=two\r\n');
  const { port, clients } = await target(t, sendsOn({ flags: F.loadBalanceInfo, loadBalanceInfo }), desktop);
  await assert.rejects(
    routeTo(port).route.open(),
    failsWith('target-unreachable', /LoadBalanceInfo .* more than one line/),
  );
  assert.equal(clients.length, 1);
});

test('the log-on that the broker gives is used, its password as it came', async (t) => {
  const cookie = Buffer.from('0200018044534c48605fab692f07d69e2d01d8ff0000', 'hex');
  const given = { flags: F.userName | F.domain | F.password, userName: 'ADMIN', domain: 'corp.example' };
  const { port, clients } = await target(t, sendsOn({ ...given, password: cookie }), desktop);
  const { route, asked } = routeTo(port);
  (await route.open()).stream.destroy();
  assert.equal(asked[0]?.userName, 'ADMIN');
  const { info, password } = clients[1] ?? assert.fail();
  assert.deepEqual([info.userName, info.domain], ['ADMIN', 'corp.example']);
  assert.deepEqual(Buffer.from(password.expose(), 'utf16le'), cookie.subarray(0, -2));
});

test('a redirection that only informs is passed over', async (t) => {
  const { port, clients } = await target(t, (stream) => {
    sendsOn({ flags: F.noRedirect | F.targetNetAddress, targetNetAddress: '10.0.0.7' })(stream);
    desktop(stream);
  });
  const { route, asked } = routeTo(port);
  (await route.open()).stream.destroy();
  assert.deepEqual([asked, clients.length], [[], 1]);
});

test('a target that informs on and on is left', async (t) => {
  const { port } = await target(t, (stream) => {
    for (let n = 0; n < 6; n += 1)
      sendsOn({ flags: F.noRedirect | F.targetNetAddress, targetNetAddress: '10.0.0.7' })(stream);
    desktop(stream);
  });
  await assert.rejects(routeTo(port).route.open(), failsWith('target-unreachable', /once more, after 5/));
});

test('a session that is over is followed nowhere', async (t) => {
  const { port, clients } = await target(t, desktop, desktop);
  const { route, asked, over } = routeTo(port);
  (await route.open()).stream.destroy();
  over.abort();
  const on = { sessionId: 9, flags: F.targetFqdn, targetFqdn: 'next.example' };
  await assert.rejects(route.follow(on), failsWith('target-unreachable', /ended/));
  assert.deepEqual([asked, clients.length], [[], 1]);
});

test('a session that ends meanwhile is dialled no further', async (t) => {
  // The one says nothing at all, the other nothing behind the log-on.
  const { port: silent, stop } = await startTcpTarget();
  t.after(stop);
  const { port: mute, clients } = await target(t, () => {});
  const first = routeTo(silent);
  const refused = assert.rejects(first.route.open(), TargetError);
  first.over.abort();
  await refused;
  const second = routeTo(mute);
  const left = assert.rejects(second.route.open(), TargetError);
  await until('the log-on', () => clients[0]);
  second.over.abort();
  await left;
});

test('of what a target says of the next host no more is passed on than hosts have', async (t) => {
  const long = 'x'.repeat(300);
  const { port } = await target(
    t,
    sendsOn({
      flags: F.targetFqdn | F.targetNetBiosName | F.userName,
      targetFqdn: long,
      targetNetBiosName: 'next',
      userName: long,
    }),
    desktop,
  );
  const { route, asked } = routeTo(port);
  (await route.open()).stream.destroy();
  assert.deepEqual(asked[0]?.hosts, ['next']);
  assert.equal(asked[0]?.userName?.length, 255);
});

test('where the session may not go it does not go', async (t) => {
  const { port, clients } = await target(
    t,
    sendsOn({ flags: F.targetFqdn, targetFqdn: 'evil.example' }),
    desktop,
  );
  const { route, reached } = routeTo(port, {}, 'win01 sends the session on to evil.example');
  await assert.rejects(route.open(), failsWith('target-unreachable', /evil\.example/));
  assert.deepEqual([clients.length, reached, route.system.name], [1, [], 'win01']);
});

test('a loop ends, over all redirections of the session', async (t) => {
  const flags = F.targetFqdn;
  const on = sendsOn({ flags, targetFqdn: 'next.example' });
  const { port, clients } = await target(t, on, on, desktop, on);
  const { route } = routeTo(port);
  (await route.open()).stream.destroy();
  const again = { sessionId: 9, flags, targetFqdn: 'next.example' };
  await assert.rejects(
    route.follow(again),
    failsWith('target-unreachable', /sends the session on once more, after 5 redirections/),
  );
  assert.equal(clients.length, 6);
});

test('what a target says instead of a desktop is told', async (t) => {
  const errorInfo = (code: number) => (stream: PduStream) =>
    sendOnIoChannel(stream, (writer) =>
      encodeShareData(
        writer,
        { type: DataType.setErrorInfo, source: SERVER_CHANNEL_ID, shareId: 0 },
        (body) => encodeErrorInfo(body, code),
      ),
    );
  const ultimatum = (stream: PduStream) =>
    stream.send(
      withData((writer: Writer) =>
        encodeDisconnectProviderUltimatum(writer, DisconnectReason.providerInitiated),
      ),
    );
  const silent = (): void => {};
  for (const [answer, code, why] of [
    [
      errorInfo(ErrorInfo.serverDeniedConnection),
      'target-unreachable',
      /shows no desktop: the server refused/,
    ],
    [errorInfo(ErrorInfo.serverInsufficientPrivileges), 'target-auth-failed', /may not log on .* remotely/],
    [errorInfo(0x10a), 'target-unreachable', /not licensed to accept remote connections/],
    [errorInfo(0x400), 'target-unreachable', /the connection broker knows no such destination/],
    [ultimatum, 'target-unreachable', /ended the session before it showed a desktop/],
    [
      (stream: PduStream) => stream.end(),
      'target-unreachable',
      /closed the connection before it showed a desktop/,
    ],
    [silent, 'target-unreachable', /took the log-on but showed no desktop within 0.5 s/],
    [sendsOn({ flags: F.userName | 0x4000_0000 }), 'target-unreachable', /sent on/],
    [
      (stream: PduStream) =>
        sendOnIoChannel(stream, (writer) =>
          encodeShareControl(writer, ShareType.serverRedirection, 1002, (body) => body.zeros(30)),
        ),
      'target-unreachable',
      /broke the protocol: Flags/,
    ],
  ] as const) {
    const { port } = await target(t, answer);
    const dial = answer === silent ? { timeoutMs: 500 } : {};
    await assert.rejects(routeTo(port, dial, 'sent on').route.open(), failsWith(code, why));
  }
  const { port } = await target(t, errorInfo(ErrorInfo.none));
  (await routeTo(port).route.open()).stream.destroy();
});
