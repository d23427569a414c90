/**
 * PROXY protocol versions 1 and 2 (haproxy doc/proxy-protocol.txt): how a load
 * balancer tells whose connection it forwards. Pure: bytes in, header out.
 *
 *   v1  "PROXY" SP ("TCP4"|"TCP6") SP source SP destination SP sport SP dport CRLF   (§2.1)
 *   v2  signature[12] | version:4 command:4 | family:4 transport:4 | length u16 BE | addresses | TLVs   (§2.2)
 */
export interface ProxyEndpoint {
  /** IPv4 dotted decimal or IPv6 text, lower case. */
  readonly address: string;
  readonly port: number;
}

export interface ProxyHeader {
  /** Undefined: the balancer speaks for itself (LOCAL, a health check) or cannot tell (UNKNOWN, UNIX). */
  readonly source: ProxyEndpoint | undefined;
  readonly destination: ProxyEndpoint | undefined;
}

export type ProxyParse =
  /** The header is not complete: call again with more bytes appended. */
  | { readonly need: true }
  /** `length`: bytes of the header; what follows belongs to the connection. */
  | { readonly header: ProxyHeader; readonly length: number };

export class ProxyProtocolError extends Error {
  override readonly name = 'ProxyProtocolError';
}

/** §2.1: the longest possible line, CRLF included. */
const V1_MAX = 107;
/** Header with TLVs; real ones (certificate subjects included) stay below 1 KiB. */
const V2_MAX = 4096;
const V2_SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const V2_FIXED = 16;
const V1_START = [0x50, 0x52, 0x4f, 0x58, 0x59, 0x20]; // "PROXY "
const NOBODY: ProxyHeader = { source: undefined, destination: undefined };
/** Type of the TLV that holds a CRC-32c over the whole header (§2.2.3). */
const PP2_TYPE_CRC32C = 0x03;

/**
 * Reads the header at the start of `buffer`, which holds everything received so far.
 * Throws {@link ProxyProtocolError} as soon as the bytes cannot become a valid header.
 */
export function parseProxyHeader(buffer: Uint8Array): ProxyParse {
  if (startsLike(buffer, V2_SIGNATURE)) {
    return buffer.length < V2_FIXED ? { need: true } : parseVersion2(buffer);
  }
  if (startsLike(buffer, V1_START)) return parseVersion1(buffer);
  throw new ProxyProtocolError(
    'signature at offset 0: not a proxy protocol header; make the load balancer send one or take it off the trusted list',
  );
}

/** Whether the buffer begins with `start`, as far as it goes. */
function startsLike(buffer: Uint8Array, start: readonly number[]): boolean {
  const length = Math.min(buffer.length, start.length);
  for (let i = 0; i < length; i++) if (buffer[i] !== start[i]) return false;
  return true;
}

function parseVersion1(buffer: Uint8Array): ProxyParse {
  const end = buffer.subarray(0, V1_MAX).indexOf(0x0a);
  if (end < 0) {
    if (buffer.length >= V1_MAX)
      throw new ProxyProtocolError(`line at offset 0: no end within ${V1_MAX} bytes`);
    return { need: true };
  }
  if (buffer[end - 1] !== 0x0d)
    throw new ProxyProtocolError(`line at offset 0: no carriage return before offset ${end}`);
  let line = '';
  for (const byte of buffer.subarray(0, end - 1)) line += String.fromCharCode(byte);
  const length = end + 1;
  const fields = line.split(' ');
  const family = fields[1];
  // §2.1: after UNKNOWN the receiver ignores the rest of the line.
  if (family === 'UNKNOWN') return { header: NOBODY, length };
  if (family !== 'TCP4' && family !== 'TCP6') {
    throw new ProxyProtocolError('family at offset 6: is not TCP4, TCP6 or UNKNOWN');
  }
  const [, , source, destination, sourcePort, destinationPort] = fields;
  if (
    fields.length !== 6 ||
    source === undefined ||
    destination === undefined ||
    sourcePort === undefined ||
    destinationPort === undefined
  ) {
    throw new ProxyProtocolError(`line at offset 0: ${fields.length} fields where 6 belong`);
  }
  const valid = family === 'TCP4' ? isIPv4 : isIPv6;
  if (!valid(source)) throw new ProxyProtocolError(`source address at offset 11: is no ${family} address`);
  if (!valid(destination)) throw new ProxyProtocolError(`destination address: is no ${family} address`);
  return {
    header: {
      source: { address: source.toLowerCase(), port: parsePort(sourcePort, 'source port') },
      destination: {
        address: destination.toLowerCase(),
        port: parsePort(destinationPort, 'destination port'),
      },
    },
    length,
  };
}

function parsePort(text: string, field: string): number {
  if (!/^(0|[1-9][0-9]{0,4})$/.test(text) || Number(text) > 65_535) {
    throw new ProxyProtocolError(`${field}: is no number from 0 to 65535`);
  }
  return Number(text);
}

