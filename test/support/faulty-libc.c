/*
 * Faults of the machine below one process (LD_PRELOAD), set from outside while it runs: writes to files that were
 * opened below FAULTY_BELOW, whatever is mounted there by now, that take their time or fail, files whose server
 * was restarted, and a clock of the day that jumps. The file in
 * FAULTY_CONTROL holds four int32 of this machine's byte order: milliseconds that each write takes, the errno with
 * which it fails (0: none), seconds that the clock is off, how often the server was restarted: writes to what was
 * opened before fail with ESTALE.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static volatile int32_t *control;
static const char *below;
/* Of a descriptor that was opened below the folder: one more than the server had been restarted then. */
static int32_t opened[65536];

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("FAULTY_CONTROL");
  below = getenv("FAULTY_BELOW");
  int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, 4 * sizeof(int32_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) control = mapped;
}

/* Whether a write to `fd` fails, errno set; takes its time first. */
static int fails(int fd) {
  if (!control || fd < 0 || fd >= 65536 || opened[fd] == 0) return 0;
  int stale = opened[fd] != control[3] + 1;
  if (control[0] == 0 && control[1] == 0 && !stale) return 0;
  /* The number may be that of a socket by now. */
  struct stat of;
  if (fstat(fd, &of) != 0 || !S_ISREG(of.st_mode)) return 0;
  int32_t ms = control[0];
  struct timespec rest = {ms / 1000, (long)(ms % 1000) * 1000000};
  while (nanosleep(&rest, &rest) != 0) {
  }
  errno = stale ? ESTALE : control[1];
  return errno != 0;
}

int open64(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
  va_end(more);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (fd < 0 || fd >= 65536) return fd;
  int same; /* A descriptor that is opened again is what it was. */
  if (sscanf(path, "/proc/self/fd/%d", &same) == 1 && same >= 0 && same < 65536) opened[fd] = opened[same];
  else opened[fd] = control && below && strncmp(path, below, strlen(below)) == 0 ? control[3] + 1 : 0;
  return fd;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
  return fails(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return fails(fd) ? -1 : NEXT(writev)(fd, parts, count);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  return fails(fd) ? -1 : NEXT(pwrite64)(fd, bytes, count, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  return pwrite64(fd, bytes, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  return fails(fd) ? -1 : NEXT(pwritev64)(fd, parts, count, at);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return pwritev64(fd, parts, count, at);
}

/* The monotonic clock goes on as it is: only the time of day jumps. */
int clock_gettime(clockid_t which, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, which, now);
  if (control && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += control[2];
  return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}
time_t time(time_t *into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}
