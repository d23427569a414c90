/**
 * Hostile virtual channels: whatever the chunks are, the police lets a session go on or ends
 * it with a PduError, and what it passes on stays within what it was given. A failure names
 * its seed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ClipMessage,
  ClipType,
  encodeClipMessage,
  encodeFileList,
  encodeFormatList,
  FILE_LIST_FORMAT,
} from '../../gateway/rdp/channels/cliprdr.ts';
import { encodeDisplayControl } from '../../gateway/rdp/channels/display-control.ts';
import {
  encodeCreateRequest,
  encodeCreateResponse,
  encodeDynamicCapabilities,
  encodeDynamicClose,
  encodeDynamicData,
} from '../../gateway/rdp/channels/drdynvc.ts';
import { ChannelPolice, type ClipboardScope, type Side } from '../../gateway/rdp/channels/police.ts';
import {
  encodeCapabilitySets,
  encodeCreate,
  encodeDeviceList,
  encodeDeviceRemoval,
  encodeIoCompletion,
  encodeIoRequest,
  MajorFunction,
  PacketId,
} from '../../gateway/rdp/channels/rdpdr.ts';
import { chunks } from '../../gateway/rdp/channels/virtual-channel.ts';
import { PduError } from '../../gateway/rdp/pdu/cursor.ts';
import { seeded } from '../support/random.ts';
import { bytes, CHANNELS, EVERYTHING, messages, NOTHING, written } from '../unit/rdp/channels/bed.ts';

type Below = (limit: number) => number;

const clip = (message: ClipMessage) => written((writer) => encodeClipMessage(writer, message));
const io = (major: number, completion: number, body: Uint8Array) =>
  bytes(
    written((writer) => encodeIoRequest(writer, { device: 1, file: 7, completion, major, minor: 0 })),
    body,
  );
const done = (completion: number, body: string) =>
  bytes(
    written((writer) => encodeIoCompletion(writer, { device: 1, completion, status: 0 })),
    body,
  );

/** Real messages of each channel, in an order that makes sense. */
const TALKS: Record<string, readonly (readonly [Side, Uint8Array])[]> = {
  cliprdr: [
    ['target', clip({ type: ClipType.capabilities, version: 2, generalFlags: 0x1e })],
    ['target', clip({ type: ClipType.monitorReady })],
    ['client', clip({ type: ClipType.capabilities, version: 2, generalFlags: 0x1e })],
    ['client', clip({ type: ClipType.tempDirectory, path: 'C:\\' })],
    [
      'client',
      written((writer) =>
        encodeFormatList(
          writer,
          [13, 0xc001].map((id) => ({ id, name: id > 99 ? FILE_LIST_FORMAT : '' })),
          'long',
        ),
      ),
    ],
    ['target', clip({ type: ClipType.formatListResponse, ok: true })],
    ['target', clip({ type: ClipType.formatDataRequest, format: 13 })],
    ['client', clip({ type: ClipType.formatDataResponse, ok: true, data: new Uint8Array(3000).fill(65) })],
    ['target', clip({ type: ClipType.formatDataRequest, format: 0xc001 })],
    [
      'client',
      clip({
        type: ClipType.formatDataResponse,
        ok: true,
        data: written((writer) => encodeFileList(writer, [{ name: 'a', bytes: 3 }])),
      }),
    ],
    [
      'target',
      clip({ type: ClipType.fileContentsRequest, stream: 1, index: 0, what: 2, position: 0n, requested: 3 }),
    ],
    ['client', clip({ type: ClipType.fileContentsResponse, ok: true, stream: 1, data: bytes('616263') })],
  ],
  rdpdr: [
    [
      'client',
      written((writer) =>
        encodeCapabilitySets(writer, PacketId.clientCapability, [
          { type: 1, bytes: bytes('01000800 01000000') },
        ]),
      ),
    ],
    [
      'client',
      written((writer) =>
        encodeDeviceList(
          writer,
          [8, 4, 32].map((type, id) => ({ type, id, dosName: 'X', data: bytes('00') })),
        ),
      ),
    ],
    [
      'target',
      io(
        MajorFunction.create,
        1,
        written((writer) => encodeCreate(writer, { path: '\\a', desiredAccess: 3, options: 0 })),
      ),
    ],
    ['client', done(1, '07000000 01')],
    ['target', io(MajorFunction.read, 2, bytes('10000000', new Uint8Array(28)))],
    ['client', done(2, '04000000 61626364')],
    ['target', io(MajorFunction.write, 3, bytes('04000000', new Uint8Array(28), '61626364'))],
    ['client', done(3, '04000000 00')],
    [
      'target',
      io(
        MajorFunction.setInformation,
        4,
        bytes('0a000000 0a000000', new Uint8Array(24), '0100 04000000 5c006200'),
      ),
    ],
    ['client', done(4, '00000000')],
    ['target', io(MajorFunction.close, 5, bytes(''))],
    ['client', written((writer) => encodeDeviceRemoval(writer, [1]))],
  ],
  drdynvc: [
    [
      'target',
      written((writer) => encodeDynamicCapabilities(writer, { version: 3, priorityCharges: [0, 0, 0, 0] })),
    ],
    ['client', bytes('50000200')],
    [
      'target',
      written((writer) =>
        encodeCreateRequest(writer, {
          channel: 1,
          priority: 0,
          name: 'Microsoft::Windows::RDS::DisplayControl',
        }),
      ),
    ],
    ['client', written((writer) => encodeCreateResponse(writer, { channel: 1, status: 0 }))],
    ['target', written((writer) => encodeCreateRequest(writer, { channel: 300, priority: 1, name: 'echo' }))],
    ['client', written((writer) => encodeCreateResponse(writer, { channel: 300, status: 0 }))],
    [
      'client',
      written((writer) =>
        encodeDynamicData(writer, {
          channel: 1,
          data: written((inner) => encodeDisplayControl(inner, { type: 'layout', monitors: [] })),
        }),
      ),
    ],
    [
      'target',
      written((writer) => encodeDynamicData(writer, { channel: 300, data: bytes('6161'), total: 2000 })),
    ],
    ['client', written((writer) => encodeDynamicClose(writer, 300))],
  ],
};