function parseVersion2(buffer: Uint8Array): ProxyParse {
  const version = byteAt(buffer, 12) >> 4;
  const command = byteAt(buffer, 12) & 0xf;
  if (version !== 2) throw new ProxyProtocolError(`version at offset 12: is ${version}, not 2`);
  if (command > 1)
    throw new ProxyProtocolError(`command at offset 12: is ${command}, neither LOCAL nor PROXY`);
  const length = V2_FIXED + uint16At(buffer, 14);
  if (length > V2_MAX)
    throw new ProxyProtocolError(`length at offset 14: header of ${length} bytes, the limit is ${V2_MAX}`);
  if (buffer.length < length) return { need: true };
  const header = buffer.subarray(0, length);

  const family = byteAt(header, 13);
  const size = ADDRESS_BYTES.get(family);
  if (size === undefined) {
    throw new ProxyProtocolError(
      `family at offset 13: 0x${family.toString(16).padStart(2, '0')} is no stream family`,
    );
  }
  if (length < V2_FIXED + size) {
    throw new ProxyProtocolError(`addresses at offset 16: ${length - V2_FIXED} bytes where ${size} belong`);
  }
  // §2.2: LOCAL and UNSPEC may be followed by anything, which is skipped.
  if (command === 0 || family === 0x00) return { header: NOBODY, length };
  checkTlvs(header, V2_FIXED + size);
  if (size !== 12 && size !== 36) return { header: NOBODY, length };
  const bytes = size === 12 ? 4 : 16;
  const format = size === 12 ? formatIPv4 : formatIPv6;
  const ports = V2_FIXED + 2 * bytes;
  return {
    header: {
      source: { address: format(header, V2_FIXED), port: uint16At(header, ports) },
      destination: { address: format(header, V2_FIXED + bytes), port: uint16At(header, ports + 2) },
    },
    length,
  };
}

/** Family and transport (§2.2) → bytes of the address block. Datagrams cannot arrive over TCP. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
  [0x31, 216],
]);

/** Walks the TLVs (type u8, length u16 BE, value) from `start`; verifies the checksum where there is one. */
function checkTlvs(header: Uint8Array, start: number): void {
  for (let at = start; at < header.length; ) {
    if (header.length - at < 3) throw new ProxyProtocolError(`tlv at offset ${at}: cut off`);
    const size = uint16At(header, at + 1);
    if (header.length - at - 3 < size)
      throw new ProxyProtocolError(`tlv at offset ${at}: ${size} bytes run past the header`);
    if (byteAt(header, at) === PP2_TYPE_CRC32C) {
      if (size !== 4) throw new ProxyProtocolError(`checksum at offset ${at}: ${size} bytes where 4 belong`);
      const sent = uint16At(header, at + 3) * 0x10000 + uint16At(header, at + 5);
      const zeroed = new Uint8Array(header);
      zeroed.fill(0, at + 3, at + 7);
      if (crc32c(zeroed) !== sent)
        throw new ProxyProtocolError(`checksum at offset ${at}: does not fit the header`);
    }
    at += 3 + size;
  }
}

/** CRC-32c (Castagnoli), bit by bit: at most 4 KiB per connection. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function byteAt(bytes: Uint8Array, offset: number): number {
  const value = bytes[offset];
  if (value === undefined) throw new ProxyProtocolError(`byte at offset ${offset}: past the end`);
  return value;
}

function uint16At(bytes: Uint8Array, offset: number): number {
  return byteAt(bytes, offset) * 256 + byteAt(bytes, offset + 1);
}

function isIPv4(text: string): boolean {
  return /^(?:(?:0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])(?:\.(?!$)|$)){4}$/.test(text);
}

/** RFC 4291 §2.2: eight groups, one `::` at most, IPv4 at the end allowed; no zone. */
function isIPv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2 || text === '') return false;
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    if (half === '') {
      if (halves.length === 1) return false;
      continue;
    }
    const parts = half.split(':');
    for (const [position, part] of parts.entries()) {
      const last = index === halves.length - 1 && position === parts.length - 1;
      if (last && part.includes('.')) {
        if (!isIPv4(part)) return false;
        groups += 2;
      } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
        groups++;
      } else {
        return false;
      }
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

function formatIPv4(bytes: Uint8Array, offset: number): string {
  return Array.from(bytes.subarray(offset, offset + 4)).join('.');
}

/** RFC 5952: lower case, the longest run of two or more zero groups as `::`, mapped IPv4 dotted. */
function formatIPv6(bytes: Uint8Array, offset: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(uint16At(bytes, offset + i));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${formatIPv4(bytes, offset + 12)}`;
  }
  let start = 0;
  let longest = 0;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > longest) {
      start = i;
      longest = run;
    }
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (longest < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + longest))}`;
}
