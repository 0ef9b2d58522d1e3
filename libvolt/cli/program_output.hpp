// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace volt::cli {

/// Takes the sting out of what a program prints in a step of GitHub Actions, whose runner obeys
/// lines of its output: "::error::..." and "##[...]". A stranger's program must not set variables
/// of the workflow. One for each place that lines come out at; pieces may end anywhere.
class Neutraliser {
 public:
  std::string add(std::string_view piece);

 private:
  bool in_line_ = false;  ///< something but blanks was seen in this line
  char last_ = '\n', before_ = '\n';
};

/// Whether what is written to this descriptor is read by the runner of GitHub Actions: in a step,
/// and no regular file.
bool read_by_runner(int fd);

/// Whether what is written to either comes out in one place.
bool are_one(int fd, int other);

}  // namespace volt::cli
