/** Opens the store that `store.url` names. */
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './port.ts';
import { StoreError } from './errors.ts';

/** @param url `sqlite:/absolute/path` */
export async function openStoreAt(url: string): Promise<Store> {
  if (url.startsWith('sqlite:')) return await openSqliteStore(url.slice('sqlite:'.length));
  const scheme = url.slice(0, Math.max(0, url.indexOf(':')));
  throw new StoreError('unsupported', `store.url: ${scheme} is not supported by this version, use sqlite:PATH`);
}
