/** A logged-on client that writes its connection protocol (RFC 4254) as no honest client would. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { Message, readUint32, recipientOf } from '../../gateway/ssh/wire/connection.ts';
import { type Bed, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { type Impostor, startImpostor } from '../support/faulty-targets.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { run, until } from '../support/process.ts';
import { RawClient } from '../support/raw-client.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const MAX_CHANNELS = 20;
let bed: Bed;
/** A target that gives nobody a terminal. */
let bare: Sshd;
let mute: Impostor;
let evidence: Evidence;
let clients: RawClient[] = [];
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bare = await startSshd({ config: ['PermitTTY no', 'LogLevel DEBUG1'] });
  // Reads nothing more once it has let somebody in.
  mute = await startImpostor((connection, socket) =>
    connection.on('ready', () => setImmediate(() => socket.pause())),
  );
  bed = await startBed({
    config: { ssh: { maxChannels: MAX_CHANNELS } },
    document: () => ({
      systems: [
        { name: 'bare01', protocol: 'ssh', host: bare.host, port: bare.port, hostKey: bare.hostKey },
        { name: 'mute01', protocol: 'ssh', host: '127.0.0.1', port: mute.port, hostKey: mute.hostKey },
      ],
      accounts: [
        { name: bare.account.name, system: 'bare01', password: bare.account.password },
        { name: 'nobody', system: 'mute01', password: 'unused' },
      ],
      users: [{ name: 'raw', password: PASSWORD, role: 'requester' }],
      policies: [
        {
          name: 'raw',
          users: ['raw'],
          accounts: ['*@web01', '*@bare01', 'nobody@mute01'],
          allow: ['shell', 'exec', 'sftp'],
          keystrokes: true,
        },
      ],
    }),
  });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  for (const client of clients) client.end();
  await evidence?.close();
  await bed?.stop();
  await bare?.stop();
  await mute?.stop();
});

async function rawClient(login = bed.targetLogin('raw')): Promise<RawClient> {
  for (const client of clients) client.end();
  const client = await RawClient.connect(bed.doorFor(login, PASSWORD));
  clients = [client];
  return client;
}

/** The connection is ended and its session says that the client broke the protocol. */
async function endedFor(client: RawClient, words: RegExp): Promise<void> {
  await client.whenClosed();
  const session = await evidence.session('raw', 'ended');
  assert.equal(session.endCode, 'protocol-error');
  assert.match(session.endReason ?? '', words);
  await stillServes(bed);
}

testWith(
  NEEDS,
  'ten thousand channels at once: so many as are allowed, the rest refused, others undisturbed',
  async (t) => {
    const OPENS = 10_000;
    const other = sshTerminal(bed.door, ['target']);
    await other.expect('$ ');
    const client = await rawClient();
    for (let own = 0; own < OPENS; own += 1)
      client.send(Message.channelOpen, 'session', own, 2 ** 21, 32_768);
    other.type('echo during-$((20 + 3))\r');
    await other.expect('during-23');
    const answered = (): number =>
      client.count(Message.channelOpenConfirmation) + client.count(Message.channelOpenFailure);
    await until('every open is answered', () => (answered() === OPENS ? true : undefined), 40_000);
    const confirmed = client.count(Message.channelOpenConfirmation);
    t.diagnostic(`${OPENS} opens: ${confirmed} confirmed, ${OPENS - confirmed} refused`);
    assert.equal(confirmed, MAX_CHANNELS);
    const refused = client.messages.find((message) => message[0] === Message.channelOpenFailure);
    assert.equal(refused === undefined ? 0 : readUint32(refused, 5), 4, 'SSH_OPEN_RESOURCE_SHORTAGE');
    assert.match(Buffer.from(refused ?? []).toString(), /more than 20 channels are open on this connection/);
    other.type('exit\r');
    assert.equal(await other.ended, 0);
    const event = await evidence.event('session.request.refused', (row) => row.actor === 'raw');
    assert.match(String(event.detail['reason']), /more than 20 channels/);
    const rows = (await evidence.audit('session.request.refused')).length;
    assert.ok(rows < 200, `${rows} audit rows`);
    await stillServes(bed);
  },
);

