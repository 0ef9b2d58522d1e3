// SPDX-License-Identifier: Apache-2.0
// A program that tries to leave its sandbox, one attempt a run; probes.py sets the stage and
// judges.
//
// usage: probe list | probe victim KEY=VALUE... | probe NAME KEY=VALUE...
//
// The table at the end names every attempt. Each says in one line, on stdout and in result.txt,
// what came of it, and exits with 0 (contained), 1 (ESCAPED) or 77 (cannot run here). KEY=VALUE are
// the coordinates of the stage: paths, ports, the process that plays the victim. All attempts are
// harmless where they succeed: they change nothing, or only the stage; bombs stop by themselves.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

// Newer than some headers.
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

enum { contained = 0, escaped = 1, cannot = 77 };
enum { MB = 1 << 20, IPC_KEY = 0x766f6c00 };

// The levels that promise to contain an attempt. LL6: Landlock, where its interface is 6 or later.
enum { NS = 1, LL = 2, LL6 = 4, NONE = 8, BOTH = NS | LL, ANY = NS | LL | NONE };

// How the attempt is judged; CONTROL: it must succeed outside, and not inside.
enum Kind { CONTROL, TTY, FREE, LIMIT, FORKS, TIMED, OUTPUT };
static const char* const kinds[] = {
    [CONTROL] = "control",  // tried outside first
    [TTY] = "tty",          // the same, on a terminal
    [FREE] = "free",        // cannot be shown outside
    [LIMIT] = "limit",      // is refused more, or ended by a limit
    [FORKS] = "forks",    // the same, by processes or threads: alone, and only where all are bound
    [TIMED] = "timed",    // is ended by a short limit of time
    [OUTPUT] = "output",  // spoils the outputs; probes.py looks at what became of them
};

struct Probe {
  const char* name;
  unsigned levels;
  enum Kind kind;
  const char* tries;
  int (*run)(void);
  const char* text;  // @NAME in it stands for a coordinate
  long number;
};

static const struct Probe* probe;
static char** coordinates;
extern char** environ;

static const char* coordinate(const char* name) {
  const size_t size = strlen(name);
  for (char** each = coordinates; *each; ++each) {
    if (strncmp(*each, name, size) == 0 && (*each)[size] == '=') return *each + size + 1;
  }
  fprintf(stderr, "probe: no coordinate %s\n", name);
  exit(2);
}

static pid_t victim_pid(void) { return atoi(coordinate("victim")); }
static pid_t other_pid(void) { return probe->number ? getppid() : victim_pid(); }

static const char* place(void) {  // of the probe at hand, its coordinates filled in
  static char path[4096];
  char* to = path;
  for (const char* from = probe->text; *from;) {
    if (*from != '@') {
      *to++ = *from++;
      continue;
    }
    char name[32] = {0};
    for (size_t i = 0; islower((unsigned char)*++from) && i + 1 < sizeof name; ++i) name[i] = *from;
    if (strcmp(name, "parent") == 0) {
      to += sprintf(to, "%d", getppid());
    } else {
      to = stpcpy(to, coordinate(name));
    }
  }
  *to = 0;
  return path;
}

__attribute__((format(printf, 2, 3))) static int say(int code, const char* format, ...) {
  char line[512];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  const char* word = code == contained ? "contained"
                     : code == escaped ? "ESCAPED"
                                       : "cannot run here";
  printf("%s: %s\n", word, line);
  fflush(stdout);
  FILE* file = probe->kind == OUTPUT ? NULL : fopen("result.txt", "w");
  if (file) fprintf(file, "%s: %s\n", word, line), fclose(file);
  return code;
}

// The verdict on a call that answers -1 with errno when it is refused.
static int tried(long answer) {
  return answer == -1 ? say(contained, "%s", strerror(errno)) : say(escaped, "%s", probe->tries);
}

// The same for a call made wrongly on purpose, which fails with `wrong` only once it was permitted.
static int tried_wrongly(long answer, int wrong) {
  return tried(answer == -1 && errno == wrong ? 0 : answer);
}

static long data(long count) {  // of read: nothing read is no success
  if (count == 0) errno = ENODATA;
  return count > 0 ? count : -1;
}

// ---- files

static int reads(void) {
  char byte;
  const int fd = open(place(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  return tried(fd == -1 ? -1 : data(read(fd, &byte, 1)));
}
static int opens(void) { return tried(open(place(), (int)probe->number | O_NONBLOCK)); }

static int lists(void) {
  DIR* folder = opendir(place());
  int names = 0;
  for (struct dirent* each; folder && (each = readdir(folder));) {
    names += strcmp(each->d_name, ".") != 0 && strcmp(each->d_name, "..") != 0;
  }
  if (folder && names == 0) errno = ENODATA;
  return tried(names ? 0 : -1);
}

// What is made somewhere may lie in a file system of the sandbox: probes.py looks whether it is
// there.
static int creates(void) {
  const int fd = open(place(), O_WRONLY | O_CREAT | O_EXCL, 0600);
  return fd == -1 ? tried(-1) : say(contained, "in a file system of its own");
}

static int makes_folder(void) {
  static const char* const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                      "/sys/fs/cgroup/memory"};
  char path[256];
  for (size_t i = 0; i < sizeof roots / sizeof *roots; ++i) {
    snprintf(path, sizeof path, "%s/%s", roots[i], coordinate("mark"));
    if (mkdir(path, 0700) == 0) return rmdir(path), tried(0);
  }
  return tried(-1);
}

static int changes_mode(void) { return tried(chmod(place(), 0640)); }
static int changes_owner(void) { return tried(chown(place(), geteuid(), getegid())); }
static int changes_times(void) { return tried(utimensat(AT_FDCWD, place(), NULL, 0)); }
static int changes_attribute(void) { return tried(setxattr(place(), "user.volt", "1", 1, 0)); }
static int truncates(void) { return tried(truncate(place(), 1)); }
static int removes(void) { return tried(unlink(place())); }
static int links_in(void) { return tried(link(place(), "alias")); }

static int changes_open_file(void) {  // to the mode it has already
  struct stat status;
  const int fd = open(place(), O_RDONLY);
  return tried(fd == -1 || fstat(fd, &status) ? -1 : fchmod(fd, status.st_mode & 07777));
}

static int moves_out(void) {
  close(creat("moved", 0600));
  return rename("moved", place()) ? tried(-1) : say(contained, "in a file system of its own");
}

static int follows_link(void) {
  char byte;
  if (symlink(place(), "link")) return tried(-1);
  const int fd = open("link", O_RDONLY);
  return tried(fd == -1 ? -1 : data(read(fd, &byte, 1)));
}

static int climbs(void) {
  char path[4096], byte;
  snprintf(path, sizeof path, "../../../../../../../../../../../..%s", place());
  const int fd = open(path, O_RDONLY);
  return tried(fd == -1 ? -1 : data(read(fd, &byte, 1)));
}

static int opens_by_handle(void) {
  static const char* const mounts[] = {".", "/", "/usr", "/etc", "/tmp"};
  union {
    struct file_handle handle;
    char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } file = {0};
  const char* hex = coordinate("handle");
  sscanf(hex, "%d:", &file.handle.handle_type);
  hex = strchr(hex, ':') + 1;
  file.handle.handle_bytes = (unsigned)strlen(hex) / 2;
  for (unsigned i = 0; i < file.handle.handle_bytes; ++i) {
    sscanf(hex + 2 * i, "%2hhx", &file.handle.f_handle[i]);
  }
  for (size_t i = 0; i < sizeof mounts / sizeof *mounts; ++i) {
    const int mount = open(mounts[i], O_RDONLY);
    if (mount != -1 && open_by_handle_at(mount, &file.handle, O_RDONLY) != -1) return tried(0);
  }
  return tried(-1);
}

// Inputs: what is done to the name in the working folder must not touch the file it came from.
static int replaces_input(void) {
  FILE* file = fopen("new", "w");
  if (file) fputs("replaced\n", file), fclose(file);
  return say(contained, "rename: %s", rename("new", place()) ? strerror(errno) : "its own name");
}

static int links_input(void) {
  if (linkat(AT_FDCWD, place(), AT_FDCWD, "alias", AT_SYMLINK_FOLLOW)) return tried(-1);
  const int fd = open("alias", O_WRONLY);
  return tried(fd == -1 ? -1 : data(write(fd, "x", 1)));
}

// ---- what is inherited

static int environment(void) {
  return getenv(probe->text) ? say(escaped, "%s is set", probe->text)
                             : say(contained, "%s is not set", probe->text);
}

static int descriptors_open(void) {
  for (int fd = 3; fd < 4096; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) return say(escaped, "descriptor %d is open", fd);
  }
  return say(contained, "none but 0, 1, 2");
}

