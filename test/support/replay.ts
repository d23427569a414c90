/** Helpers to replay captured two-way byte streams (test/fixtures) in any chunking. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Hash, ObservedOperation } from '../../gateway/ssh/wire/file-operation.ts';

export type Side = 'client' | 'target';
export interface Transcript {
  readonly command: string;
  readonly chunks: readonly (readonly [Side, Uint8Array])[];
}

/** Reads a transcript of test/fixtures/files: `{command, chunks: [[side, base64], …]}`. */
export function readTranscript(name: string): Transcript {
  const text = readFileSync(new URL(`../fixtures/files/${name}.json`, import.meta.url), 'utf8');
  const raw: { command: string; chunks: [Side, string][] } = JSON.parse(text);
  return {
    command: raw.command,
    chunks: raw.chunks.map(([side, data]) => [side, new Uint8Array(Buffer.from(data, 'base64'))]),
  };
}

export interface Observer {
  fromClient(bytes: Uint8Array): void;
  fromTarget(bytes: Uint8Array): void;
}

/** Feeds a transcript, each chunk cut into pieces of `size()` bytes. */
export function replay(observer: Observer, chunks: Transcript['chunks'], size: () => number): void {
  for (const [side, bytes] of chunks) {
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.slice(at, at + Math.max(1, size()));
      at += piece.length;
      if (side === 'client') observer.fromClient(piece);
      else observer.fromTarget(piece);
    }
  }
}

export function sha256(): Hash {
  const hash = createHash('sha256');
  return { update: (bytes) => void hash.update(bytes), digestHex: () => hash.digest('hex') };
}

export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A sink that keeps what it is told. */
export function collector(): {
  operations: ObservedOperation[];
  operation(operation: ObservedOperation): void;
} {
  const operations: ObservedOperation[] = [];
  return { operations, operation: (operation) => void operations.push(operation) };
}
