/**
 * A connection broker that licenses its clients and sends them on. Real clients that follow it without a
 * gateway prove that what it says is right; through the gateway they must end up on the same desktop.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { createSecureContext, type SecureContext } from 'node:tls';
import { RedirectionFlag, type ServerRedirectionWithPassword } from '../../gateway/rdp/pdu/redirection.ts';
import { Evidence } from '../support/evidence.ts';
import { type FaultyTarget, startTcpTarget } from '../support/faulty-targets.ts';
import { type ClientOptions, type RdpClient, rdesktop, xfreerdp } from '../support/freerdp.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { freePort, until } from '../support/process.ts';
import { type Broker, type BrokerOptions, startBroker } from '../support/rdp-broker.ts';
import { temporaryFolder } from '../support/temp.ts';
import { type Display, keyPress, startDisplay, typeText } from '../support/x11.ts';
import { makeCertificate, startXrdp, type Xrdp } from '../support/xrdp.ts';

const NEEDS = ['xrdp', 'xorgxrdp', 'freerdp2-x11', 'rdesktop', 'xvfb', 'xauth', 'xdotool', 'xterm'] as const;
const PASSWORD = 'Correct-horse-7';
const F = RedirectionFlag;
const CLIENTS = [
  ['xfreerdp', xfreerdp],
  ['rdesktop', rdesktop],
] as const;

/** Clients keep the port when they are sent on: broker and host differ in their addresses alone. */
const HOST = '127.0.0.3';
const STRANGER = '127.0.0.4';
let port: number;
let xrdp: Xrdp;
const servers: FaultyTarget[] = [];
let strangers = 0;
let brokerCertificate: string;
let tls: SecureContext;
let display: Display;
let gateway: Gateway;
let evidence: Evidence;
let broker: Broker | undefined;
let client: RdpClient | undefined;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  const folder = temporaryFolder('broker');
  [xrdp, display, port, brokerCertificate] = await Promise.all([
    startXrdp(),
    startDisplay(1024, 768),
    freePort(),
    makeCertificate(folder, 'broker.test'),
  ]);
  tls = contextOf(join(folder, 'key.pem'), join(folder, 'cert.pem'));
  const host = await startTcpTarget(
    (socket) => {
      const behind = connect(xrdp.port, xrdp.host);
      for (const [one, other] of [
        [socket, behind],
        [behind, socket],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
        one.pipe(other);
      }
    },
    { host: HOST, port },
  );
  const stranger = await startTcpTarget(
    (socket) => {
      strangers += 1;
      socket.destroy();
    },
    { host: STRANGER, port },
  );
  servers.push(host, stranger);
  const { name, password } = xrdp.account;
  const systems = [
    { name: 'farm', host: '127.0.0.1', certificate: brokerCertificate },
    { name: 'balanced', host: '127.0.0.1', certificate: xrdp.fingerprint },
    { name: 'win02', host: HOST, certificate: xrdp.fingerprint },
    { name: 'stranger', host: STRANGER, certificate: xrdp.fingerprint },
  ].map((system) => ({ ...system, protocol: 'rdp', port }));
  gateway = await startGateway({
    document: {
      users: [{ name: 'alice', password: PASSWORD, role: 'requester' }],
      systems,
      accounts: systems.map(({ name: system }) => ({ name, system, password })),
      policies: [
        {
          name: 'farm',
          users: ['alice'],
          accounts: ['*@farm', '*@balanced', '*@win02'],
          allow: ['desktop'],
          keystrokes: true,
        },
      ],
    },
  });
  evidence = await Evidence.of(gateway);
});
afterEach(async () => {
  await client?.stop();
  client = undefined;
  await broker?.stop();
  broker = undefined;
  await xrdp?.endSessions();
});
after(async () => {
  await evidence?.close();
  await gateway?.stop();
  for (const server of servers) await server.stop();
  await Promise.all([xrdp?.stop(), display?.stop()]);
});

function contextOf(keyFile: string, certificateFile: string): SecureContext {
  return createSecureContext({ key: readFileSync(keyFile), cert: readFileSync(certificateFile) });
}

