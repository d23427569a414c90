/** The relay between two legs in memory: what passes, what is changed, what does not get across. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunks } from '../../../../gateway/rdp/channels/virtual-channel.ts';
import { IO_CHANNEL } from '../../../../gateway/rdp/front/accept.ts';
import {
  decodeConfirmActive,
  decodeDemandActive,
  encodeDemandActive,
} from '../../../../gateway/rdp/pdu/activation.ts';
import { CapabilityType } from '../../../../gateway/rdp/pdu/capabilities.ts';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { decodeErrorInfo } from '../../../../gateway/rdp/pdu/error-info.ts';
import { encodeFastPath, encodeFastPathUpdate, UpdateCode } from '../../../../gateway/rdp/pdu/fast-path.ts';
import {
  decodeFastPathInput,
  encodeFastPathInput,
  encodeSlowPathInput,
  type InputEvent,
} from '../../../../gateway/rdp/pdu/input.ts';
import {
  DisconnectReason,
  decodeDisconnectProviderUltimatum,
  encodeDisconnectProviderUltimatum,
} from '../../../../gateway/rdp/pdu/mcs.ts';
import { readSendData } from '../../../../gateway/rdp/pdu/mcs-data.ts';
import {
  encodeEnhancedRedirection,
  encodeRedirection,
  RedirectionFlag,
} from '../../../../gateway/rdp/pdu/redirection.ts';
import {
  decodeSaveSessionInfo,
  encodeSaveSessionInfo,
  type SaveSessionInfo,
} from '../../../../gateway/rdp/pdu/save-session-info.ts';
import {
  DataType,
  encodeShareControl,
  readShareControl,
  readShareData,
  SERVER_CHANNEL_ID,
  ShareType,
} from '../../../../gateway/rdp/pdu/share.ts';
import { withTpkt } from '../../../../gateway/rdp/pdu/tpkt.ts';
import { dataReader, encodeDisconnectRequest, withData } from '../../../../gateway/rdp/pdu/x224.ts';
import {
  CLIPBOARD,
  fromClient,
  fromTarget,
  type Relayed,
  realActivation,
  realBlocks,
  relayed,
  sessionOf,
  settled,
  shareData,
  TARGET_CLIPBOARD,
  TARGET_IO,
  TARGET_USER,
} from '../legs.ts';

const { demand: DEMAND, confirm: CONFIRM } = realActivation('xrdp-16');

/** The share PDUs in what has arrived on a leg's I/O channel. */
function shares(pdus: readonly Uint8Array[], ioChannel: number): { type: number; bytes: Uint8Array }[] {
  return pdus.flatMap((pdu) => {
    const data = pdu[0] === 3 ? readSendData(pdu) : undefined;
    if (data?.channelId !== ioChannel) return [];
    return [{ type: readShareControl(pdu, data.dataOffset).type, bytes: pdu.subarray(data.dataOffset) }];
  });
}

/** A session that is activated, as far as the relay can tell. */
async function activated(
  options: Parameters<typeof relayed>[0] = {},
): Promise<Relayed & { toTarget(): Promise<Uint8Array[]>; toClient(): Promise<Uint8Array[]> }> {
  const session = relayed(options);
  session.back.peer.write(fromTarget(TARGET_IO, DEMAND));
  await settled();
  session.front.peer.write(fromClient(IO_CHANNEL, CONFIRM));
  await settled();
  assert.deepEqual(session.log, []);
  const [skipTarget, skipClient] = [session.back.received().length, session.front.received().length];
  return {
    ...session,
    toTarget: () => settled().then(() => session.back.received().slice(skipTarget)),
    toClient: () => settled().then(() => session.front.received().slice(skipClient)),
  };
}

function fastInput(...events: InputEvent[]): Uint8Array {
  const writer = new Writer();
  encodeFastPathInput(writer, events);
  return writer.done();
}

function key(scancode: number, release = false): InputEvent {
  return { kind: 'key', scancode, extended: false, extended1: false, release };
}

