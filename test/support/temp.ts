/** Temporary folders and last-moment cleaning: nothing of a test run outlives it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const cleanups = new Set<() => void>();
let armed = false;

/**
 * Runs `cleanup` when this process ends, however it ends short of SIGKILL. Must be synchronous.
 * Returns a function that withdraws it, for what was cleaned in the ordinary way.
 */
export function atExit(cleanup: () => void): () => void {
  if (!armed) {
    armed = true;
    process.on('exit', () => {
      // Last in, first out: a server goes before the folder that it writes to.
      for (const each of [...cleanups].reverse()) each();
    });
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));
  }
  cleanups.add(cleanup);
  return () => cleanups.delete(cleanup);
}

/** A new private folder, removed when the test process ends. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `sallyport-${name}-`));
  atExit(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}
