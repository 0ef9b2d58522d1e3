// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace volt::cli {

/// Thrown when the reader of stdout has gone (EPIPE). No std::exception, so that nobody mistakes
/// it for a failure: it unwinds, teardown included, and the tool ends without a word.
struct ReaderGone {};

/// Reopens those of the descriptors 0 to 2 that the caller closed, so that no file opened later
/// becomes stdout. They are opened the wrong way round: using them stays an error.
void hold_standard_descriptors();

/// Writes all of `text`. Throws Error (local_io), or ReaderGone.
void write_out(std::string_view text);

/// Flushes what went through stdio as well, and asks the file system for late errors (quota, NFS).
/// Throws as write_out() does. To be called last.
void finish_out();

/// Writes to stderr; there is nowhere to report a failure to.
void write_err(std::string_view text) noexcept;

}  // namespace volt::cli
