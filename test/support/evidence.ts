/** What the gateway wrote down, read from its store directly: quicker than a CLI call for each look. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openStoreAt } from '../../gateway/store/open.ts';
import type { AuditRow, SessionRow, Store } from '../../gateway/store/port.ts';
import { type Bed, type Door, ssh } from './bed.ts';
import type { Gateway } from './gateway.ts';
import { until } from './process.ts';

export class Evidence {
  readonly #store: Store;

  private constructor(store: Store) {
    this.#store = store;
  }

  static async of(gateway: Gateway): Promise<Evidence> {
    return new Evidence(await openStoreAt(`sqlite:${join(gateway.dataDir, 'sallyport.db')}`));
  }

  /** Newest first. */
  async sessions(): Promise<readonly SessionRow[]> {
    return await this.#store.sessions({}, { limit: 1000 });
  }

  /** The newest session of a user that is in `state`, once there is one. */
  async session(user: string, state: SessionRow['state']): Promise<SessionRow> {
    return await until(`a session of ${user} that is ${state}`, async () => {
      const newest = (await this.sessions()).find((row) => row.user === user);
      return newest?.state === state ? newest : undefined;
    });
  }

  /** A session once its recording is sealed. */
  async sealed(id: string): Promise<SessionRow> {
    return await until('the session ends, sealed', async () =>
      (await this.sessions()).find((row) => row.id === id && row.sealed),
    );
  }

  /** Newest first. */
  async audit(code?: string): Promise<readonly AuditRow[]> {
    return await this.#store.audit(code === undefined ? {} : { code }, { limit: 1000 });
  }

  /** The newest audit row of `code` that `fits`, once there is one. */
  async event(code: string, fits: (row: AuditRow) => boolean = () => true): Promise<AuditRow> {
    return await until(`an audit event ${code}`, async () => (await this.audit(code)).find(fits), 20_000);
  }

  /** All of a session, oldest first. */
  async keystrokes(sessionId: string): Promise<string> {
    const rows = await this.#store.keystrokes(sessionId);
    return rows
      .map((row) => row.text)
      .toReversed()
      .join('');
  }

  /** Newest first. */
  async commands(sessionId: string): Promise<readonly string[]> {
    return (await this.#store.keystrokes(sessionId, 'command')).map((row) => row.text);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** Nothing so far has cost a worker or was an error of the gateway. */
export function assertUndisturbed(gateway: Gateway): void {
  const log = gateway.log();
  assert.ok(!/worker (failed|is replaced|is blocked)/.test(log), log);
  assert.deepEqual(
    log.split('\n').filter((line) => line.startsWith('{"level":50')),
    [],
  );
}

/** The gateway serves the next session as if nothing had happened. */
export async function stillServes(bed: Bed, door: Door = bed.door): Promise<void> {
  const result = await ssh(door, ['target', 'echo still $((40 + 2))']);
  assert.deepEqual([result.code, result.text], [0, 'still 42\n'], result.stderr);
}