static int reads_stdin(void) {
  char byte;
  return tried(data(read(0, &byte, 1)));
}

static int sends_descriptor(void) {  // over whatever socket it finds
  const int sent = open("/dev/null", O_RDONLY);
  char room[CMSG_SPACE(sizeof sent)] = {0}, byte = 0;
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  struct cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof sent);
  memcpy(CMSG_DATA(head), &sent, sizeof sent);
  for (int fd = 0; fd < 4096; ++fd) {
    if (sendmsg(fd, &message, MSG_DONTWAIT) == 1) return say(escaped, "over descriptor %d", fd);
  }
  return say(contained, "no socket to send it over");
}

static int inserts_input(void) {
  char byte = '\n';
  for (int fd = 0; fd < 3; ++fd) {
    if (ioctl(fd, TIOCSTI, &byte) == 0) return say(escaped, "into descriptor %d", fd);
  }
  return tried(ioctl(open("/dev/tty", O_RDWR), TIOCSTI, &byte));
}

// ---- other processes

static int finds_canary(void) {  // a file that may be read, but not hold the caller's environment
  static char text[1 << 16];
  const int fd = open(place(), O_RDONLY);
  const ssize_t size = fd == -1 ? -1 : read(fd, text, sizeof text);
  if (size == -1) return tried(-1);
  return memmem(text, (size_t)size, "VOLT_CANARY=", 12) ? tried(0)
                                                        : say(contained, "nothing of the caller");
}

static int same_file(const struct stat* a, const struct stat* b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int opens_descriptors(void) {  // of another process, that are not its own as well
  DIR* folder = opendir(place());
  struct stat own[3], status;
  for (int i = 0; i < 3; ++i) fstat(i, &own[i]);
  for (struct dirent* each; folder && (each = readdir(folder));) {
    const int fd =
        each->d_name[0] == '.' ? -1 : openat(dirfd(folder), each->d_name, O_RDONLY | O_NONBLOCK);
    if (fd == -1 || fstat(fd, &status)) continue;
    if (same_file(&status, &own[0]) || same_file(&status, &own[1]) || same_file(&status, &own[2])) {
      continue;
    }
    return say(escaped, "opened its descriptor %s", each->d_name);
  }
  return tried(-1);
}

static int exists(void) { return tried(access(place(), F_OK)); }

static int reads_memory_file(void) {
  char byte;
  const int fd = open(place(), O_RDONLY);
  const off_t address = (off_t)strtoull(coordinate("address"), NULL, 0);
  return tried(fd == -1 ? -1 : data(pread(fd, &byte, 1, address)));
}

static int opens_memory_file(void) { return tried(open(place(), O_RDWR)); }

static int copies_memory(void) {  // number: out of, or into, the victim
  char byte = 'x';
  struct iovec here = {&byte, 1}, there = {(void*)strtoul(coordinate("address"), NULL, 0), 1};
  const pid_t pid = victim_pid();
  return tried(probe->number ? process_vm_writev(pid, &here, 1, &there, 1, 0)
                             : process_vm_readv(pid, &here, 1, &there, 1, 0));
}

static int traces(void) {
  const pid_t pid = other_pid();
  const long answer = ptrace(PTRACE_SEIZE, pid, 0, 0);
  return tried(answer);  // the kernel detaches when this process ends
}

static int takes_descriptor(void) {
  const long fd = syscall(SYS_pidfd_open, victim_pid(), 0);
  return tried(fd == -1 ? -1 : syscall(SYS_pidfd_getfd, fd, 100, 0));
}

// SIGURG does nothing to most programs; the victim tells when it comes.
static int signals(void) { return tried(kill(other_pid(), SIGURG)); }
static int signals_group(void) {
  const pid_t group = getpgid(victim_pid());
  return tried(group == -1 ? -1 : kill(-group, SIGURG));
}
static int signals_thread(void) {
  return tried(syscall(SYS_tgkill, victim_pid(), victim_pid(), SIGURG));
}
static int signals_queue(void) {
  return tried(sigqueue(victim_pid(), SIGURG, (union sigval){.sival_int = 0}));
}
static int signals_pidfd(void) {
  const long fd = syscall(SYS_pidfd_open, victim_pid(), 0);
  return tried(fd == -1 ? -1 : syscall(SYS_pidfd_send_signal, fd, SIGURG, NULL, 0));
}
static int signals_all(void) {  // outside the victim alone; the answer says nothing
  signal(SIGURG, SIG_IGN);
  const int answer = kill(atoi(coordinate("all")), SIGURG);
  return say(contained, "kill: %s", answer ? strerror(errno) : "nobody outside noticed");
}
static int signals_as_owner(void) {  // of a socket, by SIGIO
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return tried(-1);
  if (fcntl(pair[0], F_SETOWN, victim_pid()) || fcntl(pair[0], F_SETSIG, SIGURG) ||
      fcntl(pair[0], F_SETFL, O_ASYNC) || write(pair[1], "x", 1) != 1) {
    return tried(-1);
  }
  usleep(20000);
  return say(contained, "the victim did not notice");
}

static int limits_other(void) {
  struct rlimit limit;
  const pid_t pid = other_pid();
  return tried(
      prlimit(pid, RLIMIT_NOFILE, NULL, &limit) || prlimit(pid, RLIMIT_NOFILE, &limit, NULL) ? -1
                                                                                             : 0);
}
static int slows_other(void) { return tried(setpriority(PRIO_PROCESS, (id_t)other_pid(), 19)); }
static int pins_other(void) {
  cpu_set_t set;
  const pid_t pid = victim_pid();
  return tried(
      sched_getaffinity(0, sizeof set, &set) || sched_setaffinity(pid, sizeof set, &set) ? -1 : 0);
}

static int schedules_other(void) {
  const struct sched_param none = {0};
  return tried(sched_setscheduler(victim_pid(), SCHED_IDLE, &none));
}
static int schedules_other_newly(void) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } idle = {.size = 48, .policy = SCHED_IDLE};
  return tried(syscall(SYS_sched_setattr, victim_pid(), &idle, 0));
}
static int starves_other(void) {  // of the disk
  return tried(syscall(SYS_ioprio_set, 1 /* a process */, victim_pid(), 3 << 13 /* idle */));
}
static int reads_segment(void) {
  const void* at = shmat(atoi(coordinate("shm")), NULL, SHM_RDONLY);
  return tried(at == (void*)-1 ? -1 : 0);
}
static int opens_queue(void) { return tried(mq_open(place(), O_RDONLY | O_NONBLOCK)); }
static int makes_segment(void) {
  const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  const int result = tried(id);
  shmctl(id, IPC_RMID, NULL);
  return result;
}
static int leaves_segment(void) {  // probes.py looks for it
  return shmget(IPC_KEY, 4096, IPC_CREAT | 0600) == -1 ? tried(-1) : say(contained, "gone again");
}

