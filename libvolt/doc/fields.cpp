// SPDX-License-Identifier: Apache-2.0
#include "libvolt/doc/fields.hpp"

#include <algorithm>
#include <limits>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/place.hpp"

namespace volt::doc {
namespace {

std::string quoted(std::string_view text) { return "\"" + printable(text) + "\""; }

/// " is VALUE, not from LOW to HIGH", where a bound that is `none` is not worth saying.
template <class T>
std::string outside(const std::string& value, T low, T high, T no_low, T no_high,
                    std::string (*text)(T)) {
  std::string what = "is " + value + ", not ";
  if (high >= no_high) return what + text(low) + " or more";
  if (low <= no_low) return what + text(high) + " or less";
  return what + "from " + text(low) + " to " + text(high);
}

}  // namespace

Fields::Fields(const Value& table, const Source& source, std::string path)
    : table_(table), source_(source), path_(std::move(path)) {
  if (table.get_if<Value::Object>() == nullptr) {
    fail({}, table, "is " + std::string(table.kind()) + ", not a table");
  }
}

std::string Fields::name_of(std::string_view key) const {
  if (key.empty()) return path_;
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const Value* Fields::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return table_.find(key);
}

const Value& Fields::get(std::string_view key) {
  const Value* value = find(key);
  if (value != nullptr) return *value;
  // A name that was mistyped is more likely than one that was forgotten.
  for (const auto& [name, other] : *table_.get_if<Value::Object>()) {
    const std::string_view wanted[] = {key};
    if (std::find(known_.begin(), known_.end(), name) == known_.end() && closest(name, wanted)) {
      refuse(name, other);
    }
  }
  fail(key, {}, "is missing");
}

Fields Fields::table(std::string_view key) { return Fields(get(key), source_, name_of(key)); }

const std::string& Fields::string(std::string_view key) {
  const Value& value = get(key);
  const auto* text = value.get_if<std::string>();
  if (text == nullptr) fail(key, value, "is " + std::string(value.kind()) + ", not a string");
  return *text;
}

std::int64_t Fields::integer(std::string_view key, std::int64_t low, std::int64_t high) {
  const Value& value = get(key);
  const auto* number = value.get_if<std::int64_t>();
  if (number == nullptr) {
    fail(key, value, "is " + std::string(value.kind()) + ", not a whole number");
  }
  if (*number < low || *number > high) {
    fail(key, value,
         outside<std::int64_t>(std::to_string(*number), low, high, INT64_MIN, INT64_MAX,
                               [](std::int64_t n) { return std::to_string(n); }));
  }
  return *number;
}

double Fields::number(std::string_view key, double low, double high) {
  const Value& value = get(key);
  const auto* whole = value.get_if<std::int64_t>();
  const auto* real = value.get_if<double>();
  if (whole == nullptr && real == nullptr) {
    fail(key, value, "is " + std::string(value.kind()) + ", not a number");
  }
  const double number = whole != nullptr ? static_cast<double>(*whole) : *real;
  if (!(number >= low && number <= high)) {
    constexpr double most = std::numeric_limits<double>::max();
    fail(key, value, outside<double>(to_text(number), low, high, -most, most, &to_text));
  }
  return number;
}

bool Fields::boolean(std::string_view key) {
  const Value& value = get(key);
  const auto* truth = value.get_if<bool>();
  if (truth == nullptr) {
    fail(key, value, "is " + std::string(value.kind()) + ", not true or false");
  }
  return *truth;
}

Digest Fields::digest(std::string_view key) {
  const std::string& text = string(key);
  const auto digest = Digest::from_hex(text);
  if (!digest) fail(key, get(key), "is " + quoted(text) + ", not 64 lower-case hex digits");
  return *digest;
}

const Value::Array& Fields::array(std::string_view key) {
  const Value& value = get(key);
  const auto* array = value.get_if<Value::Array>();
  if (array == nullptr) fail(key, value, "is " + std::string(value.kind()) + ", not a list");
  return *array;
}

const std::string& Fields::choice(std::string_view key, std::span<const std::string_view> choices) {
  const std::string& text = string(key);
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return text;
  std::string list;
  for (const auto choice : choices) list += (list.empty() ? "" : ", ") + quoted(choice);
  fail(key, get(key),
       "is " + quoted(text) + (choices.size() > 1 ? ", not one of " : ", not ") + list,
       suggestion(text, choices));
}

void Fields::refuse_others() const {
  for (const auto& [key, value] : *table_.get_if<Value::Object>()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    refuse(key, value);
  }
}

void Fields::refuse(const std::string& key, const Value& value) const {
  const std::vector<std::string_view> candidates(known_.begin(), known_.end());
  const std::string name = path_.empty() ? key : path_ + "." + key;  // `key` may be empty
  fail_at(source_.origin, value.mark, "unknown key " + quoted(name), source_.code,
          suggestion(key, candidates));
}

void Fields::fail(std::string_view key, const Value& value, std::string_view what,
                  std::string hint) const {
  const std::string name = name_of(key);
  fail_at(source_.origin, value.mark,
          (name.empty() ? "the document" : printable(name)) + " " + std::string(what), source_.code,
          std::move(hint));
}

}  // namespace volt::doc
