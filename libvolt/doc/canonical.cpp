// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::doc {
namespace {

/// UTF-16 code units sort as UTF-8 bytes do, but for U+E000 to U+FFFF (first byte ee or ef), which
/// come after the surrogates of all that is above (first byte f0 to f4).
bool utf16_less(std::string_view a, std::string_view b) {
  const auto rank = [](char c) {
    const unsigned byte = static_cast<unsigned char>(c);
    return byte == 0xee || byte == 0xef ? byte + 0x10 : byte;
  };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [&](char x, char y) { return rank(x) < rank(y); });
}

void write_string(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  if (!is_utf8(text)) {
    throw Error(Exit::failure, "the text \"" + printable(text, 40) + "\" is not UTF-8");
  }
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += hex[static_cast<unsigned char>(c) >> 4];
          out += hex[static_cast<unsigned char>(c) & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void refuse_not_finite(double value) {
  if (!std::isfinite(value)) {
    throw Error(Exit::failure, "the number " + to_text(value) + " has no form in JSON");
  }
}

/// Number::toString of ECMAScript: the shortest digits that read back as `value`, laid out by the
/// place of the point.
std::string ecmascript(double value) {
  refuse_not_finite(value);
  if (value == 0) return "0";  // -0 too
  std::array<char, 32> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value),
                                    std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(result.ptr - buffer.data()));
  const auto e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), result.ptr, exponent);
  std::string digits(text.substr(0, e));
  std::erase(digits, '.');

  const int count = static_cast<int>(digits.size());
  const int point = exponent + 1;  // how many digits stand before it
  const std::string sign = value < 0 ? "-" : "";
  if (count <= point && point <= 21) {
    return sign + digits + std::string(static_cast<std::size_t>(point - count), '0');
  }
  if (0 < point && point <= 21) {
    return sign + digits.insert(static_cast<std::size_t>(point), 1, '.');
  }
  if (-6 < point && point <= 0) {
    return sign + "0." + std::string(static_cast<std::size_t>(-point), '0') + digits;
  }
  if (count > 1) digits.insert(1, 1, '.');
  return sign + digits + (exponent < 0 ? "e-" : "e+") + std::to_string(std::abs(exponent));
}

/// For people: a double keeps a point, so that it reads back as one.
std::string plain(double value) {
  refuse_not_finite(value);
  std::string text = to_text(value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

class Writer {
 public:
  explicit Writer(bool canonical) : canonical_(canonical) {}
  std::string text;

  void operator()(std::nullptr_t) { text += "null"; }
  void operator()(bool value) { text += value ? "true" : "false"; }
  void operator()(std::int64_t value) { text += std::to_string(value); }
  void operator()(double value) { text += canonical_ ? ecmascript(value) : plain(value); }
  void operator()(const std::string& value) { write_string(text, value); }

  void operator()(const Value::Array& array) {
    list('[', ']', array, [this](const Value& value) { std::visit(*this, value.data()); });
  }

  void operator()(const Value::Object& object) {
    std::vector<const Value::Member*> members;
    for (const auto& member : object) members.push_back(&member);
    if (canonical_) {
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return utf16_less(a->first, b->first); });
    }
    list('{', '}', members, [this](const Value::Member* member) {
      write_string(text, member->first);
      text += canonical_ ? ":" : ": ";
      std::visit(*this, member->second.data());
    });
  }

 private:
  template <class Items, class Write>
  void list(char first, char last, const Items& items, Write write) {
    text += first;
    ++depth_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i != 0) text += ',';
      new_line();
      write(items[i]);
    }
    --depth_;
    if (!items.empty()) new_line();
    text += last;
  }
  void new_line() {
    if (!canonical_) text += '\n' + std::string(2 * depth_, ' ');
  }

  bool canonical_;
  std::size_t depth_ = 0;
};

std::string write(const Value& value, bool canonical) {
  Writer writer(canonical);
  std::visit(writer, value.data());
  return std::move(writer.text);
}

}  // namespace

std::string to_json(const Value& value) { return write(value, false); }
std::string to_canonical_json(const Value& value) { return write(value, true); }

}  // namespace volt::doc