testWith(NEEDS, 'OpenSSH shows the refusal of a channel too many on a shared connection', async () => {
  const shared = ['-o', `ControlPath=${bed.folder}/mux`];
  const door = bed.doorFor(bed.targetLogin('raw'), PASSWORD);
  await ssh(door, ['-M', '-N', '-f', ...shared, 'target'], { outputFile: '/dev/null' });
  const started = (): number => (bed.sshd.log().match(/Starting session: command/g) ?? []).length;
  const before = started();
  const held: Promise<unknown>[] = [];
  while (held.length < MAX_CHANNELS) {
    held.push(ssh(door, [...shared, 'target', 'sleep 30'], { timeoutMs: 60_000 }));
    await until('one more runs', () => (started() - before === held.length ? true : undefined));
  }
  // OpenSSH says so and opens a connection of its own instead.
  const refused = await ssh(door, [...shared, '-o', 'ControlMaster=no', 'target', 'echo in']);
  assert.match(refused.stderr, /session request failed: Session open refused by peer/);
  assert.deepEqual([refused.code, refused.text], [0, 'in\n']);
  await ssh(door, [...shared, '-O', 'exit', 'target']);
  await Promise.all(held);
  await stillServes(bed);
});

testWith(NEEDS, 'thousands of global requests get their answers, in order', async () => {
  const client = await rawClient();
  const EACH = 2_000;
  for (let count = 0; count < EACH; count += 1) {
    client.send(Message.globalRequest, 'nonsense@example.org', true);
    client.send(Message.globalRequest, 'keepalive@openssh.com', true);
    // sshd answers the one, the gateway the other: each must wait its turn.
    if (count % 500 === 499)
      await until('the answers so far', () =>
        client.count(Message.requestFailure) === 2 * (count + 1) ? true : undefined,
      );
  }
  const channel = await client.exec('echo after');
  await until('its output', () => (client.text(channel) === 'after\n' ? true : undefined));
});

testWith(NEEDS, 'requests that are never answered by the target are bounded', async () => {
  const client = await rawClient('raw@nobody@mute01');
  await evidence.session('raw', 'active');
  for (let count = 0; count < 5_000; count += 1)
    client.send(Message.globalRequest, 'keepalive@openssh.com', true);
  await endedFor(client, /the client broke the protocol: more than 4096 requests are unanswered/);
  assert.equal(client.count(Message.requestFailure), 0);
});

testWith(NEEDS, 'a break (RFC 4335) goes to the target, whose answer comes back', async () => {
  const client = await rawClient();
  const channel = await client.openSession();
  client.send(Message.channelRequest, channel.peer, 'break', true, 500);
  await until(
    'sshd refuses it without a terminal',
    () => client.count(Message.channelFailure) === 1 || undefined,
  );
  client.send(Message.channelRequest, channel.peer, 'pty-req', true, 'xterm', 80, 24, 0, 0, '');
  client.send(Message.channelRequest, channel.peer, 'shell', true);
  client.send(Message.channelRequest, channel.peer, 'break', true, 500);
  await until('sshd takes it', () => client.count(Message.channelSuccess) === 3 || undefined);
});

testWith(NEEDS, 'a leg exchanges keys with sshd each hour, and loses nothing', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { name, password } = bare.account;
  const client = await RawClient.connect({
    ...bed.doorFor(name, password),
    host: bare.host,
    port: bare.port,
  });
  clients.push(client);
  const channel = await client.exec('cat');
  const exchanged = (): number => (bare.log().match(/NEWKEYS received/g) ?? []).length;
  const before = exchanged();
  let said = '';
  for (let hour = 1; hour <= 3; hour += 1) {
    for (const when of ['before', 'while', 'after']) {
      const line = `${when} exchange ${hour}\n`;
      said += line;
      client.send(Message.channelData, channel.peer, line);
      if (when === 'before') t.mock.timers.tick(3_600_000);
      if (when === 'while') await until('the exchange', () => exchanged() === before + hour || undefined);
    }
  }
  await until('the echo', () => client.text(channel) === said || undefined);
});

testWith(NEEDS, 'a second program on one channel is refused, the first goes on', async () => {
  const client = await rawClient();
  const channel = await client.exec('read -r line; echo "first got $line"');
  client.send(Message.channelRequest, channel.peer, 'exec', true, 'echo second');
  client.send(Message.channelRequest, channel.peer, 'shell', true);
  await until('two refusals', () => (client.count(Message.channelFailure) === 2 ? true : undefined));
  client.send(Message.channelData, channel.peer, 'this\n');
  await until('the first one’s output', () =>
    client.text(channel) === 'first got this\n' ? true : undefined,
  );
});

