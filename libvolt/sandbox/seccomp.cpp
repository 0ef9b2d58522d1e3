// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/seccomp.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::sandbox {
namespace {

constexpr std::uint32_t refused = SCMP_ACT_ERRNO(EPERM);
constexpr std::uint32_t not_there = SCMP_ACT_ERRNO(ENOSYS);
constexpr std::uint32_t nothing = SCMP_ACT_ERRNO(0);  // says that all went well

// What an ordinary program needs, much as container engines have it.
constexpr std::string_view allowed_calls =
    // files
    "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat "
    "faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchown fchownat fcntl fdatasync "
    "fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat "
    "getcwd getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek "
    "lsetxattr lstat mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open "
    "openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead "
    "readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr "
    "splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask "
    "unlink unlinkat utime utimensat utimes vmsplice write writev "
    // memory
    "brk get_mempolicy madvise mbind membarrier mincore mlock mlock2 mlockall mmap mprotect mremap "
    "msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages "
    "set_mempolicy "
    // processes and threads
    "arch_prctl capget capset clone execve execveat exit exit_group fork futex get_robust_list "
    "getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getrandom "
    "getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set "
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self pidfd_open prctl prlimit64 "
    "rseq sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr "
    "sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr "
    "sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_tid_address "
    "setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid "
    "setrlimit setsid setuid sysinfo times uname vfork wait4 waitid "
    // signals
    "kill pause pidfd_send_signal restart_syscall rt_sigaction rt_sigpending rt_sigprocmask "
    "rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack "
    "signalfd signalfd4 tgkill tkill "
    // time, and waiting
    "alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl "
    "epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 getitimer gettimeofday io_cancel "
    "io_destroy io_getevents io_pgetevents io_setup io_submit nanosleep poll ppoll pselect6 select "
    "setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime "
    "timerfd_create timerfd_gettime timerfd_settime "
    // sockets
    "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg "
    "recvmsg sendmmsg sendmsg sendto setsockopt shutdown socket socketpair";

// Of calls younger than some libseccomp in use; they have the same number everywhere.
constexpr int allowed_numbers[]{
    449,                 // futex_waitv
    451,                 // cachestat
    452,                 // fchmodat2
    453,                 // map_shadow_stack
    454, 455, 456,       // futex_wake, futex_wait, futex_requeue
    462,                 // mseal
    463, 464, 465, 466,  // setxattrat, getxattrat, listxattrat, removexattrat
};

// What a program may well ask for and must not have. What is in no list at all is as good as absent
// from the kernel: above all io_uring, whose operations no filter sees, and clone3, whose flags lie
// in memory: programs then use clone.
constexpr std::string_view refused_calls =
    // namespaces and mounts
    "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root "
    "setns umount2 unshare "
    // other processes
    "kcmp migrate_pages move_pages pidfd_getfd process_madvise process_mrelease process_vm_readv "
    "process_vm_writev ptrace "
    // the machine
    "acct adjtimex clock_adjtime clock_settime create_module delete_module finit_module "
    "get_kernel_syms init_module ioperm iopl kexec_file_load kexec_load lookup_dcookie nfsservctl "
    "query_module quotactl quotactl_fd reboot setdomainname sethostname settimeofday swapoff "
    "swapon sysfs syslog uselib vhangup "
    // doors to much of the kernel, and past the rules on paths
    "add_key bpf fanotify_init fanotify_mark keyctl modify_ldt open_by_handle_at perf_event_open "
    "request_key userfaultfd "
    // what is shared by number: it outlives the run where it has no namespace of its own, and holds
    // memory that no process shows (as does memfd_create, which is therefore not allowed above)
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv "
    "msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget";

/// The kernel looks at no more than 32 bits of an int; above them a program may leave anything.
scmp_arg_cmp has(unsigned argument, std::uint32_t mask, std::uint32_t bits) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, bits};
}
scmp_arg_cmp is(unsigned argument, std::uint32_t value) { return has(argument, ~0U, value); }
/// Compares all 64 bits: refuses whoever leaves something above the 32, too.
scmp_arg_cmp above(unsigned argument, std::uint32_t value) {
  return {argument, SCMP_CMP_GT, value, 0};
}

