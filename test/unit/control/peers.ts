/** Several nodes on one store and one archive, in a time of their own; a node dies when nobody renews it. */
import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { AuditTrail } from '../../../gateway/control/audit-trail.ts';
import { Lease, type LeaseOptions } from '../../../gateway/control/lease.ts';
import { Recovery } from '../../../gateway/control/recovery.ts';
import type { AuditRow, SessionRow, Store } from '../../../gateway/store/port.ts';
import { openSqliteStore } from '../../../gateway/store/sqlite.ts';
import { sealRecording } from '../../../recorder/container/seal.ts';
import {
  EventKind,
  generateIdentity,
  keyIdOf,
  openArchive,
  Recorder,
  type RecordingHead,
  type VerifyReport,
  verifyRecording,
} from '../../../recorder/index.ts';
import type { VaultClient } from '../../../vault-client/index.ts';
import { until } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { initOf, Signals, STARTED_AT, WINDOW } from '../recorder/bed.ts';
import { session } from '../store/contract.ts';

export const LEASE_MS = 15_000;
/** A silent node is lost after this. */
export const SILENCE_MS = 20_000;
const TURN_MS = LEASE_MS / 3;

export interface FakeTime {
  /** Monotonic, ms. */
  at: number;
  /** The clock on the wall, which may be set. */
  wall: number;
  /** Runs whenever somebody sleeps. */
  onSleep: () => Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly lease: Lease;
  readonly recovery: Recovery;
  readonly key: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  /** Runs that were tidied up after. */
  readonly tidied: string[];
}

export class Peers {
  readonly store: Store;
  readonly time: FakeTime = { at: 1_000_000, wall: STARTED_AT, onSleep: async () => {} };
  readonly archiveFolder: string;
  /** Leases of credentials that were given back. */
  readonly checkedIn: string[] = [];
  vaultError: Error | undefined;
  readonly #recorder: Recorder;
  readonly #keys = new Map<string, KeyObject>();
  readonly #heads = new Map<string, RecordingHead>();

  private constructor(store: Store, archiveFolder: string, recipient: string) {
    this.store = store;
    this.archiveFolder = archiveFolder;
    this.#recorder = new Recorder({
      archive: this.archive,
      recipients: [recipient],
      node: 'a',
      signingKey: generateKeyPairSync('ed25519').privateKey,
      window: WINDOW,
    });
  }

  static async open(t: TestContext): Promise<Peers> {
    const folder = temporaryFolder('peers');
    const store = await openSqliteStore(join(folder, 'sallyport.db'));
    t.after(() => store.close());
    const archive = join(folder, 'archive');
    mkdirSync(archive);
    return new Peers(store, archive, (await generateIdentity()).recipient);
  }

  get archive() {
    return openArchive(`file:${this.archiveFolder}`);
  }

  leaseOptions(name: string, home: string = randomUUID()): LeaseOptions {
    const { store, time } = this;
    const clock = {
      now: () => time.wall,
      sleep: async (ms: number) => {
        time.at += ms;
        await time.onSleep();
      },
    };
    const log = pino({ level: 'silent' });
    const standing = () => 'ready';
    return { store, node: name, home, leaseMs: LEASE_MS, standing, clock, monotonic: () => time.at, log };
  }

  /** A node that has its lease. */
  async peer(name: string, home?: string): Promise<Peer> {
    const options = this.leaseOptions(name, home);
    const lease = await Lease.take(options);
    const { store, archive } = this;
    const key = generateKeyPairSync('ed25519');
    this.#keys.set(keyIdOf(key.publicKey), key.publicKey);
    const tidied: string[] = [];
    const { clock, log, monotonic } = options;
    const vault: Pick<VaultClient, 'checkIn'> = {
      checkIn: async (id) => {
        if (this.vaultError !== undefined) throw this.vaultError;
        this.checkedIn.push(id);
      },
    };
    const recovery = new Recovery({
      store,
      node: name,
      vault,
      audit: new AuditTrail({ store, node: name, clock, log }),
      workshop: {
        seal: (sessionId, reason, knownHead) =>
          sealRecording(archive, sessionId, { node: name, signingKey: key.privateKey, reason, knownHead }),
        open: (sessionId) => archive.open(sessionId),
        tidy: async (run) => void tidied.push(run),
      },
      lease: () => lease,
      clock,
      monotonic,
      log,
    });
    return { name, lease, recovery, key, tidied };
  }

  /** Lets `ms` pass, in which these nodes renew and look at the others; what they began is done then. */
  async pass(ms: number, ...alive: readonly Peer[]): Promise<void> {
    for (const end = this.time.at + ms; this.time.at < end; ) {
      this.time.at += TURN_MS;
      for (const peer of alive) await peer.lease.renew();
      await this.turn(...alive);
    }
  }

  /** One look of these nodes at the others, at once; waits for what they begin. */
  async turn(...peers: readonly Peer[]): Promise<void> {
    await Promise.all(peers.map(({ recovery }) => recovery.turn()));
    await Promise.all(peers.map(({ recovery }) => recovery.idle()));
  }

  /** An open session of a node, with a recording of some segments in the archive, its writer gone. */
  async session(id: string, { lease, name }: Peer, change: Partial<SessionRow> = {}): Promise<void> {
    const recording = await this.#recorder.open(initOf(id), new Signals());
    recording.write(EventKind.output, 0, Buffer.from(`output of ${id}`));
    const head = await until('a segment', () => {
      for (const each of this.#recorder.takeHeads()) this.#heads.set(each.sessionId, each);
      const last = this.#heads.get(id);
      return last !== undefined && last.segments > 0 ? last : undefined;
    });
    const known = { segments: head.segments, recordedBytes: head.bytes, headHash: head.head };
    const row = session(id, { node: name, run: lease.run, state: 'active', startedAt: STARTED_AT });
    await this.store.insertSession({ ...row, ...known, credentialLease: `lease of ${id}`, ...change });
  }

  async row(id: string): Promise<SessionRow> {
    const row = await this.store.session(id);
    if (row === undefined) throw new Error(`no session ${id}`);
    return row;
  }

  /** Codes of the audit log, oldest first; with the session where they are of one. */
  async codes(): Promise<string[]> {
    return (await this.audit()).map(({ code, sessionId }) => [code, sessionId ?? ''].join(' ').trim());
  }

  async audit(): Promise<AuditRow[]> {
    return [...(await this.store.audit({}, { limit: 1000 }))].reverse();
  }

  async verify(id: string): Promise<VerifyReport> {
    const { headHash } = await this.row(id);
    return await verifyRecording(this.archive, id, {
      publicKeys: this.#keys,
      ...(headHash === undefined ? {} : { expectedHead: headHash }),
    });
  }
}
