/** Compiled code that is kept between runs: a command starts in half the time, a thread in a third of it. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Keeps it for this process, its threads, and what it starts. Where `NODE_COMPILE_CACHE` is set Node does so already.
 * What is read there is run: only a folder will do that nobody but this user can write to. Never throws: without
 * one everything works as well.
 */
export function keepCompiledCode(): void {
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return;
  try {
    // Of the XDG Base Directory Specification. Not `recursive`: in a place as /proc that would try for ever.
    const caches = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
    const own = join(caches, 'sallyport');
    for (const level of [caches, own]) if (!existsSync(level)) mkdirSync(level, { mode: 0o700 });
    const { uid, mode } = statSync(own);
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) return;
    process.env['NODE_COMPILE_CACHE'] = own;
    enableCompileCache(own);
  } catch {
    // No home, or one that cannot be written.
  }
}
