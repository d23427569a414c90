/** What became of a run's recordings, asked as an auditor would ask. */
import type { Gateway } from '../../test/support/gateway.ts';
import { sleep } from '../load-process.ts';

export interface Recordings {
  readonly count: number;
  readonly sealed: number;
  /** From the end of the last session until every recording was sealed. */
  readonly sealedAfterSeconds: number;
  /** Proved to be whole and unaltered, and of how many that were tried. */
  readonly verified: number;
  readonly tried: number;
  readonly bytes: number;
}

interface Row {
  readonly id: string;
  readonly endedAt?: number;
  readonly sealed: boolean;
  readonly recordedBytes?: number;
}

const SEAL_MS = 60_000;
const ASK_MS = 500;

/** @param expected how many there should be; @param sampled how many are verified, spread over all */
export async function lookAtRecordings(
  gateway: Gateway,
  expected: number,
  sampled: number,
): Promise<Recordings> {
  const began = performance.now();
  const list = (): Promise<Row[]> =>
    gateway.json<Row[]>(['recordings', 'ls', '--limit', String(expected * 2 + 1000)]);
  let rows = await list();
  while (rows.some(({ sealed }) => !sealed) && performance.now() - began < SEAL_MS) {
    await sleep(ASK_MS);
    rows = await list();
  }
  const seconds = (performance.now() - began) / 1000;
  const step = Math.max(1, Math.floor(rows.length / sampled));
  const sample = rows.filter((_, at) => at % step === 0).slice(0, sampled);
  let verified = 0;
  for (const { id } of sample)
    if ((await gateway.sallyport(['recordings', 'verify', id])).code === 0) verified += 1;
  return {
    count: rows.length,
    sealed: rows.filter(({ sealed }) => sealed).length,
    sealedAfterSeconds: seconds,
    verified,
    tried: sample.length,
    bytes: rows.reduce((sum, { recordedBytes }) => sum + (recordedBytes ?? 0), 0),
  };
}
