import ipaddr from 'ipaddr.js';

/** Where to listen. Port 0: any free one. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `0.0.0.0:4422`, `[::]:4422`, `gateway.example:4422`, `4422` → parts; undefined when malformed. */
export function parseEndpoint(value: string | number): Endpoint | undefined {
  const text = String(value).trim();
  const match = /^(?:(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:[\]]*)):)?(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, v6, name, portText] = match;
  if (v6 !== undefined && !ipaddr.IPv6.isValid(v6)) return undefined;
  const port = Number(portText);
  if (port > 65_535) return undefined;
  return { host: v6 ?? (name === undefined || name === '' ? '0.0.0.0' : name), port };
}

/** `10.0.0.0/8`, `fd00::/8` or a single address → canonical CIDR; undefined when malformed. */
export function parseCidr(value: string): string | undefined {
  const text = value.trim();
  // ipaddr.js also takes octal and one-part IPv4 forms, which no one means here.
  if (!text.includes(':') && !/^\d{1,3}(\.\d{1,3}){3}(\/\d+)?$/.test(text)) return undefined;
  try {
    if (text.includes('/')) {
      const [address, bits] = ipaddr.parseCIDR(text);
      return `${address.toString()}/${bits}`;
    }
    const address = ipaddr.parse(text);
    return `${address.toString()}/${address.kind() === 'ipv4' ? 32 : 128}`;
  } catch {
    return undefined;
  }
}

/** Whether an address lies in a range that {@link parseCidr} made; IPv4 in IPv6 form counts as IPv4. */
export function addressIn(address: string, cidr: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  const [range, bits] = ipaddr.parseCIDR(cidr);
  return parsed.kind() === range.kind() && parsed.match(range, bits);
}
