/** A process that seals one recording as soon as a file is there; {@link sealAtOnce} runs several. */
import { createPrivateKey } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { sealRecording } from '../../recorder/container/seal.ts';
import { type ArchiveSettings, openArchives } from '../../recorder/index.ts';

/** What a sealer is told, as JSON in its first argument. */
export interface SealerOrder {
  readonly archive: ArchiveSettings;
  readonly sessionId: string;
  readonly node: string;
  /** PEM file of the key that it signs with. */
  readonly keyFile: string;
  readonly reason: string;
  /** It begins when this file is there. */
  readonly goFile: string;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const order = JSON.parse(process.argv[2] ?? '') as SealerOrder;
  const signingKey = createPrivateKey(readFileSync(order.keyFile));
  const archive = openArchives(order.archive);
  process.stdout.write('ready\n');
  while (!existsSync(order.goFile)) await new Promise((resolve) => setTimeout(resolve, 1));
  const { node, reason, sessionId } = order;
  const sealing = { node, signingKey, reason, knownHead: undefined };
  const sealed = await sealRecording(archive, sessionId, sealing);
  process.stdout.write(`sealed ${sealed.head}\n`);
}