// ---- privileges

static int no_new_privileges(void) {
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? say(contained, "no_new_privs is set")
                                                     : say(escaped, "no_new_privs is not set");
}

static int effective_user(pid_t pid) {
  char path[64], line[256];
  int uid = -1;
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE* file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file) && sscanf(line, "Uid: %*d %d", &uid) != 1) {
  }
  if (file) fclose(file);
  return uid;
}

static int runs_setuid(void) {
  static const char* const programs[] = {"/usr/bin/su", "/usr/bin/mount", "/usr/bin/passwd"};
  for (size_t i = 0; i < sizeof programs / sizeof *programs; ++i) {
    struct stat status;
    if (stat(programs[i], &status) || !(status.st_mode & S_ISUID)) continue;
    const pid_t child = fork();
    if (child == 0) {
      dup2(open("/dev/null", O_RDWR), 1);
      dup2(1, 2);
      execl(programs[i], programs[i], (char*)NULL);
      _exit(127);
    }
    usleep(100000);  // a program that ended keeps its user until it is waited for
    const int uid = effective_user(child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return uid == (int)geteuid() ? say(contained, "%s runs as the caller", programs[i]) : tried(0);
  }
  return say(cannot, "no setuid program here");
}

static unsigned long long effective_capabilities(void) {
  unsigned long long set = 0;
  char line[256];
  FILE* file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file) && sscanf(line, "CapEff: %llx", &set) != 1) {
  }
  return set;
}

static int has_capabilities(void) {
  const unsigned long long set = effective_capabilities();
  return set ? say(escaped, "effective capabilities %llx", set) : say(contained, "none");
}

static int raises_capabilities(void) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2], all[2];
  if (syscall(SYS_capget, &head, sets)) return tried(-1);
  memcpy(all, sets, sizeof all);
  all[0].effective = all[0].permitted |= 1u << CAP_SYS_ADMIN;
  return tried(syscall(SYS_capset, &head, all));
}

static int changes_user(void) {
  const uid_t user = geteuid() ? 0 : 65534;
  return tried(setresuid(user, user, user));
}
static int changes_groups(void) { return tried(setgroups(0, NULL)); }

static int makes_device(void) {
  const int answer = mknod("device", S_IFCHR | 0600, makedev(1, 3));
  return tried(answer == 0 ? open("device", O_RDONLY) : -1);
}
static int mounts(void) { return tried_wrongly(mount("x", ".", "volt-no-such", 0, ""), ENODEV); }
static int unmounts(void) { return tried_wrongly(umount2(".", 0), EINVAL); }
static int pivots(void) {
  const long answer = syscall(SYS_pivot_root, ".", ".");
  return tried_wrongly(answer, errno == EBUSY ? EBUSY : EINVAL);
}
static int changes_root(void) { return tried(chroot(".")); }
static int opens_file_system(void) { return tried(syscall(SYS_fsopen, "tmpfs", 0)); }
static int clones_tree(void) {
  return tried(syscall(SYS_open_tree, AT_FDCWD, ".", 1 /* OPEN_TREE_CLONE */));
}
static int unshares(void) { return tried(unshare((int)probe->number)); }

static int clones_user(void) {
  const long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  return tried(child);
}
static int clones_user_3(void) {
  const uint64_t arguments[8] = {[0] = CLONE_NEWUSER, [4] = SIGCHLD};
  const long child = syscall(SYS_clone3, arguments, sizeof arguments);
  if (child == 0) _exit(0);
  return tried(child);
}

static int joins(void) {
  static const char* const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
  char path[64];
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    snprintf(path, sizeof path, "%s/%s", place(), names[i]);
    const int fd = open(path, O_RDONLY);
    if (fd != -1 && setns(fd, 0) == 0) return say(escaped, "joined %s", path);
  }
  return tried(-1);
}

static int raises_limits(void) {
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)i, &limit) || limit.rlim_max == RLIM_INFINITY) continue;
    ++limit.rlim_max;
    if (setrlimit((__rlimit_resource_t)i, &limit) == 0) return say(escaped, "limit %d", i);
  }
  return tried(-1);
}

static int allows_core(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_max > 1 ? say(escaped, "a core of %lu bytes may be written", limit.rlim_max)
                            : say(contained, "cores are off for good");
}
static int crashes(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_CORE, &limit);
  say(contained, "left no core behind");
  return raise(SIGSEGV);
}

static int runs_first(void) {  // before everything else on its processor
  const struct sched_param first = {1};
  return tried(sched_setscheduler(0, SCHED_FIFO, &first));
}
static int raises_priority(void) { return tried(setpriority(PRIO_PROCESS, 0, -5)); }
static int writes_number(void) {
  const int fd = open(place(), O_WRONLY);
  return tried(fd == -1 ? -1 : write(fd, "-500", 4));
}

static int names_host(void) {  // as it is named
  char name[256];
  return tried(gethostname(name, sizeof name) ? -1 : sethostname(name, strlen(name)));
}
static int sets_clock(void) {  // to the tick it has
  struct timex clock = {0};
  if (adjtimex(&clock) == -1) return tried(-1);
  clock.modes = ADJ_TICK;
  return tried(adjtimex(&clock));
}

// ---- the kernel's wider surface

