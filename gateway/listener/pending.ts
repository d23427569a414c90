/**
 * Connections that have not logged on, or have no session yet: how many there may be, and whose. Where all places are
 * taken, whoever holds most of them gives one up for who holds fewer, so that a flood from a
 * few addresses leaves the others room.
 */
import type { Socket } from 'node:net';
import { sourceKey } from './source.ts';

/**
 * In one worker and listener, and from one source. A log-on costs about 3 ms of CPU, so the
 * bound is about what a worker can still answer within the client's patience; one source may
 * be a whole office or an ansible run behind NAT.
 */
export const MAX_PENDING = 1_000;
export const MAX_PENDING_PER_SOURCE = 200;
/**
 * What a connection may send before it has logged on. Of SSH a twentieth is enough; at the logon
 * screen of a desktop a mouse that moves all the time sends 1 MiB in the time that people have.
 */
const MAX_PENDING_BYTES = 4 * 1024 ** 2;

interface Held {
  readonly socket: Socket;
  /** {@link sourceKey} of its client. */
  readonly source: string;
}

export class Pending {
  /** Connections, the oldest first, with the key of their source. */
  readonly #keys = new Map<Socket, string>();
  readonly #bySource = new Map<string, Set<Socket>>();

  /**
   * Takes a connection in, if need be in the place of another one, which is returned.
   * @returns `refused` where it finds no place itself
   */
  enter(
    socket: Socket,
    source: string,
  ): { readonly evicted: Held | undefined } | { readonly refused: 'source-limit' | 'limit' } {
    const key = sourceKey(source);
    const own = this.#bySource.get(key);
    const held = own?.size ?? 0;
    if (held >= MAX_PENDING_PER_SOURCE) return { refused: 'source-limit' };
    let evicted: Held | undefined;
    if (this.#keys.size >= MAX_PENDING) {
      const biggest = this.#biggest();
      if (biggest === undefined || biggest.size <= held + 1) return { refused: 'limit' };
      const [oldest] = biggest;
      evicted = oldest && { socket: oldest, source: this.#keys.get(oldest) ?? '' };
      if (oldest !== undefined) this.leave(oldest);
    }
    this.#keys.set(socket, key);
    if (own === undefined) this.#bySource.set(key, new Set([socket]));
    else own.add(socket);
    return { evicted };
  }

  /** The connection is further than this, or gone. */
  leave(socket: Socket): void {
    const key = this.#keys.get(socket);
    if (key === undefined) return;
    this.#keys.delete(socket);
    const own = this.#bySource.get(key);
    own?.delete(socket);
    if (own?.size === 0) this.#bySource.delete(key);
  }

  /** Those that have sent more than anyone needs to log on. */
  *greedy(): Generator<Held, void, undefined> {
    for (const [socket, source] of this.#keys)
      if (socket.bytesRead > MAX_PENDING_BYTES) yield { socket, source };
  }

  #biggest(): Set<Socket> | undefined {
    let found: Set<Socket> | undefined;
    for (const each of this.#bySource.values()) if (each.size > (found?.size ?? 0)) found = each;
    return found;
  }
}
