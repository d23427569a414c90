/** MD4 (RFC 1320): broken, and still the first step of every NTLM password. OpenSSL 3 left it out. */

/** Shift amounts of the three rounds (RFC 1320 §3.4). */
const SHIFTS = [
  [3, 7, 11, 19],
  [3, 5, 9, 13],
  [3, 9, 11, 15],
] as const;
const ROUND_CONSTANTS = [0, 0x5a827999, 0x6ed9eba1] as const;
/** Which word of the block each of a round's 16 steps takes. */
const ORDERS = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
  [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
] as const;

/** The 16-byte digest. */
export function md4(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(((message.length + 8) >> 6) * 64 + 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(message.length) * 8n, true);

  const state: [number, number, number, number] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let block = 0; block < padded.length; block += 64) addBlock(state, view, block);

  const digest = new DataView(new ArrayBuffer(16));
  state.forEach((word, index) => {
    digest.setUint32(index * 4, word, true);
  });
  padded.fill(0);
  return new Uint8Array(digest.buffer);
}

function addBlock(state: [number, number, number, number], view: DataView, at: number): void {
  let [a, b, c, d] = state;
  for (const round of [0, 1, 2] as const) {
    const shifts = SHIFTS[round];
    ORDERS[round].forEach((word, step) => {
      const sum = a + mix(round, b, c, d) + view.getUint32(at + word * 4, true) + ROUND_CONSTANTS[round];
      const shift = shifts[(step & 3) as 0 | 1 | 2 | 3];
      const turned = (sum << shift) | ((sum | 0) >>> (32 - shift));
      [a, b, c, d] = [d, turned, b, c];
    });
  }
  state[0] = (state[0] + a) | 0;
  state[1] = (state[1] + b) | 0;
  state[2] = (state[2] + c) | 0;
  state[3] = (state[3] + d) | 0;
}

function mix(round: 0 | 1 | 2, x: number, y: number, z: number): number {
  if (round === 0) return (x & y) | (~x & z);
  return round === 1 ? (x & y) | (x & z) | (y & z) : x ^ y ^ z;
}
