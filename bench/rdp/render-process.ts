/** Process entry: makes a recording of desktop work, exports it as MP4 so many times and tells what each took. */
import { readFileSync } from 'node:fs';
import { exportMp4 } from '../../recorder/index.ts';
import { recorded } from '../../test/unit/recorder/video/bed.ts';
import { clockTicks } from '../machine.ts';
import { desktopWork, WORK_SECONDS } from './desktop-work.ts';
import type { Rendered } from './rendering.ts';

/** CPU seconds of this process and of its children that have ended (proc(5): fields 14 to 17). */
function cpuSeconds(): number {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / clockTicks();
}

const steps = desktopWork();
const drawnBytes = steps.reduce(
  (sum, [, , payload]) => sum + (payload instanceof Uint8Array ? payload.length : 0),
  0,
);
const reader = await recorded(steps);

async function render(): Promise<Rendered> {
  const cpu = cpuSeconds();
  const started = performance.now();
  let videoBytes = 0;
  for await (const piece of exportMp4(reader)) videoBytes += piece.length;
  const seconds = (performance.now() - started) / 1000;
  const used = cpuSeconds() - cpu;
  return {
    recordingSeconds: WORK_SECONDS,
    drawnBytes,
    videoBytes,
    seconds,
    cpuSeconds: used,
    perCore: WORK_SECONDS / used,
  };
}

for (let round = 0; round < Number(process.argv[2]); round += 1) process.send?.(await render());
process.disconnect?.();
