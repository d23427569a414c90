/** Desktops whose target, client or archive fails in the middle: each ends, or goes on, in one known way. */
import assert from 'node:assert/strict';
import { hash, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { createSecureContext, type SecureContext } from 'node:tls';
import { openCertificate } from '../../gateway/bootstrap/keys.ts';
import { UpdateCode } from '../../gateway/rdp/pdu/fast-path.ts';
import type { SessionRow } from '../../gateway/store/port.ts';
import { type SmallDisk, smallDisk } from '../support/disk.ts';
import { Evidence } from '../support/evidence.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import {
  activate,
  type DesktopClient,
  type DesktopSession,
  type DesktopTarget,
  type DesktopTargetOptions,
  openDesktop,
  paints,
  rawUpdate,
  startDesktop,
} from '../support/rdp-actors.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = [] as const;
const PASSWORD = 'Correct-horse-7';
const TIMEOUT_SECONDS = 4;
const GRACE_SECONDS = 6;
const MIB = 1024 ** 2;
/** Set Error Info (2.2.5.1.1). */
const ErrorInfo = { byAdministrator: 1, byUser: 12 } as const;

let gateway: Gateway;
let evidence: Evidence;
let disk: SmallDisk;
let target: DesktopTarget;
const options: DesktopTargetOptions = {};

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  disk = await smallDisk(48);
  target = await startDesktop(options);
  const systems = ['win01', 'win02'].map((name) => ({
    name,
    protocol: 'rdp',
    host: '127.0.0.1',
    port: target.port,
    certificate: 'trust-on-first-use',
  }));
  gateway = await startGateway({
    config: {
      ssh: { connectTimeoutSeconds: TIMEOUT_SECONDS },
      archive: {
        url: `file:${disk.folder}`,
        graceSeconds: GRACE_SECONDS,
        window: { bytes: '1MiB' },
      },
    },
    document: {
      users: [{ name: 'alice', password: PASSWORD, role: 'requester' }],
      systems,
      accounts: systems.map(({ name }) => ({ name: 'admin', system: name, password: 'leased' })),
      policies: [
        // One place: a session that does not give its own back shuts out the next.
        { name: 'one', users: ['alice'], accounts: ['*'], allow: ['desktop'], record: true, maxSessions: 1 },
      ],
    },
  });
  evidence = await Evidence.of(gateway);
});
after(async () => {
  await evidence?.close();
  await gateway?.stop();
  target?.stop();
});

interface Running {
  readonly client: DesktopClient;
  readonly session: DesktopSession;
  readonly id: string;
}

/** A desktop that is shown, and its session. */
async function running(confirms = true): Promise<Running> {
  const before = target.sessions.length;
  const client = await openDesktop(gateway.rdpPort, 'alice+admin+win01', { password: PASSWORD, confirms });
  const session = await target.session(before);
  if (confirms) await client.activated();
  const { id } = await evidence.session('alice', 'active');
  return { client, session, id };
}

const sessionIds = async (): Promise<ReadonlySet<string>> =>
  new Set((await evidence.sessions()).map(({ id }) => id));

async function ended(id: string): Promise<SessionRow> {
  return await until(`session ${id} is closed`, async () =>
    (await evidence.sessions()).find((row) => row.id === id && row.state === 'ended'),
  );
}

/** Its last event in the audit log says how it ended. */
async function audited(id: string, code: string): Promise<void> {
  const event = await evidence.event('session.ended', (row) => row.sessionId === id);
  assert.equal(event.detail['code'], code);
}

async function isWhole(id: string): Promise<void> {
  const verified = await gateway.sallyport(['recordings', 'verify', id]);
  assert.equal(verified.code, 0, verified.text);
}

testWith(NEEDS, 'a target that drops the connection in mid-session', async () => {
  const { client, session, id } = await running();
  session.stream.send(paints(0xff0000));
  await until('the update arrives', () => client.received.find((pdu) => pdu[0] === 0));
  session.stream.destroy();
  await client.ended;
  assert.equal(client.errorInfo(), ErrorInfo.byUser);
  const row = await ended(id);
  assert.equal(row.endCode, 'target-closed');
  assert.match(row.endReason ?? '', /win01 closed the connection/);
  assert.equal(row.sealed, true);
  await audited(id, 'target-closed');
  await isWhole(id);
});

