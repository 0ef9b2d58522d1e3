// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/jinja_value.hpp"

#include <algorithm>
#include <array>

#include "libvolt/base/error.hpp"

namespace volt::lm::jinja {

Value::Value(List items) {
  unsigned depth = 0;
  for (const auto& item : items) depth = std::max(depth, item.depth());
  data_ = std::make_shared<const Nested<List>>(Nested<List>{std::move(items), depth + 1});
}

Value::Value(Dict members) {
  unsigned depth = 0;
  for (const auto& member : members) depth = std::max(depth, member.second.depth());
  data_ = std::make_shared<const Nested<Dict>>(Nested<Dict>{std::move(members), depth + 1});
}

Value Value::from(const doc::Value& value, unsigned depth) {
  if (depth > max_depth)
    throw Error(Exit::usage,
                "a message is nested deeper than " + std::to_string(max_depth) + " levels");
  if (const auto* truth = value.get_if<bool>()) return *truth;
  if (const auto* whole = value.get_if<std::int64_t>()) return *whole;
  if (const auto* real = value.get_if<double>()) return *real;
  if (const auto* text = value.get_if<std::string>()) return *text;
  if (const auto* array = value.get_if<doc::Value::Array>()) {
    List items;
    for (const auto& item : *array) items.push_back(from(item, depth + 1));
    return items;
  }
  if (const auto* object = value.get_if<doc::Value::Object>()) {
    Dict members;
    for (const auto& [key, member] : *object) members.emplace_back(key, from(member, depth + 1));
    return members;
  }
  return None{};
}

const std::string* Value::text() const {
  const auto* text = get_if<std::shared_ptr<const std::string>>();
  return text == nullptr ? nullptr : text->get();
}

const List* Value::list() const {
  const auto* list = get_if<std::shared_ptr<const Nested<List>>>();
  return list == nullptr ? nullptr : &(*list)->items;
}

const Dict* Value::dict() const {
  const auto* dict = get_if<std::shared_ptr<const Nested<Dict>>>();
  return dict == nullptr ? nullptr : &(*dict)->items;
}

const Value* Value::find(std::string_view key) const {
  const Dict* members = dict();
  if (members == nullptr) return nullptr;
  const auto found = std::find_if(members->begin(), members->end(),
                                  [&](const auto& member) { return member.first == key; });
  return found == members->end() ? nullptr : &found->second;
}

bool Value::is_true() const {
  if (const auto* truth = get_if<bool>()) return *truth;
  if (const auto* whole = get_if<std::int64_t>()) return *whole != 0;
  if (const auto* real = get_if<double>()) return *real != 0;
  if (const auto* string = text()) return !string->empty();
  if (const auto* items = list()) return !items->empty();
  if (const auto* members = dict()) return !members->empty();
  return !is_undefined() && get_if<None>() == nullptr;
}

unsigned Value::depth() const {
  if (const auto* list = get_if<std::shared_ptr<const Nested<List>>>()) return (*list)->depth;
  if (const auto* dict = get_if<std::shared_ptr<const Nested<Dict>>>()) return (*dict)->depth;
  return 0;
}

std::string_view Value::kind() const {
  constexpr std::array<std::string_view, 10> kinds{
      "undefined", "none",   "true or false", "a whole number", "a number",
      "a string",  "a list", "a dict",        "a namespace",    "a macro"};
  return kinds[data_.index()];
}

}  // namespace volt::lm::jinja
