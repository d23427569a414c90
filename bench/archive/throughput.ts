/** How fast one recording takes what a session gives it, and what that costs, by where it goes. */
import { randomBytes } from 'node:crypto';
import { EventKind, type Recorder } from '../../recorder/index.ts';
import { median, rotated } from '../figures/statistics.ts';
import type { BenchOptions } from '../report.ts';
import { initOf, type Sink, type Site } from './sites.ts';

/** `dense`: random, as a file transfer that is recorded in full; `text`: a log that compresses. */
export type Content = 'dense' | 'text';

export interface Throughput {
  readonly sink: Sink;
  readonly content: Content;
  readonly mbPerSecond: number;
  /** To that of nowhere in the same round; the median of the rounds. */
  readonly toNowhere: number;
  /** CPU seconds of this process per GB. */
  readonly cpuPerGb: number;
}

/** What one channel packet of SSH carries, and what a leg reads at once. */
const PACKET_BYTES = 32 * 1024;
const READ_BYTES = 256 * 1024;

const dense = randomBytes(READ_BYTES);
const text = Buffer.alloc(READ_BYTES);
for (let at = 0, line = 0; at < READ_BYTES; line += 1) {
  const words = `Nov 22 10:${line % 60}:0${line % 10} web01 sshd[${1000 + line}]: session opened for user root\n`;
  at += text.write(words, at);
}
const CONTENTS: Readonly<Record<Content, Buffer>> = { dense, text };

interface Round {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** The recorder alone, as fast as it goes: more than any session brings. */
export async function measureThroughput(
  site: Site,
  mib: number,
  options: BenchOptions,
): Promise<Throughput[]> {
  // One recorder each, as a worker has it: its scribe and its connections are there already.
  const recorders = (['nowhere', ...site.sinks] as const).map((sink) => ({
    sink,
    recorder: site.recorder(site.writing(sink, { writes: 0 })),
  }));
  const subjects = (['dense', 'text'] as const).flatMap((content) =>
    recorders.map((each) => ({ ...each, content, rounds: [] as Round[] })),
  );
  const bytes = mib * 2 ** 20;
  // Once for the compiler.
  for (const each of subjects) await record(site, each, Math.min(bytes, 2 ** 26));
  for (let round = 0; round < options.rounds; round += 1) {
    options.progress(`throughput: round ${round + 1} of ${options.rounds}`);
    for (const each of rotated(subjects, round)) each.rounds.push(await record(site, each, bytes));
  }
  return subjects.map(({ content, sink, rounds }) => {
    const base = subjects.find((each) => each.sink === 'nowhere' && each.content === content)?.rounds ?? [];
    return {
      content,
      sink,
      mbPerSecond: median(rounds.map(({ seconds }) => bytes / 1e6 / seconds)),
      toNowhere: median(rounds.map(({ seconds }, i) => (base[i]?.seconds ?? Number.NaN) / seconds)),
      cpuPerGb: median(rounds.map(({ cpuSeconds }) => cpuSeconds / (bytes / 1e9))),
    };
  });
}

/** A session that gives what it has as fast as it may, from its first byte to its seal. */
async function record(
  site: Site,
  { recorder, content, sink }: { recorder: Recorder; content: Content; sink: Sink },
  bytes: number,
): Promise<Round> {
  const init = initOf(crypto.randomUUID());
  let go = (): void => {};
  let failure: Error | undefined;
  const recording = await recorder.open(init, {
    pause: () => {},
    resume: () => go(),
    failed: (error) => {
      failure = error;
      go();
    },
  });
  const source = CONTENTS[content];
  const cpu = process.cpuUsage();
  const started = performance.now();
  for (let sent = 0; sent < bytes && failure === undefined; sent += READ_BYTES) {
    for (let at = 0; at < READ_BYTES; at += PACKET_BYTES)
      recording.write(EventKind.output, 0, source.subarray(at, at + PACKET_BYTES));
    // As a socket has it: one read in a turn of the event loop, and none while the session is paused.
    if (recording.paused)
      await new Promise<void>((resolve) => {
        go = resolve;
      });
    else await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  const { sealed } = await recording.seal('measured');
  if (failure !== undefined || !sealed) throw new Error('a recording failed', { cause: failure });
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - started) / 1000;
  // Room for the next.
  if (sink !== 'nowhere') await site.archive(sink).remove(init.sessionId, init.startedAt);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}
