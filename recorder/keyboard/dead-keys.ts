/** Dead keys: an accent, and what it makes of the letter behind it (the same in all of Windows' layouts here). */

const ACUTE = 'aáAÁeéEÉiíIÍoóOÓuúUÚyýYÝ';
const DIAERESIS = 'aäAÄeëEËiïIÏoöOÖuüUÜyÿ';

/** Accent → base and composed character, in turn. */
const COMPOSED: ReadonlyMap<string, string> = new Map([
  ['´', ACUTE],
  // United States-International takes what it has on its keys.
  ["'", `${ACUTE}cçCÇ`],
  ['¨', DIAERESIS],
  ['"', DIAERESIS],
  ['`', 'aàAÀeèEÈiìIÌoòOÒuùUÙ'],
  ['^', 'aâAÂeêEÊiîIÎoôOÔuûUÛ'],
  ['~', 'aãAÃnñNÑoõOÕ'],
  ['¸', 'cçCÇ'],
]);

/** The character that both make, the accent alone with a blank; both characters when they do not compose. */
export function compose(accent: string, base: string): string {
  if (base === ' ') return accent;
  const pairs = COMPOSED.get(accent) ?? '';
  for (let i = 0; i < pairs.length; i += 2) {
    if (pairs[i] === base) return pairs[i + 1] ?? base;
  }
  return accent + base;
}