class Filter {
 public:
  explicit Filter(std::uint32_t otherwise) : context_(::seccomp_init(otherwise)) {
    if (!context_) throw Error(Exit::sandbox, "cannot make a system call filter");
    set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    set(SCMP_FLTATR_CTL_OPTIMIZE, 2);
    set(SCMP_FLTATR_API_SYSRAWRC, 1);
  }

  using Conditions = std::initializer_list<scmp_arg_cmp>;

  void answer(std::uint32_t action, int call, Conditions all = {}) {
    check(::seccomp_rule_add_array(context_.get(), action, call, static_cast<unsigned>(all.size()),
                                   all.begin()));
  }

  /// A name that this libseccomp or this architecture does not know is left out.
  void answer(std::uint32_t action, const std::string& call, Conditions all = {}) {
    const int number = ::seccomp_syscall_resolve_name(call.c_str());
    if (number >= 0) answer(action, number, all);
  }

  void answer_each(std::uint32_t action, std::string_view calls) {
    for (const auto call : split(calls, ' ')) answer(action, std::string(call));
  }

  void load() { check(::seccomp_load(context_.get())); }

 private:
  void set(scmp_filter_attr attribute, std::uint32_t value) {
    check(::seccomp_attr_set(context_.get(), attribute, value));
  }

  static void check(int result) {
    if (result < 0) throw_system(-result, "cannot filter system calls", {}, Exit::sandbox);
  }

  struct Release {
    void operator()(scmp_filter_ctx context) const { ::seccomp_release(context); }
  };
  std::unique_ptr<void, Release> context_;
};

/// What is known at all, by name.
void by_name(Filter& filter) {
  filter.answer_each(SCMP_ACT_ALLOW, allowed_calls);
  filter.answer_each(refused, refused_calls);
  for (const int number : allowed_numbers) filter.answer(SCMP_ACT_ALLOW, number);
  // Only uname's words may change; ~0 asks. The rest lays memory out as an attacker wants it.
  filter.answer(SCMP_ACT_ALLOW, "personality",
                {has(0, ~std::uint32_t{UNAME26} & ~std::uint32_t{PER_LINUX32}, 0)});
  filter.answer(SCMP_ACT_ALLOW, "personality", {is(0, ~0U)});
}

void only_families(Filter& filter, const char* call, const std::set<int>& families) {
  filter.answer(refused, call, {above(0, AF_NETLINK)});
  for (int family = 0; family <= AF_NETLINK; ++family) {
    if (!families.contains(family)) filter.answer(refused, call, {is(0, family)});
  }
}

void sockets(Filter& filter, const Calls& calls) {
  std::set<int> families;
  if (calls.isolated) families.insert(AF_UNIX);
  if (calls.isolated || calls.network) families.insert({AF_INET, AF_INET6, AF_NETLINK});
  only_families(filter, "socket", families);
  filter.answer(refused, "socket", {is(0, AF_NETLINK), above(2, NETLINK_ROUTE)});
  only_families(filter, "socketpair", {AF_UNIX});
  // One half of a pair for datagrams (SOCK_DGRAM, SOCK_RAW) still sends to any socket file.
  if (!calls.isolated) filter.answer(refused, "socketpair", {has(1, 0b1110, SOCK_DGRAM)});
}

