// SPDX-License-Identifier: Apache-2.0
#include "libvolt/host/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::host {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const auto& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

/// All that the child needs, made before fork().
struct Birth {
  const Child::Options& options;
  std::vector<char*> argv, environment;
  int safe_from = 0;
  pid_t parent = 0;
  int report = -1;
};

/// After fork: only async-signal-safe calls, no allocation.
[[noreturn]] void become(const Birth& birth) {
  int report = birth.report;
  const auto fail = [&] {
    const int error = errno;
    [[maybe_unused]] const auto written = ::write(report, &error, sizeof error);
    ::_exit(127);
  };
  const auto& options = birth.options;
  if (!options.outlives) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail();
    if (::getppid() != birth.parent) ::_exit(127);  // it died before the line above
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (options.session) ::setsid();
  // Nothing that this process was handed itself shall go on to the child.
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    for (int fd = 3; fd < 65'536; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);  // before Linux 5.11
  }
  // First above all targets, so that no target overwrites a source still needed.
  const auto& fds = options.fds;
  report = ::fcntl(report, F_DUPFD_CLOEXEC, birth.safe_from + static_cast<int>(fds.size()));
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (::dup3(fds[i].first, birth.safe_from + static_cast<int>(i), O_CLOEXEC) < 0) fail();
  }
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (::dup2(birth.safe_from + static_cast<int>(i), fds[i].second) < 0) fail();
  }
  if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) fail();
  ::execve(options.program.c_str(), birth.argv.data(),
           options.environment ? birth.environment.data() : environ);
  fail();
  ::_exit(127);
}

}  // namespace

Child Child::start(const Options& options) {
  Pipe report;  // closes on exec; carries errno when exec fails
  Birth birth{options, pointers(options.argv), {}, 0, ::getpid(), report.write.get()};
  if (options.environment) birth.environment = pointers(*options.environment);
  birth.safe_from = std::max(report.read.get(), report.write.get()) + 1;
  for (const auto& [ours, theirs] : options.fds) {
    birth.safe_from = std::max({birth.safe_from, ours + 1, theirs + 1});
  }
  const pid_t pid = ::fork();
  if (pid < 0) throw_system(errno, "cannot start a process", {}, Exit::failure);
  if (pid == 0) become(birth);
  Child child(pid);
  report.write = Fd();
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(report.read.get(), &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof error) {
    throw_system(error, "cannot start " + options.program.string(), {}, Exit::failure);
  }
  return child;
}

Child::~Child() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::kill(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

Ended Child::wait() {
  int status = 0;
  struct rusage usage {};
  while (::wait4(pid_, &status, 0, &usage) < 0) {
    if (errno != EINTR) throw_system(errno, "cannot wait for a process", {}, Exit::failure);
  }
  pid_ = -1;
  Ended ended;
  if (WIFSIGNALED(status)) {
    ended.signal = WTERMSIG(status);
  } else {
    ended.status = WEXITSTATUS(status);
  }
  ended.peak_memory_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return ended;
}

namespace {

/// Files of /proc have no length beforehand.
std::string read_proc(const Path& path) {
  return read_all(open_file(path).get(), 65'536, path.string());
}

/// The ProcessName of the process that has this number now.
ProcessName name_of(pid_t pid) {
  const auto stat = read_proc("/proc/" + std::to_string(pid) + "/stat");
  // The second field is the program's name in brackets, and may hold anything; ours is the 22nd.
  const auto fields = split(std::string_view(stat).substr(stat.rfind(')') + 1), ' ');
  constexpr std::size_t start_time = 20;
  const auto started =
      fields.size() > start_time ? parse_unsigned(fields[start_time]) : std::nullopt;
  if (!started) throw Error(Exit::failure, "/proc/PID/stat has no start time");
  return {pid, *started, std::string(trim(read_proc("/proc/sys/kernel/random/boot_id")))};
}

}  // namespace

ProcessName own_name() { return name_of(::getpid()); }

Fd open_process(const ProcessName& name) {
  // Opened before it is looked at: what is seen then is what was opened, or came after it.
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, name.pid, 0)));
  try {
    if (process && name_of(name.pid) == name) return process;
  } catch (const Error&) {
    // It ended meanwhile.
  }
  return {};
}

bool signal_process(const Fd& process, int signal) {
  if (::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw_system(errno, "cannot signal a process");
}

Pipe::Pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw_system(errno, "cannot make a pipe", {}, Exit::failure);
  read = Fd(fds[0]);
  write = Fd(fds[1]);
}

}  // namespace volt::host
