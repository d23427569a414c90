/**
 * What people who type notice of recordings that are sealed, compacted and indexed on their node: the echo of
 * their keys in a while in which there is nothing else to do, and in one in which a peer dies and many of the
 * node's own sessions end.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openStoreAt } from '../../gateway/store/open.ts';
import type { SessionRow, Store } from '../../gateway/store/port.ts';
import type { Gateway } from '../../test/support/gateway.ts';
import { obstacle } from '../../test/support/packages.ts';
import { type Daemon, startDaemon, until } from '../../test/support/process.ts';
import { type Sshd, startSshd } from '../../test/support/sshd.ts';
import { temporaryFolder } from '../../test/support/temp.ts';
import { median, percentile } from '../figures/statistics.ts';
import { withoutAutogroups } from '../machine.ts';
import type { BenchOptions } from '../report.ts';
import { CIPHER, clientConfig, gatewayEndpoint, startBenchGateway } from '../ssh/bed.ts';
import { startLoad } from '../ssh/jobs.ts';
import type { RealSink, Site } from './sites.ts';

export interface Background {
  readonly sink: RealSink;
  /** `busy`: while recordings are sealed, compacted and indexed; `quiet`: while none is. */
  readonly while: 'quiet' | 'busy';
  /** Of keys to their echo; medians of the rounds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of all rounds. */
  readonly maxMs: number;
  readonly keys: number;
  /** Recordings of a round that were worked on meanwhile, with their MiB, and how long that took. */
  readonly work?: { readonly recordings: number; readonly mib: number; readonly seconds: number };
}

const TYPISTS = 20;
const KEYS_APART_MS = 100;
/** Of the nodes: so long the sessions of one that died wait for their seal. */
const LEASE_SECONDS = 6;
/** Work takes as long as it takes: what goes wrong shows in the log. */
const PATIENCE_MS = 300_000;

interface Sizes {
  /** Sessions of the peer that dies, and as many of the node itself that end. */
  readonly sessions: number;
  /** What each of them has printed. */
  readonly mib: number;
  readonly keys: number;
}

export async function measureBackground(site: Site, options: BenchOptions): Promise<Background[]> {
  const missing = obstacle(['openssh-server', 'openssh-client']);
  if (missing !== undefined) throw new Error(`the archive benchmark ${missing}`);
  const sizes = options.quick ? { sessions: 4, mib: 1, keys: 60 } : { sessions: 24, mib: 4, keys: 200 };
  const target = await startSshd({
    config: [`Ciphers ${CIPHER}`, 'Compression no', 'MaxStartups 2000', 'LogLevel ERROR'],
  });
  const results: Background[] = [];
  const restore = withoutAutogroups();
  try {
    for (const sink of site.sinks) results.push(...(await measureIn(site, sink, target, sizes, options)));
  } finally {
    restore();
    await target.stop();
  }
  return results;
}

interface Round {
  readonly quiet: readonly number[];
  readonly busy: readonly number[];
  readonly seconds: number;
}

/** What a round is measured with. */
interface Place {
  readonly site: Site;
  readonly sink: RealSink;
  readonly target: Sshd;
  readonly gateway: Gateway;
  /** Shares the gateway's store and archive. */
  readonly peer: Gateway;
  readonly store: Store;
  readonly sizes: Sizes;
}

async function measureIn(
  site: Site,
  sink: RealSink,
  target: Sshd,
  sizes: Sizes,
  options: BenchOptions,
): Promise<Background[]> {
  const archive = site.configuration(sink);
  const gateway = await startBenchGateway(target, archive, { node: nodeConfig('first') });
  const database = `sqlite:${join(gateway.dataDir, 'sallyport.db')}`;
  const store = await openStoreAt(database);
  const rounds: Round[] = [];
  try {
    for (let round = 0; round < options.rounds; round += 1) {
      options.progress(`background, ${sink}: round ${round + 1} of ${options.rounds}`);
      const peer = await startBenchGateway(target, archive, {
        node: nodeConfig(`peer-${round}`),
        store: { url: database },
        vault: { masterKey: `file:${join(gateway.dataDir, 'keys/master.key')}` },
      });
      try {
        rounds.push(await measureRound({ site, sink, target, gateway, peer, store, sizes }));
      } finally {
        await peer.stop();
      }
    }
  } finally {
    await store.close();
    await gateway.stop();
  }
  const recordings = 2 * sizes.sessions;
  const seconds = median(rounds.map((round) => round.seconds));
  return (['quiet', 'busy'] as const).map((kind) => {
    const all = rounds.map((round) => round[kind]);
    return {
      sink,
      while: kind,
      p50Ms: median(all.map((millis) => percentile(millis, 50))),
      p99Ms: median(all.map((millis) => percentile(millis, 99))),
      maxMs: Math.max(...all.flat()),
      keys: all.flat().length,
      ...(kind === 'busy' && { work: { recordings, mib: recordings * sizes.mib, seconds } }),
    };
  });
}