testWith(
  NEEDS,
  'a terminal asked for once a program runs is refused, and its input is recorded still',
  async () => {
    const client = await rawClient();
    const channel = await client.exec('read -r line; echo "got $line"');
    client.send(Message.channelRequest, channel.peer, 'pty-req', true, 'xterm', 80, 24, 0, 0, '');
    await until('the refusal', () => (client.count(Message.channelFailure) === 1 ? true : undefined));
    client.send(Message.channelData, channel.peer, 'not-behind-a-terminal\n');
    await until('the output', () =>
      client.text(channel) === 'got not-behind-a-terminal\n' ? true : undefined,
    );
    client.end();
    const { id } = await until('the session ends, sealed', async () => {
      const [newest] = await evidence.sessions();
      return newest?.sealed === true ? newest : undefined;
    });
    const { text } = await bed.gateway.sallyport(['recordings', 'export', id, '--format', 'jsonl']);
    assert.match(text, /"kind":"input"[^\n]*not-behind-a-terminal/);
  },
);

for (const asked of [true, false]) {
  const how = asked ? 'with' : 'without';
  testWith(
    NEEDS,
    `input behind a terminal that the target refused is recorded, asked ${how} a reply`,
    async () => {
      const client = await rawClient(`raw@${bare.account.name}@bare01`);
      const channel = await client.openSession();
      client.send(Message.channelRequest, channel.peer, 'pty-req', asked, 'xterm', 80, 24, 0, 0, '');
      client.send(Message.channelRequest, channel.peer, 'exec', true, 'read -r line; echo "got $line"');
      await until('the start', () => (client.count(Message.channelSuccess) === 1 ? true : undefined));
      assert.equal(client.count(Message.channelFailure), asked ? 1 : 0);
      client.send(Message.channelData, channel.peer, 'no-terminal-shows-it\n');
      await until('the output', () =>
        client.text(channel) === 'got no-terminal-shows-it\n' ? true : undefined,
      );
      client.end();
      const { id } = await until('the session ends, sealed', async () => {
        const [newest] = await evidence.sessions();
        return newest?.sealed === true ? newest : undefined;
      });
      const { text } = await bed.gateway.sallyport(['recordings', 'export', id, '--format', 'jsonl']);
      assert.match(text, /"kind":"input"[^\n]*no-terminal-shows-it/);
    },
  );
}

testWith(NEEDS, 'after a program that the target refused another one may be tried', async () => {
  const client = await rawClient();
  const channel = await client.openSession();
  client.send(Message.channelRequest, channel.peer, 'subsystem', true, 'nonesuch');
  await until('the refusal', () => (client.count(Message.channelFailure) === 1 ? true : undefined));
  client.send(Message.channelRequest, channel.peer, 'exec', true, 'echo instead');
  await until('its output', () => (client.text(channel) === 'instead\n' ? true : undefined));
});

for (const [what, number] of [
  ['data', Message.channelData],
  ['close', Message.channelClose],
  ['window adjust', Message.channelWindowAdjust],
  ['request', Message.channelRequest],
] as const) {
  testWith(NEEDS, `${what} for a channel that does not exist ends the session with the reason`, async () => {
    const client = await rawClient();
    const channel = await client.exec('sleep 30');
    client.send(number, 4_711, ...(number === Message.channelWindowAdjust ? [5] : ['x', true]));
    await endedFor(
      client,
      /the client broke the protocol: message \d+ names channel 4711, which is not open/,
    );
    assert.match(client.text(channel), /sallyport: the client broke the protocol/, 'and says so');
  });
}

testWith(NEEDS, 'malformed messages end the session with field and offset', async () => {
  for (const [message, words] of [
    [Uint8Array.of(Message.channelOpen, 0xff, 0xff, 0xff, 0xff), /channel type at offset 5 needs 4294967295/],
    [Uint8Array.of(Message.channelData, 0), /recipient channel is missing/],
    [Uint8Array.of(127, 1, 2, 3), /message 127 is not one of the connection protocol/],
  ] as const) {
    const client = await rawClient();
    await evidence.session('raw', 'active');
    client.sendBytes(message);
    await endedFor(client, words);
  }
});

testWith(NEEDS, 'EOF and close twice end nothing but the channel', async () => {
  const client = await rawClient();
  const bystander = await client.exec('read -r line; echo "got $line"');
  const channel = await client.exec('cat');
  client.send(Message.channelEof, channel.peer);
  client.send(Message.channelEof, channel.peer);
  client.send(Message.channelClose, channel.peer);
  client.send(Message.channelClose, channel.peer);
  await client.message(
    'the close of the channel',
    (message) => message[0] === Message.channelClose && recipientOf(message) === channel.own,
  );
  client.send(Message.channelData, bystander.peer, 'on\n');
  await until('the other channel or the end', () =>
    client.closed || client.text(bystander).includes('got on') ? true : undefined,
  );
  // sshd itself may take offence at the second close; the gateway does not.
  const session = (await evidence.sessions()).find((row) => row.user === 'raw');
  if (client.closed) assert.equal(session?.endCode, 'target-closed');
  await stillServes(bed);
});

