// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "libvolt/lm/jinja_value.hpp"

namespace volt::lm::jinja {

class Interpreter;

/// An argument is nullopt where none was given.
using Arguments = std::span<const std::optional<Value>>;

/// A filter, test, method or function that every template has, from Jinja's or, where that has
/// none, from transformers' chat templates. Found while parsing, so that nothing unknown is left
/// when a template runs.
struct Builtin {
  std::string_view name;
  std::array<std::string_view, 3> parameters;  ///< the ones there are come first
  unsigned required;                           ///< parameters that must be given
  Value (*call)(Interpreter& interpreter, const Value& subject, Arguments arguments);

  unsigned most() const {
    unsigned count = 0;
    while (count < parameters.size() && !parameters[count].empty()) ++count;
    return count;
  }
};

std::span<const Builtin> filters();
std::span<const Builtin> tests();
std::span<const Builtin> methods();    ///< of strings and dicts
std::span<const Builtin> functions();  ///< the subject is undefined

}  // namespace volt::lm::jinja
