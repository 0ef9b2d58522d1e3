// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace volt {

std::string_view version();   ///< "0.1.0"
std::string_view features();  ///< what was built in: "+cpu -cuda +curl"

}  // namespace volt
