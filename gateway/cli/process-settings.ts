/** What Node, libuv and the C library read of the environment. To be imported before anything uses them. */
import { availableParallelism } from 'node:os';
import { keepCompiledCode } from './compile-cache.ts';

// `serve` may be started without bin/sallyport.js, and what it becomes below has it from the environment.
keepCompiledCode();

/**
 * How many threads of libuv write files. Each append to an archive folder waits on one of them for the disk, and
 * disks take many that wait together in one go: 32 of them brought three times what libuv's own 4 did on two cores.
 * Child processes inherit it.
 */
process.env['UV_THREADPOOL_SIZE'] ??= String(Math.max(32, 8 * availableParallelism()));

/**
 * Bytes from which glibc maps a block of its own, and bytes at the end of an arena that it keeps when they are free
 * (mallopt(3)). Left to itself it raises them to the largest block that was freed and to twice that, as after the
 * 19 MiB of an argon2id. A node of 300 sessions had 610 MiB of 1,190 free and unused, nearly half of that at the
 * ends of its 16 arenas, 4 to 36 MiB each. Blocks of ordinary traffic, up to 328 KB, stay below the first: each
 * that is mapped takes two calls of the kernel and fresh pages.
 */
const MALLOC = { MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '2097152' };

// It reads them once, before main: the node starts again in its own place, where nobody has set one.
if (process.argv[2] === 'serve' && !Object.keys(MALLOC).some((name) => name in process.env))
  process.execve?.(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    ...MALLOC,
  });
