/** What counts as one source of connections and of guesses. */
import ipaddr from 'ipaddr.js';

/**
 * An IPv4 address, or the /64 of an IPv6 one, which is the least that a single subscriber holds.
 * IPv4 in IPv6 clothes is IPv4, and a port that comes along does not count.
 */
export function sourceKey(source: string): string {
  const host = source.replace(/^([0-9.]+):\d+$|^\[(.*)\](?::\d+)?$/, '$1$2');
  if (!ipaddr.isValid(host)) return source;
  const address = ipaddr.process(host);
  if (address instanceof ipaddr.IPv4) return address.toString();
  return `${address.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
