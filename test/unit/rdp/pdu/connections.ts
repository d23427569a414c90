import { loadTrace, traceInfo, traceNames } from '../../../support/rdp-traces.ts';

/** A connection of a real client with a real server, TSRequests and what belongs to them left out. */
export interface Connection {
  readonly name: string;
  /** Client and server, with their versions. */
  readonly client: string;
  readonly server: string;
  readonly user: string;
  /** Whole PDUs until the last channel was joined: X.224 request and confirm, Connect Initial and Response, domain PDUs. */
  readonly connect: readonly Uint8Array[];
  /** The PDUs after these, of both paths. */
  readonly session: readonly Uint8Array[];
}

/** Sequences of DER begin with it; the traces' PDUs of the connect phase never do. */
const DER_SEQUENCE = 0x30;
/** First bytes of a Send Data Request and a Send Data Indication. */
const SEND_DATA = [0x64, 0x68];

let all: readonly Connection[] | undefined;

/** All traces in test/fixtures/rdp whose log-on succeeded. */
export function connections(): readonly Connection[] {
  all ??= readConnections();
  return all;
}

function readConnections(): Connection[] {
  return traceNames().flatMap((name) => {
    const { client, server, user } = traceInfo(name);
    const pdus = loadTrace(name)
      .map(({ bytes }) => new Uint8Array(bytes))
      .filter((pdu) => pdu[0] !== DER_SEQUENCE);
    const split = pdus.findIndex((pdu) => pdu[0] === 3 && SEND_DATA.includes(pdu[7] ?? 0));
    if (split < 0) return [];
    return [{ name, client, server, user, connect: pdus.slice(0, split), session: pdus.slice(split) }];
  });
}
