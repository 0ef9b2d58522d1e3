// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "libvolt/doc/value.hpp"

namespace volt::lm::jinja {

struct Statement;
class Value;

struct Undefined {
  bool operator==(const Undefined&) const = default;
};
struct None {
  bool operator==(const None&) const = default;
};
using List = std::vector<Value>;
using Dict = std::vector<std::pair<std::string, Value>>;
using Namespace = std::map<std::string, Value, std::less<>>;

/// What a template computes with. Texts, lists and dicts never change once made, as in Jinja's
/// immutable sandbox, so that copies share them; a tuple is a list. Only namespaces change: they
/// belong to the Interpreter, so that cycles of them leak nothing.
class Value {
 public:
  Value() = default;
  Value(None) : data_(None{}) {}
  Value(const char*) = delete;  // it would be a bool
  Value(bool value) : data_(value) {}
  Value(std::int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
  Value(List items);
  Value(Dict members);
  Value(Namespace* value) : data_(value) {}
  Value(const Statement* macro) : data_(macro) {}
  /// Throws Error (usage) if `value` is nested deeper than `max_depth`.
  static Value from(const doc::Value& value, unsigned depth = 0);

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  const std::string* text() const;
  const List* list() const;
  const Dict* dict() const;
  const Value* find(std::string_view key) const;  ///< of a dict

  /// Whether both are the same simple value, or the same object.
  bool identical(const Value& other) const { return data_ == other.data_; }
  bool is_undefined() const { return get_if<Undefined>() != nullptr; }
  bool is_true() const;           ///< as Python's bool()
  unsigned depth() const;         ///< lists and dicts around the innermost value
  std::string_view kind() const;  ///< "a list", "undefined", ... for messages

  static constexpr unsigned max_depth = 100;

 private:
  template <class T>
  struct Nested {
    T items;
    unsigned depth;
  };
  std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const Nested<List>>, std::shared_ptr<const Nested<Dict>>, Namespace*,
               const Statement*>
      data_;
};

}  // namespace volt::lm::jinja