static int calls_ring(void) {
  char parameters[120] = {0};
  return tried(syscall(SYS_io_uring_setup, 4, parameters));
}
static int calls_bpf(void) {
  union bpf_attr attribute = {
      .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  return tried(syscall(SYS_bpf, BPF_MAP_CREATE, &attribute, sizeof attribute));
}
static int calls_perf(void) {
  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE,
                                  .size = sizeof event,
                                  .config = PERF_COUNT_SW_CPU_CLOCK,
                                  .exclude_kernel = 1};
  return tried(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
}
static int calls_userfault(void) { return tried(syscall(SYS_userfaultfd, 1 /* user mode only */)); }
static int reads_key(void) {
  char text[64];
  return tried(syscall(SYS_keyctl, KEYCTL_READ, atoi(coordinate("key")), text, sizeof text));
}
static int finds_keyring(void) {
  return tried(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0));
}
static int adds_key(void) {
  return tried(syscall(SYS_add_key, "user", "volt-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}
static int loads_module(void) {
  return tried_wrongly(syscall(SYS_finit_module, -1, "", ~0), EINVAL);
}
static int loads_kernel(void) {
  return tried_wrongly(syscall(SYS_kexec_load, 0, 0, 0, ~0), EINVAL);
}
static int restarts(void) { return tried_wrongly(syscall(SYS_reboot, 0, 0, 0, 0), EINVAL); }
static int swaps(void) { return tried_wrongly(swapon("volt-no-such", 0), ENOENT); }
static int accounts(void) { return tried_wrongly(acct("volt-no-such"), ENOENT); }
static int reads_log(void) { return tried(klogctl(10 /* its size */, NULL, 0)); }
static int gets_ports(void) { return tried(ioperm(0x80, 1, 1)); }
static int makes_code(void) { return tried(personality(READ_IMPLIES_EXEC)); }

// A call that the filter may answer by killing: made by a child, true when it answers as it should.
static int foreign_call(int (*call)(void)) {
  const pid_t child = fork();
  if (child == 0) _exit(call() == getpid() ? 0 : 1);
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return say(contained, "killed by signal %d", WTERMSIG(status));
  return WEXITSTATUS(status) ? say(contained, "refused") : tried(0);
}
#ifdef __x86_64__
static int getpid_i386(void) {
  int answer = 20;  // getpid
  __asm__ volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
  return answer;
}
static int getpid_x32(void) { return (int)syscall(0x40000000 | SYS_getpid); }
static int calls_i386(void) { return foreign_call(getpid_i386); }
static int calls_x32(void) { return foreign_call(getpid_x32); }
#else
static int calls_i386(void) { return (void)foreign_call, say(cannot, "x86-64 alone has them"); }
static int calls_x32(void) { return calls_i386(); }
#endif

// ---- the network and sockets

static int connects(void) {  // number: 1 in the abstract namespace
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char* path = place();
  memcpy(address.sun_path + probe->number, path, strnlen(path, sizeof address.sun_path - 2));
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const size_t size = offsetof(struct sockaddr_un, sun_path) + (size_t)probe->number + strlen(path);
  return tried(fd == -1 ? -1 : connect(fd, (struct sockaddr*)&address, (socklen_t)size));
}

static int connect_to(int type, const char* host, const char* port) {
  const struct timeval patience = {2, 0};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  inet_pton(AF_INET, host, &address.sin_addr);
  const int fd = socket(AF_INET, type, 0);
  if (fd == -1) return -1;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return connect(fd, (struct sockaddr*)&address, sizeof address) ? -1 : fd;
}
static int connects_tcp(void) { return tried(connect_to(SOCK_STREAM, "127.0.0.1", place())); }
static int asks_udp(void) {
  char byte = 'x';
  const int fd = connect_to(SOCK_DGRAM, "127.0.0.1", place());
  return tried(fd == -1 || send(fd, &byte, 1, 0) != 1 ? -1 : data(recv(fd, &byte, 1, 0)));
}
static int asks_metadata(void) {  // of a cloud; where there is none, no packet must leave either
  const time_t start = time(NULL);
  const int fd = connect_to(SOCK_STREAM, place(), "80");
  const int why = errno;
  if (fd == -1 && time(NULL) - start >= 2)
    return say(escaped, "nobody answered a packet that left");
  errno = why;
  return tried(fd);
}
static int asks_name(void) {
  const struct addrinfo hint = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  struct addrinfo* found;
  const int answer = getaddrinfo(place(), "80", &hint, &found);
  return answer ? say(contained, "%s", gai_strerror(answer)) : tried(0);
}
static int makes_socket(void) { return tried(socket((int)probe->number, SOCK_STREAM, 0)); }
static int makes_raw_socket(void) {
  return tried(socket((int)probe->number, SOCK_RAW, probe->number == AF_INET ? IPPROTO_ICMP : 0));
}
static int lists_interfaces(void) {  // asked over netlink
  struct if_nameindex* all = if_nameindex();
  if (!all) return tried(-1);
  for (; all->if_index; ++all) {
    if (strcmp(all->if_name, "lo") != 0) return say(escaped, "sees %s", all->if_name);
  }
  return say(contained, "sees nothing but a loopback of its own");
}

// ---- bombs: each goes far beyond its limit, waits there to be ended, and stops by itself

static int unbounded(const char* what, long count) {
  sleep(12);
  return say(escaped, "%s: %ld, and not ended", what, count);
}

static int forks(void) {
  for (long count = 0; count < 256; ++count) {
    const pid_t child = fork();
    if (child == -1) return say(contained, "child %ld: %s", count, strerror(errno));
    if (child == 0) {
      sleep(30);
      _exit(0);
    }
  }
  return unbounded("processes", 256);
}

// All of them fork, in sessions of their own, until there have been `number`.
static int forks_everywhere(void) {
  atomic_long* made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const pid_t first = getpid();
  while (atomic_fetch_add(made, 1) < probe->number) {
    const pid_t child = fork();
    if (child == 0) setsid();
    if (child != -1) continue;
    atomic_fetch_sub(made, 1);
    if (getpid() == first) return say(contained, "child %ld: %s", *made, strerror(errno));
    usleep(10000);
  }
  if (getpid() == first) return unbounded("processes", probe->number);
  sleep(30);
  _exit(0);
}

// Never many, but new ones all the time, so that whoever looks for them meets others.
static int hops(void) {
  const time_t start = time(NULL);
  for (int count = 0; count < 24; ++count) {
    if (fork() != 0) continue;  // refused, or not the child
    setsid();
    while (time(NULL) - start < 12) {
      if (fork() > 0) _exit(0);
    }
    _exit(0);
  }
  usleep(300000);
  return say(contained, "all are gone");
}

static void* rest(void* unused) { return sleep(30), unused; }
static int starts_threads(void) {
  pthread_t thread;
  for (long count = 0; count < 256; ++count) {
    const int why = pthread_create(&thread, NULL, rest, NULL);
    if (why) return say(contained, "thread %ld: %s", count, strerror(why));
  }
  return unbounded("threads", 256);
}

static int opens_many(void) {
  const struct rlimit most = {65536, 65536};
  setrlimit(RLIMIT_NOFILE, &most);
  for (long count = 0; count < 65000; ++count) {
    if (dup(0) == -1) return say(contained, "descriptor %ld: %s", count, strerror(errno));
  }
  return unbounded("descriptors", 65000);
}

static int allocates(void) {
  for (long count = 0; count < 32; ++count) {
    char* part = malloc(16 * MB);
    if (!part) return say(contained, "after %ld MB: %s", 16 * count, strerror(errno));
    memset(part, (int)count + 1, 16 * MB);
    __asm__ volatile("" : : "r"(part) : "memory");
  }
  return unbounded("MB of memory", 512);
}

static int maps_shared(void) {
  for (long count = 0; count < 32; ++count) {
    void* part = mmap(NULL, 16 * MB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (part == MAP_FAILED) return say(contained, "after %ld MB: %s", 16 * count, strerror(errno));
    memset(part, 1, 16 * MB);
  }
  return unbounded("MB of memory", 512);
}

// Writes up to `size` MB; how many it was let write.
static long fill(int fd, long size) {
  static char part[MB];
  memset(part, 'x', sizeof part);
  signal(SIGXFSZ, SIG_IGN);
  for (long count = 0; count < size; ++count) {
    for (size_t done = 0; done < sizeof part;) {
      const ssize_t some = write(fd, part + done, sizeof part - done);
      if (some <= 0) return count;
      done += (size_t)some;
    }
  }
  return size;
}

static int fills_file(int fd, long size) {
  if (fd == -1) return tried(-1);
  const long count = fill(fd, size);
  if (count == size) return unbounded("MB", size);
  const int why = errno;
  if (ftruncate(fd, 0)) return tried(-1);
  return say(contained, "after %ld MB: %s", count, strerror(why));
}
static int fills(void) {  // number: MB
  return fills_file(open(place(), O_RDWR | O_CREAT | O_TRUNC, 0600), probe->number);
}
// Each of them small enough for the limit on one file.
static int fills_more(int removed) {
  char path[4200];
  for (long count = 0; count < probe->number; count += 32) {
    if (probe->text) snprintf(path, sizeof path, "%s-%ld", place(), count);
    const int fd = probe->text ? open(path, O_RDWR | O_CREAT, 0600) : memfd_create("bomb", 0);
    if (fd == -1 || (removed && unlink(path)) || fill(fd, 32) != 32) {
      return say(contained, "after %ld MB: %s", count, strerror(errno));
    }
    if (probe->text && !removed) close(fd);
  }
  return unbounded("MB", probe->number);
}
static int fills_memfds(void) { return fills_more(0); }
static int fills_files(void) { return fills_more(0); }
static int fills_removed(void) { return fills_more(1); }
static int reserves(void) {  // at once, what writing would take its time for
  char path[32];
  signal(SIGXFSZ, SIG_IGN);
  for (long count = 0; count < probe->number; count += 256) {
    snprintf(path, sizeof path, "reserved-%ld", count);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd == -1 || fallocate(fd, 0, 0, 256L * MB)) return tried(-1);
  }
  return unbounded("MB", probe->number);
}
static int makes_files(void) {
  char name[32];
  for (long count = 0; count < probe->number; ++count) {
    snprintf(name, sizeof name, "many-%ld", count);
    const int fd = creat(name, 0600);
    if (fd == -1 || write(fd, "x", 1) != 1) {
      return say(contained, "file %ld: %s", count, strerror(errno));
    }
    close(fd);
  }
  return unbounded("files", probe->number);
}

static int keeps_segments(void) {  // memory that no process maps
  for (long count = 0; count < 32; ++count) {
    const int id = shmget(IPC_KEY + 1 + (int)count, 16 * MB, IPC_CREAT | 0600);
    void* part = id == -1 ? (void*)-1 : shmat(id, NULL, 0);
    if (part == (void*)-1) return say(contained, "after %ld MB: %s", 16 * count, strerror(errno));
    memset(part, 1, 16 * MB);
    shmdt(part);
  }
  return unbounded("MB of segments", 512);
}

static int hides_in_flight(void) {  // memory whose descriptors lie in a socket, unread
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) return tried(-1);
  for (long count = 0; count < 16; ++count) {
    const int fd = memfd_create("flight", 0);
    if (fill(fd, 32) != 32) return say(contained, "after %ld MB: %s", 32 * count, strerror(errno));
    char room[CMSG_SPACE(sizeof fd)] = {0}, byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr* head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(pair[0], &message, MSG_DONTWAIT) != 1) {
      return say(contained, "after %ld MB: %s", 32 * count, strerror(errno));
    }
    close(fd);
  }
  return unbounded("MB in flight", 512);
}

static int fills_sockets(void) {  // the kernel's own memory
  static char part[1 << 16];
  long bytes = 0;
  for (int count = 0; count < 4000 && bytes < 512L * MB; ++count) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) {
      return say(contained, "after %ld MB: %s", bytes / MB, strerror(errno));
    }
    for (int end = 0; end < 2; ++end) {
      const int size = 1 << 20;
      setsockopt(pair[end], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
      for (ssize_t some; (some = write(pair[end], part, sizeof part)) > 0;) bytes += some;
    }
  }
  return unbounded("MB in sockets", bytes / MB);
}

