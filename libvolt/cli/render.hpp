// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/schema/verdict.hpp"

namespace volt::cli {

/// A verdict for people: one line a claim, then what it cost and what nobody proved.
std::string to_text(const schema::Verdict& verdict);

}  // namespace volt::cli
