/**
 * The scribe's thread: digests and frames for the session thread that started it, in the
 * order in which they are ordered. Memory comes with each order and goes back with the answer.
 */
import { createHash, type Hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { frameSegments } from './frames.ts';
import type { FromScribe, ToScribe } from './scribe.ts';

const digests = new Map<number, Hash>();

function answer(order: ToScribe): [FromScribe, ArrayBuffer[]] {
  const { id } = order;
  switch (order.type) {
    case 'update': {
      const digest = digests.get(id) ?? createHash('sha256');
      digests.set(id, digest);
      digest.update(new Uint8Array(order.memory, 0, order.length));
      return [{ type: 'updated', id, memory: order.memory, length: order.length }, [order.memory]];
    }
    case 'digest': {
      const sha256 = (digests.get(id) ?? createHash('sha256')).digest('hex');
      digests.delete(id);
      return [{ type: 'digested', id, sha256 }, []];
    }
    case 'frame': {
      const segments = order.segments.map((segment) => ({ ...segment, chunk: Buffer.from(segment.memory) }));
      const framed = frameSegments(order.link, segments, Buffer.from(order.target));
      const memory = order.segments.map((segment) => segment.memory);
      return [{ type: 'framed', id, framed, memory, target: order.target }, [...memory, order.target]];
    }
  }
}

parentPort?.on('message', (order: ToScribe) => {
  parentPort?.postMessage(...answer(order));
});
