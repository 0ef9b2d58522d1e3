// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>
#include <string_view>

/// SIGINT, SIGTERM and SIGHUP as one way to stop. What was ignored at the start (nohup, background
/// jobs of a shell) stays ignored.
namespace volt::cli::signals {

/// Sets the handlers, once. The first signal requests stop and makes fd() readable; the second
/// prints the resume hint and ends the process with 128 + n. A write to a closed pipe becomes
/// EPIPE, for this process only: programs it starts get the default back.
void install();

/// Never register a callback on it, nor wait with std::condition_variable_any: the handler could
/// then run the callback, or wait for a lock that the interrupted thread holds. Ask it, or poll
/// fd().
std::stop_token token();

/// For a process that was forked: from now on fd() is of its own signals alone.
void renew_fd();

int received();  ///< the first signal, 0 when none came
int fd();        ///< readable after the first signal

/// Copied into a static buffer, since a handler may not allocate; cut at 500 bytes.
void set_resume_hint(std::string_view hint);
std::string_view resume_hint();

}  // namespace volt::cli::signals
