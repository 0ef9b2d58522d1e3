// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/value.hpp"

namespace volt::cli {

/// "gpu-run: error: ..." and "hint: ...", a line each, with colour if asked for.
std::string error_text(std::string_view tool, const Error& error, bool colour);

/// volt.error/1. `status` is the exit status, which a signal may have changed.
doc::Value error_document(const Error& error, int status);

/// GitHub's workflow command, so that the error shows in the summary of a run:
/// "::error title=gpu-run::message". GitHub reads them from stderr too.
std::string github_error(std::string_view tool, const Error& error);

}  // namespace volt::cli
