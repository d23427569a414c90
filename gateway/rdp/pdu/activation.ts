/**
 * Capability exchange, [MS-RDPBCGR] 2.2.1.13: the server's Demand Active, the client's Confirm Active,
 * and Deactivate All (2.2.3.1), which begins the exchange anew. All behind a share control header.
 */
import { type CapabilitySet, decodeCapabilitySets, encodeCapabilitySets } from './capabilities.ts';
import { PduError, type Reader, type Writer } from './cursor.ts';

/**
 * ```
 * shareId (4)  lengthSourceDescriptor (2)  lengthCombinedCapabilities (2)  sourceDescriptor
 * numberCapabilities (2)  pad2Octets (2)  capabilitySets  sessionId (4)
 * ```
 */
export interface DemandActive {
  readonly shareId: number;
  /** "RDP\0" from Windows. */
  readonly sourceDescriptor: Uint8Array;
  /** pad2Octets: without meaning, kept so that what is passed on is what came. */
  readonly pad: number;
  readonly capabilitySets: readonly CapabilitySet[];
  /** Ignored by clients; absent when the server leaves it out. */
  readonly sessionId?: number | undefined;
}

/** As Demand Active, with originatorId (2) behind shareId and no sessionId. */
export interface ConfirmActive {
  readonly shareId: number;
  /** Always {@link ORIGINATOR_ID}. */
  readonly originatorId: number;
  /** "MSTSC\0" from Windows. */
  readonly sourceDescriptor: Uint8Array;
  readonly pad: number;
  readonly capabilitySets: readonly CapabilitySet[];
}

/** Of Confirm Active: the server's channel id, whatever the server is. */
export const ORIGINATOR_ID = 0x03ea;

interface Sets {
  readonly sourceDescriptor: Uint8Array;
  readonly pad: number;
  readonly capabilitySets: readonly CapabilitySet[];
}

/** Decodes what follows the share control header. */
export function decodeDemandActive(reader: Reader): DemandActive {
  const shareId = reader.u32le('shareId');
  const sets = decodeSets(reader);
  return { shareId, ...sets, sessionId: reader.left < 4 ? undefined : reader.u32le('sessionId') };
}

export function encodeDemandActive(writer: Writer, demand: DemandActive): void {
  writer.u32le(demand.shareId);
  encodeSets(writer, demand);
  if (demand.sessionId !== undefined) writer.u32le(demand.sessionId);
}

/** Decodes what follows the share control header. */
export function decodeConfirmActive(reader: Reader): ConfirmActive {
  const shareId = reader.u32le('shareId');
  const originatorId = reader.u16le('originatorId');
  return { shareId, originatorId, ...decodeSets(reader) };
}

export function encodeConfirmActive(writer: Writer, confirm: ConfirmActive): void {
  writer.u32le(confirm.shareId).u16le(confirm.originatorId);
  encodeSets(writer, confirm);
}

function decodeSets(reader: Reader): Sets {
  const descriptorLength = reader.u16le('lengthSourceDescriptor');
  const length = reader.u16le('lengthCombinedCapabilities');
  const sourceDescriptor = new Uint8Array(reader.bytes('sourceDescriptor', descriptorLength));
  // Counted with numberCapabilities and its padding.
  const combined = reader.part('lengthCombinedCapabilities', length);
  const count = combined.u16le('numberCapabilities');
  const pad = combined.u16le('pad2Octets');
  const capabilitySets = decodeCapabilitySets(combined, count);
  if (combined.left > 0)
    combined.fail('capabilitySets', `has ${combined.left} bytes behind the last of ${count} sets`);
  return { sourceDescriptor, pad, capabilitySets };
}

function encodeSets(writer: Writer, sets: Sets): void {
  writer.u16le(sets.sourceDescriptor.length);
  const length = writer.length;
  writer.u16le(0).bytes(sets.sourceDescriptor);
  const start = writer.length;
  writer.u16le(sets.capabilitySets.length).u16le(sets.pad);
  encodeCapabilitySets(writer, sets.capabilitySets);
  const combined = writer.length - start;
  if (combined > 0xffff)
    throw new PduError('lengthCombinedCapabilities', length, `would be ${combined}, at most 65535`);
  writer.patchU16le(length, combined);
}

/** 2.2.3.1.1. Windows XP and xrdp send the header alone. */
export interface DeactivateAll {
  readonly shareId?: number | undefined;
}

/** Decodes what follows the share control header. */
export function decodeDeactivateAll(reader: Reader): DeactivateAll {
  return { shareId: reader.left < 4 ? undefined : reader.u32le('shareId') };
}

/** Writes the source descriptor that Windows writes: one NUL. */
export function encodeDeactivateAll(writer: Writer, shareId: number): void {
  writer.u32le(shareId).u16le(1).u8(0);
}