test('activation crosses with masked capabilities and the numbers of the other leg', async () => {
  const { front, back, log } = relayed({ first: fromTarget(TARGET_IO, DEMAND) });
  await settled();
  const demand = front.received()[0] ?? assert.fail();
  const there = readSendData(demand);
  assert.deepEqual([there?.initiator, there?.channelId], [SERVER_CHANNEL_ID, IO_CHANNEL]);
  const sets = decodeDemandActive(new Reader(demand, (there?.dataOffset ?? 0) + 6)).capabilitySets;
  assert.ok(!sets.some(({ type }) => type === CapabilityType.bitmapCodecs));

  front.peer.write(fromClient(IO_CHANNEL, CONFIRM));
  await settled();
  const confirm = back.received()[0] ?? assert.fail();
  const data = readSendData(confirm);
  assert.deepEqual([data?.initiator, data?.channelId], [TARGET_USER, TARGET_IO]);
  assert.equal(readShareControl(confirm, data?.dataOffset ?? 0).source, TARGET_USER);
  const before = decodeConfirmActive(new Reader(CONFIRM, 6));
  const after = decodeConfirmActive(new Reader(confirm, (data?.dataOffset ?? 0) + 6));
  assert.deepEqual({ ...after, capabilitySets: [] }, { ...before, capabilitySets: [] });
  assert.deepEqual(log, []);
});

test('what the client sends before it confirms the target reaches nobody', async () => {
  const session = relayed();
  session.front.peer.write(fastInput(key(30)));
  session.front.peer.write(fromClient(IO_CHANNEL, CONFIRM));
  session.front.peer.write(fromClient(IO_CHANNEL, shareData(DataType.synchronize, 1)));
  await settled();
  assert.deepEqual([session.back.received(), session.log, session.input], [[], [], []]);
});

test('data PDUs go on byte for byte but for ids and pduSource', async () => {
  const session = await activated();
  for (const type of [DataType.synchronize, DataType.refreshRect, DataType.shutdownRequest])
    session.front.peer.write(fromClient(IO_CHANNEL, shareData(type, 0x1234)));
  const sent = await session.toTarget();
  assert.deepEqual(
    sent,
    [DataType.synchronize, DataType.refreshRect, DataType.shutdownRequest].map((type) =>
      fromClient(TARGET_IO, shareData(type, TARGET_USER), TARGET_USER),
    ),
  );
  for (const type of [DataType.fontMap, DataType.setErrorInfo, DataType.playSound])
    session.back.peer.write(fromTarget(TARGET_IO, shareData(type, 0x1234), 1099));
  assert.deepEqual(
    await session.toClient(),
    [DataType.fontMap, DataType.setErrorInfo, DataType.playSound].map((type) =>
      fromTarget(IO_CHANNEL, shareData(type, 0x1234), SERVER_CHANNEL_ID),
    ),
  );
});

test('several share PDUs in one are each judged and recorded by themselves', async () => {
  const session = await activated();
  const update = shareData(DataType.update, 1002, Uint8Array.of(1, 0, 0, 0));
  session.back.peer.write(
    fromTarget(
      TARGET_IO,
      Buffer.concat([
        shareData(DataType.synchronize, 1002),
        shareData(DataType.input, 1002),
        update,
        // A flow PDU of T.128, which ends nothing.
        Uint8Array.of(0, 0x80, 0x41, 0, 0, 0, 0, 0),
        shareData(DataType.fontMap, 1002),
      ]),
    ),
  );
  const arrived = shares(await session.toClient(), IO_CHANNEL).map(({ bytes }) => bytes);
  assert.deepEqual(arrived, [
    shareData(DataType.synchronize, 1002),
    update,
    shareData(DataType.fontMap, 1002),
  ]);
  assert.deepEqual(session.drawn.slow, [[DataType.update, Uint8Array.of(1, 0, 0, 0)]]);
  assert.deepEqual(session.log, ['refused data PDU of type 0x1c from the target']);
});

test('what is no PDU of its side is dropped and told of once; the list of persistent keys is not told of', async () => {
  const session = await activated();
  for (const type of [DataType.bitmapCachePersistentList, DataType.saveSessionInfo, 0xee, 0xee])
    session.front.peer.write(fromClient(IO_CHANNEL, shareData(type, 1)));
  assert.deepEqual(await session.toTarget(), []);
  assert.deepEqual(session.log, [
    'refused data PDU of type 0x26 from the client',
    'refused data PDU of type 0xee from the client',
  ]);
});

