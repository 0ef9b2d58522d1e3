// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// The process between volt and a stranger's program. It is told the program on one socket, answers
/// with JSON Lines there, takes the numbers of signals for the program as single bytes, and ends
/// all that the program started when the program ends or the socket closes.
namespace volt::sandbox {

/// The first argument that makes a tool a supervisor; the second is the level.
inline constexpr std::string_view supervisor_argument = "--sandboxed";
int supervisor_main(std::string_view level);

/// Descriptors that a supervisor is started with.
inline constexpr int channel_fd = 3, program_output_fd = 4, program_error_fd = 5;
/// The first of those that bubblewrap reads while it makes the view.
inline constexpr int first_view_fd = 6;
/// Where the view has the supervisor, and the libraries that a release carries, as they lie to each
/// other in the release.
inline constexpr const char* supervisor_path = "/run/volt/bin/supervisor";
inline constexpr const char* supervisor_libraries = "/run/volt/lib/volt";

}  // namespace volt::sandbox
