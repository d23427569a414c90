/** Chance that can be had again with its seed, and damage that is done to bytes with it. */
import assert from 'node:assert/strict';

/** Numbers from 0 up to 1 (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** A whole number from 0 up to, not including, `below`. */
export type Random = (below: number) => number;

export function randomFrom(seed: number): Random {
  const next = seeded(seed);
  return (below) => Math.floor(next() * below);
}

export function pick<T>(random: Random, values: readonly T[]): T {
  return values[random(values.length)] ?? assert.fail('nothing to choose from');
}

/** Values that lengths and counts go wrong at. */
const ODD = [0, 1, 2, 0x7f, 0x80, 0x81, 0x82, 0xfe, 0xff] as const;
const ODD_16 = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff] as const;
const ODD_32 = [0, 1, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff] as const;

/** Bytes with one to four things wrong, of any kind; mostly near the beginning, where headers are. */
export function damaged(random: Random, bytes: Uint8Array): Uint8Array {
  let out = Buffer.from(bytes);
  for (let n = 1 + random(4); n > 0; n -= 1) {
    const at = random(random(3) === 0 ? out.length : Math.min(out.length, 80));
    const rest = out.length - at;
    switch (random(10)) {
      case 0:
      case 1:
        if (rest > 0) out.writeUInt8(random(2) === 0 ? pick(random, ODD) : random(256), at);
        break;
      case 2:
        if (rest > 0) out.writeUInt8((out[at] ?? 0) ^ (1 << random(8)), at);
        break;
      case 3:
        if (rest > 1) out.writeUInt16LE(pick(random, ODD_16), at);
        break;
      case 4:
        if (rest > 1) out.writeUInt16BE(pick(random, ODD_16), at);
        break;
      case 5:
        if (rest > 3) out.writeUInt32LE(pick(random, ODD_32), at);
        break;
      case 6:
        out = out.subarray(0, at);
        break;
      case 7:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at + random(Math.min(rest, 40) + 1))]);
        break;
      case 8:
        out = Buffer.concat([out.subarray(0, at), noise(random, random(40)), out.subarray(at)]);
        break;
      default: {
        // A part comes once more: blocks, sets and records that should be there once.
        const part = out.subarray(at, at + 1 + random(Math.min(rest, 200) + 1));
        const times = random(8) === 0 ? 40 : 1;
        out = Buffer.concat([
          out.subarray(0, at),
          ...Array.from({ length: times }, () => part),
          out.subarray(at),
        ]);
      }
    }
  }
  return new Uint8Array(out);
}

export function noise(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}