/** A redirection to session 7, in the envelope of enhanced security (2.2.13.3.1) or of standard (2.2.13.2.1). */
function sentOn(enhanced = true, flags = 0): Uint8Array {
  const writer = new Writer();
  const loadBalanceInfo = Buffer.from('Cookie: msts=1.2.3\r\n');
  const packet = { sessionId: 7, flags: RedirectionFlag.loadBalanceInfo | flags, loadBalanceInfo };
  if (enhanced)
    encodeShareControl(writer, ShareType.serverRedirection, 1002, (body) =>
      encodeEnhancedRedirection(body, packet),
    );
  else encodeRedirection(writer, packet);
  return writer.done();
}

for (const enhanced of [true, false])
  test(`a redirection in the envelope of ${enhanced ? 'enhanced' : 'standard'} security takes the desktop from the client, and nothing more passes`, async () => {
    const session = await activated();
    const before = enhanced ? [shareData(DataType.synchronize, 1002)] : [];
    session.back.peer.write(fromTarget(TARGET_IO, Buffer.concat([...before, sentOn(enhanced)])));
    session.back.peer.write(fromTarget(TARGET_IO, shareData(DataType.fontMap, 1002)));
    session.back.peer.write(
      withData((writer) => encodeDisconnectProviderUltimatum(writer, DisconnectReason.providerInitiated)),
    );
    await settled();
    session.front.peer.write(fastInput(key(30)));
    session.front.peer.write(fromClient(IO_CHANNEL, CONFIRM));
    session.front.peer.write(fromClient(CLIPBOARD.id, new Uint8Array(16)));
    const arrived = shares(await session.toClient(), IO_CHANNEL);
    assert.deepEqual(
      arrived.map(({ type }) => type),
      [...before.map(() => ShareType.data), ShareType.deactivateAll],
    );
    assert.deepEqual(await session.toTarget(), []);
    assert.deepEqual([session.log, session.input], [['sent on to session 7'], []]);
    // The client may still leave.
    session.front.peer.write(
      withData((writer) => encodeDisconnectProviderUltimatum(writer, DisconnectReason.userRequested)),
    );
    await settled();
    assert.deepEqual(session.log.slice(1), ['client left']);
  });

test('a redirection before the desktop takes none from the client; one that only informs is dropped', async () => {
  const session = relayed({ first: fromTarget(TARGET_IO, sentOn(true, RedirectionFlag.noRedirect)) });
  await settled();
  assert.deepEqual([session.front.received(), session.log], [[], []]);
  session.back.peer.write(fromTarget(TARGET_IO, sentOn()));
  await settled();
  assert.deepEqual([session.front.received(), session.log], [[], ['sent on to session 7']]);
});

test('a redirection that cannot be read ends the session', async () => {
  const session = await activated();
  const writer = new Writer();
  encodeShareControl(writer, ShareType.serverRedirection, 1002, (body) => body.zeros(40));
  session.back.peer.write(fromTarget(TARGET_IO, writer.done()));
  await settled();
  assert.match(session.log.join(), /^target broke: Flags at offset \d+ is 0x0/);
});

test('an auto-reconnect cookie stays at the gateway, the rest of what was saved goes on', async () => {
  const session = await activated();
  const autoReconnect = { logonId: 7, randomBits: new Uint8Array(16).fill(0xab) };
  const errors = { type: 0xffff_fffe, data: 3 };
  const saved: SaveSessionInfo[] = [
    { kind: 'extended', autoReconnect },
    { kind: 'extended', autoReconnect, errors },
    { kind: 'extended', errors },
    { kind: 'logon', version: 2, domain: 'D', userName: 'root', sessionId: 3 },
    { kind: 'plain' },
  ];
  for (const info of saved) {
    const body = new Writer();
    encodeSaveSessionInfo(body, info);
    session.back.peer.write(fromTarget(TARGET_IO, shareData(DataType.saveSessionInfo, 1002, body.done())));
  }
  const arrived = await session.toClient();
  assert.ok(!Buffer.concat(arrived).includes(autoReconnect.randomBits));
  const without = { kind: 'extended', autoReconnect: undefined, errors };
  assert.deepEqual(
    shares(arrived, IO_CHANNEL).map(({ bytes }) => decodeSaveSessionInfo(new Reader(bytes, 18))),
    [without, without, saved[3], saved[4]],
  );
  assert.deepEqual(session.log, []);
});

