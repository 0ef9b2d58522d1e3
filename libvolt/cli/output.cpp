// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "libvolt/base/error.hpp"

namespace volt::cli {
namespace {

/// 0, or the errno that stopped it.
int write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const auto count = ::write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      // Someone else made the shared pipe or terminal non-blocking (ssh does).
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void check(int error) {
  if (error == EPIPE) throw ReaderGone{};
  if (error != 0) throw_system(error, "cannot write to standard output");
}

}  // namespace

void hold_standard_descriptors() {
  for (const int fd : {0, 1, 2}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is taken, which is `fd`.
    if (::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

void write_out(std::string_view text) { check(write_all(1, text)); }

void finish_out() {
  errno = 0;
  if (std::fflush(stdout) != 0) check(errno == 0 ? EIO : errno);
  // Closing a copy reports what close() of the descriptor would, and leaves it usable.
  const int copy = ::dup(1);
  if (copy >= 0 && ::close(copy) != 0 && errno != EINTR) check(errno);
}

void write_err(std::string_view text) noexcept { static_cast<void>(write_all(2, text)); }

}  // namespace volt::cli
