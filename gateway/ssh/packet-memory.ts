/**
 * Memory that a worker's legs share to build outgoing packets in. Fresh memory for each
 * would cost more, in garbage collection and page faults, than encrypting it.
 */
import { createRequire } from 'node:module';

/** Comes from patches/ssh2: where its ciphers allocate the packets of the current sender. */
const { packetMemory } = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js') as {
  packetMemory: { take: ((size: number) => Buffer) | undefined };
};

const SLAB_BYTES = 1024 * 1024;

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let used = 0;
/** Legs with packets of this turn that have not been handed to the kernel. */
let writers = 0;
/** A socket could not take all: its packets stay in the slab, which is left to it. */
let pinned = false;

function take(size: number): Buffer {
  if (used + size > slab.length) {
    slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, size));
    used = 0;
  }
  used += size;
  return slab.subarray(used - size, used);
}

/** Runs `allocate`, in which ssh2 allocates a packet, with the packet in the shared slab. */
export function inSlab<T>(allocate: () => T): T {
  packetMemory.take = take;
  try {
    return allocate();
  } finally {
    // Whatever else ssh2 sends has no part in the slab's turns and must never be built in it.
    packetMemory.take = undefined;
  }
}

/** A leg begins to collect packets; each call is followed by one of {@link writerDone}. */
export function writerBegins(): void {
  writers += 1;
}

/** A leg has written. @param flushed the kernel has taken everything */
export function writerDone(flushed: boolean): void {
  writers -= 1;
  if (!flushed) pinned = true;
  if (writers > 0) return;
  if (pinned) slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  pinned = false;
  used = 0;
}
