/** Capability masks against the Demand and Confirm Active PDUs of real servers and clients. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ConfirmActive,
  type DemandActive,
  decodeConfirmActive,
  decodeDemandActive,
} from '../../../gateway/rdp/pdu/activation.ts';
import { type CapabilitySet, CapabilityType, findCapability } from '../../../gateway/rdp/pdu/capabilities.ts';
import {
  bitmapCapability,
  DrawingFlag,
  GeneralFlag,
  generalCapability,
  inputCapability,
  orderCapability,
  virtualChannelCapability,
} from '../../../gateway/rdp/pdu/capability-base.ts';
import {
  bitmapCacheRev2Capability,
  CacheFlag,
  glyphCacheCapability,
  offscreenCacheCapability,
} from '../../../gateway/rdp/pdu/capability-cache.ts';
import { Reader } from '../../../gateway/rdp/pdu/cursor.ts';
import {
  type ClientCore,
  ClusterFlag,
  decodeClientBlocks,
  EarlyCapability,
  encodeClientBlocks,
} from '../../../gateway/rdp/pdu/gcc-client.ts';
import { readSendData } from '../../../gateway/rdp/pdu/mcs-data.ts';
import { DataType, readShareControl, ShareType } from '../../../gateway/rdp/pdu/share.ts';
import {
  clientBlocksForTarget,
  confirmForTarget,
  dataTypeAllowed,
  demandForClient,
} from '../../../gateway/rdp/profile.ts';
import { realBlocks } from './legs.ts';
import { connections } from './pdu/connections.ts';

interface Activation {
  readonly name: string;
  readonly demands: DemandActive[];
  readonly confirms: ConfirmActive[];
}

function activations(): Activation[] {
  return connections().map(({ name, session }) => {
    const [demands, confirms]: [DemandActive[], ConfirmActive[]] = [[], []];
    for (const pdu of session) {
      const data = pdu[0] === 3 ? readSendData(pdu) : undefined;
      if (data === undefined || data.channelId !== 1003) continue;
      const end = data.dataOffset + data.dataLength;
      // Client Info and licensing have another header.
      if (((pdu[data.dataOffset] ?? 0) | ((pdu[data.dataOffset + 1] ?? 0) << 8)) > data.dataLength) continue;
      const control = tolerate(() => readShareControl(pdu, data.dataOffset, end));
      if (control?.type === ShareType.demandActive)
        demands.push(decodeDemandActive(new Reader(pdu, control.dataOffset, control.end)));
      if (control?.type === ShareType.confirmActive)
        confirms.push(decodeConfirmActive(new Reader(pdu, control.dataOffset, control.end)));
    }
    return { name, demands, confirms };
  });
}

function tolerate<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

const REFUSED: readonly number[] = [
  CapabilityType.drawNineGridCache,
  CapabilityType.drawGdiPlus,
  CapabilityType.rail,
  CapabilityType.windowList,
  CapabilityType.desktopComposition,
  CapabilityType.bitmapCodecs,
  CapabilityType.surfaceCommands,
  CapabilityType.frameAcknowledge,
];
const CHANGED: readonly number[] = [
  CapabilityType.general,
  CapabilityType.bitmap,
  CapabilityType.order,
  CapabilityType.input,
  CapabilityType.virtualChannel,
  CapabilityType.glyphCache,
  CapabilityType.offscreenCache,
  CapabilityType.brush,
  CapabilityType.bitmapCacheRev2,
];

function judge(name: string, before: readonly CapabilitySet[], after: readonly CapabilitySet[]): void {
  assert.deepEqual(
    after.map(({ type }) => type),
    before.map(({ type }) => type).filter((type) => !REFUSED.includes(type)),
    name,
  );
  for (const set of after) {
    const own = before.find(({ type }) => type === set.type);
    assert.equal(set.body.length, own?.body.length, `${name}: set ${set.type}`);
    if (!CHANGED.includes(set.type)) assert.deepEqual(set.body, own?.body, `${name}: set ${set.type}`);
  }
  const general = findCapability(after, generalCapability);
  const was = findCapability(before, generalCapability);
  assert.ok(general && was, name);
  assert.deepEqual(
    general,
    {
      ...was,
      generalCompressionTypes: 0,
      generalCompressionLevel: 0,
      extraFlags: was.extraFlags & ~GeneralFlag.autoReconnect,
    },
    name,
  );
  const { drawingFlags, ...bitmap } = findCapability(after, bitmapCapability) ?? assert.fail(name);
  const { drawingFlags: flagsBefore, ...bitmapBefore } =
    findCapability(before, bitmapCapability) ?? assert.fail(name);
  assert.deepEqual(bitmap, bitmapBefore, name);
  assert.equal(drawingFlags, flagsBefore & DrawingFlag.allowSkipAlpha, name);
  const order = findCapability(after, orderCapability);
  assert.ok(order, name);
  assert.ok(
    order.orderSupport.every((byte) => byte === 0),
    name,
  );
  assert.deepEqual([order.orderFlags & ~0x0a, order.orderSupportExFlags], [0, 0], name);
  assert.equal((findCapability(after, inputCapability)?.inputFlags ?? 0) & 0x0280, 0, name);
  assert.equal(findCapability(after, virtualChannelCapability)?.flags ?? 0, 0, name);
  assert.equal(findCapability(after, glyphCacheCapability)?.glyphSupportLevel ?? 0, 0, name);
  assert.equal(findCapability(after, offscreenCacheCapability)?.offscreenSupportLevel ?? 0, 0, name);
  const cache = findCapability(after, bitmapCacheRev2Capability);
  assert.equal((cache?.cacheFlags ?? 0) & CacheFlag.persistentKeysExpected, 0, name);
}

test('of what real peers can, nothing refused gets through, and all else as it was', () => {
  let [demands, confirms] = [0, 0];
  for (const each of activations()) {
    for (const demand of each.demands) {
      const masked = demandForClient(demand);
      judge(`${each.name}, demand`, demand.capabilitySets, masked.capabilitySets);
      assert.deepEqual({ ...masked, capabilitySets: [] }, { ...demand, capabilitySets: [] });
      demands += 1;
    }
    for (const confirm of each.confirms) {
      const masked = confirmForTarget(confirm);
      judge(`${each.name}, confirm`, confirm.capabilitySets, masked.capabilitySets);
      assert.deepEqual({ ...masked, capabilitySets: [] }, { ...confirm, capabilitySets: [] });
      confirms += 1;
    }
  }
  assert.ok(demands >= 15 && confirms >= 15, `${demands} demands, ${confirms} confirms`);
});

test('sets that are cut short are masked as far as they go', () => {
  for (const type of CHANGED)
    for (let length = 0; length < 90; length += 1) {
      const set = { type, body: new Uint8Array(length).fill(0xff) };
      const demand = { shareId: 1, sourceDescriptor: new Uint8Array(), pad: 0, capabilitySets: [set] };
      const [masked] = demandForClient(demand).capabilitySets;
      assert.equal(masked?.body.length, length);
      assert.ok(set.body.every((byte) => byte === 0xff));
    }
});

test('a target is told what its client is, less what must not be', () => {
  const real = realBlocks();
  const blocks = {
    ...real,
    core: { ...real.core, earlyCapabilityFlags: 0xffff, serverSelectedProtocol: 1 },
    cluster: {
      flags: ClusterFlag.redirectedSmartcard | ClusterFlag.redirectionSupported,
      redirectedSessionId: 0,
    },
    messageChannel: 0,
    multitransport: 0x0105,
    unknown: [{ type: 0xc0ff, body: new Uint8Array(4) }],
  };
  const told = clientBlocksForTarget(blocks, [{ name: 'cliprdr', options: 0xffff_ffff, id: 1004 }], 2);
  const flags = told.core.earlyCapabilityFlags ?? 0;
  for (const refused of [
    EarlyCapability.supportDynvcGfxProtocol,
    EarlyCapability.supportNetcharAutodetect,
    EarlyCapability.supportHeartbeatPdu,
    EarlyCapability.supportSkipChannelJoin,
    0xf000,
  ])
    assert.equal(flags & refused, 0);
  assert.ok((flags & EarlyCapability.supportErrInfoPdu) !== 0);
  assert.equal(told.core.serverSelectedProtocol, 2);
  assert.deepEqual(told.cluster, { flags: ClusterFlag.redirectionSupported, redirectedSessionId: 0 });
  assert.deepEqual(told.channels, [{ name: 'cliprdr', options: 0xff3f_ffff }]);
  assert.deepEqual([told.messageChannel, told.multitransport, told.unknown], [undefined, undefined, []]);
  assert.deepEqual(
    { ...told.core, earlyCapabilityFlags: 0, serverSelectedProtocol: 0 },
    { ...real.core, earlyCapabilityFlags: 0, serverSelectedProtocol: 0 },
  );
});

/** The optional fields of the core data in order, as a client may send them. */
const OPTIONAL = {
  postBeta2ColorDepth: 0xca03,
  clientProductId: 1,
  serialNumber: 7,
  highColorDepth: 24,
  supportedColorDepths: 0x0f,
  earlyCapabilityFlags: EarlyCapability.validConnectionType | EarlyCapability.supportErrInfoPdu,
  clientDigProductId: '69712-783',
  connectionType: 6,
  serverSelectedProtocol: 1,
  desktopPhysicalWidth: 400,
} as const;

