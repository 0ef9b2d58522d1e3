// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/line.hpp"

#include <cmath>
#include <cstdio>

#include "libvolt/base/text.hpp"

namespace volt::cli {
namespace {

/// Bytes of the UTF-8 character that `text` starts with, 0 if it starts with none.
std::size_t character(std::string_view text) {
  for (std::size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    if (is_utf8(text.substr(0, length))) return length;
  }
  return 0;
}

struct Writer {
  std::string text;

  void operator()(std::nullptr_t) { text += "null"; }
  void operator()(bool value) { text += value ? "true" : "false"; }
  void operator()(std::int64_t value) { text += std::to_string(value); }
  void operator()(double value) { text += std::isfinite(value) ? to_text(value) : "null"; }

  void operator()(std::string_view value) {
    text += '"';
    while (!value.empty()) {
      const std::size_t length = character(value);
      const auto first = static_cast<unsigned char>(value.front());
      if (length == 0) {
        text += "\xef\xbf\xbd";
      } else if (first == '"' || first == '\\') {
        text += {'\\', value.front()};
      } else if (first == '\n') {
        text += "\\n";
      } else if (first < 0x20 || first == 0x7f) {
        char code[8];
        std::snprintf(code, sizeof code, "\\u%04x", first);
        text += code;
      } else {
        text += value.substr(0, length);
      }
      value.remove_prefix(length == 0 ? 1 : length);
    }
    text += '"';
  }

  void operator()(const doc::Value::Array& items) {
    text += '[';
    for (const auto& item : items) {
      if (&item != items.data()) text += ',';
      std::visit(*this, item.data());
    }
    text += ']';
  }

  void operator()(const doc::Value::Object& members) {
    text += '{';
    for (const auto& [key, value] : members) {
      if (&key != &members.front().first) text += ',';
      (*this)(std::string_view(key));
      text += ':';
      std::visit(*this, value.data());
    }
    text += '}';
  }
};

}  // namespace

std::string to_line(const doc::Value& value) {
  Writer writer;
  std::visit(writer, value.data());
  return std::move(writer.text);
}

}  // namespace volt::cli
