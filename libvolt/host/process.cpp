// SPDX-License-Identifier: Apache-2.0
#include "libvolt/host/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "libvolt/base/error.hpp"

namespace volt::host {
namespace {

/// After fork: only async-signal-safe calls, no allocation.
[[noreturn]] void become(const char* program, char* const* argv,
                         std::span<const std::pair<int, int>> fds, int safe_from, pid_t parent,
                         int report) {
  const auto fail = [&] {
    const int error = errno;
    [[maybe_unused]] const auto written = ::write(report, &error, sizeof error);
    ::_exit(127);
  };
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail();
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  // Nothing that this process was handed itself shall go on to the child.
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    for (int fd = 3; fd < 65'536; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);  // before Linux 5.11
  }
  // First above all targets, so that no target overwrites a source still needed.
  report = ::fcntl(report, F_DUPFD_CLOEXEC, safe_from + static_cast<int>(fds.size()));
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (::dup3(fds[i].first, safe_from + static_cast<int>(i), O_CLOEXEC) < 0) fail();
  }
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (::dup2(safe_from + static_cast<int>(i), fds[i].second) < 0) fail();
  }
  ::execv(program, argv);
  fail();
  ::_exit(127);
}

}  // namespace

Child Child::start(const Options& options) {
  std::vector<char*> argv;
  for (const auto& argument : options.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Pipe report;  // closes on exec; carries errno when exec fails
  int safe_from = std::max(report.read.get(), report.write.get()) + 1;
  for (const auto& [ours, theirs] : options.fds) {
    safe_from = std::max({safe_from, ours + 1, theirs + 1});
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw_system(errno, "cannot start a process", {}, Exit::failure);
  if (pid == 0) {
    become(options.program.c_str(), argv.data(), options.fds, safe_from, parent,
           report.write.get());
  }
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

Pipe::Pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw_system(errno, "cannot make a pipe", {}, Exit::failure);
  read = Fd(fds[0]);
  write = Fd(fds[1]);
}

}  // namespace volt::host
