// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/jinja_text.hpp"

#include <string.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace volt::lm::jinja {
namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
char to_upper(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }
char to_lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

/// Offset of the last character of `text`, which is not empty.
std::size_t last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

std::vector<std::string_view> split_at_space(std::string_view text, std::uint64_t most) {
  std::vector<std::string_view> parts;
  text = strip(text, Side::left);
  while (!text.empty() && parts.size() < most) {
    std::size_t end = 0;
    while (end < text.size() && space_length(text.substr(end)) == 0)
      end += character_length(text.substr(end));
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), Side::left);
  }
  if (!text.empty()) parts.push_back(text);
  return parts;
}

}  // namespace

std::size_t character_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return std::min(length, text.size());
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::size_t offset_of(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += character_length(text.substr(at));
  return at;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> all;
  for (; !text.empty(); text.remove_prefix(all.back().size()))
    all.push_back(text.substr(0, character_length(text)));
  return all;
}

std::size_t space_length(std::string_view text) {
  if (text.empty()) return 0;
  const char c = text.front();
  if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f')) return 1;
  if (static_cast<unsigned char>(c) < 0x80) return 0;
  constexpr std::array<std::string_view, 19> wide{"\u0085", "\u00a0", "\u1680", "\u2000", "\u2001",
                                                  "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
                                                  "\u2007", "\u2008", "\u2009", "\u200a", "\u2028",
                                                  "\u2029", "\u202f", "\u205f", "\u3000"};
  const auto found = std::find_if(wide.begin(), wide.end(),
                                  [&](std::string_view one) { return text.starts_with(one); });
  return found == wide.end() ? 0 : found->size();
}

bool is_space(std::string_view text) { return !text.empty() && strip(text, Side::left).empty(); }

std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> unwanted) {
  const auto goes = [&](std::string_view character) {
    // Nothing but a whole character can match: UTF-8 synchronises itself.
    return unwanted ? unwanted->find(character) != std::string_view::npos
                    : space_length(character) != 0;
  };
  while (side != Side::right && !text.empty()) {
    const std::size_t length = character_length(text);
    if (!goes(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (side != Side::left && !text.empty()) {
    const std::size_t at = last_character(text);
    if (!goes(text.substr(at))) break;
    text = text.substr(0, at);
  }
  return text;
}

std::size_t find(std::string_view text, std::string_view needle, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  // std::string_view::find would be quadratic for "aaa...b" in "aaa...".
  const void* at = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

std::vector<std::string_view> split(std::string_view text,
                                    std::optional<std::string_view> separator, std::uint64_t most) {
  if (!separator) return split_at_space(text, most);
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  while (parts.size() < most) {
    const std::size_t at = find(text, *separator, begin);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator->size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::optional<std::string> replace(std::string_view text, std::string_view old,
                                   std::string_view with, std::uint64_t most,
                                   std::size_t max_bytes) {
  std::string result;
  std::size_t begin = 0;
  for (; most > 0 && result.size() <= max_bytes; --most) {
    const std::size_t at = find(text, old, begin);
    if (at == std::string_view::npos) break;
    result += text.substr(begin, at - begin);
    result += with;
    begin = at + old.size();
  }
  result += text.substr(begin);
  if (result.size() > max_bytes) return std::nullopt;
  return result;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string upper(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), to_upper);
  return result;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), to_lower);
  return result;
}

std::string capitalize(std::string_view text) {
  std::string result = lower(text);
  if (!result.empty()) result.front() = to_upper(result.front());
  return result;
}

std::string title(std::string_view text) {
  std::string result = lower(text);
  bool inside = false;
  for (char& c : result) {
    if (!inside) c = to_upper(c);
    inside = is_lower(c) || is_upper(c);
  }
  return result;
}

std::string title_filter(std::string_view text) {
  std::string result = lower(text);
  bool inside = false;
  for (char& c : result) {
    if (!inside) c = to_upper(c);
    inside = space_length({&c, 1}) == 0 && std::string_view("-({[<").find(c) == std::string::npos;
  }
  return result;
}

std::string to_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto written =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(written.ptr - buffer));
  // "-d.ddde+XX": two digits of exponent at least, which is as Python writes it.
  const std::size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(),
                  exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  std::string plain(64, '\0');
  const auto fixed =
      std::to_chars(plain.data(), plain.data() + plain.size(), value, std::chars_format::fixed);
  plain.resize(static_cast<std::size_t>(fixed.ptr - plain.data()));
  return plain.find('.') == std::string::npos ? plain + ".0" : plain;
}

std::string json_string(std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  constexpr std::string_view escaped = "\"\\\n\r\t\b\f", letters = "\"\\nrtbf";
  std::string out = "\"";
  for (const char c : text) {
    if (const auto at = escaped.find(c); at != std::string_view::npos) {
      out += '\\';
      out += letters[at];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  return out += '"';
}

}  // namespace volt::lm::jinja