testWith(NEEDS, 'a window overrun ends the session, and the gateway keeps none of it', async () => {
  const client = await rawClient();
  const channel = await client.exec('sleep 20');
  const before = await memory();
  const piece = Buffer.alloc(32_768, 'o');
  for (let sent = 0; sent < 64 * 1024 ** 2 && !client.closed; sent += piece.length) {
    client.send(Message.channelData, channel.peer, piece);
    await client.taken();
  }
  await endedFor(client, /the client broke the protocol: 32768 bytes of data overrun the window/);
  assert.ok((await memory()) - before < 128 * 1024 ** 2);
});

testWith(NEEDS, 'a window overrun while the session is locked is stopped at the window', async (t) => {
  const client = await rawClient();
  const channel = await client.exec('cat > /dev/null');
  const { id } = await evidence.session('raw', 'active');
  assert.equal((await bed.gateway.sallyport(['sessions', 'lock', id])).code, 0);
  const before = await memory();
  const piece = Buffer.alloc(32_768, 'o');
  let sent = 0;
  while (!client.closed && sent < 512 * 1024 ** 2) {
    client.send(Message.channelData, channel.peer, piece);
    sent += piece.length;
    await client.taken();
  }
  t.diagnostic(
    `granted ${client.granted(channel)} bytes, sent ${sent}, memory grew by ${(await memory()) - before}`,
  );
  await endedFor(client, /the client broke the protocol: 32768 bytes of data overrun the window/);
  assert.ok((await memory()) - before < 128 * 1024 ** 2);
});

testWith(NEEDS, 'a client that takes one byte at a time does not stop the others', async (t) => {
  const client = await rawClient();
  const channel = await client.openSession(2 ** 24, 1);
  client.send(Message.channelRequest, channel.peer, 'exec', true, 'head -c 8000000 /dev/zero');
  await until('its output', () => (client.count(Message.channelData) > 1_000 ? true : undefined));
  const started = performance.now();
  await stillServes(bed);
  t.diagnostic(`another session took ${Math.round(performance.now() - started)} ms meanwhile`);
});

/** A client to which a command of the target writes as much as is taken; `file` says how many megabytes. */
async function flooded(file: string): Promise<RawClient> {
  const client = await rawClient();
  const channel = await client.openSession(0xffff_ffff);
  const command = `for n in $(seq 2000); do head -c 1000000 /dev/zero && echo $n > ${file} || exit; done`;
  client.send(Message.channelRequest, channel.peer, 'exec', true, command);
  await until('some output', () => (client.count(Message.channelData) > 0 ? true : undefined));
  return client;
}

/** Another session's traffic that passes meanwhile: as much would be taken from the target of a flooded client. */
async function passMuch(): Promise<void> {
  await ssh(bed.door, ['target', 'head -c 200000000 /dev/zero'], { outputFile: '/dev/null' });
}

/** What was taken from the target stays within what sockets hold. @param received by the client itself, bytes */
function assertNotTaken(file: string, received: number): void {
  const megabytes = Number(readFileSync(join(bed.sshd.account.home, file), 'utf8')) - received / 1e6;
  assert.ok(megabytes < 64, `${megabytes} megabytes were taken from the target`);
}

testWith(NEEDS, 'a client that reads nothing is waited for, not buffered for', async () => {
  const client = await flooded('unread');
  client.pause();
  await passMuch();
  assertNotTaken('unread', client.count(Message.channelData) * 32_768);
});

testWith(NEEDS, 'a client that leaves a key exchange is waited for, not buffered for', async () => {
  const client = await flooded('withheld');
  const goOn = client.leaveKeyExchange();
  await passMuch();
  let came = client.count(Message.channelData);
  assertNotTaken('withheld', came * 32_768);
  // More than waits in the gateway: the target is read again.
  const enough = came + 100;
  client.onMessage = () => {
    came += 1;
    if (came === enough) client.pause();
  };
  goOn();
  await until('it goes on', () => (came >= enough ? true : undefined));
});

testWith(NEEDS, 'nothing of all this cost a worker', () => {
  assert.ok(
    !/worker (failed|is replaced|is blocked)|an error cost a session/.test(bed.gateway.log()),
    bed.gateway.log(),
  );
  return Promise.resolve();
});

/** Resident memory of the gateway, bytes. */
async function memory(): Promise<number> {
  return Number((await run('ps', ['-o', 'rss=', '-p', String(bed.gateway.pid)])).text) * 1024;
}