async function brokerThat(
  redirection: ServerRedirectionWithPassword,
  more: Partial<BrokerOptions> = {},
): Promise<Broker> {
  broker = await startBroker({ port, tls, redirections: [redirection], ...more });
  return broker;
}

/** To the host, with the account's own password: all that a broker may say of where and who. */
function toHost(address = HOST): ServerRedirectionWithPassword {
  return {
    sessionId: 3,
    flags: F.targetNetAddress | F.userName | F.domain | F.password | F.dontStoreUserName,
    targetNetAddress: address,
    userName: xrdp.account.name,
    domain: '',
    password: Buffer.from(`${xrdp.account.password}\0`, 'utf16le'),
  };
}

/** To whom the load balancer sends the next connection of this token. */
const TOKEN: ServerRedirectionWithPassword = {
  sessionId: 4,
  flags: F.loadBalanceInfo,
  loadBalanceInfo: Buffer.from('Cookie: msts=50462080.15629.0000\r\n'),
};

function opening(more: Partial<ClientOptions> = {}): ClientOptions {
  const user = `alice+${xrdp.account.name}+farm`;
  return { port: gateway.rdpPort, user, password: PASSWORD, display, ...more };
}

/** Types into the desktop and reads what arrived at the host behind the broker. */
async function typeThrough(window: string, name: string): Promise<void> {
  await xrdp.ready();
  const file = join(xrdp.account.home, name);
  await typeText(display, window, `echo $((6*7)) > ${file}\n`);
  await until('the file that was typed', () =>
    existsSync(file) && readFileSync(file, 'utf8') !== '' ? true : undefined,
  );
  assert.equal(readFileSync(file, 'utf8'), '42\n');
}

for (const [name, start] of CLIENTS) {
  // rdesktop answers licences from before [MS-RDPELE], and has no address for a routing token.
  const whole = name === 'xfreerdp';

  testWith(NEEDS, `${name} itself follows the broker to the host${whole ? ', licensed' : ''}`, async () => {
    const { visits } = await brokerThat(toHost(), whole ? { license: {} } : {});
    // Its own password is another: the one of the redirection logs on.
    client = start({ port, user: xrdp.account.name, password: 'of the broker', display });
    const window = await client.window();
    await typeThrough(window, `direct-${name}`);
    if (!whole) return;
    assert.ok(visits[0]?.issued !== undefined, String(visits[0]?.error));
    assert.equal(visits[0]?.issued?.userName, xrdp.account.name);
  });

  testWith(NEEDS, `${name} through the gateway sees the host's desktop, licensed and sent on`, async () => {
    const { visits } = await brokerThat(toHost(), { license: {} });
    client = start(opening());
    const window = await client.window();
    await typeThrough(window, `through-${name}`);
    assert.equal(visits.length, 1);
    assert.ok(visits[0]?.issued !== undefined, String(visits[0]?.error));
    const { id, system } = await evidence.session('alice', 'active');
    assert.equal(system, 'farm');
    const { detail } = await evidence.event('session.redirected', (row) => row.sessionId === id);
    assert.deepEqual([detail['from'], detail['system'], detail['host']], ['farm', 'win02', HOST]);
    await client.stop();
    await evidence.sealed(id);
    const verified = await gateway.sallyport(['recordings', 'verify', id]);
    assert.equal(verified.code, 0, verified.text);
    const events = await gateway.sallyport(['recordings', 'export', id, '--format', 'jsonl']);
    assert.match(events.text, /sent on to win02 \(127\.0\.0\.3\)/);
  });

  testWith(NEEDS, `${name} is sent on in the middle of a session and keeps its connection`, async () => {
    const { visits } = await brokerThat(toHost(), { desktop: true });
    client = start(opening());
    const window = await client.window();
    await until('a desktop of the broker', () => visits[0]?.client);
    const { id } = await evidence.session('alice', 'active');
    // Its desktop takes keys once it is drawn, and not before: the first that it hears sends the session on.
    const sentOn = async (): Promise<true | undefined> =>
      (await evidence.audit('session.redirected')).some((row) => row.sessionId === id) ? true : undefined;
    await until('the session is sent on', async () => {
      await keyPress(display, window, 'Return');
      return await sentOn();
    });
    await typeThrough(window, `middle-${name}`);
    const sessions = (await evidence.sessions()).filter((row) => row.state === 'active');
    assert.deepEqual(
      sessions.map((row) => row.id),
      [id],
    );
    await client.stop();
    await evidence.sealed(id);
    assert.match(await evidence.keystrokes(id), /echo \$\(\(6\*7\)\) > \/.*middle-/);
  });
}

