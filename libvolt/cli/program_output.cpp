// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/program_output.hpp"

#include <sys/stat.h>

#include <cstdlib>

namespace volt::cli {

std::string Neutraliser::add(std::string_view piece) {
  std::string safe;
  for (const char c : piece) {
    // "::" begins a command where nothing but blanks stands before it, "##[" anywhere.
    const bool begins = c == ':' && last_ == ':' && !in_line_;
    if (begins || (c == '[' && last_ == '#' && before_ == '#')) safe += ' ';
    safe += c;
    // What the runner takes for a blank is more than one would think: all of Unicode's, and control
    // characters. Only what is plainly none counts.
    const bool seen = c > ' ' && c < '\x7f';
    if (begins || (seen && c != ':') || (c == ':' && last_ != ':' && in_line_)) in_line_ = true;
    if (c == '\n' || c == '\r') in_line_ = false;
    before_ = last_;
    last_ = c;
  }
  return safe;
}

bool read_by_runner(int fd) {
  const char* actions = std::getenv("GITHUB_ACTIONS");
  struct stat facts {};
  return actions != nullptr && std::string_view(actions) == "true" && ::fstat(fd, &facts) == 0 &&
         !S_ISREG(facts.st_mode);
}

bool are_one(int fd, int other) {
  struct stat facts {
  }, others{};
  return ::fstat(fd, &facts) == 0 && ::fstat(other, &others) == 0 &&
         facts.st_dev == others.st_dev && facts.st_ino == others.st_ino;
}

}  // namespace volt::cli
