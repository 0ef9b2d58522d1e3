// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/seccomp.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "libvolt/base/error.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/sandbox/landlock.hpp"
#include "tests/libvolt/host/temp_folder.hpp"
#include "tests/libvolt/sandbox/child.hpp"

using namespace volt;
using namespace volt::sandbox;

namespace {

using Call = std::function<long()>;

std::function<void()> confined(const Calls& calls = {}) {
  return [calls] { restrict_calls(calls); };
}

constexpr int killed = 128 + SIGSYS;
constexpr long garbage = 0x5a5a5a5a00000000;

/// A process of its own group that waits to be killed, and is.
class Victim {
 public:
  Victim() : pid_(::fork()) {
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) ::pause();
    }
    REQUIRE(pid_ > 0);
    REQUIRE(::setpgid(pid_, pid_) == 0);
  }
  ~Victim() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  pid_t pid() const { return pid_; }
  bool lives() const {
    siginfo_t state{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           state.si_pid == 0;
  }

 private:
  pid_t pid_;
};

/// Has the kernel send SIGKILL to `owner` when there is something to read from a socket.
long killed_by_input(long owner) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return -1;
  if (::fcntl(pair[0], F_SETSIG, SIGKILL) != 0 || ::fcntl(pair[0], F_SETFL, O_ASYNC) != 0 ||
      ::syscall(SYS_fcntl, pair[0], F_SETOWN, owner) != 0) {
    return -1;
  }
  return ::write(pair[1], "x", 1);
}

/// What becomes of a socket: EPERM when it is refused, or whatever the kernel says.
int socket_outcome(const Calls& calls, int family, int type, int protocol) {
  return tried(confined(calls), [=] { return ::socket(family, type, protocol); });
}

long i386_getpid() {
  long result = 20;
#ifdef __x86_64__
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
#endif
  return result;
}

}  // namespace

TEST_CASE("what is refused on purpose answers EPERM") {
  const Call calls[]{
      [] { return ::unshare(CLONE_NEWUSER); },
      [] { return ::unshare(0); },
      [] { return ::setns(-1, 0); },
      [] { return ::syscall(SYS_mount, 0, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_umount2, 0, 0); },
      [] { return ::syscall(SYS_pivot_root, 0, 0); },
      [] { return ::chroot("/"); },
      [] { return ::syscall(SYS_fsopen, 0, -1); },
      [] { return ::syscall(SYS_fsmount, -1, -1, 0); },
      [] { return ::syscall(SYS_fsconfig, -1, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_fspick, -1, 0, -1); },
      [] { return ::syscall(SYS_open_tree, -1, "", 0); },
      [] { return ::syscall(SYS_move_mount, -1, 0, -1, 0, -1); },
      [] { return ::syscall(SYS_mount_setattr, -1, 0, 0, 0, 0); },
      [] { return ::ptrace(PTRACE_TRACEME, 0, 0, 0); },
      [] { return ::syscall(SYS_process_vm_readv, ::getpid(), 0, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_process_vm_writev, ::getpid(), 0, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_pidfd_getfd, -1, 0, 0); },
      [] { return ::syscall(SYS_kcmp, ::getpid(), ::getpid(), 1, 0, 0); },
      [] { return ::syscall(SYS_keyctl, 0, -1, 0); },
      [] { return ::syscall(SYS_add_key, 0, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_request_key, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_bpf, -1, 0, 0); },
      [] { return ::syscall(SYS_perf_event_open, 0, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_userfaultfd, 1); },
      [] { return ::syscall(SYS_open_by_handle_at, -1, 0, 0); },
      [] { return ::syscall(SYS_fanotify_init, -1, 0); },
      [] { return ::syscall(SYS_adjtimex, 0); },
      [] { return ::syscall(SYS_clock_adjtime, -1, 0); },
      [] { return ::syscall(SYS_clock_settime, -1, 0); },
      [] { return ::syscall(SYS_settimeofday, 0, -1); },
      [] { return ::syscall(SYS_quotactl, -1, 0, 0, 0); },
      [] { return ::syscall(SYS_syslog, -1, 0, 0); },
      [] { return ::syscall(SYS_iopl, 0); },
      [] { return ::syscall(SYS_ioperm, -1, -1, 0); },
      [] { return ::syscall(SYS_modify_ldt, 0, 0, 0); },
      [] { return ::syscall(SYS_kexec_load, 0, -1, 0, -1); },
      [] { return ::syscall(SYS_finit_module, -1, 0, -1); },
      [] { return ::syscall(SYS_swapon, 0, -1); },
      [] { return ::syscall(SYS_reboot, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_sethostname, 0, -1); },
  };
  int shown = 0;
  for (const auto& call : calls) {
    CAPTURE(&call - calls);
    CHECK(tried(confined(), call) == EPERM);
    CHECK(tried(confined({true, true, {}}), call) == EPERM);
    shown += tried(as_it_is, call) != EPERM ? 1 : 0;
  }
  CHECK(shown > 15);  // the kernel itself refuses an ordinary user the rest
}

