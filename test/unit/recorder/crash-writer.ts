/**
 * A node that is killed: records numbered lines as fast as the window lets it and says
 * how many it has written. Arguments: archive folder, recipient, window in bytes.
 */
import { generateKeyPairSync } from 'node:crypto';
import { writeSync } from 'node:fs';
import { EventKind, openArchive, Recorder } from '../../../recorder/index.ts';
import { initOf } from './bed.ts';

const [folder = '', recipient = '', bytes = ''] = process.argv.slice(2);
const recorder = new Recorder({
  archive: openArchive(`file:${folder}`),
  recipients: [recipient],
  node: 'node1',
  signingKey: generateKeyPairSync('ed25519').privateKey,
  window: { bytes: Number(bytes), ms: 1000, graceSeconds: 30 },
});
const recording = await recorder.open(initOf('killed'), {
  pause: () => {},
  resume: () => {},
  failed: (error) => {
    throw error;
  },
});
for (let line = 0; ; line += 1) {
  while (recording.paused) await new Promise<void>((resolve) => void setTimeout(resolve, 1));
  recording.write(EventKind.output, 0, Buffer.from(`${String(line).padStart(99)}\n`));
  if (line % 100 === 99) {
    writeSync(1, `${line + 1}\n`);
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}
