// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "libvolt/host/files.hpp"
#include "libvolt/sandbox/program.hpp"

/// bubblewrap's command line: the view of the machine that a program gets in its namespaces.
namespace volt::sandbox {

/// How to start bubblewrap: `program`, with `leading` before bubblewrap's own arguments.
struct Bwrap {
  host::Path program;
  std::vector<std::string> leading;
};
/// A release's own, else the system's; only the system's folders are looked in, whatever PATH says.
/// Throws Error (sandbox) when it is not there, or setuid: then a mistake in it would be one of
/// root's.
Bwrap find_bwrap();

/// A line for bwrap, and the open files that it names by number.
struct View {
  std::vector<std::string> arguments;  ///< with --args they may be as many as they are
  std::vector<host::Fd> files;         ///< to be inherited under their own numbers
};

/// `supervisor` is the program that is started in it, and shown with the libraries that it needs.
View view_for(const Program& program, const host::Path& supervisor);

}  // namespace volt::sandbox