const nodeConfig = (name: string) => ({ name, dataDir: 'data', demo: false, leaseSeconds: LEASE_SECONDS });

async function measureRound(place: Place): Promise<Round> {
  const { gateway, peer, store, sizes } = place;
  const before = new Set((await bobs(store)).map(({ id }) => id));
  const [own, lost] = await Promise.all([printing(place, gateway), printing(place, peer)]);
  const rows = async (): Promise<SessionRow[]> => (await bobs(store)).filter(({ id }) => !before.has(id));
  // What is written meanwhile is in the archive before anybody types.
  await until(
    'all that was printed is recorded',
    async () =>
      (await rows()).every(({ recordedBytes = 0 }) => recordedBytes > (sizes.mib * 2 ** 20) / 2) || undefined,
  );

  const quiet = await (await typists(place)).outcome();
  const typing = await typists(place);
  await peer.kill9();
  await until(
    'the peer is taken for lost',
    async () => (await rows()).some(({ endCode }) => endCode === 'worker-died') || undefined,
  );
  const started = performance.now();
  const busy = typing.outcome();
  await Promise.all([...own, ...lost].map((client) => client.stop()));
  await until('all is done', async () => (await isDone(place, await rows())) || undefined, PATIENCE_MS);
  const seconds = (performance.now() - started) / 1000;
  const round = { quiet, busy: await busy, seconds };
  const archive = place.site.archive(place.sink);
  for (const { id, openedAt, startedAt } of await rows()) await archive.remove(id, startedAt ?? openedAt);
  return round;
}

const bobs = async (store: Store): Promise<SessionRow[]> =>
  (await store.sessions({}, { limit: 1000 })).filter(({ user }) => user === 'bob');

/** Sessions that have printed all that they print, and stay. */
async function printing({ target, sizes }: Place, gateway: Gateway): Promise<Daemon[]> {
  const file = join(temporaryFolder('bench-background'), 'ssh_config');
  writeFileSync(file, clientConfig({ target: gatewayEndpoint(gateway, target, 'bob') }));
  const command = `base64 /dev/urandom | head -c ${sizes.mib * 2 ** 20}; echo; echo all-printed; exec sleep 3600`;
  const client = ['ssh', '-F', file, '-tt', 'target', command];
  const daemons = Array.from({ length: sizes.sessions }, () =>
    startDaemon('/bin/sh', ['-c', 'exec "$@" | grep --line-buffered all-printed', 'sh', ...client]),
  );
  for (const daemon of daemons)
    await until('all is printed', () => daemon.output().includes('all-printed') || undefined, PATIENCE_MS);
  return daemons;
}

/** People who are logged on and type when they are told to: ms from each key to its echo. */
async function typists({ target, gateway, sizes }: Place): Promise<{ outcome(): Promise<number[]> }> {
  const endpoint = gatewayEndpoint(gateway, target, 'alice');
  const load = await startLoad({
    kind: 'echo',
    endpoints: Array.from({ length: TYPISTS }, () => endpoint),
    keys: sizes.keys,
    spacingMs: KEYS_APART_MS,
  });
  return {
    async outcome() {
      const { millis } = await load.outcome();
      await load.stop();
      return millis.flat();
    },
  };
}

/** Whether all are sealed, compacted where the archive does that, and those of the node itself have their text. */
async function isDone({ site, sink }: Place, rows: readonly SessionRow[]): Promise<boolean> {
  if (!rows.every(({ sealed, compacted }) => sealed && (compacted || sink === 'file'))) return false;
  const archive = site.archive(sink);
  for (const { id, openedAt, startedAt, recoveredBy } of rows) {
    if (recoveredBy !== undefined) continue;
    const text = await archive.openSide(id, startedAt ?? openedAt, 'text');
    if (text === undefined) return false;
    await text.close();
  }
  return true;
}
