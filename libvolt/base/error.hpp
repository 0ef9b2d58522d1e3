// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace volt {

/// What a tool's exit status means; the same for every tool. See volt-exit(7).
enum class Exit : int {
  ok = 0,
  failure = 1,  ///< unclassified
  usage = 2,    ///< usage, configuration or job file wrong
  not_found = 3,
  authentication = 4,
  conflict = 5,
  throttled = 6,
  network = 7,
  pending = 8,
  funds = 9,
  answer_is_no = 10,  ///< ran, and the answer is no
  verification_failed = 11,
  sandbox = 12,
  no_device = 13,  ///< no usable device, or its memory too small
  outcome_unknown = 14,
  local_io = 15,
  cannot_tell = 16,  ///< nothing failed, but something demanded could not be decided
  timeout = 124,
  interrupted = 130,
  terminated = 143,
};

/// An exit status as volt.error/1 and volt-exit(7) name it.
struct ExitClass {
  Exit code;
  std::string_view word;
  std::string_view meaning;
};

/// All of Exit, in rising order.
std::span<const ExitClass> exit_classes();
const ExitClass& exit_class(Exit code);

/// The one exception of volt. `message` is lower case without a full stop and names the thing at
/// fault; `hint` says what to do about it; `cause` is the system's own words. Each layer that lets
/// it pass may add what it was doing with `note`, and never re-words it.
class Error : public std::exception {
 public:
  Error(Exit code, std::string message, std::string hint = {}, std::string cause = {});

  Exit code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  const std::string& cause() const { return cause_; }
  const std::vector<std::string>& notes() const { return notes_; }

  /// Adds what was being done, innermost first: "reading input a".
  void note(std::string doing) { notes_.push_back(std::move(doing)); }

  /// "message: cause, while note, while note"; without the hint.
  std::string text() const;
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Exit code_;
  std::string message_, hint_, cause_;
  std::vector<std::string> notes_;
};

/// Throws Error with the text of `errno_value` as its cause.
[[noreturn]] void throw_system(int errno_value, std::string message, std::string hint = {},
                               Exit code = Exit::local_io);

/// Runs `f`; an Error that passes is noted with `doing`.
template <class F>
decltype(auto) during(std::string_view doing, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (Error& error) {
    error.note(std::string(doing));
    throw;
  }
}

}  // namespace volt
