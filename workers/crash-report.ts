/**
 * Files that tell what a session worker died of, in a folder of the node: for whoever looks for the cause.
 * They hold figures, names and stacks; no environment, no command line, no content of memory.
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { freemem, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import type { WorkerDeath } from './death.ts';

export interface Crash {
  readonly node: string;
  /** Of Sallyport. */
  readonly version: string;
  readonly death: WorkerDeath;
  /** Ids of those that ended with it. */
  readonly sessions: readonly string[];
}

/** Where the reports of a node are. */
export const crashFolder = (dataDir: string): string => join(dataDir, 'crashes');

/** The newest are kept. */
const MAX_REPORTS = 50;
/** Characters of a text: a message may hold what somebody sent. */
const MAX_TEXT = 8_192;
const MAX_FRAMES = 100;
const MAX_SESSIONS = 2_000;
const EXTENSION = '.json';

/**
 * Writes the report of a death into `folder`, which is made where it is not there, and deletes the oldest
 * ones there. Resolves to its path; rejects as the file system does.
 */
export async function writeCrashReport(folder: string, crash: Crash, now = new Date()): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const names = await reportNames(folder);
  await Promise.all(names.slice(MAX_REPORTS - 1).map((name) => rm(join(folder, name), { force: true })));
  const worker = crash.death.workers[0]?.worker ?? 'none';
  const path = join(folder, `${now.toISOString().replaceAll(':', '-')}-worker-${worker}${EXTENSION}`);
  await writeFile(path, `${JSON.stringify(reportOf(crash, now), undefined, 2)}\n`, {
    mode: 0o600,
    flag: 'wx',
  });
  return path;
}

/** Reports in a folder that need not exist, the newest first. `at`: ms since the epoch. */
export async function crashReports(folder: string): Promise<readonly { path: string; at: number }[]> {
  return (await reportNames(folder)).map((name) => ({
    path: join(folder, name),
    at: Date.parse(name.slice(0, 24).replace(/T(\d\d)-(\d\d)-/, 'T$1:$2:')),
  }));
}

async function reportNames(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names
    .filter((name) => /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-worker-\w+\.json$/.test(name))
    .sort()
    .reverse();
}

function reportOf({ node, version, death, sessions }: Crash, now: Date): Readonly<Record<string, unknown>> {
  const { rss, heapUsed, external } = process.memoryUsage();
  const { error, blocked } = death;
  return {
    time: now.toISOString(),
    node,
    versions: { sallyport: version, node: process.version },
    ...death,
    error: error && { ...error, message: cut(error.message), stack: error.stack && cut(error.stack) },
    blocked: blocked && { ...blocked, stack: blocked.stack?.slice(0, MAX_FRAMES).map(cut) },
    sessions: { count: sessions.length, ids: sessions.slice(0, MAX_SESSIONS) },
    controlPlane: {
      pid: process.pid,
      uptimeSeconds: Math.round(process.uptime()),
      residentBytes: rss,
      heapBytes: heapUsed,
      externalBytes: external,
    },
    machine: { load: loadavg(), freeBytes: freemem(), totalBytes: totalmem() },
  };
}

const cut = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
