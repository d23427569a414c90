/**
 * Drawing orders ([MS-RDPEGDI] 2.2.2.2.1). They are negotiated away; what still comes draws nothing: frame
 * markers and the window orders of RemoteApp ([MS-RDPERP] 2.2.1.3), which are alternate secondary orders, and
 * secondary orders, which fill caches for drawing orders (servers announce the colours of 8 bits there too).
 */
import type { Cursor } from './cursor.ts';

const STANDARD = 0x01;
const SECONDARY = 0x02;
/** The orderLength of a secondary order counts 13 bytes too few, of which 6 are its header. */
const SECONDARY_MORE = 13 - 6;
const COMPOSITION = 0x0c;
const WINDOW = 0x0b;
const FRAME_MARKER = 0x0d;

/**
 * Skips `count` orders that draw nothing.
 *
 * @throws ScreenError: an order that draws, or that is cut; what follows it cannot be found
 */
export function skipOrders(cursor: Cursor, count: number): void {
  for (let left = count; left > 0; left--) {
    const flags = cursor.u8('controlFlags');
    if ((flags & SECONDARY) === 0)
      cursor.fail('controlFlags', 'are of a drawing order, which is never negotiated', 1);
    if ((flags & STANDARD) !== 0) {
      const length = cursor.u16('orderLength');
      cursor.bytes('extraFlagsAndType', 3);
      cursor.bytes('secondaryOrder', length + SECONDARY_MORE);
      continue;
    }
    switch (flags >> 2) {
      case FRAME_MARKER:
        cursor.u32('action');
        break;
      case WINDOW: {
        // The size counts from the control flags on.
        const size = cursor.u16('orderSize');
        if (size < 3) cursor.fail('orderSize', `is ${size}, less than its own header`, 2);
        cursor.bytes('windowOrder', size - 3);
        break;
      }
      case COMPOSITION:
        cursor.u8('operation');
        cursor.bytes('compositionOrder', cursor.u16('size'));
        break;
      default:
        cursor.fail(
          'controlFlags',
          `are of alternate secondary order ${flags >> 2}, which is not followed`,
          1,
        );
    }
  }
}
