// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/program_output.hpp"

#include <sys/stat.h>

#include <cstdlib>

namespace volt::cli {

std::string Neutraliser::add(std::string_view piece) {
  std::string safe;
  for (const char c : piece) {
    // "::" begins a command where only blanks stand before it, "##[" anywhere.
    if ((c == ':' && last_ == ':' && !in_line_) || (c == '[' && last_ == '#' && before_ == '#')) {
      safe += ' ';
    }
    safe += c;
    if (last_ == ':' || (c != ':' && c != ' ' && c != '\t')) in_line_ = true;
    // The runner takes a carriage return for the end of a line as well.
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

}  // namespace volt::cli
