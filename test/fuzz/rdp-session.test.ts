/**
 * Hostile session PDUs: whatever the bytes are, decoding ends with a value or a PduError that
 * points into them, and what was decoded can be encoded again or is refused with a PduError.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as activation from '../../gateway/rdp/pdu/activation.ts';
import * as clientInfo from '../../gateway/rdp/pdu/client-info.ts';
import { PduError, Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import * as display from '../../gateway/rdp/pdu/display-control.ts';
import { readFastPathOutput, readFastPathUpdate } from '../../gateway/rdp/pdu/fast-path.ts';
import * as finalization from '../../gateway/rdp/pdu/finalization.ts';
import * as input from '../../gateway/rdp/pdu/input.ts';
import * as license from '../../gateway/rdp/pdu/license.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { decodeEnhancedRedirection, decodeRedirection } from '../../gateway/rdp/pdu/redirection.ts';
import * as saved from '../../gateway/rdp/pdu/save-session-info.ts';
import * as status from '../../gateway/rdp/pdu/server-status.ts';
import { readShareControl, readShareData, ShareType } from '../../gateway/rdp/pdu/share.ts';
import { damaged, randomFrom } from '../support/random.ts';
import { loadTrace } from '../support/rdp-traces.ts';
import { ALL_CODECS } from '../unit/rdp/pdu/codecs.ts';

function encodesOrRefuses(encode: (writer: Writer) => void): void {
  try {
    encode(new Writer());
  } catch (error) {
    if (!(error instanceof PduError)) throw error;
  }
}

function activate(sets: readonly { readonly type: number; readonly body: Uint8Array }[]): void {
  for (const { type, body } of sets)
    ALL_CODECS.find((codec) => codec.type === type)?.decode(new Reader(body));
}

/** Each reads all that it is given; what it returns is encoded again there. */
const DECODERS: Readonly<Record<string, (bytes: Uint8Array) => void>> = {
  share: (bytes) => {
    for (let at = 0; at < bytes.length; ) {
      const control = readShareControl(bytes, at);
      assert.ok(control.end > at && control.end <= bytes.length);
      if (control.type === ShareType.data) assert.ok(readShareData(bytes, control).dataOffset <= control.end);
      at = control.end;
    }
  },
  demandActive: (bytes) => {
    const pdu = activation.decodeDemandActive(new Reader(bytes));
    encodesOrRefuses((writer) => activation.encodeDemandActive(writer, pdu));
    activate(pdu.capabilitySets);
  },
  confirmActive: (bytes) => {
    const pdu = activation.decodeConfirmActive(new Reader(bytes));
    encodesOrRefuses((writer) => activation.encodeConfirmActive(writer, pdu));
    activate(pdu.capabilitySets);
  },
  deactivateAll: (bytes) => void activation.decodeDeactivateAll(new Reader(bytes)),
  clientInfo: (bytes) => {
    const pdu = clientInfo.decodeClientInfo(new Reader(bytes));
    encodesOrRefuses((writer) => clientInfo.encodeClientInfo(writer, pdu));
  },
  license: (bytes) => void license.decodeLicense(new Reader(bytes)),
  synchronize: (bytes) => void finalization.decodeSynchronize(new Reader(bytes)),
  control: (bytes) => void finalization.decodeControl(new Reader(bytes)),
  fonts: (bytes) => void finalization.decodeFonts(new Reader(bytes)),
  persistentKeys: (bytes) => void finalization.decodePersistentKeyList(new Reader(bytes)),
  saveSessionInfo: (bytes) => {
    const pdu = saved.decodeSaveSessionInfo(new Reader(bytes));
    encodesOrRefuses((writer) => saved.encodeSaveSessionInfo(writer, pdu));
  },
  redirection: (bytes) => void decodeRedirection(new Reader(bytes)),
  enhancedRedirection: (bytes) => void decodeEnhancedRedirection(new Reader(bytes)),
  refreshRect: (bytes) => void display.decodeRefreshRect(new Reader(bytes)),
  suppressOutput: (bytes) => void display.decodeSuppressOutput(new Reader(bytes)),
  monitorLayout: (bytes) => void status.decodeMonitorLayout(new Reader(bytes)),
  imeStatus: (bytes) => void status.decodeKeyboardImeStatus(new Reader(bytes)),
  slowInput: (bytes) => {
    const events = input.decodeSlowPathInput(new Reader(bytes));
    encodesOrRefuses((writer) => input.encodeSlowPathInput(writer, events));
  },
  fastInput: (bytes) => {
    const events = input.decodeFastPathInput(new Reader(bytes));
    encodesOrRefuses((writer) => input.encodeFastPathInput(writer, events));
  },
  fastOutput: (bytes) => {
    for (let at = readFastPathOutput(bytes); at < bytes.length; ) {
      const update = readFastPathUpdate(bytes, at, bytes.length);
      assert.ok(update.end > at && update.end <= bytes.length);
      at = update.end;
    }
  },
};

for (const codec of ALL_CODECS)
  Object.assign(DECODERS, {
    [`capability ${codec.type}`]: (bytes: Uint8Array) => {
      const value = codec.decode(new Reader(bytes));
      codec.encode(new Writer(), value);
    },
  });

/** Decodes, and says whether it could. */
function survives(name: string, decode: (bytes: Uint8Array) => void, bytes: Uint8Array): boolean {
  try {
    decode(bytes);
    return true;
  } catch (error) {
    if (!(error instanceof PduError))
      assert.fail(`${name}: ${String(error)} for ${Buffer.from(bytes).toString('hex').slice(0, 2000)}`);
    assert.ok(error.offset >= 0 && error.offset <= bytes.length, `${name}: ${error.message}`);
    return false;
  }
}

/** Real PDUs: whole ones, and what stands behind each of the headers. */
function seeds(): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const name of ['xrdp-16', 'rdesktop-xrdp-16', 'shadow-tls-16'])
    for (const { bytes } of loadTrace(name).slice(0, 90)) {
      if (bytes.length > 1200) continue;
      if (bytes[0] !== 3) {
        found.push(bytes);
        continue;
      }
      const data = readSendData(bytes);
      if (data === undefined) continue;
      for (const skip of [0, 4, 6, 18]) found.push(bytes.subarray(data.dataOffset + skip));
    }
  return found;
}

test('noise', () => {
  const random = randomFrom(1);
  for (const [name, decode] of Object.entries(DECODERS))
    for (let n = 0; n < 300; n += 1)
      survives(
        name,
        decode,
        Uint8Array.from({ length: random(120) }, () => random(random(2) === 0 ? 256 : 4)),
      );
});

test('real PDUs, damaged', () => {
  const random = randomFrom(2);
  const real = seeds();
  const read = new Set<string>();
  for (const [name, decode] of Object.entries(DECODERS))
    for (const seed of real) {
      if (survives(name, decode, seed)) read.add(name);
      survives(name, decode, damaged(random, seed));
    }
  // Otherwise the damage above would have hit nothing.
  for (const name of [
    'share',
    'demandActive',
    'confirmActive',
    'clientInfo',
    'license',
    'fastInput',
    'fastOutput',
  ])
    assert.ok(read.has(name), name);
});

test('every length of every real PDU', () => {
  for (const seed of seeds().slice(0, 60))
    for (const name of ['share', 'demandActive', 'confirmActive', 'clientInfo', 'license'])
      for (let end = 0; end < Math.min(seed.length, 500); end += 1) {
        const decode = DECODERS[name];
        if (decode !== undefined) survives(name, decode, seed.subarray(0, end));
      }
});
