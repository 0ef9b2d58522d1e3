// SPDX-License-Identifier: Apache-2.0
// toml++ 3.3 asserts what hostile text can break, and without assertions tells the compiler to rely
// on it. In this file an assertion always is checked, and throws.
namespace volt::doc {
namespace {
struct BrokenAssertion {};
constexpr void toml_assert(bool condition) {
  if (!condition) throw BrokenAssertion{};
}
}  // namespace
}  // namespace volt::doc
#undef NDEBUG
#define TOML_ASSERT(condition) ::volt::doc::toml_assert(static_cast<bool>(condition))
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/place.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::doc {
namespace {

constexpr std::size_t max_bytes = std::size_t{64} << 10;
constexpr std::size_t max_dots = 64;
constexpr std::size_t max_depth = 32;

/// The rest of the line that `mark` points into.
std::string_view text_at(std::string_view text, Mark mark) {
  std::size_t at = 0;
  for (std::uint32_t line = 1; line < mark.line && at < text.size(); ++line) {
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  }
  text = text.substr(at);
  text = text.substr(0, text.find('\n'));
  for (std::uint32_t column = 1; column < mark.column && !text.empty(); ++column) {
    do text.remove_prefix(1);
    while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xc0) == 0x80);
  }
  return trim(text);
}

[[noreturn]] void fail_syntax(std::string_view text, std::string_view origin, Mark mark,
                              std::string_view reason) {
  const auto offending = text_at(text, mark);
  const std::string where =
      offending.empty() ? "the end of the line" : "\"" + printable(offending, 40) + "\"";
  fail_at(origin, mark, "not valid TOML at " + where + ": " + printable(reason));
}

/// toml++ 3.3 overruns its stack on long dotted keys and deep nesting, its test for white space has
/// undefined behaviour beyond ASCII, and a table header without a key breaks an assertion of it, so
/// what would lead there is refused before it sees the text. Strings and comments are stepped over
/// as TOML defines them; on text that is no TOML the two readers may differ, but not before the
/// mistake at which toml++ stops.
class Guard {
 public:
  Guard(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {}

  void check() {
    for (bool line_begins = true; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        check_begins("a quote within a word");
        skip_string(c);
        line_begins = false;
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        if (!is_ascii()) fail_syntax("only comments and text in quotes may go beyond ASCII");
        step(c, line_begins);
        line_begins = c == '\n' || (line_begins && (c == ' ' || c == '\t'));
        ++at_;
      }
    }
  }

 private:
  /// Follows brackets, and what is a key and what a value.
  void step(char c, bool line_begins) {
    if (c == '[' || c == '{') {
      if (open_.size() == max_depth) {
        fail("nested deeper than " + std::to_string(max_depth) + " levels");
      }
      const bool header = c == '[' && ((line_begins && open_.empty()) || open_ == "h");
      if (header && open_.empty()) check_header();
      if (!header) check_begins("a bracket within a word");
      open_ += header ? 'h' : c;
      in_value_ = c == '[' && !header;
    } else if (c == ']' || c == '}') {
      if (!open_.empty()) open_.pop_back();
      in_value_ = true;
    } else if (c == '=') {
      if (in_value_) fail_syntax("a second = before the value has ended");
      in_value_ = true;
    } else if (c == ',') {
      in_value_ = open_.ends_with('[');
    } else if (c == '\n' && open_.empty()) {
      in_value_ = false;
    }
    // A key ends with any of these; numbers have one dot at most.
    if (std::string_view("\n=,[]{}").find(c) != std::string_view::npos) dots_ = 0;
    if (c == '.' && ++dots_ > max_dots) {
      fail("the key has more than " + std::to_string(max_dots) + " dots");
    }
  }

  /// toml++ reads a number up to the next white space, through quotes, brackets and what is in
  /// them.
  void check_begins(const char* otherwise) const {
    if (at_ == 0) return;
    const char before = text_[at_ - 1];
    const bool begins = std::string_view(" \t\r\n=,[{").find(before) != std::string_view::npos;
    const bool in_key = before == '.' && !in_value_ && text_[at_] != '[' && text_[at_] != '{';
    if (!begins && !in_key) fail_syntax(otherwise);
  }

  /// What follows "[" or "[[" at the beginning of a line; an empty header is left to toml++.
  void check_header() const {
    std::size_t key = text_.find_first_not_of(" \t", at_ + 1);
    if (key < text_.size() && text_[key] == '[') key = text_.find_first_not_of(" \t", key + 1);
    if (key >= text_.size()) return;
    constexpr std::string_view first_of_key =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_\"']";
    if (first_of_key.find(text_[key]) == std::string_view::npos) {
      doc::fail_syntax(text_, origin_, place_of(text_, key), "expected a key");
    }
  }

