/*
 * Loaded into a server with LD_PRELOAD: fails the N-th call that changes what is below a folder, or records all of
 * them. FAULTS_FOLDER is the folder; FAULTS_CONTROL a file that the test writes and that is mapped here; FAULTS_RECORD
 * a file to append the record to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum kind { WRITE = 1, SYNC = 2, RENAME = 4, OPEN = 8, LINK = 16, MKDIR = 32, UNLINK = 64, RESIZE = 128, READ = 256 };

/* All 32-bit, little-endian; control.ts knows this order. */
struct control {
  volatile int32_t kinds;     /* which calls count */
  volatile int32_t countdown; /* which of them fails: 1 is the next one, 0 is none */
  volatile int32_t error;     /* errno */
  volatile int32_t after;     /* 1: it fails after it has done its work */
  volatile int32_t repeats;   /* 1: all that follow fail too */
  volatile int32_t hits;      /* how many have failed */
  volatile int32_t seen;      /* how many were counted */
  char what[100];             /* the call that failed last, for people */
};

static struct control *control;
static const char *folder;
static size_t folder_length;
static int record = -1;
/* Calls that change something are recorded in the order in which they happen. */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("FAULTS_CONTROL"), *log = getenv("FAULTS_RECORD");
  folder = getenv("FAULTS_FOLDER");
  if (!folder) return;
  folder_length = strlen(folder);
  if (path) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0 && map != MAP_FAILED) control = map;
  }
  if (log) record = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static int is_active(void) { return control || record >= 0; }

static int is_below(const char *path) {
  if (!is_active() || !path || strncmp(path, folder, folder_length) != 0) return 0;
  return path[folder_length] == '/' || path[folder_length] == '\0';
}

/* The path of a descriptor, if it is below the folder. */
static int path_of(int fd, char *path) {
  if (!is_active()) return 0;
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  if (length <= 0) return 0;
  path[length] = '\0';
  return is_below(path);
}

/* Whether this call is one to fail. */
static int is_due(enum kind kind, const char *name, const char *path) {
  if (!control || !(control->kinds & kind)) return 0;
  __sync_fetch_and_add(&control->seen, 1);
  int goes_on = control->repeats && control->hits > 0;
  if (!goes_on && (control->countdown <= 0 || __sync_sub_and_fetch(&control->countdown, 1) != 0)) return 0;
  snprintf(control->what, sizeof control->what, "%s %s", name, path + folder_length);
  __sync_fetch_and_add(&control->hits, 1);
  return 1;
}

static ino_t inode_of(int fd) {
  struct stat found;
  return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

static ino_t inode_at(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0 ? found.st_ino : 0;
}

/* One line of JSON; what was written follows it. */
static void say(const char *format, ...) {
  char line[2 * PATH_MAX + 200];
  va_list rest;
  va_start(rest, format);
  int length = vsnprintf(line, sizeof line, format, rest);
  va_end(rest);
  if (syscall(SYS_write, record, line, length) != length) abort();
}

static void say_bytes(const struct iovec *pieces, int count, size_t size) {
  for (int i = 0; i < count && size > 0; i++) {
    size_t length = pieces[i].iov_len < size ? pieces[i].iov_len : size;
    for (size_t at = 0; at < length;) {
      ssize_t written = syscall(SYS_write, record, (char *)pieces[i].iov_base + at, length - at);
      if (written <= 0) abort();
      at += written;
    }
    size -= length;
  }
  if (syscall(SYS_write, record, "\n", 1) != 1) abort();
}

/* Fails the call, before or after `call`; records it if it has worked. */
#define RUN(kind, name, path, result, call, ...) \
  do { \
    int due = is_due(kind, name, path); \
    if (due && !control->after) { errno = control->error; return -1; } \
    if (record >= 0) pthread_mutex_lock(&order); \
    result = call; \
    int saved = errno; \
    if (record >= 0 && result >= 0) { __VA_ARGS__; } \
    if (record >= 0) pthread_mutex_unlock(&order); \
    errno = saved; \
    if (due) { errno = control->error; return -1; } \
    return result; \
  } while (0)

static ssize_t written(int fd, const struct iovec *pieces, int count, off_t offset, const char *name) {
  REAL("pwritev64", ssize_t, int, const struct iovec *, int, off_t);
  static ssize_t (*plain)(int, const struct iovec *, int);
  if (!plain) plain = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
  char path[PATH_MAX];
  if (!path_of(fd, path)) return offset < 0 ? plain(fd, pieces, count) : real(fd, pieces, count, offset);
  int flags = fcntl(fd, F_GETFL);
  off_t at = offset;
  if (record >= 0 && offset < 0) {
    struct stat found;
    at = lseek(fd, 0, SEEK_CUR);
    if (flags & O_APPEND) at = fstat(fd, &found) == 0 ? found.st_size : 0;
  }
  ssize_t result;
  RUN(WRITE, name, path, result, (offset < 0 ? plain(fd, pieces, count) : real(fd, pieces, count, offset)),
      say("{\"op\":\"write\",\"inode\":%lu,\"at\":%lld,\"synced\":%s,\"bytes\":%zd}\n", inode_of(fd), (long long)at,
          (flags & O_DSYNC) ? "true" : "false", result);
      say_bytes(pieces, count, result));
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size) {
  struct iovec piece = {(void *)bytes, size};
  return written(fd, &piece, 1, -1, "write");
}

EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count) {
  return written(fd, pieces, count, -1, "writev");
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset) {
  struct iovec piece = {(void *)bytes, size};
  return written(fd, &piece, 1, offset, "pwrite");
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
  return pwrite64(fd, bytes, size, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t offset) {
  return written(fd, pieces, count, offset, "pwritev");
}

EXPORT ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) {
  return pwritev64(fd, pieces, count, offset);
}

