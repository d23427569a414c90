/** Host keys of targets: the line that names one, and a look at the one a host shows. */
import ssh2 from 'ssh2';
import { BACK_ALGORITHMS, hostKeyAlgorithms, LEGACY_BACK_ALGORITHMS } from './algorithms.ts';

/** OpenSSH's line of a key in wire form (RFC 4253 §6.6): `ssh-ed25519 AAAA…`. */
export function hostKeyLine(key: Buffer): string {
  return `${key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1')} ${key.toString('base64')}`;
}

export interface HostKeyQuestion {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** Type of the key to ask for, as it stands at the beginning of a line; undefined: any. */
  readonly type: string | undefined;
  readonly legacyAlgorithms: boolean;
}

/** Connects, takes the host key and leaves before any log-on. Rejects with why there was none. */
export function readHostKey(question: HostKeyQuestion): Promise<string> {
  const { host, port, timeoutMs, type, legacyAlgorithms } = question;
  const algorithms = legacyAlgorithms ? LEGACY_BACK_ALGORITHMS : BACK_ALGORITHMS;
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    client.on('error', reject);
    client.on('close', () => reject(new Error('the connection was closed')));
    client.connect({
      host,
      port,
      username: 'sallyport-check',
      ident: 'Sallyport',
      readyTimeout: timeoutMs,
      algorithms:
        type === undefined
          ? algorithms
          : { ...algorithms, serverHostKey: hostKeyAlgorithms(type, legacyAlgorithms) },
      hostVerifier: (key: Buffer) => {
        resolve(hostKeyLine(key));
        client.destroy();
        return false;
      },
    });
  });
}