/// Signals, and ways to have the kernel send one.
void signals(Filter& filter, const std::vector<pid_t>& out_of_reach) {
  // A process with its threads; that and what kill(2) takes besides: groups, and -1 for everybody.
  std::set<std::uint32_t> direct, groups{~0U};
  for (const pid_t pid : out_of_reach) {
    const auto id = static_cast<std::uint32_t>(pid);
    direct.insert(id);
    groups.insert({id, -id});
  }
  const auto keep_from = [&](const char* call, unsigned argument, const auto& pids) {
    for (const auto pid : pids) filter.answer(refused, call, {is(argument, pid)});
  };
  keep_from("kill", 0, groups);
  for (const char* call :
       {"tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open"}) {
    keep_from(call, 0, direct);
  }
  keep_from("setpgid", 1, direct);  // for a signal to one's own group
  // A folder of /proc serves as a pidfd, too, and F_SETOWN_EX has its pid in memory.
  filter.answer(refused, "pidfd_send_signal");
  for (const auto pid : groups) filter.answer(refused, "fcntl", {is(1, F_SETOWN), is(2, pid)});
  filter.answer(refused, "fcntl", {is(1, F_SETOWN_EX)});
  for (const std::uint32_t request : {FIOSETOWN, SIOCSPGRP}) {
    filter.answer(refused, "ioctl", {is(1, request)});
  }
}

/// What a process may do to any other of the same user: a limit on its processor time ends it, and
/// the rest slows it down. The first argument, or second where the first says of what, is 0 for the
/// caller itself; of its own threads none can be told from a stranger's by number.
void of_others(Filter& filter) {
  for (const char* call : {"prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam",
                           "sched_setscheduler"}) {
    filter.answer(refused, call, {above(0, 0)});
  }
  for (const char* call : {"setpriority", "ioprio_set"}) {
    filter.answer(refused, call, {above(1, 0)});
  }
}

/// A file may be cut by who may not write it otherwise, as far as Landlock before its third version
/// is concerned. openat2 has its flags in memory.
void lengths(Filter& filter) {
  filter.answer(refused, "truncate");
  filter.answer(not_there, "openat2");
  filter.answer(refused, "open", {has(1, O_ACCMODE | O_TRUNC, O_TRUNC)});
  filter.answer(refused, "openat", {has(2, O_ACCMODE | O_TRUNC, O_TRUNC)});
}

void attributes(Filter& filter) {
  filter.answer_each(
      nothing,
      "chmod fchmodat fchmodat2 chown lchown fchownat utime utimes futimesat setxattr "
      "lsetxattr removexattr lremovexattr");
  filter.answer(nothing, "utimensat", {above(1, 0)});  // without a name it is of a descriptor
  filter.answer(refused, "inotify_add_watch");
}

/// What is allowed by name, but not with these arguments.
void by_argument(Filter& filter, const Calls& calls) {
  for (const std::uint32_t flag : {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                   CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    filter.answer(refused, "clone", {has(0, flag, flag)});
  }
  // Both type on the terminal in the user's name.
  for (const std::uint32_t request : {TIOCSTI, TIOCLINUX}) {
    filter.answer(refused, "ioctl", {is(1, request)});
  }
  sockets(filter, calls);
  // What lies in a socket belongs to no process. Each counts as what it holds by itself; wishes for
  // more, which the kernel takes for hints anyway, change nothing.
  for (const std::uint32_t option : {SO_SNDBUF, SO_RCVBUF}) {
    filter.answer(nothing, "setsockopt", {is(1, SOL_SOCKET), is(2, option)});
  }
  if (!calls.isolated) of_others(filter);
  if (calls.keep_lengths) lengths(filter);
  if (calls.keep_attributes) attributes(filter);
  if (!calls.out_of_reach.empty()) signals(filter, calls.out_of_reach);
}

}  // namespace

void restrict_calls(const Calls& calls) {
  // Two filters, of which the kernel obeys the stricter: within one, a rule without conditions
  // takes the place of those with.
  Filter names(not_there), arguments(SCMP_ACT_ALLOW);
  by_name(names);
  by_argument(arguments, calls);
  names.load();
  arguments.load();
}

}  // namespace volt::sandbox
