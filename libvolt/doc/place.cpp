// SPDX-License-Identifier: Apache-2.0
#include "libvolt/doc/place.hpp"

#include "libvolt/base/text.hpp"

namespace volt::doc {
namespace {

/// Offset of the first byte that is not part of UTF-8 text, or the size.
std::size_t utf8_until(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (!is_utf8(text.substr(at, length))) return at;
    at += length;
  }
  return at;
}

}  // namespace

Mark place_of(std::string_view text, std::size_t offset) {
  Mark mark{1, 1};
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++mark.line;
      mark.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      ++mark.column;
    }
  }
  return mark;
}

std::string prefix(std::string_view origin, Mark mark) {
  std::string text = printable(origin);
  if (mark.line != 0) {
    text += ":" + std::to_string(mark.line) + ":" + std::to_string(mark.column);
  }
  return text + ": ";
}

void fail_at(std::string_view origin, Mark mark, std::string_view what, Exit code,
             std::string hint) {
  throw Error(code, prefix(origin, mark) + std::string(what), std::move(hint));
}

void check_text(std::string_view text, std::string_view origin, std::size_t limit, Exit code) {
  if (text.size() > limit) {
    fail_at(origin, {},
            "is " + std::to_string(text.size()) + " bytes long, more than the " +
                std::to_string(limit) + " allowed",
            code);
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    fail_at(origin, {1, 1}, "begins with a byte order mark", code, "save it as UTF-8 without BOM");
  }
  if (const auto at = utf8_until(text); at != text.size()) {
    fail_at(origin, place_of(text, at), "not UTF-8 at \"" + printable(text.substr(at, 1)) + "\"",
            code);
  }
  // nlohmann/json takes NUL for the end of the text, so that anything could follow unseen.
  if (const auto at = text.find('\0'); at != std::string_view::npos) {
    fail_at(origin, place_of(text, at), "has a NUL character", code);
  }
}

}  // namespace volt::doc
