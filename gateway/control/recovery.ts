/**
 * Finishes what others left: sessions of runs that are lost, whichever node they were of, and recordings
 * that a worker or archive of this very node did not bring to their end. One node at a time finishes a lost
 * run; where two do so all the same, the archive has one of their seals and the store one of their words.
 */
import type { Logger } from 'pino';
import {
  ArchiveError,
  type ArchiveReader,
  ContainerError,
  type SealedRecording,
} from '../../recorder/index.ts';
import type { VaultClient } from '../../vault-client/index.ts';
import type { AuditCode, AuditDetail } from '../audit/events.ts';
import type { NodeRow, SessionRow, Store } from '../store/port.ts';
import type { AuditTrail, Fact } from './audit-trail.ts';
import type { Clock } from './clock.ts';
import { type Lease, silenceOf } from './lease.ts';

/** What is done to recordings, away from the threads of sessions. */
export interface Workshop {
  /** Seals a recording whose writer is gone; rejects with {@link ArchiveError} or {@link ContainerError}. */
  seal(sessionId: string, reason: string, knownHead: string | undefined): Promise<SealedRecording>;
  /** As the archive's. */
  open(sessionId: string): Promise<Pick<ArchiveReader, 'close'>>;
  /** Deletes what the writers of a lost run left in the archive beside its recordings. */
  tidy(run: string): Promise<void>;
}

export interface RecoveryOptions {
  readonly store: Store;
  /** `node.name` */
  readonly node: string;
  readonly vault: Pick<VaultClient, 'checkIn'>;
  readonly audit: AuditTrail;
  readonly workshop: Workshop;
  /** Of this run. */
  readonly lease: () => Lease;
  readonly clock: Clock;
  readonly monotonic: () => number;
  readonly log: Logger;
}

const END_CODE = 'worker-died';
const END_REASON = 'the node stopped before it could close the session';
/** Sessions of one run that are worked on at a time. */
const AT_ONCE = 4;
const PAGE = 200;
/** Others that are looked for in an archive that does not hold a recording: whether it is the right one. */
const WITNESSES = 4;
/** How soon it is looked for again where it is not, and when it is given up although none of them is there. */
const MISSING_RETRY_MS = 60_000;
const MISSING_LIMIT_MS = 7 * 86_400_000;