static int synced(int fd, const char *name) {
  static int (*sync_all)(int), (*sync_data)(int);
  if (!sync_all) sync_all = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  if (!sync_data) sync_data = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  int (*real)(int) = name[1] == 's' ? sync_all : sync_data;
  char path[PATH_MAX];
  if (!path_of(fd, path)) return real(fd);
  int result;
  RUN(SYNC, name, path, result, real(fd), say("{\"op\":\"sync\",\"inode\":%lu}\n", inode_of(fd)));
}

EXPORT int fsync(int fd) { return synced(fd, "fsync"); }
EXPORT int fdatasync(int fd) { return synced(fd, "fdatasync"); }

EXPORT int ftruncate64(int fd, off_t size) {
  REAL("ftruncate64", int, int, off_t);
  char path[PATH_MAX];
  if (!path_of(fd, path)) return real(fd, size);
  int result;
  RUN(RESIZE, "ftruncate", path, result, real(fd, size),
      say("{\"op\":\"resize\",\"inode\":%lu,\"size\":%lld}\n", inode_of(fd), (long long)size));
}

EXPORT int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* Opening for writing and opening a folder are one kind, opening a file to read it is another. */
static int opened(const char *path, int flags, mode_t mode) {
  REAL("open64", int, const char *, int, ...);
  if (!is_below(path)) return real(path, flags, mode);
  struct stat found;
  int is_there = stat(path, &found) == 0;
  int is_read = (flags & O_ACCMODE) == O_RDONLY && !(is_there && S_ISDIR(found.st_mode));
  int result;
  RUN(is_read ? READ : OPEN, "open", path, result, real(path, flags, mode),
      if (!is_there && (flags & O_CREAT))
        say("{\"op\":\"create\",\"inode\":%lu,\"path\":\"%s\"}\n", inode_of(result), path);
      else if (flags & O_TRUNC)
        say("{\"op\":\"resize\",\"inode\":%lu,\"size\":0}\n", inode_of(result)));
}

EXPORT int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened(path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened(path, flags, mode);
}

EXPORT int rename(const char *from, const char *to) {
  REAL("rename", int, const char *, const char *);
  if (!is_below(to)) return real(from, to);
  int result;
  RUN(RENAME, "rename", to, result, real(from, to),
      say("{\"op\":\"rename\",\"from\":\"%s\",\"path\":\"%s\"}\n", from, to));
}

EXPORT int link(const char *from, const char *to) {
  REAL("link", int, const char *, const char *);
  if (!is_below(to)) return real(from, to);
  int result;
  RUN(LINK, "link", to, result, real(from, to),
      say("{\"op\":\"link\",\"from\":\"%s\",\"path\":\"%s\"}\n", from, to));
}

EXPORT int mkdir(const char *path, mode_t mode) {
  REAL("mkdir", int, const char *, mode_t);
  if (!is_below(path)) return real(path, mode);
  int result;
  RUN(MKDIR, "mkdir", path, result, real(path, mode),
      say("{\"op\":\"mkdir\",\"inode\":%lu,\"path\":\"%s\"}\n", inode_at(path), path));
}

EXPORT int unlink(const char *path) {
  REAL("unlink", int, const char *);
  if (!is_below(path)) return real(path);
  int result;
  RUN(UNLINK, "unlink", path, result, real(path), say("{\"op\":\"unlink\",\"path\":\"%s\"}\n", path));
}

EXPORT int rmdir(const char *path) {
  REAL("rmdir", int, const char *);
  if (!is_below(path)) return real(path);
  int result;
  RUN(UNLINK, "rmdir", path, result, real(path), say("{\"op\":\"unlink\",\"path\":\"%s\"}\n", path));
}