test('input is recorded and goes on as it came, over both paths', async () => {
  const session = await activated();
  const slow = new Writer();
  encodeSlowPathInput(slow, [key(31), key(31, true)]);
  const fast = fastInput(key(30), key(30, true));
  session.front.peer.write(fast);
  session.front.peer.write(fromClient(IO_CHANNEL, shareData(DataType.input, 1, slow.done())));
  const sent = await session.toTarget();
  assert.deepEqual(sent, [
    fast,
    fromClient(TARGET_IO, shareData(DataType.input, TARGET_USER, slow.done()), TARGET_USER),
  ]);
  assert.deepEqual(session.input, [key(30), key(30, true), key(31), key(31, true)]);
});

test('of a locked client keys are let go, and nothing else passes; what channels carry waits', async () => {
  const session = await activated();
  session.relay.lock('Locked.');
  session.front.peer.write(fastInput(key(29, true), key(30), { kind: 'mouse', flags: 0x9000, x: 1, y: 1 }));
  session.front.peer.write(fastInput(key(30)));
  const slow = new Writer();
  encodeSlowPathInput(slow, [key(31), key(32, true)]);
  session.front.peer.write(fromClient(IO_CHANNEL, shareData(DataType.input, 1, slow.done())));
  // CB_FORMAT_LIST without a format, in one chunk.
  const list = Uint8Array.of(8, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0);
  session.front.peer.write(fromClient(CLIPBOARD.id, list));
  const locked = await session.toTarget();
  assert.equal(locked.length, 2);
  assert.deepEqual(decodeFastPathInput(new Reader(locked[0] ?? assert.fail())), [key(29, true)]);
  assert.deepEqual(session.input, [key(29, true), key(32, true)]);
  const slowSent = shares(locked, TARGET_IO)[0]?.bytes ?? assert.fail();
  const one = new Writer();
  encodeSlowPathInput(one, [key(32, true)]);
  assert.deepEqual(slowSent.subarray(18), one.done());

  session.relay.unlock();
  const unlocked = (await session.toTarget()).slice(2);
  assert.deepEqual(unlocked, [fromClient(TARGET_CLIPBOARD, list, TARGET_USER)]);
  assert.deepEqual(session.log, []);
});

test('a locked client that floods its channels is ended, not kept', async () => {
  const session = await activated();
  session.relay.lock('Locked.');
  for (let n = 0; n < 300 && session.log.length === 0; n += 1) {
    session.front.peer.write(fromClient(CLIPBOARD.id, new Uint8Array(16_000)));
    await settled();
  }
  assert.match(session.log.join(), /^client broke: channel data .* wait for an unlock$/);
});

/** The activation's last PDU from the target, as servers send it. */
const fontMap = (): Uint8Array => fromTarget(TARGET_IO, shareData(DataType.fontMap, 1002));
/** One black pixel, from its updateType on. */
const BITMAP = Uint8Array.of(
  1,
  0,
  1,
  0,
  ...[0, 0, 0, 0, 1, 1, 16, 0, 2].flatMap((field) => [field, 0]),
  0,
  0,
);

function slowUpdates(pdus: readonly Uint8Array[]): Uint8Array[] {
  return shares(pdus, IO_CHANNEL).flatMap(({ bytes }) => {
    const data = readShareData(bytes, readShareControl(bytes, 0));
    return data.type === DataType.update ? [bytes.subarray(data.dataOffset, data.end)] : [];
  });
}

/** Pixels that bitmap updates of the gateway's own cover. */
function area(updates: readonly Uint8Array[]): number {
  return updates.reduce((sum, update) => {
    const [left = 0, top = 0, right = 0, bottom = 0] = new Uint16Array(update.slice(4, 12).buffer);
    return sum + (right - left + 1) * (bottom - top + 1);
  }, 0);
}

