/** Looks at an RDP server without logging on: what `check` tells of a system. */
import { connect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Reader } from '../pdu/cursor.ts';
import { withTpkt } from '../pdu/tpkt.ts';
import { decodeConnectionConfirm, encodeConnectionRequest, Protocol } from '../pdu/x224.ts';
import { PduStream } from '../stream/stream.ts';
import { dialTls, fingerprintOf, judgeCertificate } from '../stream/tls.ts';

export interface ProbeOptions {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** What the certificate must be: `sha256:…` or `ca`; undefined: any. */
  readonly identity: string | undefined;
}

export interface Probed {
  /** `sha256:…` of the certificate that the server shows. */
  readonly certificate: string;
  /** What is wrong with it, in words. */
  readonly wrong: string | undefined;
}

/** @throws Error saying why the server cannot be looked at */
export async function probeDesktop({ host, port, timeoutMs, identity }: ProbeOptions): Promise<Probed> {
  const socket = connect({ host, port, noDelay: true });
  const stream = new PduStream(socket);
  const timer = setTimeout(
    () => socket.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  try {
    const requestedProtocols = Protocol.ssl | Protocol.hybrid;
    stream.send(
      withTpkt((writer) =>
        encodeConnectionRequest(writer, { negotiation: { flags: 0, requestedProtocols } }),
      ),
    );
    const { negotiation } = decodeConnectionConfirm(new Reader(await stream.next(), 4));
    if (negotiation?.kind !== 'selected' || negotiation.selectedProtocol === Protocol.rdp)
      throw new Error('it offers no TLS: enable it there');
    let secured: TLSSocket | undefined;
    await stream.secure(async (plain) => {
      secured = await dialTls(plain, host);
      return secured;
    });
    if (secured === undefined) throw new TypeError('TLS without a socket');
    return {
      certificate: fingerprintOf(secured.getPeerCertificate()),
      wrong: judgeCertificate(secured, host, identity),
    };
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
}
