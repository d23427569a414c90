/** The desktop of a client, for what the gateway draws on it. */
import type { ClientGccBlocks } from './pdu/gcc-client.ts';
import type { ScreenSize } from './screen/backdrop.ts';

/** Longest side that is drawn on: of RDP's largest desktop. A peer may claim 65535, and painting that takes minutes. */
const MAX_SIDE = 8192;
/** TS_MONITOR_PRIMARY (2.2.1.3.6.1). */
const PRIMARY = 1;

/**
 * A desktop of this size, or as much of it as can be; with the primary monitor's place in it as long as it
 * is the one over the monitors that the client told of.
 */
export function screenSize(
  { core, monitor }: ClientGccBlocks,
  desktopWidth: number = core.desktopWidth,
  desktopHeight: number = core.desktopHeight,
): ScreenSize {
  const size = { width: Math.min(desktopWidth, MAX_SIDE), height: Math.min(desktopHeight, MAX_SIDE) };
  const monitors = monitor?.monitors ?? [];
  const first = monitors.find(({ flags }) => (flags & PRIMARY) !== 0);
  if (first === undefined || desktopWidth !== core.desktopWidth || desktopHeight !== core.desktopHeight)
    return size;
  // It is at 0, 0, and others may be left of it or above.
  const primary = {
    x: first.left - Math.min(...monitors.map(({ left }) => left)),
    y: first.top - Math.min(...monitors.map(({ top }) => top)),
    width: first.right - first.left + 1,
    height: first.bottom - first.top + 1,
  };
  return { ...size, primary };
}