testWith(NEEDS, 'a target that drops the connection behind the desktop that it begins', async () => {
  options.begin = (session) => {
    activate(session);
    session.stream.end();
  };
  try {
    const before = await sessionIds();
    const client = await openDesktop(gateway.rdpPort, 'alice+admin+win01', { password: PASSWORD });
    await client.ended;
    const row = await until('the session is closed', async () =>
      (await evidence.sessions()).find(({ id, state }) => state === 'ended' && !before.has(id)),
    );
    assert.equal(row.endCode, 'target-closed');
    await audited(row.id, 'target-closed');
  } finally {
    delete options.begin;
  }
});

testWith(NEEDS, 'a client that takes no desktop gives its place back', async () => {
  const { client, id } = await running(false);
  await client.ended;
  const row = await ended(id);
  assert.equal(row.endCode, 'protocol-error');
  assert.match(row.endReason ?? '', /the client .* did not take the desktop within 4 s/);
  await audited(id, 'protocol-error');
  const next = await running();
  next.client.stream.destroy();
  await ended(next.id);
});

testWith(NEEDS, 'a target that logs the gateway on and shows no desktop', async () => {
  options.begin = () => {};
  try {
    const client = await openDesktop(gateway.rdpPort, 'alice+admin+win01', { password: PASSWORD });
    const event = await evidence.event('target.unreachable');
    assert.match(String(event.detail['reason']), /win01 .*showed no desktop within 4 s/);
    // The reason is on the screen: a desktop of the gateway's own.
    await client.activated();
    const row = await ended(event.sessionId ?? assert.fail());
    assert.equal(row.endCode, 'target-unreachable');
    client.stream.destroy();
  } finally {
    delete options.begin;
  }
});

for (const [what, update, words] of [
  [
    'of bitmaps that are cut',
    rawUpdate(1, Buffer.from([1, 0, 9, 0, 1, 2, 3])),
    /bitmapLength .* needs 2 bytes/,
  ],
  ['of a kind that there is not', rawUpdate(13, Buffer.alloc(4)), /updateCode/],
  ['that goes on where none began', rawUpdate(0x11, Buffer.alloc(64)), /fragmentation/],
] as const)
  testWith(
    NEEDS,
    `an update ${what} ends the session, is recorded as it came and told of by exports`,
    async () => {
      const { client, session, id } = await running();
      session.stream.send(paints(0x00ff00));
      session.stream.send(update);
      await client.ended;
      assert.equal(client.errorInfo(), ErrorInfo.byAdministrator);
      const row = await ended(id);
      assert.equal(row.endCode, 'protocol-error');
      assert.match(row.endReason ?? '', /^the target broke the protocol: /);
      assert.match(row.endReason ?? '', words);
      await audited(id, 'protocol-error');
      assert.equal(row.sealed, true);
      await isWhole(id);
      // The client was not given what did not decode.
      assert.equal(client.received.filter((pdu) => pdu[0] === 0).length, 1);
      const file = join(temporaryFolder('picture'), 'last.png');
      const exported = await gateway.sallyport([
        'recordings',
        'export',
        id,
        '--format',
        'png',
        '--output',
        file,
      ]);
      assert.equal(exported.code, 0, exported.stderr);
      assert.match(exported.stderr, /\d s after the start the target sent what cannot be shown/);
      assert.ok(statSync(file).size > 100);
    },
  );

async function certificate(): Promise<{ context: SecureContext; fingerprint: string }> {
  const made = (await openCertificate(temporaryFolder('other'), 'target')) ?? assert.fail('no openssl');
  return {
    context: createSecureContext({ key: made.key, cert: made.certificate }),
    fingerprint: `sha256:${hash('sha256', new X509Certificate(made.certificate).raw)}`,
  };
}

