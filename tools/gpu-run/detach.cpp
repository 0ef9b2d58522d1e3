// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "libvolt/cli/signals.hpp"
#include "libvolt/host/process.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

/// Until the child says that the run has begun, or has closed the pipe. A signal is the child's as
/// well: it is in no group that a terminal would signal.
bool has_begun(pid_t child, int begun) {
  pollfd polled[2] = {{begun, POLLIN, 0}, {cli::signals::fd(), POLLIN, 0}};
  while (polled[0].revents == 0) {
    if (::poll(polled, 2, -1) < 0) {
      if (errno != EINTR) throw_system(errno, "cannot wait for the run", {}, Exit::failure);
      polled[0].revents = 0;
      continue;
    }
    if (polled[1].revents == 0) continue;
    ::kill(child, cli::signals::received());
    polled[1] = {-1, 0, 0};
  }
  char byte = 0;
  return ::read(begun, &byte, 1) == 1;
}

}  // namespace

host::Fd fork_away() {
  host::Pipe begun;
  const pid_t child = ::fork();
  if (child < 0) throw_system(errno, "cannot start a process", {}, Exit::failure);
  if (child == 0) {
    ::setsid();
    ::signal(SIGHUP, SIG_IGN);
    cli::signals::renew_fd();
    return std::move(begun.write);
  }
  begun.write = host::Fd();
  if (has_begun(child, begun.read.get())) return {};
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
  throw Error(Exit::failure, "the run was killed before it had begun");
}

void let_go(host::Fd parent) {
  const host::Fd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nowhere) throw_system(errno, "cannot open /dev/null");
  for (const int fd : {0, 1, 2}) ::dup2(nowhere.get(), fd);
  // A parent that is gone misses nothing.
  static_cast<void>(!::write(parent.get(), "", 1));
}

}  // namespace volt::gpu_run
