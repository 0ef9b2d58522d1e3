// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/base/error.hpp"

/// What `f` throws, as "message [hint]"; "nothing thrown" when it does not.
template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const volt::Error& error) {
    return error.text() + (error.hint().empty() ? "" : " [" + error.hint() + "]");
  }
  return "nothing thrown";
}
