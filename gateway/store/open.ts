import { StoreError } from './errors.ts';
import type { Store } from './port.ts';
import { openSqliteStore } from './sqlite.ts';

/**
 * Opens the store that `store.url` names.
 *
 * @param url `sqlite:` and an absolute path
 * @throws StoreError saying what to do
 */
export async function openStoreAt(url: string): Promise<Store> {
  if (url.startsWith('sqlite:')) return await openSqliteStore(url.slice('sqlite:'.length));
  const scheme = url.slice(0, Math.max(0, url.indexOf(':')));
  throw new StoreError(
    'unavailable',
    `store.url: ${scheme} is not supported by this version, use sqlite:PATH`,
  );
}
