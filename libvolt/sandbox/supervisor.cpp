// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/supervisor.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/sandbox/landlock.hpp"
#include "libvolt/sandbox/layout.hpp"
#include "libvolt/sandbox/sandbox.hpp"
#include "libvolt/sandbox/seccomp.hpp"
#include "libvolt/sandbox/usage.hpp"
#include "libvolt/sandbox/user.hpp"

namespace volt::sandbox {
namespace {

using doc::Value;

constexpr std::size_t max_line_bytes = std::size_t{4} << 20;
/// Enough for any data loader; what the kernel holds for each of them is counted nowhere.
constexpr rlim_t most_open_files = 4096;
/// The first version of Landlock that keeps signals and abstract sockets inside.
constexpr int keeps_inside = 6;
/// The first that keeps a program from cutting files which it may not write.
constexpr int keeps_lengths = 3;
constexpr std::chrono::seconds patience{10};

void say(const Value& message) {
  host::write_all(channel_fd, doc::to_canonical_json(message) + "\n");
}

Program hear() {
  std::string line;
  for (char c = 0; line.size() < max_line_bytes;) {
    const auto count = ::read(channel_fd, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || c == '\n') break;
    line += c;
  }
  return parse_program(doc::parse_json(line, "program", {max_line_bytes, 8}, Exit::failure));
}

void lower(decltype(RLIMIT_CORE) which, rlim_t most) {
  rlimit now{};
  ::getrlimit(which, &now);
  const rlim_t limit = std::min(most, now.rlim_max);
  now = {limit, limit};
  ::setrlimit(which, &now);
}

/// Capabilities are for those who administer a machine; a program that root starts would otherwise
/// keep them.
void drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  if (::syscall(SYS_capset, &header, none) != 0) {
    throw_system(errno, "cannot give up capabilities", {}, Exit::sandbox);
  }
}

/// Nor shall it get them back by executing a file.
void bound_capabilities() {
  for (int capability = 0; capability <= 63; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

Reach reach_of(Level level, const Program& program, const Layout& layout) {
  Reach reach;
  // A network of its own is no way out.
  reach.network = program.network || level == Level::namespaces;
  reach.devices.assign(std::begin(plain_devices), std::end(plain_devices));
  reach.devices.insert(reach.devices.end(), program.devices.begin(), program.devices.end());
  reach.write = {layout.work, layout.tmp, layout.home};
  if (level == Level::namespaces) {
    // The view is what was meant to be seen; this is the second wall behind it.
    reach.read = {"/"};
    reach.write.insert(reach.write.end(), {"/dev/shm", "/dev/pts"});
    reach.devices.insert(reach.devices.end(), {"/dev/ptmx", "/dev/tty"});
    return reach;
  }
  reach.read = {"/proc", layout.inputs};
  for (const auto* folder : system_folders) reach.read.emplace_back(folder);
  for (const auto* folder : etc_folders) reach.read.emplace_back(folder);
  for (const auto* file : etc_files) reach.read.emplace_back(file);
  for (const auto* file : processor_files) reach.read.emplace_back(file);
  reach.read.emplace_back("/etc/passwd");
  reach.read.emplace_back("/etc/group");
  if (program.network) {
    for (const auto* file : network_files) reach.read.emplace_back(file);
  }
  if (!program.devices.empty()) {
    for (const auto* file : gpu_files) reach.read.emplace_back(file);
  }
  reach.read.insert(reach.read.end(), program.shown.begin(), program.shown.end());
  return reach;
}

void limit(Level level, const Program& program) {
  lower(RLIMIT_CORE, 0);
  lower(RLIMIT_NOFILE, most_open_files);
  lower(RLIMIT_MSGQUEUE, 0);
  if (program.file_bytes != 0) lower(RLIMIT_FSIZE, program.file_bytes);
  if (program.tasks == 0) return;
  // Counted for each user, and for each user namespace: what else this user does must not count.
  const bool alone = program.user != 0 || level == Level::namespaces;
  lower(RLIMIT_NPROC, program.tasks + (alone ? 0 : tasks_of_user()));
}

std::vector<std::string> environment_of(const Program& program, const Layout& layout) {
  std::vector<std::string> all;
  const auto add = [&](const std::string& name, const std::string& value) {
    const bool named = std::ranges::any_of(program.environment,
                                           [&](const auto& one) { return one.first == name; });
    if (!named) all.push_back(name + "=" + value);
  };
  std::string path;
  for (const auto& shown : program.shown) {
    if (host::is_folder(shown / "bin")) path += (shown / "bin").string() + ":";
  }
  add("PATH", path + "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
  add("HOME", layout.home);
  add("TMPDIR", layout.tmp);
  for (const auto& [name, value] : program.environment) all.push_back(name + "=" + value);
  return all;
}

/// What execvp() would start, so that it can be told from a program that ended with 127.
std::string find_program(const Program& program, const std::vector<std::string>& environment) {
  const auto& name = program.argv.front();
  if (name.find('/') != std::string::npos) return name;
  std::string_view path;
  for (const auto& variable : environment) {
    if (variable.starts_with("PATH=")) path = std::string_view(variable).substr(5);
  }
  std::string found;
  for (const auto folder : split(path, ':')) {
    std::string full = std::string(folder.empty() ? "." : folder) + "/" + name;
    struct stat facts {};
    if (::stat(full.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
    if (::access(full.c_str(), X_OK) == 0) return full;
    if (found.empty()) found = full;
  }
  if (found.empty()) errno = ENOENT;
  return found;
}

/// The program's own process, up to its first instruction. What goes wrong is said on `report`,
/// which closes when all went well.
[[noreturn]] void become(Level level, const Program& program, pid_t starter, int report) {
  const auto fail = [&](std::string_view kind, const std::string& text) {
    host::write_all(report, doc::to_canonical_json(Value::Object{{"failed", kind}, {"why", text}}));
    ::_exit(125);
  };
  try {
    const Layout layout = level == Level::namespaces ? own_layout() : layout_in(program.scratch);
    const pid_t supervisor = ::getppid();
    ::setsid();
    for (int number = 1; number < 65; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::umask(022);
    // The kernel, when memory runs out, shall choose the program and not who watches it.
    if (const host::Fd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)); score) {
      static_cast<void>(!::write(score.get(), "500", 3));
    }
    const host::Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ::dup2(null.get(), 0);
    ::dup2(program_output_fd, 1);
    ::dup2(program_error_fd, 2);
    if (::chdir(layout.work.c_str()) != 0) throw_system(errno, "cannot enter the working folder");
    const auto environment = environment_of(program, layout);
    limit(level, program);
    if (level == Level::none) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    } else {
      bound_capabilities();
      const int version = landlock_version();
      if (level == Level::landlock || version > 0) {
        restrict_files(reach_of(level, program, layout));
      }
      if (program.user != 0) become_user(program.user);
      drop_capabilities();
      // With this machine's network its abstract sockets are there as well, unless the kernel keeps
      // the program from them.
      const bool sockets_inside = !program.network || version >= keeps_inside;
      Calls calls{program.network, level == Level::namespaces && sockets_inside, {}};
      // A user of its own has no files elsewhere.
      calls.keep_attributes = level == Level::landlock && program.user == 0;
      calls.keep_lengths = version < keeps_lengths;
      if (version < keeps_inside) calls.out_of_reach = {supervisor, starter, 1};
      // Lost with every change of the user, so not earlier.
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      restrict_calls(calls);
    }
    if (::getppid() != supervisor) ::_exit(125);
    const std::string path = find_program(program, environment);
    std::vector<char*> argv, variables;
    for (const auto& text : program.argv) argv.push_back(const_cast<char*>(text.c_str()));
    for (const auto& text : environment) variables.push_back(const_cast<char*>(text.c_str()));
    argv.push_back(nullptr);
    variables.push_back(nullptr);
    if (!path.empty()) ::execve(path.c_str(), argv.data(), variables.data());
    const int error = errno;
    // No shebang line: a shell script all the same, as execvp() and every shell have it.
    if (error == ENOEXEC) {
      argv.insert(argv.begin(), const_cast<char*>("sh"));
      argv[1] = const_cast<char*>(path.c_str());
      ::execve("/bin/sh", argv.data(), variables.data());
    }
    fail(error == ENOENT || error == ENOTDIR ? "not found" : "not executable",
         std::string(::strerror(error)));
  } catch (const Error& error) {
    fail("sandbox", error.text());
  }
  ::_exit(125);
}

/// A program in hand, from the supervisor's side.
class Watch {
 public:
  Watch(Level level, const Program& program) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child, nullptr);
    signals_ = host::Fd(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    if (program.argv.empty()) return;  // only to see whether it comes to this
    host::Pipe report;
    const pid_t starter = ::getppid();
    program_ = ::fork();
    if (program_ < 0) throw_system(errno, "cannot start a process", {}, Exit::sandbox);
    if (program_ == 0) become(level, program, starter, report.write.get());
    report.write = host::Fd();
    failure_ = host::read_all(report.read.get(), max_line_bytes, "the program's start");
  }

  bool follow() {
    if (!failure_.empty()) {
      host::write_all(channel_fd, failure_ + "\n");
      return false;
    }
    say(Value::Object{{"started", true}});
    while (program_ > 0) {
      pollfd polled[2] = {{channel_fd, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      if (::poll(polled, 2, -1) < 0 && errno != EINTR) return false;
      if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !obey()) return false;
      reap();
    }
    return true;
  }

  void tell() const {
    say(Value::Object{{"ended", Value::Object{{"status", status_},
                                              {"signal", signal_},
                                              {"peak_memory_bytes", peak()},
                                              {"cpu_ns", cpu_ns()}}}});
  }

 private:
  /// False when nobody is there any more who could want the program to go on.
  bool obey() const {
    unsigned char number = 0;
    const auto count = ::recv(channel_fd, &number, 1, MSG_DONTWAIT);
    if (count == 1) ::kill(-program_, number);
    return count == 1 || (count < 0 && (errno == EAGAIN || errno == EINTR));
  }

  void reap() {
    signalfd_siginfo ignored;
    while (::read(signals_.get(), &ignored, sizeof ignored) > 0) {
    }
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != program_) continue;  // an orphan of the program's
      program_ = 0;
      signal_ = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    }
  }

  static rusage used() {
    rusage all{};
    ::getrusage(RUSAGE_CHILDREN, &all);
    return all;
  }
  static std::uint64_t peak() { return static_cast<std::uint64_t>(used().ru_maxrss) * 1024; }
  static std::uint64_t cpu_ns() {
    const auto all = used();
    const auto ns = [](const timeval& time) {
      return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
             static_cast<std::uint64_t>(time.tv_usec) * 1000;
    };
    return ns(all.ru_utime) + ns(all.ru_stime);
  }

  host::Fd signals_;
  pid_t program_ = 0;
  std::string failure_;
  int status_ = 0, signal_ = 0;
};

}  // namespace

int supervisor_main(std::string_view level_name) {
  // Asked for by its socket alone; Ctrl-C is for the one who holds the other end.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
  for (const int fd : {channel_fd, program_output_fd, program_error_fd}) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const auto level = level_of(level_name);
  if (!level) return 125;
  try {
    const Program program = hear();
    Watch watch(*level, program);
    const bool ended = watch.follow();
    if (program.user != 0) kill_user(program.user);
    kill_below(::getpid(), patience);
    if (ended) watch.tell();
    return 0;
  } catch (const Error& error) {
    kill_below(::getpid(), patience);
    try {
      say(Value::Object{{"failed", "sandbox"}, {"why", error.text()}});
    } catch (const Error&) {
      // Nobody listens any more.
    }
    return 125;
  }
}

}  // namespace volt::sandbox