static int fills_pipes(void) {  // the same
  static char part[1 << 16];
  long bytes = 0;
  for (int count = 0; count < 4000 && bytes < 512L * MB; ++count) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK)) {
      return say(contained, "after %ld MB: %s", bytes / MB, strerror(errno));
    }
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    for (ssize_t some; (some = write(ends[1], part, sizeof part)) > 0;) bytes += some;
  }
  if (bytes < 256L * MB) return say(contained, "%ld MB and no more", bytes / MB);
  return unbounded("MB in pipes", bytes / MB);
}

static int floods(void) {
  const long count = fill(1, probe->number);
  return say(contained, "%ld MB written, kept in bounds", count);
}

static int spins(void) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGXCPU, SIG_IGN);
  const time_t start = time(NULL);
  while (time(NULL) - start < 13) {
  }
  return say(escaped, "13 s of a limit of 1 s");
}
static int stops(void) {
  signal(SIGTERM, SIG_IGN);
  raise(SIGSTOP);
  return say(escaped, "went on");
}

// ---- what is left running

static int leaves_daemon(void) {
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      for (int fd = 0; fd < 3; ++fd) close(fd);
      sleep(30);
    }
    _exit(0);
  }
  wait(NULL);
  return say(contained, "the daemon is gone");
}
static int leaves_writer(void) {  // a child that keeps stdout open
  if (fork() == 0) {
    sleep(30);
    _exit(0);
  }
  return say(contained, "the child is gone");
}
static int leaves_hopper(void) {  // a process that is a new one every moment, until it is seen
  if (fork() == 0) {
    setsid();
    for (int hops = 0; hops < 300; ++hops) {
      if (fork() > 0) _exit(0);
      usleep(1000);
    }
    sleep(30);
    _exit(0);
  }
  return say(contained, "the hopper is gone");
}

// ---- outputs that are not what they seem

static int made(int answer) { return answer ? tried(-1) : say(contained, "no use of it is made"); }
static int output_link(void) { return made(symlink(place(), "result.txt")); }
static int output_alias(void) {
  return made(linkat(AT_FDCWD, place(), AT_FDCWD, "result.txt", AT_SYMLINK_FOLLOW));
}
static int output_fifo(void) { return made(mkfifo("result.txt", 0600)); }
static int output_socket(void) { return made(mknod("result.txt", S_IFSOCK | 0600, 0)); }
static int output_folder(void) { return made(mkdir("result.txt", 0700)); }
static int output_linked_folder(void) { return made(symlink(place(), "sub")); }
static int output_sparse(void) {
  signal(SIGXFSZ, SIG_IGN);
  return made(ftruncate(creat("result.txt", 0600), (off_t)1 << 40));
}
static int output_race(void) {  // now a file, now a link out
  if (fork() == 0) {
    setsid();
    for (int rounds = 0; rounds < 20000; ++rounds) {
      close(creat("file", 0600));
      if (rename("file", "result.txt") || symlink(place(), "link")) break;
      if (rename("link", "result.txt")) break;
    }
    _exit(0);
  }
  usleep(50000);
  return made(0);
}
static int output_deep(void) {
  close(creat("result.txt", 0600));
  for (int depth = 0; depth < 3000 && mkdir("deep", 0700) == 0 && chdir("deep") == 0; ++depth) {
  }
  return made(0);
}
static int output_locked(void) {
  close(creat("result.txt", 0));
  mkdir("locked", 0700);
  close(creat("locked/file", 0));
  return made(chmod("locked", 0));
}

// ---- the table

static int works(void) { return say(contained, "it runs"); }

