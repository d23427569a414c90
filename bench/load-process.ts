/** What load processes do alike, whatever their protocol: one job, sent by the parent, and its outcome. */

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Takes the job, answers with its outcome and keeps what it opened until the parent disconnects. */
export function serveJob<Job>(perform: (job: Job) => Promise<unknown>): void {
  process.once('disconnect', () => process.exit());
  process.once('message', (job: Job) => {
    perform(job).then(
      (outcome) => process.send?.(outcome),
      (error: unknown) => process.send?.({ kind: 'failed', error: String(error) }),
    );
  });
}

/** Tells the parent that all is prepared; resolves when it says go. */
export async function go(): Promise<void> {
  const told = new Promise<void>((resolve) => process.once('message', () => resolve()));
  process.send?.({ kind: 'ready' });
  await told;
}

/** Runs `work` `count` times, `concurrency` at once; returns how long each took and what failed. */
export async function many(
  count: number,
  concurrency: number,
  work: () => Promise<void>,
): Promise<{ seconds: number; millis: number[]; errors: string[] }> {
  const started = performance.now();
  const millis: number[] = [];
  const errors: string[] = [];
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const begun = performance.now();
      try {
        await work();
        millis.push(performance.now() - begun);
      } catch (error) {
        errors.push(String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return { seconds: (performance.now() - started) / 1000, millis, errors };
}

/** Presses `keys` keys, one every `spacingMs`, whatever becomes of those before. */
export async function pressEvery(
  spacingMs: number,
  keys: number,
  press: (index: number) => void,
): Promise<void> {
  const start = performance.now();
  for (let index = 0; index < keys; index += 1) {
    await sleep(Math.max(0, start + index * spacingMs - performance.now()));
    press(index);
  }
}

/** Measures all clients at the same time, their keys evenly apart, so that whatever disturbs meets all. */
export async function interleaved<Client>(
  clients: readonly Client[],
  spacingMs: number,
  measure: (client: Client) => Promise<number[]>,
): Promise<number[][]> {
  return await Promise.all(
    clients.map(async (client, index) => {
      await sleep((index * spacingMs) / clients.length);
      return await measure(client);
    }),
  );
}
