// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/error.hpp"

#include <algorithm>
#include <array>

#include <cerrno>
#include <cstring>

namespace volt {
namespace {

constexpr std::array<ExitClass, 20> classes{{
    {Exit::ok, "ok", "success"},
    {Exit::failure, "failure", "failure of no other class"},
    {Exit::usage, "usage", "usage, configuration or job file wrong"},
    {Exit::not_found, "not-found", "not found, or no offer matches"},
    {Exit::authentication, "authentication", "authentication missing or refused"},
    {Exit::conflict, "conflict", "conflict with what is there already"},
    {Exit::throttled, "throttled", "throttled by the other side"},
    {Exit::network, "network", "network or server out of reach"},
    {Exit::pending, "pending", "pending, and no waiting was asked for"},
    {Exit::funds, "funds", "funds or stake too low, or spending cap reached"},
    {Exit::answer_is_no, "answer-is-no", "ran, and the answer is no"},
    {Exit::verification_failed, "verification-failed", "verification failed"},
    {Exit::sandbox, "sandbox", "sandbox missing, refused or violated"},
    {Exit::no_device, "no-device", "no usable device, or its memory too small"},
    {Exit::outcome_unknown, "outcome-unknown", "outcome unknown: ask again with the same key"},
    {Exit::local_io, "local-io", "local input or output: disk full, locked, permission"},
    {Exit::cannot_tell, "cannot-tell",
     "nothing failed, but something demanded could not be decided"},
    {Exit::timeout, "timeout", "time limit reached"},
    {Exit::interrupted, "interrupted", "interrupted by SIGINT, after teardown"},
    {Exit::terminated, "terminated", "terminated by SIGTERM, after teardown"},
}};

}  // namespace

std::span<const ExitClass> exit_classes() { return classes; }

const ExitClass& exit_class(Exit code) {
  const auto found = std::ranges::find(classes, code, &ExitClass::code);
  return found == classes.end() ? classes[1] : *found;
}

Error::Error(Exit code, std::string message, std::string hint, std::string cause)
    : code_(code), message_(std::move(message)), hint_(std::move(hint)), cause_(std::move(cause)) {}

std::string Error::text() const {
  std::string text = message_;
  if (!cause_.empty()) text += ": " + cause_;
  for (const auto& note : notes_) text += ", while " + note;
  return text;
}

void throw_system(int errno_value, std::string message, std::string hint, Exit code) {
  if (hint.empty() && errno_value == ENOSPC) hint = "free some disk space and run the same again";
  if (hint.empty() && errno_value == EACCES) hint = "check who owns the file and its mode";
  // The C locale is never changed (no setlocale), so strerror speaks English.
  throw Error(code, std::move(message), std::move(hint), std::strerror(errno_value));
}

}  // namespace volt