test('the protocol that the target selected reaches it from clients of any age', () => {
  const { core } = realBlocks();
  const names = Object.keys(OPTIONAL) as (keyof typeof OPTIONAL)[];
  const required = Object.fromEntries(
    Object.entries(core).slice(0, Object.keys(core).indexOf('imeFileName') + 1),
  ) as unknown as ClientCore;
  for (const colorDepth of [0xca00, 0xca01])
    for (let sent = 0; sent <= names.length; sent += 1) {
      const fields = Object.fromEntries(names.slice(0, sent).map((name) => [name, OPTIONAL[name]]));
      const blocks = { core: { ...required, colorDepth, ...fields }, unknown: [] };
      const bytes = encodeClientBlocks(clientBlocksForTarget(blocks, [], 2));
      const told = decodeClientBlocks(new Reader(bytes)).core;
      assert.deepEqual(
        told,
        {
          ...required,
          colorDepth,
          postBeta2ColorDepth: colorDepth,
          clientProductId: 1,
          serialNumber: 0,
          highColorDepth: sent > 0 ? 16 : colorDepth === 0xca00 ? 4 : 8,
          supportedColorDepths: sent > 3 ? 1 : sent > 0 ? 2 : 0,
          earlyCapabilityFlags: 0,
          clientDigProductId: '',
          connectionType: 0,
          ...fields,
          // Of a connection type that does not come nothing can be said.
          ...(sent === 6 || sent === 7 ? { earlyCapabilityFlags: EarlyCapability.supportErrInfoPdu } : {}),
          serverSelectedProtocol: 2,
        },
        `${sent} fields`,
      );
    }
});

test('every type of data PDU has the side that sends it, or none', () => {
  const both: readonly number[] = [DataType.synchronize, DataType.control];
  const neither: readonly number[] = [DataType.bitmapCachePersistentList, DataType.frameAcknowledge];
  for (const type of Object.values(DataType)) {
    const sides = [dataTypeAllowed('client', type), dataTypeAllowed('target', type)];
    const count = both.includes(type) ? 2 : neither.includes(type) ? 0 : 1;
    assert.equal(sides.filter(Boolean).length, count, `type 0x${type.toString(16)}`);
  }
  assert.ok(!dataTypeAllowed('client', 0xee) && !dataTypeAllowed('target', 0xee));
});
