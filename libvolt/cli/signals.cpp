// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/signals.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::cli::signals {
namespace {

// libstdc++'s request_stop() is lock-free atomics and touches nothing else as long as no callback
// was ever registered, so a handler may call it. The source is never destroyed: a signal may come
// while the process ends.
std::stop_source& source() {
  static auto* const one = new std::stop_source;
  return *one;
}

std::atomic<std::stop_source*> handler_source{nullptr};
std::atomic<int> first_signal{0};
std::atomic<std::size_t> hint_size{0};
std::array<char, 520> hint_text;
std::array<int, 2> self_pipe{-1, -1};
static_assert(std::atomic<int>::is_always_lock_free &&
              std::atomic<std::size_t>::is_always_lock_free);

void on_signal(int number) {
  const int saved = errno;
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, number)) {
    const auto size = hint_size.load(std::memory_order_acquire);
    if (size != 0) static_cast<void>(!::write(2, hint_text.data(), size));
    ::_exit(128 + number);
  }
  handler_source.load()->request_stop();
  static_cast<void>(!::write(self_pipe[1], "", 1));
  errno = saved;
}

void on_broken_pipe(int) {}

}  // namespace

void renew_fd() {
  std::array<int, 2> fresh{-1, -1};
  if (::pipe2(fresh.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    throw_system(errno, "cannot make a pipe", {}, Exit::failure);
  }
  std::swap(self_pipe, fresh);
  for (const int fd : fresh) ::close(fd);
}

void install() {
  if (handler_source.load() != nullptr) return;
  handler_source = &source();
  renew_fd();
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a read or wait that the signal interrupts shall notice.
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    ::sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(number, &action, nullptr);
  }
  // A handler and not SIG_IGN, because exec resets handlers and hands on what is ignored.
  action.sa_handler = on_broken_pipe;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGPIPE, &action, nullptr);
}

std::stop_token token() { return source().get_token(); }
int received() { return first_signal.load(); }
int fd() { return self_pipe[0]; }

void set_resume_hint(std::string_view hint) {
  // Size 0 while the text changes: a signal in between finds no hint rather than half of one.
  hint_size.store(0, std::memory_order_release);
  if (hint.empty()) return;
  const std::string line = "\nhint: " + printable(hint, 500) + "\n";
  const std::size_t size = std::min(line.size(), hint_text.size());
  std::copy_n(line.begin(), size, hint_text.begin());
  hint_size.store(size, std::memory_order_release);
}

std::string_view resume_hint() {
  constexpr std::size_t before = 7;  // "\nhint: "
  const std::size_t size = hint_size.load(std::memory_order_acquire);
  if (size == 0) return {};
  return trim(std::string_view(hint_text.data(), size).substr(before));
}

}  // namespace volt::cli::signals
