/** What real servers drew: the drawing PDUs of short sessions, and the picture's hash. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import type { Screen } from '../../../../recorder/screen/index.ts';

const FOLDER = join(import.meta.dirname, '../../../fixtures/rdp/screen');

/**
 * One capture. Its picture was compared with a screenshot of the client's X display: the same pixel by
 * pixel; at 16 bits but for green, which that client widens to 8 bits by a rule of its own.
 */
export interface Capture {
  readonly name: string;
  readonly from: string;
  readonly bitsPerPixel: number;
  readonly width: number;
  readonly height: number;
  /** Shapes in the pointer cache at the end. */
  readonly pointers: number;
  readonly problems: Readonly<Record<string, number>>;
  /** SHA-256 of the picture's bytes, RGBA. */
  readonly sha256: string;
  /** SHA-256 of the pointer's shape at the end, RGBA; it was compared with the X cursor of the client. */
  readonly pointerSha256?: string;
}

/** One PDU: the updates array of the fast path, or a Share Data PDU's body. */
export interface Pdu {
  /** pduType2; 0: fast path. */
  readonly type: number;
  readonly body: Uint8Array;
}

export const captures: readonly Capture[] = JSON.parse(readFileSync(join(FOLDER, 'index.json'), 'utf8'));

/** Its PDUs: type u8, length u32, body. */
export function readCapture(name: string): Pdu[] {
  const bytes = zstdDecompressSync(readFileSync(join(FOLDER, `${name}.zst`)));
  const pdus: Pdu[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32LE(at + 1);
    pdus.push({ type: bytes.readUInt8(at), body: new Uint8Array(bytes.subarray(at + 5, end)) });
    at = end;
  }
  return pdus;
}

export function show(screen: Screen, pdu: Pdu): void {
  if (pdu.type === 0) screen.fastPath(pdu.body);
  else screen.slowPath(pdu.type, pdu.body);
}
