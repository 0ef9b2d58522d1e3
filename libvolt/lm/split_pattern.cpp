// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/split_pattern.hpp"

#include <array>
#include <cstdint>

#include "libvolt/lm/unicode.hpp"

namespace volt::lm {
namespace {

struct Known {
  SplitPattern pattern;
  std::string_view regex;
};

// Also in SmolLM2's ByteLevel; in Llama 3; in Qwen 2, 2.5 and 3.
constexpr std::array<Known, 3> known{{
    {SplitPattern::gpt2,
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitPattern::llama3, R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                           R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitPattern::qwen2, R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                          R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
}};

enum class Kind : std::uint8_t { letter, number, newline, space, other, end };

Kind kind_of(char32_t code) {
  if (code == '\r' || code == '\n') return Kind::newline;
  if (is_space(code)) return Kind::space;
  if (is_letter(code)) return Kind::letter;
  return is_number(code) ? Kind::number : Kind::other;
}

/// What a pattern looks at: the character at a place and its kind.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  struct Seen {
    Kind kind;
    std::size_t after;  // where the next character begins
  };
  Seen at(std::size_t place) const {
    if (place >= text_.size()) return {Kind::end, place};
    const auto byte = static_cast<unsigned char>(text_[place]);
    if (byte < 0x80) return {ascii()[byte], place + 1};
    const Character one = character_at(text_, place);
    return {kind_of(one.code), place + one.length};
  }
  bool is(std::size_t place, char c) const { return place < text_.size() && text_[place] == c; }

  /// Past the characters from `place` on that are of this kind, `most` at most.
  std::size_t past(Kind kind, std::size_t place, std::size_t most = SIZE_MAX) const {
    for (; most > 0; --most) {
      const Seen seen = at(place);
      if (seen.kind != kind) break;
      place = seen.after;
    }
    return place;
  }

  /// The byte there, 0 behind the end; a capital letter as a small one when `any_case`.
  char letter(std::size_t place, bool any_case) const {
    const char c = place < text_.size() ? text_[place] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }

 private:
  static const std::array<Kind, 0x80>& ascii() {
    static const auto kinds = [] {
      std::array<Kind, 0x80> table{};
      for (char32_t code = 0; code < table.size(); ++code) table[code] = kind_of(code);
      return table;
    }();
    return kinds;
  }

  std::string_view text_;
};

/// 's|'t|'re|'ve|'m|'ll|'d, with (?i:) as Oniguruma reads it: U+017F, the long s, is an s. Returns
/// `at` without a match.
std::size_t past_contraction(const Reader& text, std::size_t at, bool any_case) {
  if (!text.is(at, '\'')) return at;
  const char first = text.letter(at + 1, any_case), second = text.letter(at + 2, any_case);
  if (any_case && first == '\xc5' && second == '\xbf') return at + 3;
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  const bool two = second == 'e' ? first == 'r' || first == 'v' : first == 'l' && second == 'l';
  return two ? at + 3 : at;
}

bool is_white(Kind kind) { return kind == Kind::space || kind == Kind::newline; }

/// \s+(?!\S)|\s+ at white space: a run of it without its last character, which goes with the word
/// behind it, unless it is all there is. With `newlines`, \s*[\r\n]+ comes first.
std::size_t past_white(const Reader& text, std::size_t at, bool newlines) {
  std::size_t last = at, end = at, newline_end = at;
  Reader::Seen seen = text.at(at);
  while (is_white(seen.kind)) {
    last = end;
    end = seen.after;
    if (seen.kind == Kind::newline) newline_end = end;
    seen = text.at(end);
  }
  if (newlines && newline_end != at) return newline_end;
  return seen.kind == Kind::end || last == at ? end : last;
}

std::size_t gpt2_end(const Reader& text, std::size_t at) {
  if (const std::size_t end = past_contraction(text, at, false); end != at) return end;
  const std::size_t word = text.is(at, ' ') ? at + 1 : at;
  const Kind kind = text.at(word).kind;
  if (kind == Kind::end || is_white(kind)) return past_white(text, at, false);
  return text.past(kind, word);
}

std::size_t llama3_end(const Reader& text, std::size_t at, std::size_t digits) {
  if (const std::size_t end = past_contraction(text, at, true); end != at) return end;
  const auto [kind, after] = text.at(at);
  if (kind == Kind::letter) return text.past(Kind::letter, after);
  if (kind == Kind::number) return text.past(Kind::number, at, digits);
  if (kind != Kind::newline && text.at(after).kind == Kind::letter)
    return text.past(Kind::letter, after);
  const std::size_t other = text.is(at, ' ') ? after : at;
  if (text.at(other).kind == Kind::other)
    return text.past(Kind::newline, text.past(Kind::other, other));
  return past_white(text, at, true);
}

}  // namespace

std::optional<SplitPattern> split_pattern(std::string_view regex) {
  for (const Known& one : known)
    if (one.regex == regex) return one.pattern;
  return std::nullopt;
}

std::string_view regex_of(SplitPattern pattern) {
  return known[static_cast<std::size_t>(pattern)].regex;
}

std::size_t match_end(SplitPattern pattern, std::string_view utf8, std::size_t at) {
  const Reader text(utf8);
  switch (pattern) {
    case SplitPattern::gpt2:
      return gpt2_end(text, at);
    case SplitPattern::llama3:
      return llama3_end(text, at, 3);
    case SplitPattern::qwen2:
      return llama3_end(text, at, 1);
  }
  return utf8.size();
}

}  // namespace volt::lm
