/** A picture as PNG (ISO/IEC 15948): 8 bits of red, green and blue, without alpha. */
import { crc32, deflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const TRUECOLOUR = 2;
const BITS_PER_SAMPLE = 8;

/**
 * Encodes `width` × `height` pixels, RGBA with red in the lowest byte; alpha is dropped.
 *
 * @throws RangeError: there are not that many pixels
 */
export function encodePng(pixels: Uint32Array, width: number, height: number): Buffer {
  if (width < 1 || height < 1 || pixels.length !== width * height)
    throw new RangeError(`png: ${pixels.length} pixels are no picture of ${width} × ${height}`);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = BITS_PER_SAMPLE;
  header[9] = TRUECOLOUR;
  // Each line begins with its filter, 0: none. Text on plain ground deflates best so.
  const lines = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0, from = 0, to = 0; y < height; y++) {
    to += 1;
    for (let x = 0; x < width; x++, from++, to += 3) {
      const pixel = pixels[from] as number;
      lines[to] = pixel;
      lines[to + 1] = pixel >> 8;
      lines[to + 2] = pixel >> 16;
    }
  }
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(lines)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, 'latin1');
  data.copy(bytes, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}