test('a session that is locked from the first is covered once it is activated, and recorded behind that', async () => {
  const session = relayed();
  session.relay.lock('Your session has been locked.');
  session.back.peer.write(fromTarget(TARGET_IO, DEMAND));
  await settled();
  session.front.peer.write(fromClient(IO_CHANNEL, CONFIRM));
  await settled();
  assert.equal(session.front.received().length, 1, 'before the client is ready nothing is shown');
  session.back.peer.write(fontMap());
  await settled();
  const [last = assert.fail(), ...painted] = session.front.received().slice(1);
  assert.deepEqual(last, fromTarget(IO_CHANNEL, shareData(DataType.fontMap, 1002), SERVER_CHANNEL_ID));
  assert.equal(area(slowUpdates(painted)), 640 * 480);
  assert.equal(slowUpdates(painted).length, painted.length);

  const fast = new Writer();
  encodeFastPath(fast, 0, (body) => encodeFastPathUpdate(body, UpdateCode.bitmap, BITMAP));
  session.back.peer.write(fast.done());
  session.back.peer.write(fromTarget(TARGET_IO, shareData(DataType.update, 1002, BITMAP)));
  // To 5, 5.
  const moves = shareData(DataType.pointer, 1002, Uint8Array.of(3, 0, 0, 0, 5, 0, 5, 0));
  session.back.peer.write(fromTarget(TARGET_IO, moves, SERVER_CHANNEL_ID));
  await settled();
  const after = session.front.received().slice(2 + painted.length);
  assert.deepEqual(after, [fromTarget(IO_CHANNEL, moves, SERVER_CHANNEL_ID)]);
  assert.deepEqual([session.drawn.fast.length, session.drawn.slow.length], [1, 2]);

  const sent = session.back.received().length;
  session.relay.unlock();
  session.back.peer.write(fast.done());
  await settled();
  assert.deepEqual(session.front.received().at(-1), fast.done());
  const refresh = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 639 & 0xff, 639 >> 8, 479 & 0xff, 479 >> 8);
  assert.deepEqual(session.back.received().slice(sent), [
    fromClient(TARGET_IO, shareData(DataType.refreshRect, TARGET_USER, refresh), TARGET_USER),
  ]);
  assert.deepEqual(session.log, []);
  session.relay.abort(1);
});

test('a locked desktop that gets another size is covered anew', async () => {
  const session = await activated();
  session.back.peer.write(fontMap());
  session.relay.lock('Locked.');
  await settled();
  const before = session.front.received().length;
  const deactivate = new Writer();
  encodeShareControl(deactivate, ShareType.deactivateAll, 1002, (body) => body.u32le(0).u16le(0));
  session.back.peer.write(fromTarget(TARGET_IO, deactivate.done()));
  await settled();
  session.relay.notify('Hello.');
  await settled();
  const demand = new Writer();
  encodeShareControl(demand, ShareType.demandActive, 1002, (body) => {
    const { capabilitySets, ...rest } = decodeDemandActive(new Reader(DEMAND, 6));
    const resized = capabilitySets.map(({ type, body: set }) => {
      const own = new Uint8Array(set);
      if (type === CapabilityType.bitmap) new DataView(own.buffer).setUint16(8, 320, true);
      return { type, body: own };
    });
    encodeDemandActive(body, { ...rest, capabilitySets: resized });
  });
  session.back.peer.write(fromTarget(TARGET_IO, demand.done()));
  await settled();
  assert.equal(session.front.received().length, before + 2, 'nothing but the two');
  session.front.peer.write(fromClient(IO_CHANNEL, CONFIRM));
  session.back.peer.write(fontMap());
  await settled();
  // The message over it, too.
  const covered = area(slowUpdates(session.front.received().slice(before + 2)));
  assert.ok(covered > 320 * 480 && covered < 320 * 520, `${covered} pixels`);
  session.relay.unlock();
  const [refresh] = shares((await session.toTarget()).slice(-1), TARGET_IO);
  assert.deepEqual(
    refresh?.bytes.subarray(18 + 4),
    Uint8Array.of(0, 0, 0, 0, 319 & 0xff, 319 >> 8, 479 & 0xff, 479 >> 8),
  );
  session.relay.abort(1);
});

