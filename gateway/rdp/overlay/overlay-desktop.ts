/** What the two sides' capabilities say of a desktop that the gateway draws on ([MS-RDPBCGR] 2.2.7.1). */
import type { ConfirmActive, DemandActive } from '../pdu/activation.ts';
import { findCapability } from '../pdu/capabilities.ts';
import { bitmapCapability, DrawingFlag, generalCapability } from '../pdu/capability-base.ts';
import type { ClientGccBlocks } from '../pdu/gcc-client.ts';
import { BITS_PER_PIXEL, type BitsPerPixel } from '../pdu/output.ts';
import type { ScreenSize } from '../screen/backdrop.ts';
import { screenSize } from '../screen-size.ts';

/** A desktop of a target that draws anew what it is asked to. */
export interface OverlaidDesktop extends ScreenSize {
  readonly bitsPerPixel: BitsPerPixel;
  /** As in {@link PixelForm}. */
  readonly skipAlpha: boolean;
}

/**
 * The desktop that a target demands, as long as its client has not confirmed it; undefined: what is
 * drawn on it would stay.
 *
 * @throws PduError when a set is too short
 */
export function overlaidDesktop(
  { capabilitySets }: DemandActive,
  blocks: ClientGccBlocks,
): OverlaidDesktop | undefined {
  const bitmap = findCapability(capabilitySets, bitmapCapability);
  const refreshes = (findCapability(capabilitySets, generalCapability)?.refreshRectSupport ?? 0) !== 0;
  const bitsPerPixel = BITS_PER_PIXEL.find((bits) => bits === bitmap?.preferredBitsPerPixel);
  if (bitmap === undefined || bitsPerPixel === undefined || !refreshes) return undefined;
  return {
    ...screenSize(blocks, bitmap.desktopWidth, bitmap.desktopHeight),
    bitsPerPixel,
    skipAlpha: false,
  };
}

/** Whether a client can do without the alpha plane. @throws PduError when its set is too short */
export function skipsAlpha({ capabilitySets }: ConfirmActive): boolean {
  const flags = findCapability(capabilitySets, bitmapCapability)?.drawingFlags ?? 0;
  return (flags & DrawingFlag.allowSkipAlpha) !== 0;
}
