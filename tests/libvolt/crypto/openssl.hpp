// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <string>

#include "tests/libvolt/host/temp_folder.hpp"

/// A temporary folder in which the openssl command is run.
class OpenSsl : public TempFolder {
 public:
  /// True when "openssl <arguments>" succeeds in the folder.
  bool run(const std::string& arguments) const {
    const std::string command =
        "cd '" + path().string() + "' && openssl " + arguments + " >/dev/null 2>&1";
    return std::system(command.c_str()) == 0;
  }
};