static const struct Probe table[] = {
    {"works", ANY, FREE, "runs at all", works, 0, 0},

    {"file", BOTH, CONTROL, "read a file of the host", reads, "@secret", 0},
    {"file_climbing", BOTH, CONTROL, "read it by way of ..", climbs, "@secret", 0},
    {"file_link", BOTH, CONTROL, "read it by a link", follows_link, "@secret", 0},
    {"file_hard_link", BOTH, CONTROL, "link it into the working folder", links_in, "@secret", 0},
    {"file_handle", BOTH, CONTROL, "open it by its handle", opens_by_handle, 0, 0},
    {"file_root_1", BOTH, CONTROL, "read it below /proc/1/root", reads, "/proc/1/root@secret", 0},
    {"file_mode", NS, CONTROL, "change its mode", changes_mode, "@scratch", 0},
    {"file_owner", NS, CONTROL, "change its owner", changes_owner, "@scratch", 0},
    {"file_times", NS, CONTROL, "change its times", changes_times, "@scratch", 0},
    {"file_attribute", NS, CONTROL, "change its attributes", changes_attribute, "@scratch", 0},
    {"file_truncate", BOTH, CONTROL, "truncate it", truncates, "@scratch", 0},
    {"file_remove", BOTH, CONTROL, "remove it", removes, "@scratch", 0},
    {"file_create", BOTH, CONTROL, "create one beside it", creates, "@folder/@mark", 0},
    {"file_move", BOTH, CONTROL, "move one there", moves_out, "@folder/@mark", 0},
    {"home", BOTH, CONTROL, "list the caller's home", lists, "@home", 0},
    {"home_file", BOTH, CONTROL, "read a file in the user's home", reads, "@kept", 0},
    {"home_ssh", BOTH, CONTROL, "read a key in the caller's .ssh", reads, "@home/.ssh/id", 0},
    {"home_root", BOTH, CONTROL, "list /root", lists, "/root", 0},
    {"shadow", BOTH, CONTROL, "read /etc/shadow", reads, "/etc/shadow", 0},
    {"shm_file", BOTH, CONTROL, "read a file of /dev/shm", reads, "/dev/shm/@shared", 0},
    {"system_create", BOTH, CONTROL, "create a file in /usr", creates, "/usr/@mark", 0},
    {"system_mode", NS, CONTROL, "change a mode in /usr", changes_open_file, "/usr/bin/env", 0},
    {"system_etc", BOTH, CONTROL, "create a file in /etc", creates, "/etc/@mark", 0},
    {"cgroup", BOTH, CONTROL, "make a control group", makes_folder, 0, 0},
    {"core_pattern", BOTH, CONTROL, "open core_pattern to write", opens,
     "/proc/sys/kernel/core_pattern", O_WRONLY},
    {"sysrq", BOTH, CONTROL, "open sysrq-trigger to write", opens, "/proc/sysrq-trigger", O_WRONLY},
    {"kcore", BOTH, CONTROL, "read the kernel's memory", reads, "/proc/kcore", 0},
    {"kmsg_proc", BOTH, CONTROL, "open /proc/kmsg", opens, "/proc/kmsg", O_RDONLY},

    {"dev_mem", BOTH, CONTROL, "open /dev/mem", opens, "/dev/mem", O_RDONLY},
    {"dev_kmsg", BOTH, CONTROL, "open /dev/kmsg", opens, "/dev/kmsg", O_RDONLY},
    {"dev_kmsg_write", BOTH, CONTROL, "open /dev/kmsg to write", opens, "/dev/kmsg", O_WRONLY},
    {"dev_sda", BOTH, CONTROL, "open /dev/sda", opens, "/dev/sda", O_RDONLY},
    {"dev_vda", BOTH, CONTROL, "open /dev/vda", opens, "/dev/vda", O_RDONLY},
    {"dev_nvme", BOTH, CONTROL, "open /dev/nvme0n1", opens, "/dev/nvme0n1", O_RDONLY},
    {"dev_kvm", BOTH, CONTROL, "open /dev/kvm", opens, "/dev/kvm", O_RDWR},
    {"dev_fuse", BOTH, CONTROL, "open /dev/fuse", opens, "/dev/fuse", O_RDWR},
    {"dev_tun", BOTH, CONTROL, "open /dev/net/tun", opens, "/dev/net/tun", O_RDWR},
    {"dev_loop", BOTH, CONTROL, "open /dev/loop-control", opens, "/dev/loop-control", O_RDWR},
    {"dev_nvidia", BOTH, CONTROL, "open /dev/nvidia0", opens, "/dev/nvidia0", O_RDWR},
    {"dev_tty", BOTH, TTY, "open /dev/tty", opens, "/dev/tty", O_RDWR},
    {"dev_tty_input", BOTH, TTY, "type into the terminal (TIOCSTI)", inserts_input, 0, 0},

    {"input_write", BOTH, CONTROL, "write to an input", opens, "in/data.txt", O_WRONLY | O_APPEND},
    {"input_link", BOTH, CONTROL, "write to an input by a hard link", links_input, "in/data.txt",
     0},
    {"input_mode", NS, CONTROL, "change the mode of an input", changes_mode, "in/data.txt", 0},
    {"input_replace", ANY, FREE, "replace an input", replaces_input, "in/data.txt", 0},

    {"env", ANY, CONTROL, "read the caller's environment", environment, "VOLT_CANARY", 0},
    {"env_preload", ANY, CONTROL, "have the caller's LD_PRELOAD", environment, "LD_PRELOAD", 0},
    {"fd_open", ANY, CONTROL, "use open descriptors of the caller", descriptors_open, 0, 0},
    {"fd_stdin", ANY, CONTROL, "read the caller's stdin", reads_stdin, 0, 0},
    {"fd_send", ANY, CONTROL, "send a descriptor over an inherited socket", sends_descriptor, 0, 0},

    {"init_environ", LL, CONTROL, "read /proc/1/environ", reads, "/proc/1/environ", 0},
    {"init_canary", BOTH, FREE, "find the caller's in it", finds_canary, "/proc/1/environ", 0},
    {"parent_canary", BOTH, CONTROL, "find the caller's environment in the parent's", finds_canary,
     "/proc/@parent/environ", 0},
    {"parent_memory", BOTH, CONTROL, "open the parent's memory", opens_memory_file,
     "/proc/@parent/mem", 0},
    {"parent_fd", BOTH, CONTROL, "open the parent's descriptors", opens_descriptors,
     "/proc/@parent/fd", 0},
    {"parent_trace", BOTH, CONTROL, "trace the parent", traces, 0, 1},
    {"parent_limits", LL, CONTROL, "set limits of the parent", limits_other, 0, 1},
    {"parent_priority", LL, CONTROL, "slow the parent down", slows_other, 0, 1},
    {"parent_signal", LL, CONTROL, "send the parent a signal", signals, 0, 1},
    {"victim_seen", NS, CONTROL, "see a process outside", exists, "/proc/@victim", 0},
    {"victim_environ", BOTH, CONTROL, "read its environment", reads, "/proc/@victim/environ", 0},
    {"victim_maps", BOTH, CONTROL, "read its map", reads, "/proc/@victim/maps", 0},
    {"victim_memory", BOTH, CONTROL, "read its memory", reads_memory_file, "/proc/@victim/mem", 0},
    {"victim_readv", BOTH, CONTROL, "copy from its memory", copies_memory, 0, 0},
    {"victim_writev", BOTH, CONTROL, "copy into its memory", copies_memory, 0, 1},
    {"victim_fd", BOTH, CONTROL, "read its file", reads, "/proc/@victim/fd/100", 0},
    {"victim_getfd", BOTH, CONTROL, "take its descriptor", takes_descriptor, 0, 0},
    {"victim_cwd", BOTH, CONTROL, "list its folder", lists, "/proc/@victim/cwd", 0},
    {"victim_root", BOTH, CONTROL, "list its root", lists, "/proc/@victim/root", 0},
    {"victim_trace", BOTH, CONTROL, "trace it", traces, 0, 0},
    {"victim_oom", BOTH, CONTROL, "have it killed first", opens, "/proc/@victim/oom_score_adj",
     O_WRONLY},
    {"victim_limits", BOTH, CONTROL, "set its limits", limits_other, 0, 0},
    {"victim_priority", BOTH, CONTROL, "slow it down", slows_other, 0, 0},
    {"victim_affinity", BOTH, CONTROL, "pin it to a processor", pins_other, 0, 0},
    {"victim_scheduler", BOTH, CONTROL, "run it when nobody else does", schedules_other, 0, 0},
    {"victim_attributes", BOTH, CONTROL, "the same by attributes", schedules_other_newly, 0, 0},
    {"victim_disk", BOTH, CONTROL, "keep it from the disk", starves_other, 0, 0},
    {"victim_signal", NS | LL6, CONTROL, "send it a signal", signals, 0, 0},
    {"victim_group", NS | LL6, CONTROL, "send its group a signal", signals_group, 0, 0},
    {"victim_thread", NS | LL6, CONTROL, "send its thread a signal", signals_thread, 0, 0},
    {"victim_queue", NS | LL6, CONTROL, "queue it a signal", signals_queue, 0, 0},
    {"victim_pidfd", NS | LL6, CONTROL, "send a signal by a pidfd", signals_pidfd, 0, 0},
    {"victim_owner", NS | LL6, CONTROL, "send it SIGIO", signals_as_owner, 0, 0},
    {"victim_all", NS | LL6, CONTROL, "send all a signal", signals_all, 0, 0},

    {"ipc_shm", BOTH, CONTROL, "attach a segment of another", reads_segment, 0, 0},
    {"ipc_queue", BOTH, CONTROL, "open a message queue of another", opens_queue, "@queue", 0},
    {"ipc_create", LL, CONTROL, "make a segment", makes_segment, 0, 0},
    {"ipc_leave", NS, FREE, "leave a segment behind", leaves_segment, 0, 0},
    {"key_read", BOTH, CONTROL, "read a key of another", reads_key, 0, 0},
    {"key_ring", BOTH, CONTROL, "find the user's keyring", finds_keyring, 0, 0},
    {"key_add", BOTH, CONTROL, "add a key", adds_key, 0, 0},

    {"no_new_privs", BOTH, CONTROL, "gain privileges by exec", no_new_privileges, 0, 0},
    {"setuid_program", BOTH, CONTROL, "run a setuid program", runs_setuid, 0, 0},
    {"capabilities", BOTH, CONTROL, "have capabilities", has_capabilities, 0, 0},
    {"capset", BOTH, CONTROL, "raise capabilities", raises_capabilities, 0, 0},
    {"setuid", BOTH, CONTROL, "become another user", changes_user, 0, 0},
    {"setgroups", BOTH, CONTROL, "leave its groups", changes_groups, 0, 0},
    {"mknod", BOTH, CONTROL, "make a device", makes_device, 0, 0},
    {"mount", BOTH, CONTROL, "mount", mounts, 0, 0},
    {"umount", BOTH, CONTROL, "unmount", unmounts, 0, 0},
    {"pivot_root", BOTH, CONTROL, "exchange the root", pivots, 0, 0},
    {"chroot", BOTH, CONTROL, "change the root", changes_root, 0, 0},
    {"fsopen", BOTH, CONTROL, "open a file system", opens_file_system, 0, 0},
    {"open_tree", BOTH, CONTROL, "clone a tree of mounts", clones_tree, 0, 0},
    {"unshare_user", BOTH, CONTROL, "have a user namespace", unshares, 0, CLONE_NEWUSER},
    {"unshare_mnt", BOTH, CONTROL, "have a mount namespace", unshares, 0, CLONE_NEWNS},
    {"unshare_pid", BOTH, CONTROL, "have a pid namespace", unshares, 0, CLONE_NEWPID},
    {"unshare_net", BOTH, CONTROL, "have a net namespace", unshares, 0, CLONE_NEWNET},
    {"unshare_ipc", BOTH, CONTROL, "have an ipc namespace", unshares, 0, CLONE_NEWIPC},
    {"unshare_uts", BOTH, CONTROL, "have a uts namespace", unshares, 0, CLONE_NEWUTS},
    {"unshare_cgroup", BOTH, CONTROL, "have a cgroup namespace", unshares, 0, CLONE_NEWCGROUP},
    {"unshare_time", BOTH, CONTROL, "have a time namespace", unshares, 0, CLONE_NEWTIME},
    {"clone_user", BOTH, CONTROL, "clone into a user namespace", clones_user, 0, 0},
    {"clone3_user", BOTH, CONTROL, "the same with clone3", clones_user_3, 0, 0},
    {"setns_1", BOTH, CONTROL, "join namespaces of process 1", joins, "/proc/1/ns", 0},
    {"setns_parent", BOTH, CONTROL, "join those of the parent", joins, "/proc/@parent/ns", 0},
    {"setns_victim", BOTH, CONTROL, "join those of the victim", joins, "/proc/@victim/ns", 0},
    {"rlimits", BOTH, CONTROL, "raise its limits", raises_limits, 0, 0},
    {"core_limit", ANY, CONTROL, "have a core dumped", allows_core, 0, 0},
    {"core", ANY, FREE, "leave a core behind", crashes, 0, 0},
    {"realtime", BOTH, CONTROL, "run before all others", runs_first, 0, 0},
    {"nice", BOTH, CONTROL, "raise its priority", raises_priority, 0, 0},
    {"oom_score", BOTH, CONTROL, "be spared when memory ends", writes_number,
     "/proc/self/oom_score_adj", 0},
    {"hostname", BOTH, CONTROL, "name the host", names_host, 0, 0},
    {"clock", BOTH, CONTROL, "set the clock", sets_clock, 0, 0},

    {"io_uring", BOTH, CONTROL, "have an io_uring", calls_ring, 0, 0},
    {"bpf", BOTH, CONTROL, "make a bpf map", calls_bpf, 0, 0},
    {"perf", BOTH, CONTROL, "open a perf event", calls_perf, 0, 0},
    {"userfaultfd", BOTH, CONTROL, "have a userfaultfd", calls_userfault, 0, 0},
    {"module", BOTH, CONTROL, "load a module", loads_module, 0, 0},
    {"kexec", BOTH, CONTROL, "load a kernel", loads_kernel, 0, 0},
    {"reboot", BOTH, CONTROL, "reboot", restarts, 0, 0},
    {"swapon", BOTH, CONTROL, "add swap", swaps, 0, 0},
    {"acct", BOTH, CONTROL, "log all processes", accounts, 0, 0},
    {"syslog", BOTH, CONTROL, "read the kernel's log", reads_log, 0, 0},
    {"ioperm", BOTH, CONTROL, "use ports", gets_ports, 0, 0},
    {"personality", BOTH, CONTROL, "make all data code", makes_code, 0, 0},
    {"calls_i386", BOTH, CONTROL, "call as an i386 program", calls_i386, 0, 0},
    {"calls_x32", BOTH, CONTROL, "call as an x32 program", calls_x32, 0, 0},

    {"net_abstract", BOTH, CONTROL, "reach an abstract socket", connects, "@abstract", 1},
    {"net_unix", BOTH, CONTROL, "reach a socket file", connects, "@socket", 0},
    {"net_docker", BOTH, CONTROL, "reach docker", connects, "/run/docker.sock", 0},
    {"net_dbus", BOTH, CONTROL, "reach dbus", connects, "/run/dbus/system_bus_socket", 0},
    {"net_tcp", BOTH, CONTROL, "reach a server on the loopback", connects_tcp, "@tcp", 0},
    {"net_udp", BOTH, CONTROL, "reach one by udp", asks_udp, "@udp", 0},
    {"net_name", BOTH, CONTROL, "look a name up", asks_name, "example.com", 0},
    {"net_metadata", BOTH, FREE, "reach a cloud's metadata", asks_metadata, "169.254.169.254", 0},
    {"net_vsock", BOTH, CONTROL, "have a vsock socket", makes_socket, 0, AF_VSOCK},
    {"net_packet", BOTH, CONTROL, "have a packet socket", makes_raw_socket, 0, AF_PACKET},
    {"net_icmp", BOTH, CONTROL, "have a raw socket", makes_raw_socket, 0, AF_INET},
    {"net_netlink", BOTH, CONTROL, "list the interfaces", lists_interfaces, 0, 0},
    {"net_any", LL, CONTROL, "have a socket", makes_socket, 0, AF_INET},
    {"net_any_unix", LL, CONTROL, "have a unix socket", makes_socket, 0, AF_UNIX},

    {"bomb_fork", ANY, FORKS, "start 256 processes", forks, 0, 0},
    {"bomb_tree", ANY, FORKS, "start 400 processes that all do", forks_everywhere, 0, 400},
    {"bomb_hoppers", ANY, FORKS, "leave processes that fork and end", hops, 0, 0},
    {"bomb_threads", ANY, FORKS, "start 256 threads", starts_threads, 0, 0},
    {"bomb_descriptors", BOTH, LIMIT, "open 65000 descriptors", opens_many, 0, 0},
    {"bomb_malloc", ANY, LIMIT, "take 512 MB by malloc", allocates, 0, 0},
    {"bomb_shared", ANY, LIMIT, "take 512 MB of shared memory", maps_shared, 0, 0},
    {"bomb_memfd", ANY, LIMIT, "take 512 MB by memfd", fills_memfds, 0, 512},
    {"bomb_flight", BOTH, LIMIT, "take 512 MB in descriptors under way", hides_in_flight, 0, 0},
    {"bomb_sockets", BOTH, LIMIT, "take 512 MB in sockets", fills_sockets, 0, 0},
    {"bomb_pipes", BOTH, LIMIT, "take 512 MB in pipes", fills_pipes, 0, 0},
    {"bomb_segments", BOTH, LIMIT, "take 512 MB in segments", keeps_segments, 0, 0},
    {"bomb_shm", BOTH, LIMIT, "take 512 MB in /dev/shm", fills_files, "/dev/shm/@mark", 512},
    {"bomb_tmp", BOTH, LIMIT, "take 1536 MB in /tmp", fills_files, "/tmp/@mark", 1536},
    {"bomb_file", ANY, LIMIT, "write a file of 1536 MB", fills, "bomb", 1536},
    {"bomb_large", ANY, LIMIT, "write files of 1536 MB", fills_files, "bomb", 1536},
    {"bomb_removed", ANY, LIMIT, "write 1536 MB to removed files", fills_removed, "bomb", 1536},
    {"bomb_reserve", ANY, LIMIT, "reserve 1536 MB", reserves, 0, 1536},
    {"bomb_files", ANY, LIMIT, "make 40000 small files", makes_files, 0, 40000},
    {"bomb_output", ANY, LIMIT, "print 768 MB", floods, 0, 768},
    {"bomb_spin", ANY, TIMED, "spin, deaf to SIGTERM", spins, 0, 0},
    {"bomb_stop", ANY, TIMED, "stop itself", stops, 0, 0},

    {"left_daemon", ANY, FREE, "leave a daemon", leaves_daemon, 0, 0},
    {"left_writer", ANY, FREE, "leave a child that keeps stdout", leaves_writer, 0, 0},
    {"left_hopper", ANY, FREE, "leave a child that forks on and on", leaves_hopper, 0, 0},

    {"out_link", ANY, OUTPUT, "give a link to a host's file as output", output_link, "@secret", 0},
    {"out_alias", BOTH, OUTPUT, "give a hard link to it", output_alias, "@secret", 0},
    {"out_input", ANY, OUTPUT, "give a hard link to an input", output_alias, "in/data.txt", 0},
    {"out_fifo", ANY, OUTPUT, "give a fifo", output_fifo, 0, 0},
    {"out_socket", ANY, OUTPUT, "give a socket", output_socket, 0, 0},
    {"out_folder", ANY, OUTPUT, "give a folder", output_folder, 0, 0},
    {"out_below_link", ANY, OUTPUT, "give files below a linked folder", output_linked_folder,
     "@folder", 0},
    {"out_sparse", ANY, OUTPUT, "give 1 TB of nothing", output_sparse, 0, 0},
    {"out_race", ANY, OUTPUT, "exchange it for a link meanwhile", output_race, "@secret", 0},
    {"out_deep", ANY, OUTPUT, "leave folders 3000 deep", output_deep, 0, 0},
    {"out_locked", ANY, OUTPUT, "leave a folder that nobody may enter", output_locked, 0, 0},
};
enum { probes = sizeof table / sizeof *table };

