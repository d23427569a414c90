/** What a session worker is started with; structured-cloned, so plain data only. */
import type { ArchiveSettings, DurabilityWindow, SpoolSettings } from '../recorder/index.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface WorkerSettings {
  readonly node: string;
  readonly listen: { readonly ssh: Endpoint; readonly rdp: Endpoint };
  /** CIDR ranges that may send a PROXY header. */
  readonly proxyFrom: readonly string[];
  readonly ssh: {
    /** PEM or OpenSSH form, one of a type. */
    readonly hostKeys: readonly string[];
    readonly banner: string | undefined;
    readonly loginGraceMs: number;
    readonly connectTimeoutMs: number;
    readonly maxChannels: number;
  };
  /** Undefined: there is no certificate, so RDP is not served. */
  readonly rdp:
    | {
        /** PEM: shown to RDP clients. */
        readonly tls: { readonly key: string; readonly certificate: string };
        readonly banner: string;
        readonly nla: 'auto' | 'preferred' | 'never';
        readonly loginGraceMs: number;
        readonly connectTimeoutMs: number;
      }
    | undefined;
  readonly archive: {
    readonly settings: ArchiveSettings;
    readonly recipients: readonly string[];
    readonly window: DurabilityWindow;
    readonly onFailure: 'pause' | 'terminate' | 'spool';
    readonly spool: SpoolSettings;
    /** Of this worker's recordings together. */
    readonly memoryBytes: number;
  };
  /** Memory of the {@link Deadline} until which recordings may be written. */
  readonly deadline: SharedArrayBuffer;
  /** Ed25519, PKCS #8 PEM: signs manifests. */
  readonly signingKey: string;
}