test('a target that cannot draw anew is not drawn over: its picture goes on', async () => {
  const demand = new Uint8Array(DEMAND);
  const set = decodeDemandActive(new Reader(demand, 6)).capabilitySets.find(
    ({ type }) => type === CapabilityType.general,
  );
  const at = Buffer.from(demand).indexOf(set?.body ?? assert.fail());
  // refreshRectSupport of the General set.
  demand[at + 18] = 0;
  const session = relayed();
  session.relay.lock('Locked.');
  session.back.peer.write(fromTarget(TARGET_IO, demand));
  await settled();
  session.front.peer.write(fromClient(IO_CHANNEL, CONFIRM));
  session.back.peer.write(fontMap());
  session.back.peer.write(fromTarget(TARGET_IO, shareData(DataType.update, 1002, BITMAP)));
  session.relay.notify('Hello.');
  await settled();
  assert.deepEqual(slowUpdates(session.front.received()), [BITMAP]);
  const sent = session.back.received().length;
  session.relay.unlock();
  await settled();
  assert.equal(session.back.received().length, sent);
});

for (const type of [DataType.refreshRect, DataType.suppressOutput])
  test(`a client that asks for its picture by 0x${type.toString(16)} gets what covers it`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const session = await activated();
    session.back.peer.write(fontMap());
    session.relay.lock('Locked.');
    await settled();
    const painted = slowUpdates(session.front.received());
    session.front.peer.write(fromClient(IO_CHANNEL, shareData(type, 1)));
    session.front.peer.write(fromClient(IO_CHANNEL, shareData(type, 1)));
    await settled();
    t.mock.timers.tick(1000);
    await settled();
    assert.deepEqual(slowUpdates(session.front.received()), [...painted, ...painted]);
    // The target is asked too: what it draws is recorded.
    assert.equal(shares(await session.toTarget(), TARGET_IO).length, 2);
    session.relay.abort(1);
  });

test('what is painted has an alpha plane unless the client can do without', async () => {
  for (const [name, format] of [
    ['shadow-tls-32', 0x30],
    ['xrdp-32', 0x10],
  ] as const) {
    const { demand, confirm } = realActivation(name);
    const session = relayed();
    session.back.peer.write(fromTarget(TARGET_IO, demand));
    await settled();
    session.front.peer.write(fromClient(IO_CHANNEL, confirm));
    session.back.peer.write(fontMap());
    session.relay.notify('Hello.');
    await settled();
    // Behind the header of the rectangle and that of its compression.
    assert.equal(slowUpdates(session.front.received())[0]?.[4 + 18 + 8], format, name);
    session.relay.abort(1);
  }
});

test('a message is shown on the desktop', async () => {
  const session = await activated();
  session.back.peer.write(fontMap());
  session.relay.notify('This gateway is being stopped.');
  await settled();
  const painted = area(slowUpdates(session.front.received()));
  assert.ok(painted > 1000 && painted < 640 * 60, `${painted} pixels`);
  session.relay.abort(1);
});

test('last words stand over the desktop, nothing else passes, and the target is left at once', async () => {
  const session = await activated();
  session.back.peer.write(fontMap());
  await settled();
  const before = [session.front.received().length, session.back.received().length] as const;
  session.relay.lastWords('The recording cannot be kept.');
  session.back.peer.write(fromTarget(TARGET_IO, shareData(DataType.update, 1002, BITMAP)));
  session.front.peer.write(fastInput(key(30)));
  await settled();
  const updates = slowUpdates(session.front.received().slice(before[0]));
  assert.ok(!updates.some((update) => Buffer.from(update).equals(BITMAP)));
  const painted = area(updates);
  assert.ok(painted > 1000 && painted < 640 * 60, `${painted} pixels`);
  const [goodbye = assert.fail(), ...more] = session.back.received().slice(before[1]);
  assert.equal(decodeDisconnectProviderUltimatum(dataReader(goodbye)), DisconnectReason.userRequested);
  assert.deepEqual(more, []);
  session.relay.abort(1);
  await settled();
  const last = session.front.received().at(-1) ?? assert.fail();
  assert.equal(decodeDisconnectProviderUltimatum(dataReader(last)), DisconnectReason.userRequested);
  assert.deepEqual(session.log, []);
});

