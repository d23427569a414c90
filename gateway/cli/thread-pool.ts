/**
 * How many threads of libuv write files. Each append to an archive folder waits on one of them for the disk, and
 * disks take many that wait together in one go: 32 of them brought three times what libuv's own 4 did. To be
 * imported before anything uses them; child processes inherit it.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '32';
