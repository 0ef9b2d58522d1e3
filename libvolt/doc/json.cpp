// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/place.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::doc {
namespace {

/// Walks over the text and leaves its position where the builder sees it: the SAX interface tells
/// the place of syntax errors only.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  Cursor& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  Cursor operator++(int) {
    Cursor before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Cursor& other) const { return at_ == other.at_; }
  bool operator!=(const Cursor& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

/// Makes a Value of what nlohmann/json reads; its members are the ones that library asks for.
class Builder {
 public:
  Builder(std::string_view text, std::string_view origin, const Limits& limits, Exit code)
      : text_(text), origin_(origin), limits_(limits), code_(code), reached_(text.data()) {}

  Value read() {
    // Every refusal throws, so the result says nothing.
    nlohmann::json::sax_parse(Cursor(text_.data(), &reached_),
                              Cursor(text_.data() + text_.size(), &reached_), this);
    return std::move(root_);
  }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) {
    if (value > INT64_MAX) return beyond_int64(static_cast<double>(value));
    return add(value);
  }
  bool number_float(double value, const std::string& digits) {
    // What is beyond 64 bits comes here although it was written as a whole number.
    if (digits.find_first_of(".eE") == std::string::npos) return beyond_int64(value);
    return add(value);
  }
  bool beyond_int64(double value) {
    if (!limits_.rounds_integers) fail_number("int64");
    return add(value);
  }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // JSON has none

  bool start_object(std::size_t) { return open(Value::Object{}); }
  bool start_array(std::size_t) { return open(Value::Array{}); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    Frame& frame = open_.back();
    if (!frame.keys.insert(name).second) {
      fail(string_begin(offset() - 1), "the key \"" + printable(name) + "\" is there twice");
    }
    frame.key = std::move(name);
    return true;
  }

  // The library's notion of the last token may begin long before it, so only `position`, how many
  // bytes it has read, is taken from it.
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& exception) {
    if (exception.id == 406) fail_number("double");
    if (open_.empty() && done_) {
      // Of a number it has read one byte more, which is the first of what is too much.
      const bool number = root_.get_if<std::int64_t>() || root_.get_if<double>();
      const std::size_t at =
          std::min(text_.find_first_not_of(" \t\r\n", done_at_ - number), text_.size());
      fail(at, "text after the end of the document: " + shown(at));
    }
    if (position > text_.size()) fail(text_.size(), "ends too early");

    // "[json...] parse error at line 1, column 2: syntax error while parsing value - REASON; last
    // read: 'TOKEN'"
    std::string_view reason = exception.what();
    if (const auto at = reason.find(" - "); at != std::string_view::npos) {
      reason.remove_prefix(at + 3);
    }
    reason = reason.substr(0, reason.find("; last read"));
    const std::size_t at = token_begin(position - 1, reason);
    fail(at, "not valid JSON at " + shown(at) + ": " + printable(reason));
  }

 private:
  struct Frame {
    Value* value;  // stays in place: its parent does not grow before it is closed
    std::string key;
    std::set<std::string> keys;  // of this object so far; a search of the Value would be quadratic
  };

  Value* place(Value value) {
    if (open_.empty()) {
      done_ = true;
      done_at_ = offset();
      root_ = std::move(value);
      return &root_;
    }
    Frame& frame = open_.back();
    if (auto* array = frame.value->get_if<Value::Array>()) {
      return &array->emplace_back(std::move(value));
    }
    auto* object = frame.value->get_if<Value::Object>();
    return &object->emplace_back(std::move(frame.key), std::move(value)).second;
  }
  bool add(Value value) {
    place(std::move(value));
    return true;
  }
  bool open(Value value) {
    if (open_.size() == limits_.depth) {
      fail(offset() - 1, "nested deeper than " + std::to_string(limits_.depth) + " levels");
    }
    Value* placed = place(std::move(value));
    open_.push_back({placed, {}, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    done_at_ = offset();
    return true;
  }

  /// How many bytes the library has taken.
  std::size_t offset() const { return static_cast<std::size_t>(reached_ - text_.data()); }

  /// Of the string whose closing quote is at `last`. A quote within is escaped by an odd number of
  /// backslashes, and no backslash stands before the first.
  std::size_t string_begin(std::size_t last) const {
    for (std::size_t at = last;;) {
      at = text_.rfind('"', at - 1);
      std::size_t slashes = 0;
      while (slashes < at && text_[at - 1 - slashes] == '\\') ++slashes;
      if (slashes % 2 == 0) return at;
    }
  }

  /// Where the token begins that `reason` is about and that was read up to the byte at `last`.
  std::size_t token_begin(std::size_t last, std::string_view reason) const {
    if (reason.starts_with("unexpected string")) return string_begin(last);
    if (!reason.starts_with("unexpected ") && reason != "invalid literal") return last;
    const auto in_word = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '+' || c == '-' || c == '.';
    };
    if (reason != "invalid literal" && !in_word(text_[last])) return last;
    while (last > 0 && in_word(text_[last - 1])) --last;
    return last;
  }

  /// The text from `at` to the end of its line, in quotes.
  std::string shown(std::size_t at) const {
    auto rest = text_.substr(at);
    rest = trim(rest.substr(0, rest.find('\n')));
    return rest.empty() ? "the end of the line" : "\"" + printable(rest, 40) + "\"";
  }

  [[noreturn]] void fail_number(std::string_view type) const {
    // The library has looked one byte past the number, unless it ends the text.
    constexpr std::string_view characters = "0123456789+-.eE";
    std::size_t end = offset();
    if (characters.find(text_[end - 1]) == std::string_view::npos) --end;
    const auto before = text_.substr(0, end).find_last_not_of(characters);
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    fail(begin, "the number " + printable(text_.substr(begin, end - begin), 40) +
                    " is outside the range of " + std::string(type));
  }

  [[noreturn]] void fail(std::size_t offset, std::string_view what) const {
    fail_at(origin_, place_of(text_, offset), what, code_);
  }

  std::string_view text_, origin_;
  Limits limits_;
  Exit code_;
  const char* reached_;
  Value root_;
  bool done_ = false;        // the root has begun
  std::size_t done_at_ = 0;  // where the last value ended
  std::vector<Frame> open_;
};

}  // namespace

Value parse_json(std::string_view text, std::string_view origin, Limits limits, Exit code) {
  check_text(text, origin, limits.bytes, code);
  return Builder(text, origin, limits, code).read();
}

}  // namespace volt::doc