TEST_CASE("what is in no list is not there") {
  const Call calls[]{
      [] { return ::syscall(SYS_clone3, 0, 0); },
      [] { return ::syscall(SYS_memfd_secret, -1); },
      [] { return ::syscall(SYS_io_uring_setup, 0, 0); },
      [] { return ::personality(ADDR_NO_RANDOMIZE); },
      [] { return ::syscall(SYS_personality, garbage | READ_IMPLIES_EXEC); },
  };
  int shown = 0;
  for (const auto& call : calls) {
    CAPTURE(&call - calls);
    CHECK(tried(confined(), call) == ENOSYS);
    shown += tried(as_it_is, call) != ENOSYS ? 1 : 0;
  }
  CHECK(shown >= 3);
  CHECK(tried(confined(), [] { return ::syscall(100'000); }) == ENOSYS);
  CHECK(tried(confined(), [] { return ::personality(0xffffffff); }) == 0);
  CHECK(tried(confined(), [] { return ::personality(PER_LINUX); }) == 0);
}

TEST_CASE("calls that libseccomp has no name for reach the kernel") {
  // Bad arguments throughout: a kernel that knows the call says so, an older one ENOSYS.
  const Call calls[]{
      [] { return ::syscall(449, 0, 0, 0, 0, 0); },            // futex_waitv
      [] { return ::syscall(451, -1, 0, 0, 0); },              // cachestat
      [] { return ::syscall(452, AT_FDCWD, 0, 0, 0); },        // fchmodat2
      [] { return ::syscall(455, 0, 0, 0, 0, 0, 0); },         // futex_wait
      [] { return ::syscall(462, 1, 1, 1); },                  // mseal
      [] { return ::syscall(464, AT_FDCWD, 0, 0, 0, 0, 0); },  // getxattrat
  };
  for (const auto& call : calls) {
    CAPTURE(&call - calls);
    CHECK(tried(confined(), call) == tried(as_it_is, call));
  }
}

TEST_CASE("calls of another architecture are the end") {
#ifdef __x86_64__
  const auto works = [] { return i386_getpid() == ::getpid() ? 0 : 1; };
  if (in_child(works) == 0) {
    CHECK(in_child([&] {
            restrict_calls({});
            return works();
          }) == killed);
  } else {
    MESSAGE("skipped: this kernel takes no calls of i386");
  }
  const auto x32 = [] { return ::syscall(0x40000000 | SYS_getpid); };
  CHECK(tried(confined(), x32) == killed);
  CHECK(tried(as_it_is, x32) != killed);
#endif
}

TEST_CASE("a clone is in no new namespace") {
  const auto cloned = [](unsigned long flags) {
    return [flags]() -> long {
      const long pid = ::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
      if (pid == 0) ::_exit(0);
      return pid;
    };
  };
  CHECK(tried(confined(), cloned(0)) == 0);
  CHECK(tried(as_it_is, cloned(CLONE_FS | CLONE_NEWNS)) == EINVAL);
  for (const unsigned long flag : {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                   CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    CAPTURE(flag);
    CHECK(tried(confined(), cloned(flag)) == EPERM);
    CHECK(tried(confined(), cloned(flag | garbage)) == EPERM);
    CHECK(tried(confined(), cloned(flag | CLONE_FS | CLONE_NEWUSER)) == EPERM);
  }
}

TEST_CASE("nothing is typed on a terminal in the user's name") {
  const auto command = [](unsigned long request) {
    return [request] {
      char byte = 0;
      return ::syscall(SYS_ioctl, ::open("/dev/null", O_RDWR | O_CLOEXEC), request, &byte);
    };
  };
  for (const unsigned long request : {TIOCSTI, TIOCLINUX}) {
    for (const unsigned long high : {0UL, 1UL << 32, ~0UL << 32}) {
      CAPTURE(high);
      CHECK(tried(confined(), command(high | request)) == EPERM);
      CHECK(tried(as_it_is, command(high | request)) == ENOTTY);
    }
  }
  CHECK(tried(confined(), command(TCGETS)) == ENOTTY);
  CHECK(tried(confined(), command(TIOCGWINSZ)) == ENOTTY);
  CHECK(tried(confined(), [] { return ::ioctl(0, FIOCLEX); }) == 0);
}

TEST_CASE("sockets are of the families that the setting grants") {
  const Calls alone{false, false, {}}, alone_network{true, false, {}};
  const Calls isolated{false, true, {}}, isolated_network{true, true, {}};
  for (const auto& calls : {alone, alone_network, isolated, isolated_network}) {
    CAPTURE(calls.network);
    CAPTURE(calls.isolated);
    const int internet = calls.network || calls.isolated ? 0 : EPERM;
    CHECK(socket_outcome(calls, AF_UNIX, SOCK_STREAM, 0) == (calls.isolated ? 0 : EPERM));
    CHECK(socket_outcome(calls, AF_INET, SOCK_STREAM, 0) == internet);
    CHECK(socket_outcome(calls, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) == internet);
    CHECK(socket_outcome(calls, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) == internet);
    CHECK(socket_outcome(calls, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT) == EPERM);
    CHECK(socket_outcome(calls, AF_NETLINK, SOCK_RAW, NETLINK_AUDIT) == EPERM);
    if (internet != 0) CHECK(socket_outcome(calls, AF_INET6, SOCK_STREAM, 0) == EPERM);
    for (const int family : {AF_UNSPEC, AF_APPLETALK, AF_PACKET, AF_TIPC, AF_ALG, AF_BLUETOOTH,
                             AF_VSOCK, AF_KCM, AF_QIPCRTR, AF_XDP, 46, 1000, -1}) {
      CAPTURE(family);
      CHECK(socket_outcome(calls, family, SOCK_DGRAM, 0) == EPERM);
    }
  }
  const auto refused_family = [] {
    return ::syscall(SYS_socket, garbage | AF_UNIX, SOCK_STREAM, 0);
  };
  CHECK(tried(confined(alone_network), refused_family) == EPERM);
  CHECK(tried(as_it_is, refused_family) == 0);
  CHECK(tried(as_it_is, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }) == 0);
  CHECK(tried(as_it_is, [] { return ::socket(AF_INET, SOCK_STREAM, 0); }) == 0);
  CHECK(tried(as_it_is, [] { return ::socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT); }) ==
        0);
}

TEST_CASE("a pair of sockets leads nowhere else") {
  const auto pair = [](int family, int type) {
    return [=] {
      int fds[2];
      return ::socketpair(family, type, 0, fds);
    };
  };
  const Calls isolated{false, true, {}};
  for (const int type :
       {+SOCK_STREAM, +SOCK_SEQPACKET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK}) {
    CHECK(tried(confined(), pair(AF_UNIX, type)) == 0);
    CHECK(tried(confined(isolated), pair(AF_UNIX, type)) == 0);
  }
  CHECK(tried(confined(), pair(AF_TIPC, SOCK_STREAM)) == EPERM);
  CHECK(tried(confined(isolated), pair(AF_TIPC, SOCK_STREAM)) == EPERM);
  CHECK(tried(as_it_is, pair(AF_TIPC, SOCK_STREAM)) != EPERM);

  // Somebody's socket for datagrams, such as that of a log.
  const TempFolder folder;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "log").string().copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const host::Fd log(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(log.get(), generic, sizeof address) == 0);
  for (const int type : {+SOCK_DGRAM, +SOCK_RAW, SOCK_DGRAM | SOCK_CLOEXEC}) {
    const auto sent = [&]() -> long {
      int fds[2];
      if (::socketpair(AF_UNIX, type, 0, fds) != 0) return -1;
      return ::sendto(fds[0], "x", 1, 0, generic, sizeof address);
    };
    CHECK(tried(confined(), sent) == EPERM);
    CHECK(tried(confined(isolated), sent) == 0);
    CHECK(tried(as_it_is, sent) == 0);
  }
}

TEST_CASE("what would outlive the run is not made where there are no namespaces") {
  const Call calls[]{
      [] {
        const long id = ::shmget(IPC_PRIVATE, 1, 0600);
        return id == -1 ? id : ::shmctl(static_cast<int>(id), IPC_RMID, nullptr);
      },
      [] {
        const long id = ::semget(IPC_PRIVATE, 1, 0600);
        return id == -1 ? id : ::semctl(static_cast<int>(id), 0, IPC_RMID);
      },
      [] {
        const long id = ::msgget(IPC_PRIVATE, 0600);
        return id == -1 ? id : ::msgctl(static_cast<int>(id), IPC_RMID, nullptr);
      },
  };
  for (const auto& call : calls) {
    CAPTURE(&call - calls);
    CHECK(tried(confined(), call) == EPERM);
    CHECK(tried(confined({false, true, {}}), call) == EPERM);
    CHECK(tried(as_it_is, call) == 0);
  }
  const auto queue = [] { return ::syscall(SYS_mq_open, "", 0, 0, 0); };
  CHECK(tried(confined(), queue) == EPERM);
  CHECK(tried(confined({false, true, {}}), queue) == EPERM);
  CHECK(tried(as_it_is, queue) != EPERM);
}

TEST_CASE("processes out of reach get no signal") {
  const Victim victim, other;
  const long pid = victim.pid();
  const Calls calls{false, false, {other.pid(), victim.pid()}};
  const auto proc = "/proc/" + std::to_string(pid);
  const Call attempts[]{
      [=] { return ::syscall(SYS_kill, pid, 0); },
      [=] { return ::syscall(SYS_kill, pid | garbage, 0); },
      [=] { return ::syscall(SYS_kill, -pid, 0); },
      [=] { return ::syscall(SYS_kill, -pid & 0xffffffff, 0); },
      [=] { return ::syscall(SYS_kill, -1L, 0); },
      [=] { return ::syscall(SYS_kill, 0xffffffffL, 0); },
      [=] { return ::syscall(SYS_tkill, pid, 0); },
      [=] { return ::syscall(SYS_tgkill, pid, pid, 0); },
      [=] {
        siginfo_t info{};
        info.si_code = SI_QUEUE;
        return ::syscall(SYS_rt_sigqueueinfo, pid, 0, &info);
      },
      [=] {
        siginfo_t info{};
        info.si_code = SI_QUEUE;
        return ::syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &info);
      },
      [=] { return ::syscall(SYS_pidfd_open, pid, 0); },
      [=] {
        const int folder = ::open(proc.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return ::syscall(SYS_pidfd_send_signal, folder, 0, 0, 0);
      },
      [=] { return ::setpgid(0, static_cast<pid_t>(pid)); },
      [=] {
        const f_owner_ex owner{F_OWNER_PID, static_cast<pid_t>(pid)};
        return ::fcntl(::socket(AF_INET, SOCK_STREAM, 0), F_SETOWN_EX, &owner);
      },
      [=] {
        const int owner = static_cast<int>(pid);
        int pair[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return -1;
        return ::ioctl(pair[0], FIOSETOWN, &owner);
      },
  };
  const Calls with_network{true, false, calls.out_of_reach};
  for (const auto& attempt : attempts) {
    CAPTURE(&attempt - attempts);
    CHECK(tried(confined(with_network), attempt) == EPERM);
    CHECK(tried(as_it_is, attempt) == 0);
  }
  for (const long owner : {pid, -pid}) {
    CHECK(tried(confined(calls), [=] { return killed_by_input(owner); }) == EPERM);
  }
  CHECK(victim.lives());
  CHECK(tried(confined(), [&] { return ::kill(other.pid(), SIGKILL); }) == 0);
  CHECK(tried(as_it_is, [=] { return killed_by_input(pid); }) == 0);
  for (int i = 0; i < 1000 && victim.lives(); ++i) ::usleep(1000);
  CHECK_FALSE(victim.lives());
}

TEST_CASE("its own processes get signals") {
  const Calls calls{false, false, {::getpid()}};
  CHECK(in_child([&] {
          restrict_calls(calls);
          const pid_t child = ::fork();
          if (child == 0) {
            ::setsid();
            ::pause();
          }
          if (::kill(child, SIGTERM) != 0) return 1;
          int status = 0;
          ::waitpid(child, &status, 0);
          if (!WIFSIGNALED(status)) return 2;
          static std::atomic<bool> seen = false;
          ::signal(SIGUSR1, [](int) { seen = true; });
          if (::raise(SIGUSR1) != 0 || !seen) return 3;
          return ::kill(::getpid(), 0) == 0 ? 0 : 4;
        }) == 0);
}

TEST_CASE("limits are set for oneself, and for others only where all are one's own") {
  const Victim victim;
  rlimit limit{};
  const auto limited = [&](pid_t pid) {
    return [&limit, pid] { return ::prlimit(pid, RLIMIT_CORE, nullptr, &limit); };
  };
  CHECK(tried(confined(), limited(victim.pid())) == EPERM);
  CHECK(tried(confined({false, true, {}}), limited(victim.pid())) == 0);
  CHECK(tried(as_it_is, limited(victim.pid())) == 0);
  CHECK(tried(confined(), limited(0)) == 0);
  CHECK(tried(confined(), [&] { return ::setrlimit(RLIMIT_CORE, &limit); }) == 0);
}

TEST_CASE("a filter cannot be taken off, and stands upon another") {
  CHECK(in_child([] {
          restrict_calls({true, true, {}});
          if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 1;
          if (::socket(AF_UNIX, SOCK_STREAM, 0) < 0) return 2;
          restrict_calls({});
          if (::socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != EPERM) return 3;
          restrict_calls({true, true, {}});
          return ::socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM ? 0 : 4;
        }) == 0);
}

TEST_CASE("what the kernel refuses is an error of the sandbox") {
  CHECK(in_child([] {
          try {
            for (int i = 0; i < 200; ++i) restrict_calls({});  // all together may not be too long
          } catch (const Error& error) {
            return static_cast<int>(error.code());
          }
          return 0;
        }) == static_cast<int>(Exit::sandbox));
}

TEST_CASE("where Landlock does not, the filter keeps files from being cut") {
  const TempFolder folder;
  const auto path = folder.path() / "file";
  host::write_file(path, "content");
  const auto cut_by_reading = [&] { return ::open(path.c_str(), O_RDONLY | O_TRUNC); };
  const auto cut_by_name = [&] { return ::truncate(path.c_str(), 1); };
  const auto written = [&] { return ::open(path.c_str(), O_WRONLY | O_TRUNC); };
  const auto keeping = confined({false, false, {}, true});
  CHECK(tried(keeping, cut_by_reading) == EPERM);
  CHECK(tried(keeping, cut_by_name) == EPERM);
  CHECK(host::read_file(path, 100) == "content");
  CHECK(tried(keeping, written) == 0);
  CHECK(tried(as_it_is, cut_by_reading) == 0);
  CHECK(tried(as_it_is, cut_by_name) == 0);
}

TEST_CASE("where no file of the user is anybody else's, attributes stay, though nothing fails") {
  const TempFolder folder;
  const auto path = folder.path() / "file";
  host::write_file(path, "content", 0600);
  const auto by_name = [&] { return ::chmod(path.c_str(), 0666); };
  const auto by_descriptor = [&] {
    const host::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return ::fchmod(fd.get(), 0640);
  };
  const auto mode = [&] {
    struct stat facts {};
    ::stat(path.c_str(), &facts);
    return facts.st_mode & 0777;
  };
  const auto keeping = confined({false, false, {}, false, true});
  CHECK(tried(keeping, by_name) == 0);
  CHECK(mode() == 0600);
  CHECK(tried(keeping, by_descriptor) == 0);
  CHECK(mode() == 0640);
  CHECK(tried(as_it_is, by_name) == 0);
  CHECK(mode() == 0666);
}

TEST_CASE("threads and memory are as ever") {
  for (const bool isolated : {false, true}) {
    CHECK(in_child([&] {
            restrict_calls({false, isolated, {}});
            std::atomic<int> sum = 0;
            std::vector<std::thread> threads;
            for (int i = 1; i <= 8; ++i) threads.emplace_back([&sum, i] { sum += i; });
            for (auto& thread : threads) thread.join();
            if (sum != 36) return 1;
            void* page =
                ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (page == MAP_FAILED || ::mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0) return 2;
            // Memory that no process shows is not to be had.
            return ::memfd_create("m", MFD_CLOEXEC) == -1 && errno == ENOSYS ? 0 : 3;
          }) == 0);
  }
}

TEST_CASE("programs do their work under both restrictions") {
  if (landlock_version() == 0) {
    MESSAGE("skipped: no Landlock here");
    return;
  }
  const auto run = [](const TempFolder& folder, const Calls& calls, const char* script) {
    return in_child([&] {
      ::setsid();
      restrict_files({{"/bin", "/etc", "/lib", "/lib64", "/usr", "/proc"},
                      {folder.path(), "/dev/shm"},
                      {"/dev/null", "/dev/urandom"},
                      calls.network});
      restrict_calls(calls);
      ::setenv("TMPDIR", folder.path().c_str(), 1);
      if (::chdir(folder.path().c_str()) != 0) return 126;
      ::execl("/bin/sh", "sh", "-ec", script, nullptr);
      return 127;
    });
  };
  constexpr const char* shell = R"sh(
    mkdir -p a/b
    for i in 1 2 3; do echo "$i" > "a/$i"; done
    test "$(cat a/[123] | sort -r | tr -d '\n')" = 321
    mv a/1 a/b/ && cp -p a/b/1 a/4 && chmod 700 a/4 && ln -s 4 a/5 && mkfifo a/pipe
    cat a/4 > a/pipe & read line < a/pipe; test "$line" = 1; wait
    sleep 100 & kill -KILL $!; wait $! 2> /dev/null || test $? = 137
    trap 'exit 0' USR1; kill -USR1 $$; exit 1)sh";
  constexpr const char* python = R"sh(exec python3 -c '
import mmap, multiprocessing, os, signal, socket, subprocess, tempfile, threading
assert subprocess.check_output(["sh", "-c", "echo $((6 * 7))"]) == b"42\n"
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "f"), "w+b") as file:
        file.write(b"x" * 10000)
        file.flush()
        assert mmap.mmap(file.fileno(), 0)[:3] == b"xxx"
left, right = socket.socketpair()
thread = threading.Thread(target=lambda: left.sendall(b"hello"))
thread.start()
assert right.recv(5) == b"hello"
thread.join()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
child = subprocess.Popen(["sleep", "100"])
child.terminate()
assert child.wait() == -signal.SIGTERM
')sh";
  for (const bool isolated : {false, true}) {
    for (const bool network : {false, true}) {
      CAPTURE(isolated);
      CAPTURE(network);
      const TempFolder folder;
      const Calls calls{network, isolated, {::getpid()}};
      CHECK(run(folder, calls, shell) == 0);
      CHECK(run(folder, calls, python) == 0);
    }
  }
}

TEST_CASE("a filter is there in little time") {
  auto best = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 10; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(tried(confined({false, false, {::getpid()}}), [] { return 0; }) == 0);
    best = std::min(best, std::chrono::steady_clock::now() - begin);
  }
  CHECK(best < std::chrono::milliseconds(20));  // 3 on an ordinary machine
}