testWith(NEEDS, 'a target whose certificate has changed since the last session', async () => {
  const { client, id } = await running();
  client.stream.destroy();
  await ended(id);
  const { context, fingerprint } = await certificate();
  options.tls = context;
  const logOns = target.sessions.length;
  try {
    const turned = await openDesktop(gateway.rdpPort, 'alice+admin+win01', { password: PASSWORD });
    const event = await evidence.event('target.certificate.changed');
    assert.match(String(event.detail['reason']), new RegExp(`${fingerprint}.*not the pinned one`));
    const row = await ended(event.sessionId ?? assert.fail());
    assert.deepEqual([row.endCode, row.system], ['target-certificate', 'win01']);
    assert.equal(target.sessions.length, logOns, 'nobody was logged on there');
    // The reason is on the screen.
    await turned.activated();
    turned.stream.destroy();

    // Another system may show it: it was pinned for one.
    const other = await openDesktop(gateway.rdpPort, 'alice+admin+win02', { password: PASSWORD });
    await other.activated();
    other.stream.destroy();
  } finally {
    delete options.tls;
  }
  await until('the place is free', async () =>
    (await evidence.sessions()).every((row) => row.state === 'ended') ? true : undefined,
  );
});

/** The target paints noise as fast as it is let. */
function flood({ stream }: DesktopSession): { stop(): void; sent(): number } {
  let [sent, going] = [0, true];
  stream.onCongestion = (congested) => {
    if (!congested) more();
  };
  const more = (): void => {
    while (going && !stream.closed && !stream.congested) {
      const update = noise();
      stream.send(update);
      sent += update.length;
    }
  };
  more();
  return {
    stop: () => {
      going = false;
    },
    sent: () => sent,
  };
}

/** An update of 64 × 64 pixels that no compression makes smaller: the recording is as large. */
function noise(): Uint8Array {
  const bytes = 64 * 64 * 2;
  const head = Uint16Array.of(1, 1, 0, 0, 63, 63, 64, 64, 16, 0, bytes);
  return rawUpdate(UpdateCode.bitmap, Buffer.concat([Buffer.from(head.buffer), randomBytes(bytes)]));
}

/** Resolves when `value` has not changed for a second. */
async function standstill(value: () => number): Promise<number> {
  let [last, same] = [-1, 0];
  return await until('it stands still', () => {
    same = value() === last ? same + 1 : 0;
    last = value();
    return same >= 20 ? last : undefined;
  });
}

testWith(
  NEEDS,
  'an archive that is full in mid-session pauses both legs; space in time, and both go on',
  async (t) => {
    disk.fill(4 * MIB);
    const { client, session, id } = await running();
    try {
      const painting = flood(session);
      const paused = await standstill(painting.sent);
      t.diagnostic(`paused after ${paused} bytes`);
      const input = session.received.length;
      client.press();
      await standstill(() => client.received.length);
      assert.equal(session.received.length, input, 'a key that is not recorded does not arrive');
      disk.empty();
      await until('the picture goes on', () => (painting.sent() > paused ? true : undefined));
      await until('the key arrives', () => (session.received.length > input ? true : undefined));
      painting.stop();
    } finally {
      disk.empty();
    }
    client.stream.destroy();
    assert.equal((await ended(id)).sealed, true);
    await isWhole(id);
  },
);

/** Of the process with that id, bytes. */
function residentBytes(pid: number): number {
  const [, pages = '0'] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
  return Number(pages) * 4096;
}

testWith(NEEDS, 'a client that reads nothing holds the target back and costs no memory', async (t) => {
  const { client, session, id } = await running();
  const before = residentBytes(gateway.pid);
  client.stream.pause(1);
  const painting = flood(session);
  const held = await standstill(painting.sent);
  const more = residentBytes(gateway.pid) - before;
  t.diagnostic(`the target was rid of ${held} bytes, the gateway has ${more} more in memory`);
  assert.ok(held < 64 * MIB && more < 64 * MIB);
  client.stream.resume(1);
  await until('the picture goes on', () => (painting.sent() > held ? true : undefined));
  painting.stop();
  client.stream.destroy();
  assert.equal((await ended(id)).endCode, 'client-closed');
});