test('channel data is policed, and has the number of the other leg', async () => {
  const session = await activated();
  const ready = Uint8Array.of(8, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
  session.back.peer.write(fromTarget(TARGET_CLIPBOARD, ready));
  session.back.peer.write(fromTarget(TARGET_CLIPBOARD + 1, ready));
  session.front.peer.write(fromClient(CLIPBOARD.id + 1, ready));
  assert.deepEqual(await session.toClient(), [fromTarget(CLIPBOARD.id, ready)]);
  assert.deepEqual(await session.toTarget(), []);
  // A second message before the first has ended.
  const first = Uint8Array.of(16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0);
  session.front.peer.write(fromClient(CLIPBOARD.id, first));
  session.front.peer.write(fromClient(CLIPBOARD.id, first));
  await settled();
  assert.match(session.log.join(), /^client broke: CHANNEL_PDU_HEADER.flags/);
});

const COMPRESSED_UPDATE = (() => {
  const writer = new Writer();
  encodeFastPath(writer, 0, (body) => {
    encodeFastPathUpdate(body, UpdateCode.synchronize, new Uint8Array());
    body
      .u8(0x80 | UpdateCode.bitmap)
      .u8(0x21)
      .u16le(2)
      .u16le(0);
  });
  return writer.done();
})();

test('a compressed picture ends the session before the client sees it', async () => {
  const session = await activated();
  session.back.peer.write(COMPRESSED_UPDATE);
  assert.deepEqual(await session.toClient(), []);
  assert.equal(session.drawn.fast.length, 1, 'what ended it is in the recording');
  assert.match(session.log.join(), /^target broke: compressionFlags/);
  for (const side of ['client', 'target'] as const) {
    const other = await activated();
    const pdu = shareData(side === 'client' ? DataType.control : DataType.update, 1002);
    pdu[15] = 0x21;
    if (side === 'client') other.front.peer.write(fromClient(IO_CHANNEL, pdu));
    else other.back.peer.write(fromTarget(TARGET_IO, pdu));
    assert.deepEqual(await (side === 'client' ? other.toTarget() : other.toClient()), []);
    assert.match(other.log.join(), new RegExp(`^${side} broke: compressedType`));
  }
});

for (const [what, side, send] of [
  ['a fast-path update that is cut', 'target', Uint8Array.of(0, 5, 1, 9, 0)],
  ['a Send Data Request', 'target', fromClient(TARGET_IO, shareData(DataType.fontMap, 1002))],
  ['a Confirm Active', 'target', fromTarget(TARGET_IO, CONFIRM)],
  ['a Send Data Indication', 'client', fromTarget(IO_CHANNEL, shareData(DataType.synchronize, 1002))],
  ['a Demand Active', 'client', fromClient(IO_CHANNEL, DEMAND)],
  [
    'two share PDUs in one',
    'client',
    fromClient(IO_CHANNEL, Buffer.concat([shareData(DataType.control, 1), shareData(DataType.control, 1)])),
  ],
  ['relative mouse input', 'client', fastInput({ kind: 'relativeMouse', flags: 0x800, dx: 1, dy: 1 })],
  [
    'a late join',
    'client',
    withData((writer) =>
      writer
        .u8(14 << 2)
        .u16be(6)
        .u16be(1004),
    ),
  ],
  ['no PDU at all', 'client', Uint8Array.of(0x47, 0x45, 0x54, 0x20)],
  ['no PDU at all', 'target', Uint8Array.of(0x47, 0x45, 0x54, 0x20)],
] as const)
  test(`${what} of the ${side} ends the session, and nothing after it is relayed`, async () => {
    const session = await activated();
    const peer = side === 'client' ? session.front.peer : session.back.peer;
    peer.write(send);
    peer.write(fastInput(key(30)));
    await settled();
    peer.write(fastInput(key(30)));
    assert.deepEqual([await session.toClient(), await session.toTarget()], [[], []]);
    assert.equal(session.log.length, 1, session.log.join());
    assert.match(session.log[0] ?? '', new RegExp(`^${side} broke: `));
  });

const ULTIMATUM = withData((writer) =>
  encodeDisconnectProviderUltimatum(writer, DisconnectReason.userRequested),
);

for (const [what, bytes] of [
  ['an ultimatum', ULTIMATUM],
  ['a detach request, as rdesktop does', withData((writer) => writer.u8(12 << 2).u8(0x80))],
  ['an X.224 disconnect request', withTpkt((writer) => encodeDisconnectRequest(writer))],
] as const)
  test(`a client that leaves with ${what} has left, and the target hears it properly`, async () => {
    const session = await activated();
    session.front.peer.write(bytes);
    session.front.peer.write(fastInput(key(30)));
    assert.deepEqual(await session.toTarget(), [ULTIMATUM]);
    // The owner ends the session; nobody is told twice.
    session.relay.abort(1);
    assert.deepEqual(await session.toTarget(), [ULTIMATUM]);
    assert.deepEqual(await session.toClient(), []);
    assert.deepEqual(session.log, ['client left']);
  });

test('a target that leaves has left with its own reason', async () => {
  const session = await activated();
  session.back.peer.write(
    fromTarget(TARGET_IO, shareData(DataType.setErrorInfo, 1002, Uint8Array.of(3, 0, 0, 0))),
  );
  session.back.peer.write(ULTIMATUM);
  session.back.peer.write(fromTarget(TARGET_IO, shareData(DataType.fontMap, 1002)));
  await settled();
  session.relay.abort(12);
  const arrived = await session.toClient();
  assert.deepEqual(
    shares(arrived, IO_CHANNEL).map(({ bytes }) => decodeErrorInfo(new Reader(bytes, 18))),
    [3],
  );
  assert.deepEqual(arrived.slice(1), [ULTIMATUM]);
  assert.deepEqual(session.log, ['target left']);
});

test('an end by the gateway tells the reason to a client that reads it, and says good-bye on both legs', async () => {
  for (const reads of [true, false]) {
    const blocks = realBlocks();
    const session = await activated({
      blocks: { ...blocks, core: { ...blocks.core, earlyCapabilityFlags: reads ? 1 : 0 } },
    });
    session.relay.abort(4);
    session.relay.abort(5);
    const arrived = await session.toClient();
    assert.deepEqual(
      shares(arrived, IO_CHANNEL).map(({ bytes }) => {
        const data = readShareData(bytes, readShareControl(bytes, 0));
        return [data.type, decodeErrorInfo(new Reader(bytes, 18))];
      }),
      reads ? [[DataType.setErrorInfo, 4]] : [],
    );
    assert.deepEqual([arrived.at(-1), ...(await session.toTarget())], [ULTIMATUM, ULTIMATUM]);
    assert.equal(decodeDisconnectProviderUltimatum(dataReader(ULTIMATUM)), DisconnectReason.userRequested);
  }
});

test('of what is refused over and over the audit log hears a hundred times, the recording always', async () => {
  const session = await activated();
  // Of a clipboard message that there is not.
  const unknown = chunks(Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 0))[0] ?? assert.fail();
  for (let n = 0; n < 300; n += 1) session.back.peer.write(fromTarget(TARGET_CLIPBOARD, unknown));
  await settled();
  assert.equal(session.log.length, 100);
  assert.equal(session.log.at(-1), 'refused and more');
  assert.equal(session.told.filter(({ kind }) => kind === 'refused').length, 300);
});

