// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/error.hpp"

#include <cerrno>
#include <cstring>

namespace volt {

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
