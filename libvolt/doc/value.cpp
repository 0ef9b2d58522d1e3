// SPDX-License-Identifier: Apache-2.0
#include "libvolt/doc/value.hpp"

#include <array>

#include "libvolt/base/error.hpp"

namespace volt::doc {

Value::Value(std::uint64_t value) {
  if (value > INT64_MAX) {
    throw Error(Exit::failure,
                "the number " + std::to_string(value) + " is outside the range of int64");
  }
  data_ = static_cast<std::int64_t>(value);
}

const Value* Value::find(std::string_view key) const {
  const auto* object = get_if<Object>();
  if (object == nullptr) return nullptr;
  for (const auto& [name, value] : *object) {
    if (name == key) return &value;
  }
  return nullptr;
}

Value* Value::find(std::string_view key) {
  return const_cast<Value*>(static_cast<const Value*>(this)->find(key));
}

std::string_view Value::kind() const {
  // In the order of Data.
  constexpr std::array<std::string_view, std::variant_size_v<Data>> names{
      "null", "true or false", "a whole number", "a number", "a string", "a list", "a table"};
  return names[data_.index()];
}

}  // namespace volt::doc