export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #watched = new Map<string, { readonly renewals: number; readonly since: number }>();
  /** Runs that are being finished. */
  readonly #working = new Map<string, Promise<void>>();
  /** Sessions of which was said that they could not be finished yet. */
  readonly #failing = new Set<string>();
  /** Sessions whose recordings are not found, with when to look again, monotonic. */
  readonly #missing = new Map<string, number>();
  #stopped = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /**
   * Ends the sessions of earlier runs of this data folder, so that none of them counts; their recordings
   * are sealed by later turns.
   */
  async endEarlier(home: string): Promise<void> {
    for (const run of await this.#options.store.nodes()) {
      if (run.home !== home || run.state !== 'lost' || !(await this.#claim(run, []))) continue;
      await this.#eachUnfinished(run.id, (row) => this.#end(row));
    }
  }

  /** Looks for runs that are lost and begins to finish them; rejects as the store does. */
  async turn(): Promise<void> {
    const { store, lease, monotonic } = this.#options;
    const own = lease();
    // Who did not reach the store, or slept, has not seen whether others renewed: it begins anew.
    if (!own.held || this.#stopped) return this.#watched.clear();
    const nodes = await store.nodes();
    const now = monotonic();
    for (const id of this.#watched.keys())
      if (!nodes.some((node) => node.id === id)) this.#watched.delete(id);
    for (const node of nodes) {
      if (node.id === own.run) this.#begin(node, () => this.#finishOwn(node));
      else if (node.state === 'running') await this.#watch(node, now);
      else if (await this.#claim(node, nodes)) this.#begin(node, () => this.#finish(node));
    }
  }

  /** Resolves when nothing is being finished. */
  async idle(): Promise<void> {
    await Promise.all(this.#working.values());
  }

  /** Begins nothing more, and waits for what is being finished. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.idle();
  }

  async #watch({ id, name, renewals, ...rest }: NodeRow, now: number): Promise<void> {
    const seen = this.#watched.get(id);
    if (seen === undefined || seen.renewals !== renewals) {
      this.#watched.set(id, { renewals, since: now });
      return;
    }
    if (now - seen.since < silenceOf({ id, name, renewals, ...rest })) return;
    const { store, log } = this.#options;
    // It may have renewed at this very moment: then it is not lost.
    if (!(await store.updateNode(id, { state: 'running', renewals }, { state: 'lost' }))) return;
    this.#watched.delete(id);
    log.warn({ lost: name, run: id }, 'a node is lost: it did not renew its lease');
    await this.#audit('node.lost', { node: name, run: id });
  }

  /** Whether this run is the one that finishes `lost`. */
  async #claim(lost: NodeRow, nodes: readonly NodeRow[]): Promise<boolean> {
    const { store, lease } = this.#options;
    const { run } = lease();
    if (lost.heir === run) return true;
    // A node that is back may have what its peers lack: the end of a recording, in its spool.
    const back = nodes.some(({ id, name, state }) => id !== run && name === lost.name && state === 'running');
    if (back) return false;
    const heir = lost.heir;
    if (heir !== undefined && nodes.some(({ id, state }) => id === heir && state === 'running')) return false;
    return await store.updateNode(lost.id, { state: 'lost', heir }, { heir: run });
  }

  #begin({ id }: NodeRow, work: () => Promise<void>): void {
    if (this.#working.has(id)) return;
    const working = work()
      .catch((error: unknown) =>
        this.#options.log.error({ err: error, run: id }, 'a run is not finished, trying again'),
      )
      .finally(() => this.#working.delete(id));
    this.#working.set(id, working);
  }

  /** Recordings of this run that their worker, or the archive, did not bring to their end. */
  async #finishOwn({ id }: NodeRow): Promise<void> {
    const { store } = this.#options;
    const rows = await store.sessions({ run: id, unfinished: true, state: ['ended'] }, { limit: PAGE });
    await this.#all(rows, (row) => this.#sealIfOpen(row));
  }

  async #finish(lost: NodeRow): Promise<void> {
    const { store, workshop, log } = this.#options;
    const { id, name } = lost;
    let sessions = 0;
    const done = await this.#eachUnfinished(id, async (row) => {
      sessions += 1;
      await this.#end(row);
      // A vault that is away does not keep the recording open, nor the other way round.
      const [checkedIn, sealed] = await Promise.allSettled([this.#checkIn(row), this.#sealIfOpen(row)]);
      if (checkedIn.status === 'rejected') throw checkedIn.reason;
      if (sealed.status === 'rejected') throw sealed.reason;
    });
    if (!done) {
      // Another node may reach what this one does not.
      await store.updateNode(id, { heir: this.#options.lease().run }, { heir: undefined });
      return;
    }
    await workshop.tidy(id);
    await store.deleteNode(id);
    if (sessions === 0) return;
    log.info({ lost: name, run: id, sessions }, 'a lost run is finished');
    await this.#audit('node.recovered', { node: name, run: id, sessions });
  }

  /** Does `step` with every unfinished session of a run; whether all went well. */
  async #eachUnfinished(run: string, step: (row: SessionRow) => Promise<void>): Promise<boolean> {
    const { store } = this.#options;
    let well = true;
    for (let before: string | undefined; !this.#stopped; ) {
      const page = { limit: PAGE, ...(before === undefined ? {} : { before }) };
      const rows = await store.sessions({ run, unfinished: true }, page);
      before = rows.at(-1)?.id;
      if (before === undefined) return well;
      if (!(await this.#all(rows, step))) well = false;
    }
    return false;
  }

  /** Does `step` with some rows at a time, to the end whatever becomes of each. */
  async #all(rows: readonly SessionRow[], step: (row: SessionRow) => Promise<void>): Promise<boolean> {
    const queue = [...rows];
    let well = true;
    const work = async (): Promise<void> => {
      for (let row = queue.shift(); row !== undefined && !this.#stopped; row = queue.shift()) {
        const { id } = row;
        await step(row).then(
          () => this.#failing.delete(id),
          (error: unknown) => {
            well = false;
            // Said once, not with every try.
            if (!this.#failing.has(id))
              this.#options.log.warn({ err: error, session: id }, 'a session is not finished, trying again');
            this.#failing.add(id);
          },
        );
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return well && !this.#stopped;
  }

  async #end(row: SessionRow): Promise<void> {
    if (row.state === 'ended') return;
    const { store, audit, clock } = this.#options;
    await store.transaction(async (tx) => {
      if ((await tx.session(row.id))?.state === 'ended') return;
      const endedAt = clock.now();
      const end = { state: 'ended', endedAt, endCode: END_CODE, endReason: END_REASON } as const;
      await tx.updateSession(row.id, end);
      const { account, system } = row;
      await audit.write(
        factOf(row, 'session.ended', { code: END_CODE, reason: END_REASON, account, system }),
        tx,
      );
    });
  }

  async #checkIn(row: SessionRow): Promise<void> {
    const { credentialLease, account, system } = row;
    if (credentialLease === undefined) return;
    const { store, vault, audit } = this.#options;
    await vault.checkIn(credentialLease);
    await store.transaction(async (tx) => {
      if ((await tx.session(row.id))?.credentialLease === undefined) return;
      await tx.updateSession(row.id, { credentialLease: undefined });
      await audit.write(factOf(row, 'credential.checked_in', { account, system }), tx);
    });
  }

  async #sealIfOpen(row: SessionRow): Promise<void> {
    if (!row.recorded || row.sealed || row.unsealable !== undefined) return;
    const { node, workshop, monotonic } = this.#options;
    if (monotonic() < (this.#missing.get(row.id) ?? 0)) throw notFound(row);
    if (row.spooledOn !== undefined && row.spooledOn !== node)
      throw new Error(`the spool of node ${row.spooledOn} holds the end of the recording: start that node`);
    try {
      const reason = row.endReason ?? END_REASON;
      await this.#sealed(row, await workshop.seal(row.id, reason, row.headHash));
    } catch (error) {
      const missing = isMissing(error);
      if (!missing && !(error instanceof ContainerError)) throw error;
      if (missing && !(await this.#isGone(row))) {
        this.#missing.set(row.id, monotonic() + MISSING_RETRY_MS);
        throw notFound(row);
      }
      await this.#lost(row, error.message);
    }
    this.#missing.delete(row.id);
  }

  /** Whether a recording that is not in the archive is nowhere, or in another that `archive.url` no longer names. */
  async #isGone(row: SessionRow): Promise<boolean> {
    const { store, workshop, clock } = this.#options;
    const { id, run, startedAt, headHash } = row;
    // Its header may never have come there, and nothing was relayed.
    if (startedAt === undefined && headHash === undefined) return true;
    const endedAt = (await store.session(id))?.endedAt;
    if (endedAt !== undefined && clock.now() - endedAt > MISSING_LIMIT_MS) return true;
    // What came later, of other runs, may be in the other one.
    const page = { limit: PAGE };
    const ofRun = await store.sessions({ run, kept: true }, page);
    const earlier = await store.sessions({ kept: true, state: ['ended'] }, { ...page, before: id });
    const recorded = new Set(
      [...ofRun, ...earlier].filter(isInArchive).flatMap((each) => (each.id === id ? [] : [each.id])),
    );
    for (const other of [...recorded].slice(0, WITNESSES)) if (await isThere(workshop, other)) return true;
    return false;
  }

  async #sealed(row: SessionRow, sealed: SealedRecording): Promise<void> {
    const { store, audit } = this.#options;
    const { segments, bytes, head, recoveredBy, givenUp, cut, damaged } = sealed;
    await store.transaction(async (tx) => {
      if ((await tx.session(row.id))?.sealed !== false) return;
      await tx.updateSession(row.id, {
        sealed: true,
        segments,
        recordedBytes: bytes,
        recoveredBy,
        // What the store knew of and the archive does not have stays known: `verify` is to say so.
        ...(cut ? {} : { headHash: head }),
      });
      // It may have been sealed by its own worker, whose node stopped before it could say so.
      if (recoveredBy === undefined && damaged.length === 0) return;
      const facts = { node: row.node, segments, bytes, givenUp, cut };
      const detail = damaged.length === 0 ? facts : { ...facts, damaged: damaged.join('; ') };
      await audit.write(factOf(row, 'recording.recovered', detail), tx);
    });
  }

  async #lost(row: SessionRow, reason: string): Promise<void> {
    const { store, audit } = this.#options;
    await store.transaction(async (tx) => {
      const now = await tx.session(row.id);
      if (now === undefined || now.sealed || now.unsealable !== undefined) return;
      await tx.updateSession(row.id, { unsealable: reason });
      // Of a session that never started, nothing was to be recorded yet.
      if (row.startedAt !== undefined || row.headHash !== undefined)
        await audit.write(factOf(row, 'recording.lost', { node: row.node, reason }), tx);
    });
  }

  async #audit(code: AuditCode, detail: AuditDetail): Promise<void> {
    await this.#options.audit.write({ code, detail });
  }
}

function factOf(row: SessionRow, code: AuditCode, detail: AuditDetail): Fact {
  return { code, actor: row.user, source: row.source, sessionId: row.id, detail };
}

/** Whether the archive had something of a recording, and was not found without it. */
const isInArchive = ({ headHash, unsealable }: SessionRow): boolean =>
  headHash !== undefined && unsealable === undefined;

async function isThere(archive: Pick<Workshop, 'open'>, sessionId: string): Promise<boolean> {
  try {
    await (await archive.open(sessionId)).close();
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

const isMissing = (error: unknown): error is ArchiveError =>
  error instanceof ArchiveError && error.code === 'recording-missing';

const notFound = ({ id }: SessionRow): Error =>
  new Error(
    `the archive holds no recording of session ${id}, nor what was recorded before: is archive.url what it was?`,
  );