// The process outside that probes reach for. Prints its coordinates, then a line for each signal;
// ends, and takes away what it made, when its stdin does.
static char secret[64];

static void heard(int number) {
  (void)number;
  if (write(1, "!\n", 2) != 2) _exit(1);
}

static void print_handle(const char* path) {
  union {
    struct file_handle handle;
    char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } file = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
  int mount;
  if (name_to_handle_at(AT_FDCWD, path, &file.handle, &mount, 0)) file.handle.handle_bytes = 0;
  printf("handle=%d:", file.handle.handle_type);
  for (unsigned i = 0; i < file.handle.handle_bytes; ++i) printf("%02x", file.handle.f_handle[i]);
  puts("");
}

static int victim(void) {
  char queue[32], byte;
  dup2(open(coordinate("secret"), O_RDONLY), 100);
  if (pread(100, secret, sizeof secret - 1, 0) <= 0) return 1;
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  signal(SIGURG, heard);

  const int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  shmat(segment, NULL, 0);
  shmctl(segment, IPC_RMID, NULL);  // by its number it can be attached still
  const long key = syscall(SYS_add_key, "user", "volt-probe", secret, 8, KEY_SPEC_USER_KEYRING);
  syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3f0000);
  snprintf(queue, sizeof queue, "/volt-probe-%d", getpid());
  mq_open(queue, O_CREAT | O_RDONLY, 0600, NULL);

  print_handle(coordinate("secret"));
  printf("victim=%d\naddress=%p\nshm=%d\nkey=%ld\nqueue=%s\nready\n", getpid(), (void*)secret,
         segment, key, queue);
  fflush(stdout);
  while (read(0, &byte, 1) == -1 && errno == EINTR) {
  }
  mq_unlink(queue);
  return 0;
}

static void list(void) {
  for (int i = 0; i < probes; ++i) {
    const struct Probe* p = &table[i];
    printf("%s\t%u\t%s\t%s\n", p->name, p->levels, kinds[p->kind], p->tries);
  }
}

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "list";
  coordinates = argv + 2;
  if (strcmp(name, "list") == 0) return list(), 0;
  if (strcmp(name, "victim") == 0) return victim();
  for (probe = table; probe < table + probes; ++probe) {
    if (strcmp(name, probe->name) == 0) return probe->run();
  }
  fprintf(stderr, "probe: no probe %s\n", name);
  return 2;
}
