// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "libvolt/base/error.hpp"
#include "libvolt/base/event.hpp"
#include "libvolt/doc/value.hpp"

/// What workers and their parents say to each other: one JSON object a line.
namespace volt::run {

inline constexpr std::size_t max_message_bytes = std::size_t{1} << 20;

doc::Value to_message(const Event& event);
/// Sends the event of a message on; false when it is no event. Throws Error (failure) on nonsense.
bool send_event(const doc::Value& message, Sink& sink);

doc::Value to_message(const Error& error);
[[noreturn]] void throw_message(const doc::Value& error);

}  // namespace volt::run
