// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace volt::doc {

/// Where a value began in its file; both count from 1, and are 0 when the value came from nowhere.
struct Mark {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

/// One tree for JSON and TOML. Objects keep the order of the file and have no key twice. Numbers
/// are int64 or double, as they were written: 1 and 1.0 differ.
class Value {
 public:
  using Array = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Object = std::vector<Member>;
  using Data = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;

  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool value) : data_(value) {}
  Value(int value) : data_(std::int64_t{value}) {}
  Value(std::int64_t value) : data_(value) {}
  /// Throws Error (failure) above 2^63 - 1.
  Value(std::uint64_t value);
  Value(double value) : data_(value) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(std::string_view value) : data_(std::string(value)) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(Array value) : data_(std::move(value)) {}
  Value(Object value) : data_(std::move(value)) {}

  const Data& data() const { return data_; }
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  T* get_if() {
    return std::get_if<T>(&data_);
  }

  /// The member of an object, or null when there is none or this is no object.
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);

  /// "a string", "a whole number", "a table", ... for messages.
  std::string_view kind() const;

  Mark mark, end;  ///< of TOML values: first character, and one past the last

 private:
  Data data_ = nullptr;
};

}  // namespace volt::doc
