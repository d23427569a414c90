/** Looks every second at the sessions of a run, at what their keys took and at what the gateway uses. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { percentile } from '../figures/statistics.ts';
import { cpuWithEnded, memoryOfAll, processTree } from '../process-figures.ts';
import type { Crew } from './crew.ts';
import { PROTOCOLS, type Protocol, type Second, type Way } from './jobs.ts';

const LOOK_MS = 1000;
/** Proportional memory takes the kernel milliseconds to count, and figures the gateway some to show. */
const LOOKS_PER_MEMORY = 5;

/** One look. */
export interface Sample {
  /** Since the beginning. */
  readonly second: number;
  /** Sessions via the gateway, those of real desktops included. */
  readonly open: number;
  /** ms of the keys of this second; undefined: nobody typed. */
  readonly via: Percentiles | undefined;
  readonly direct: Percentiles | undefined;
  /** Cores in use since the last look. */
  readonly gatewayCores: number;
  readonly loadCores: number;
  readonly targetCores: number;
  /** Of the gateway's processes; the last that were counted. */
  readonly rssBytes: number;
  readonly pssBytes: number;
  /** Age of the oldest byte that the archive had not acknowledged, as the gateway tells; NaN: it does not. */
  readonly archiveLagMs: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Of keys: how many, and ms to the answer. */
export interface KeyFigures extends Percentiles {
  readonly count: number;
}

/** Keys of a time that is measured as a whole. */
export class Keys {
  readonly #histograms: Record<Way, Record<Protocol, RecordableHistogram>> = {
    via: { ssh: histogram(), rdp: histogram() },
    direct: { ssh: histogram(), rdp: histogram() },
  };

  add(keys: Readonly<Record<Way, Readonly<Record<Protocol, readonly number[]>>>>): void {
    for (const way of ['via', 'direct'] as const)
      for (const protocol of PROTOCOLS)
        for (const ms of keys[way][protocol])
          this.#histograms[way][protocol].record(Math.max(1, Math.round(ms * 1000)));
  }

  figures(way: Way, protocol: Protocol): KeyFigures | undefined {
    const found = this.#histograms[way][protocol];
    if (found.count === 0) return undefined;
    const ms = (percent: number): number => found.percentile(percent) / 1000;
    return { count: found.count, p50: ms(50), p99: ms(99), max: found.max / 1000 };
  }

  get count(): number {
    return PROTOCOLS.reduce((sum, protocol) => sum + this.#histograms.via[protocol].count, 0);
  }
}

/** µs, three significant digits, as many samples as may come. */
const histogram = (): RecordableHistogram =>
  createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });

export interface Watched {
  readonly crew: Crew;
  /** Process id; what it started is counted too. */
  readonly gateway: number;
  /** Where the gateway shows its figures. */
  readonly healthPort: number;
  /** Process ids of the synthetic targets. */
  readonly targets: readonly number[];
  /** Sessions that the load processes do not hold. */
  readonly others: () => number;
}

export class Watch {
  readonly samples: Sample[] = [];
  /** ms of every set-up so far. */
  readonly setUps: Record<Protocol, number[]> = { ssh: [], rdp: [] };
  readonly errors: string[] = [];
  /** Of the keys of now; taken away and replaced where a time begins. */
  keys = new Keys();
  /** What targets have shown. */
  bytes = 0;
  readonly #watched: Watched;
  readonly #began = performance.now();
  readonly #timer: NodeJS.Timeout;
  #lastAt = this.#began;
  #lastCpu: Cpu;
  #memory = { rssBytes: 0, pssBytes: 0 };
  #looks = 0;
  #lagMs = Number.NaN;
  /** Its processes. */
  #gateway: readonly number[];

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#gateway = processTree(watched.gateway);
    this.#lastCpu = this.#cpu();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#gather();
  }

  /** Seconds since the beginning. */
  get second(): number {
    return (performance.now() - this.#began) / 1000;
  }

  #gather(): Second {
    const second = this.#watched.crew.take();
    this.keys.add(second.keys);
    for (const protocol of PROTOCOLS) this.setUps[protocol].push(...second.setUps[protocol]);
    this.errors.push(...second.errors);
    this.bytes += second.bytes;
    return second;
  }

  #look(): void {
    const now = performance.now();
    // The one before came late, when this process had to wait.
    if (now - this.#lastAt < LOOK_MS / 2) return;
    const { open, keys } = this.#gather();
    const cpu = this.#cpu();
    const cores = (part: keyof Cpu): number =>
      Math.max(0, ((cpu[part] - this.#lastCpu[part]) * 1000) / (now - this.#lastAt));
    if (this.#looks % LOOKS_PER_MEMORY === 0) {
      this.#gateway = processTree(this.#watched.gateway);
      this.#memory = memoryOfAll(this.#gateway);
      void this.#askLag();
    }
    this.#looks += 1;
    this.samples.push({
      second: this.second,
      open: open + this.#watched.others(),
      via: percentiles([...keys.via.ssh, ...keys.via.rdp]),
      direct: percentiles([...keys.direct.ssh, ...keys.direct.rdp]),
      gatewayCores: cores('gateway'),
      loadCores: cores('load'),
      targetCores: cores('targets'),
      ...this.#memory,
      archiveLagMs: this.#lagMs,
    });
    this.#lastAt = now;
    this.#lastCpu = cpu;
  }

  async #askLag(): Promise<void> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#watched.healthPort}/metrics`);
      const lag = /^sallyport_archive_lag_seconds(?:\{.*\})? (\S+)$/m.exec(await answer.text())?.[1];
      this.#lagMs = Number(lag ?? Number.NaN) * 1000;
    } catch {
      this.#lagMs = Number.NaN;
    }
  }

  #cpu(): Cpu {
    const { crew, targets } = this.#watched;
    return {
      gateway: cpuWithEnded(this.#gateway),
      load: cpuWithEnded(crew.pids),
      targets: cpuWithEnded(targets),
    };
  }
}

/** Seconds so far. */
interface Cpu {
  readonly gateway: number;
  readonly load: number;
  readonly targets: number;
}

function percentiles(millis: readonly number[]): Percentiles | undefined {
  if (millis.length === 0) return undefined;
  const of = (percent: number): number => percentile(millis, percent);
  return { p50: of(50), p99: of(99), max: of(100) };
}