test('captured sessions cross whole, with their picture and input in the recording', async () => {
  // What rdesktop was sent directly has drawing orders, which through the gateway are not negotiated.
  for (const name of ['xrdp-16', 'xrdp-24', 'shadow-tls-16']) {
    const { messages, demand } = sessionOf(name);
    const session = relayed();
    const sent = { client: 0, server: 0 };
    for (const { from, bytes } of messages.slice(demand)) {
      const data = bytes[0] === 3 ? readSendData(bytes) : undefined;
      // Other static channels than the one that these legs have; the ends of the connection.
      if (bytes[0] === 3 && data?.channelId !== IO_CHANNEL) continue;
      if (from === 'client') session.front.peer.write(Buffer.from(bytes));
      else if (data === undefined) session.back.peer.write(Buffer.from(bytes));
      else session.back.peer.write(fromTarget(TARGET_IO, bytes.subarray(data.dataOffset)));
      if (from === 'server' || bytes[0] !== 3) sent[from] += 1;
      await settled();
    }
    assert.deepEqual(session.log, [], name);
    assert.ok(session.front.received().length >= sent.server, `${name}: ${sent.server} of the server`);
    assert.ok(session.drawn.fast.length + session.drawn.slow.length > 3, name);
    assert.ok(session.input.length >= Math.max(1, sent.client), name);
  }
});
