/**
 * Whether `text` matches `pattern`, where `*` stands for any run of characters and `?` for
 * one UTF-16 unit; everything else, upper and lower case included, stands for itself.
 *
 * No recursion and no regular expression: only the last `*` is ever widened, so the work
 * is at most pattern length times text length for any input.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let retry = 0;
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

/**
 * Whether a target matches a policy's `account@system` pattern. Both halves match on their
 * own, cut at the pattern's last `@`, so that an account named `root@web01` on another
 * system can never pass for `root` on `web01`. A pattern without `@` covers the whole text.
 */
export function matchesTarget(pattern: string, account: string, system: string): boolean {
  const cut = pattern.lastIndexOf('@');
  if (cut < 0) return matchesGlob(pattern, `${account}@${system}`);
  return matchesGlob(pattern.slice(0, cut), account) && matchesGlob(pattern.slice(cut + 1), system);
}
