/** Several processes that seal the same recording at the same moment. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ArchiveOf } from './faults.ts';
import { startDaemon, until } from './process.ts';
import type { SealerOrder } from './sealer.ts';
import { temporaryFolder } from './temp.ts';

/**
 * Seals each recording with `each` processes at once, with the key of the gateway's node. Resolves when all
 * have ended; fails when one of them did not get the same manifest as the others.
 */
export async function sealAtOnce(
  { gateway, urls, credentials }: ArchiveOf,
  ids: readonly string[],
  each = 2,
): Promise<void> {
  const goFile = join(temporaryFolder('sealers'), 'go');
  const sealers = ids.flatMap((sessionId) =>
    Array.from({ length: each }, (_, index) => {
      const node = `sealer-${index}`;
      const order: SealerOrder = {
        archive: { urls, credentials, writer: node },
        sessionId,
        node,
        keyFile: join(gateway.dataDir, 'keys/signing.key'),
        reason: `sealed by ${node}`,
        goFile,
      };
      const script = join(import.meta.dirname, 'sealer.ts');
      return { sessionId, daemon: startDaemon(process.execPath, [script, JSON.stringify(order)]) };
    }),
  );
  await until('the sealers to be ready', () =>
    sealers.every(({ daemon }) => daemon.output().includes('ready')) ? true : undefined,
  );
  writeFileSync(goFile, '');
  const heads = new Map<string, string>();
  for (const { sessionId, daemon } of sealers) {
    assert.equal(await daemon.exited, 0, daemon.output());
    const head = await until('what it has sealed', () => /sealed ([0-9a-f]{64})/.exec(daemon.output())?.[1]);
    assert.equal(head, heads.get(sessionId) ?? head, 'all get the same manifest');
    heads.set(sessionId, head);
  }
}
