/** What a load process of many sessions is told and what it tells. */
import type { Endpoint as Desktop } from '../rdp/jobs.ts';
import type { Endpoint as Shell } from '../ssh/jobs.ts';

/** What somebody does in a session. `openssh`: types too, with OpenSSH's own client. */
export type Work = 'type' | 'openssh' | 'watch' | 'bulk' | 'desktop';
/** `direct`: to the target itself; what a key takes there is what the others are compared with. */
export type Way = 'via' | 'direct';

/** One session that is to be held. */
export type Order =
  | { readonly way: Way; readonly work: 'desktop'; readonly endpoint: Desktop }
  | { readonly way: Way; readonly work: Exclude<Work, 'desktop'>; readonly endpoint: Shell };

/** Keys a second of everybody who types. */
export const KEYS_PER_SECOND = 2;
export const PROMPT = '$ ';
/** Bytes a second of a bulk transfer: what a copy over an office's line takes. */
export const BULK_BYTES_PER_SECOND = 2 ** 20;
/** Lines a second on the screen of who watches. */
export const WATCHED_LINES_PER_SECOND = 5;
/** Lines that a command prints. */
export const PRINTED_LINES = 40;

export type ToLoad =
  /** Once, first. `concurrency`: how many are opened at once. */
  | { readonly kind: 'open'; readonly orders: readonly Order[]; readonly concurrency: number }
  /** So many of the sessions via the gateway end and are opened anew; beside them come people for one thing alone. */
  | { readonly kind: 'renew'; readonly count: number }
  | { readonly kind: 'end' };

export type FromLoad =
  | ({ readonly kind: 'second' } & Second)
  /** Every order was tried. */
  | { readonly kind: 'opened' }
  /** Every session has ended; the process does so when its parent disconnects. */
  | { readonly kind: 'ended' };

export type Protocol = 'ssh' | 'rdp';
export const PROTOCOLS: readonly Protocol[] = ['ssh', 'rdp'];

/** What happened since the last one. */
export interface Second {
  /** Sessions via the gateway that are open now. */
  readonly open: number;
  /** ms from TCP connect to a prompt or an active desktop, of sessions via the gateway. */
  readonly setUps: Readonly<Record<Protocol, readonly number[]>>;
  /** ms from each key to its answer. */
  readonly keys: Readonly<Record<Way, Readonly<Record<Protocol, readonly number[]>>>>;
  /** Shown by the targets, over all sessions. */
  readonly bytes: number;
  /** Of sessions that failed, each once. */
  readonly errors: readonly string[];
}

export const protocolOf = ({ work }: Pick<Order, 'work'>): Protocol => (work === 'desktop' ? 'rdp' : 'ssh');
