/** The end of this process where a thread may be stuck in native code. */

/**
 * Ends the process at once, whatever its threads are at. `process.exit` waits for each of them, for ever where one is
 * stuck; a program that takes the place of this one has none of them, also where it is the first of a container,
 * which no signal of its own ends.
 */
export function exitNow(code: 0 | 1): never {
  // As `process.exit` does, and another program in this one's place does not: the log has its last lines written.
  process.emit('exit', code);
  process.execve?.(process.execPath, [process.execPath, '-e', `process.exitCode = ${code}`], {});
  process.exit(code);
}