function damaged(message: Uint8Array, below: Below): Uint8Array {
  const out = Uint8Array.from(message);
  for (let n = 1 + below(3); n > 0 && out.length > 0; n--)
    out[below(Math.min(out.length, 80))] = [0, 1, 0x7f, 0xff, below(256)][below(5)] ?? 0;
  return below(4) === 0 ? out.subarray(0, below(out.length + 1)) : out;
}

for (const [channel, talk] of Object.entries(TALKS))
  test(`damaged ${channel}`, () => {
    let ended = 0;
    let went = 0;
    for (let seed = 0; seed < 1500; seed++) {
      const random = seeded(seed);
      const below: Below = (limit) => Math.floor(random() * limit);
      const scope = (['none', 'text', 'all'] as const)[below(3)] as ClipboardScope;
      const policy = below(4) === 0 ? { ...NOTHING, drives: true, displayControl: true } : EVERYTHING;
      const police = new ChannelPolice(CHANNELS, {
        ...policy,
        clipboard: { toTarget: scope, fromTarget: scope === 'none' ? 'text' : scope },
      });
      let given = 0;
      let sent = 0;
      try {
        for (const [side, message] of talk) {
          const whole = below(4) === 0 ? damaged(message, below) : message;
          const list = chunks(whole, 0, 1 + below(2000));
          for (const one of list) {
            const chunk = below(40) === 0 ? damaged(one, below) : one;
            given += chunk.length;
            const came =
              side === 'client' ? police.fromClient(channel, chunk) : police.fromTarget(channel, chunk);
            for (const part of [...came.toClient, ...came.toTarget]) sent += part.length;
          }
        }
        went++;
      } catch (error) {
        assert.ok(error instanceof PduError, `seed ${seed}: ${error instanceof Error ? error.stack : error}`);
        ended++;
      }
      // Answers to what was refused are shorter than 64 bytes each.
      assert.ok(sent <= given + talk.length * 10 * 64, `seed ${seed}: ${sent} bytes went out for ${given}`);
    }
    assert.ok(ended > 50 && went > 50, `${ended} ended, ${went} went through`);
  });

test('noise in well-formed chunks: each message is judged or ends the session', () => {
  let judged = 0;
  for (let seed = 0; seed < 3000; seed++) {
    const random = seeded(seed);
    const below: Below = (limit) => Math.floor(random() * limit);
    const police = new ChannelPolice(CHANNELS, EVERYTHING);
    const channel = ['cliprdr', 'rdpdr', 'drdynvc'][below(3)] ?? 'cliprdr';
    try {
      for (let n = 0; n < 5; n++) {
        const noise = Uint8Array.from({ length: below(60) }, () => below(256));
        if (channel === 'rdpdr' && noise.length > 4) noise.set(bytes('7244'), 0);
        for (const chunk of chunks(noise)) {
          const came = below(2) === 0 ? police.fromClient(channel, chunk) : police.fromTarget(channel, chunk);
          messages(came.toClient);
          messages(came.toTarget);
        }
        judged++;
      }
    } catch (error) {
      assert.ok(error instanceof PduError, `seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    }
  }
  assert.ok(judged > 1000, `${judged} judged`);
});
