/**
 * Small server PDUs, each behind a share data header: keyboard indicators and IME status
 * ([MS-RDPBCGR] 2.2.8.2), beeps (2.2.9.1.1.5), monitor layout (2.2.12.1), auto-reconnect status
 * (2.2.4.1), status info (2.2.5.2).
 */
import { PduError, type Reader, type Writer } from './cursor.ts';

/** ledFlags; also the toggles of a synchronize event. */
export const LedFlag = { scrollLock: 1, numLock: 2, capsLock: 4, kanaLock: 8 } as const;

/** 2.2.8.2.1.1: unitId (2), ledFlags (2); returns the flags. */
export function decodeKeyboardIndicators(reader: Reader): number {
  reader.skip('unitId', 2);
  return reader.u16le('ledFlags');
}

export function encodeKeyboardIndicators(writer: Writer, ledFlags: number): void {
  writer.u16le(0).u16le(ledFlags);
}

/** 2.2.8.2.2.1. */
export interface KeyboardImeStatus {
  readonly unitId: number;
  readonly imeState: number;
  readonly imeConvMode: number;
}

export function decodeKeyboardImeStatus(reader: Reader): KeyboardImeStatus {
  return {
    unitId: reader.u16le('unitId'),
    imeState: reader.u32le('imeState'),
    imeConvMode: reader.u32le('imeConvMode'),
  };
}

export function encodeKeyboardImeStatus(writer: Writer, status: KeyboardImeStatus): void {
  writer.u16le(status.unitId).u32le(status.imeState).u32le(status.imeConvMode);
}

/** 2.2.9.1.1.5.1. */
export interface PlaySound {
  readonly milliseconds: number;
  readonly hertz: number;
}

export function decodePlaySound(reader: Reader): PlaySound {
  return { milliseconds: reader.u32le('duration'), hertz: reader.u32le('frequency') };
}

export function encodePlaySound(writer: Writer, sound: PlaySound): void {
  writer.u32le(sound.milliseconds).u32le(sound.hertz);
}

/** TS_MONITOR_DEF, 2.2.1.3.6.1: in the virtual desktop, right and bottom belong to it; flags 1 is the primary. */
export interface Monitor {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly flags: number;
}

/** The protocol's own limit, 2.2.1.3.6, and that of displays with the extended set. */
const MAX_MONITORS = 64;

/** monitorCount (4), then left, top, right, bottom, flags (4 each). */
export function decodeMonitorLayout(reader: Reader): Monitor[] {
  const count = reader.u32le('monitorCount');
  if (count > MAX_MONITORS)
    throw new PduError('monitorCount', reader.offset - 4, `is ${count}, at most ${MAX_MONITORS} are read`);
  return Array.from({ length: count }, () => ({
    left: reader.i32le('left'),
    top: reader.i32le('top'),
    right: reader.i32le('right'),
    bottom: reader.i32le('bottom'),
    flags: reader.u32le('flags'),
  }));
}

export function encodeMonitorLayout(writer: Writer, monitors: readonly Monitor[]): void {
  writer.u32le(monitors.length);
  for (const { left, top, right, bottom, flags } of monitors)
    writer.u32le(left).u32le(top).u32le(right).u32le(bottom).u32le(flags);
}

/** 2.2.4.1.1: why the cookie was refused, an NTSTATUS; the user is asked for credentials then. */
export function decodeAutoReconnectStatus(reader: Reader): number {
  return reader.u32le('arcStatus');
}

export function encodeAutoReconnectStatus(writer: Writer, status: number): void {
  writer.u32le(status);
}

/** TS_STATUS_INFO_PDU, 2.2.5.2: what a broker is doing while the user waits. */
export const StatusCode = {
  findingDestination: 0x401,
  loadingDestination: 0x402,
  bringingSessionOnline: 0x403,
  redirectingToDestination: 0x404,
  vmLoading: 0x501,
  vmWaking: 0x502,
  vmStarting: 0x503,
  vmStartingMonitoring: 0x504,
  vmRetryingMonitoring: 0x505,
} as const;

export function decodeStatusInfo(reader: Reader): number {
  return reader.u32le('statusCode');
}

export function encodeStatusInfo(writer: Writer, code: number): void {
  writer.u32le(code);
}
