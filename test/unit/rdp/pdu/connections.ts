import { readFileSync } from 'node:fs';
import { hex } from './hex.ts';

/** What a real client and a real server said until the last channel was joined. */
export interface Connection {
  /** client-server */
  readonly name: string;
  /** Whole PDUs: X.224 request and confirm, Connect Initial and Response, domain PDUs. */
  readonly pdus: readonly Uint8Array[];
}

/** The captures in test/fixtures/rdp/connect.json. */
export function connections(): Connection[] {
  const url = new URL('../../../fixtures/rdp/connect.json', import.meta.url);
  const captures = JSON.parse(readFileSync(url, 'utf8')) as {
    readonly name: string;
    readonly pdus: readonly { readonly from: 'client' | 'server'; readonly hex: string }[];
  }[];
  return captures.map(({ name, pdus }) => ({ name, pdus: pdus.map((pdu) => hex(pdu.hex)) }));
}
