/** What a person with a large file notices of where the recording goes. */
import { chmodSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Gateway } from '../../test/support/gateway.ts';
import { obstacle } from '../../test/support/packages.ts';
import { startSshd } from '../../test/support/sshd.ts';
import { atExit } from '../../test/support/temp.ts';
import { randomFile } from '../../test/support/tree.ts';
import { median, rotated } from '../figures/statistics.ts';
import { cpuOf, settled } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { CIPHER, clientConfig, gatewayEndpoint, startBenchGateway } from '../ssh/bed.ts';
import { type Direction, transfer } from '../ssh/transfer.ts';
import { initOf, type RealSink, type Site } from './sites.ts';

export interface InSessions {
  /** `memory`: a folder in memory, as near to nowhere as a gateway can record. */
  readonly sink: 'memory' | RealSink;
  readonly direction: Direction;
  readonly mbPerSecond: number;
  /** To memory in the same round; the median of the rounds. */
  readonly toMemory: number;
  /** CPU seconds of the gateway per GB. */
  readonly cpuPerGb: number;
}

export async function measureSessions(site: Site, mib: number, options: BenchOptions): Promise<InSessions[]> {
  const missing = obstacle(['openssh-server', 'openssh-client']);
  if (missing !== undefined) throw new Error(`the archive benchmark ${missing}`);
  const folder = mkdtempSync('/dev/shm/sallyport-bench-');
  atExit(() => rmSync(folder, { recursive: true, force: true }));
  // The account on the target reads the file in it.
  chmodSync(folder, 0o755);
  const payload = { file: randomFile(join(folder, 'bulk'), mib * 2 ** 20), bytes: mib * 2 ** 20 };
  const target = await startSshd({ config: [`Ciphers ${CIPHER}`, 'Compression no', 'LogLevel ERROR'] });
  const memory = mkdtempSync(join(folder, 'archive-'));
  const gateways: { sink: InSessions['sink']; gateway: Gateway }[] = [];
  for (const sink of ['memory', ...site.sinks] as const) {
    const archive = sink === 'memory' ? { url: `file:${memory}` } : site.configuration(sink);
    gateways.push({ sink, gateway: await startBenchGateway(target, archive) });
  }
  const sshConfig = join(folder, 'ssh_config');
  const hosts = gateways.map(({ sink, gateway }) => [sink, gatewayEndpoint(gateway, target, 'bob')] as const);
  writeFileSync(sshConfig, clientConfig(Object.fromEntries(hosts)));

  const runs = (['download', 'upload'] as const).flatMap((direction) =>
    gateways.map((each) => ({ ...each, direction, seconds: [] as number[], cpu: [] as number[] })),
  );
  try {
    for (let round = 0; round < options.rounds; round += 1) {
      options.progress(`sessions: round ${round + 1} of ${options.rounds}`);
      for (const { sink, gateway, direction, seconds, cpu } of rotated(runs, round)) {
        const used = await cpuOf(gateway.pid, async () => {
          seconds.push(await transfer({ sshConfig }, sink, direction, payload));
          await settled(gateway.pid);
        });
        cpu.push(used?.seconds ?? 0);
        await discard(site, sink, memory);
      }
    }
  } finally {
    await Promise.all(gateways.map(({ gateway }) => gateway.stop()));
    await target.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return runs.map(({ sink, direction, seconds, cpu }) => {
    const base = runs.find((each) => each.sink === 'memory' && each.direction === direction)?.seconds ?? [];
    return {
      sink,
      direction,
      mbPerSecond: median(seconds.map((each) => payload.bytes / 1e6 / each)),
      toMemory: median(seconds.map((each, i) => (base[i] ?? Number.NaN) / each)),
      cpuPerGb: median(cpu.map((each) => each / (payload.bytes / 1e9))),
    };
  });
}

/** Recordings that are over are of no more use, and would fill the archive. */
async function discard(site: Site, sink: InSessions['sink'], memory: string): Promise<void> {
  if (sink === 'memory') {
    for (const file of globSync('*/*/*/*', { cwd: memory })) rmSync(join(memory, file), { force: true });
    return;
  }
  const archive = site.archive(sink);
  for await (const { sessionId } of archive.list())
    await archive.remove(sessionId, initOf(sessionId).startedAt);
}