for (const [name, start] of CLIENTS)
  testWith(
    NEEDS,
    `a routing token leads ${name} to the same address again, as it leads a client without the gateway`,
    async () => {
      const { visits } = await brokerThat(TOKEN, {
        behind: xrdp.port,
        tls: contextOf(xrdp.keyFile, xrdp.certificateFile),
      });
      const { name: user, password } = xrdp.account;
      const token = 'Cookie: msts=50462080.15629.0000';
      client = xfreerdp({ port, user, password, display });
      await typeThrough(await client.window(), `token-direct-${name}`);
      assert.equal(visits[1]?.request.routingToken, token);
      await client.stop();
      await xrdp.endSessions();

      client = start(opening({ user: `alice+${user}+balanced` }));
      await typeThrough(await client.window(), `token-${name}`);
      assert.equal(visits.length, 4);
      assert.equal(visits[3]?.request.routingToken, token);
      const { id } = await evidence.session('alice', 'active');
      const { detail } = await evidence.event('session.redirected', (row) => row.sessionId === id);
      assert.deepEqual([detail['from'], detail['system'], detail['hosts']], ['balanced', 'balanced', '']);
    },
  );

testWith(NEEDS, 'a session that is locked stays locked where it is sent on to', async () => {
  const moment = Promise.withResolvers<void>();
  await brokerThat(toHost(), { desktop: moment.promise });
  client = xfreerdp(opening());
  const window = await client.window();
  const { id } = await evidence.session('alice', 'active');
  const locked = await gateway.sallyport(['sessions', 'lock', id]);
  assert.equal(locked.code, 0, locked.text);
  await evidence.session('alice', 'locked');
  moment.resolve();
  await evidence.event('session.redirected', (row) => row.sessionId === id);
  await xrdp.ready();
  const file = join(xrdp.account.home, 'while-locked');
  await typeText(display, window, `echo locked > ${file}\n`);
  const unlocked = await gateway.sallyport(['sessions', 'unlock', id]);
  assert.equal(unlocked.code, 0, unlocked.text);
  await evidence.session('alice', 'active');
  await typeThrough(window, 'once-unlocked');
  assert.ok(!existsSync(file), 'what was typed while it was locked');
});

testWith(NEEDS, 'the next host must show its own certificate', async () => {
  const { visits } = await brokerThat(TOKEN, { behind: xrdp.port });
  client = xfreerdp(opening());
  await until('the second visit', () => (visits.length >= 2 ? true : undefined));
  const { endCode, endReason } = await evidence.session('alice', 'ended');
  assert.equal(endCode, 'target-certificate');
  assert.match(endReason ?? '', /certificate of farm .* is not the right one/);
});

testWith(NEEDS, 'a broker that sends people round and round is left', async () => {
  const { visits } = await brokerThat(TOKEN);
  client = xfreerdp(opening());
  await until('the last visit', () => (visits.length >= 6 ? true : undefined));
  const { endReason } = await evidence.session('alice', 'ended');
  assert.match(endReason ?? '', /farm .* sends the session on once more, after 5 redirections/);
  assert.equal(visits.length, 6);
});

testWith(NEEDS, 'who is sent to a host that policy does not allow stays here, and reads why', async () => {
  await brokerThat(toHost(STRANGER));
  client = xfreerdp(opening());
  const window = await client.window();
  const { id, endCode, endReason } = await evidence.session('alice', 'ended');
  assert.equal(endCode, 'target-unreachable');
  assert.match(
    endReason ?? '',
    /^farm sends the session on to 127\.0\.0\.4, which is no system that policy farm/,
  );
  const { detail } = await evidence.event('session.redirect.refused', (row) => row.sessionId === id);
  assert.equal(detail['code'], 'no-policy');
  assert.equal(strangers, 0, 'nobody has knocked there');
  await keyPress(display, window, 'Return');
  await client.exited;
});