  void skip_string(char quote) {
    const std::string triple(3, quote);
    const bool many_lines = text_.substr(at_).starts_with(triple);
    at_ += many_lines ? 3 : 1;
    while (at_ < text_.size()) {
      if (text_[at_] == '\\' && quote == '"') {
        skip_escape();
      } else if (!many_lines && (text_[at_] == quote || text_[at_] == '\n')) {
        ++at_;
        return;
      } else if (many_lines && text_.substr(at_).starts_with(triple)) {
        at_ += 3;
        // Two more quotes may stand before the closing three.
        for (int i = 0; i < 2 && at_ < text_.size() && text_[at_] == quote; ++i) ++at_;
        return;
      } else {
        ++at_;
      }
    }
  }

  /// A backslash and what it stands before: a character, or the white space from the end of a line
  /// to the next text.
  void skip_escape() {
    constexpr std::string_view space = " \t\r\n";
    ++at_;
    const bool line_end = at_ < text_.size() && space.find(text_[at_]) != std::string_view::npos;
    if (line_end) at_ = std::min(text_.find_first_not_of(space, at_), text_.size());
    if (at_ < text_.size() && !is_ascii()) {
      fail_syntax("nothing beyond ASCII may follow a backslash, nor begin the line after one");
    }
    if (!line_end && at_ < text_.size()) ++at_;
  }

  bool is_ascii() const { return static_cast<unsigned char>(text_[at_]) < 0x80; }

  [[noreturn]] void fail(std::string_view what) const {
    fail_at(origin_, place_of(text_, at_), what);
  }
  [[noreturn]] void fail_syntax(std::string_view reason) const {
    doc::fail_syntax(text_, origin_, place_of(text_, at_), reason);
  }

  std::string_view text_, origin_;
  std::size_t at_ = 0;
  std::string open_;       // brackets, "h" for those of a table header
  bool in_value_ = false;  // not in a key
  std::size_t dots_ = 0;   // of this key
};

Mark to_mark(const toml::source_position& position) { return {position.line, position.column}; }

/// Makes a Value of what toml++ has read.
class Converter {
 public:
  explicit Converter(std::string_view origin) : origin_(origin) {}

  /// `name` is the key that leads to `node`, for messages.
  Value convert(const toml::node& node, std::string_view name, std::size_t depth) const {
    Value value = bare(node, name, depth);
    value.mark = to_mark(node.source().begin);
    value.end = to_mark(node.source().end);
    return value;
  }

 private:
  Value bare(const toml::node& node, std::string_view name, std::size_t depth) const {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* whole = node.as_integer()) return whole->get();
    if (const auto* truth = node.as_boolean()) return truth->get();
    if (const auto* number = node.as_floating_point()) {
      if (!std::isfinite(number->get())) {
        fail(node, printable(name) + " is " + to_text(number->get()) + ", not a finite number");
      }
      return number->get();
    }
    if (!node.is_table() && !node.is_array()) {
      fail(node, printable(name) + " is a date or time, which no volt document has");
    }
    if (depth == max_depth) {
      fail(node, "nested deeper than " + std::to_string(max_depth) + " levels");
    }
    if (const auto* array = node.as_array()) {
      Value::Array values;
      values.reserve(array->size());
      for (const auto& child : *array) values.push_back(convert(child, name, depth + 1));
      return values;
    }
    return object(*node.as_table(), depth);
  }

  /// toml++ sorts the members of a table; what it knows of the places of the keys restores their
  /// order.
  Value::Object object(const toml::table& table, std::size_t depth) const {
    std::vector<std::pair<const toml::key*, const toml::node*>> members;
    for (const auto& [key, node] : table) members.emplace_back(&key, &node);
    std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
      return a.first->source().begin < b.first->source().begin;
    });
    Value::Object object;
    object.reserve(members.size());
    for (const auto& [key, node] : members) {
      object.emplace_back(std::string(key->str()), convert(*node, key->str(), depth + 1));
    }
    return object;
  }

  [[noreturn]] void fail(const toml::node& node, std::string_view what) const {
    fail_at(origin_, to_mark(node.source().begin), what);
  }

  std::string_view origin_;
};

/// What toml++ says, without "Error while parsing SCOPE: ".
std::string_view reason_of(const toml::parse_error& error) {
  std::string_view reason = error.description();
  if (reason.starts_with("Error while parsing ")) reason.remove_prefix(reason.find(": ") + 2);
  return reason;
}

}  // namespace

Value parse_toml(std::string_view text, std::string_view origin) {
  check_text(text, origin, max_bytes, Exit::usage);
  Guard(text, origin).check();
  try {
    const toml::table table = toml::parse(text);
    return Converter(origin).convert(table, "the document", 0);
  } catch (const toml::parse_error& error) {
    fail_syntax(text, origin, to_mark(error.source().begin), reason_of(error));
  } catch (const BrokenAssertion&) {
    fail_at(origin, {}, "not valid TOML");
  }
}

}  // namespace volt::doc
