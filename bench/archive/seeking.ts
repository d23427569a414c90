/** How long it takes to be somewhere in an hour's recording. */
import type { Clock } from '../../recorder/container/clock.ts';
import { EventKind, openRecording } from '../../recorder/index.ts';
import { percentile } from '../figures/statistics.ts';
import type { BenchOptions } from '../report.ts';
import { initOf, type RealSink, type Site } from './sites.ts';

export interface Seeking {
  readonly sink: RealSink;
  /** Of the recording. */
  readonly bytes: number;
  readonly segments: number;
  /** From opening the recording to its first event at a random moment. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const HOUR_MS = 3_600_000;
/** A line of output each. */
const EVENT_MS = 250;

/** An hour that does not last one. */
class HourClock implements Clock {
  #now = 0;
  readonly #repeated = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  /** Retries of an archive take their real time. */
  after(ms: number, run: () => void): () => void {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  }

  every(_ms: number, run: () => void): () => void {
    this.#repeated.add(run);
    return () => void this.#repeated.delete(run);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const run of this.#repeated) run();
  }
}

export async function measureSeeking(site: Site, seeks: number, options: BenchOptions): Promise<Seeking[]> {
  const results: Seeking[] = [];
  for (const sink of site.sinks) {
    options.progress(`seeking: an hour in ${sink}`);
    const sessionId = crypto.randomUUID();
    const startedAt = Date.now();
    const { bytes, segments } = await anHour(site, sink, sessionId, startedAt);
    await site.archive(sink).compact(sessionId, startedAt, async () => {});
    const took: number[] = [];
    for (let i = 0; i < seeks; i += 1) took.push(await seek(site, sink, sessionId, Math.random() * HOUR_MS));
    results.push({ sink, bytes, segments, p50Ms: percentile(took, 50), p99Ms: percentile(took, 99) });
  }
  return results;
}

async function anHour(
  site: Site,
  sink: RealSink,
  sessionId: string,
  startedAt: number,
): Promise<{ bytes: number; segments: number }> {
  const clock = new HourClock();
  const archive = site.archive(sink);
  const recording = await site.recorder(archive, clock).open(initOf(sessionId, startedAt), {
    pause: () => {},
    resume: () => {},
    failed: () => {},
  });
  for (let at = 0; at < HOUR_MS; at += EVENT_MS) {
    const line = `${at} ${Math.random().toString(36)} ${Math.random().toString(36)} of what a person looks at\r\n`;
    recording.write(EventKind.output, 0, Buffer.from(line.repeat(4)));
    clock.advance(EVENT_MS);
    // What is cut is appended before the next is: each segment for itself, as in a real hour.
    if (at % (EVENT_MS * 8) === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  const { sealed, bytes, segments } = await recording.seal('measured');
  if (!sealed) throw new Error(`the hour could not be recorded to ${sink}`);
  return { bytes, segments };
}

/** As a reader does it who has just come: nothing is open or known yet. */
async function seek(site: Site, sink: RealSink, sessionId: string, atMs: number): Promise<number> {
  const archive = site.archive(sink);
  const started = performance.now();
  const reader = await openRecording(archive, sessionId, [site.identity.identity]);
  try {
    for await (const _ of reader.events(atMs * 1000)) break;
    return performance.now() - started;
  } finally {
    await reader.close();
  }
}
