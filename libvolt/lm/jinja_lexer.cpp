// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/jinja_syntax.hpp"
#include "libvolt/lm/jinja_text.hpp"

namespace volt::lm::jinja {
namespace {

constexpr auto npos = std::string_view::npos;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool continues_name(char c) { return begins_name(c) || is_digit(c); }

/// Line ends become "\n", and one at the very end goes, as Jinja's lexer has it.
std::string normalised(std::string_view source) {
  std::string text;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto low = [&](unsigned shift) { return static_cast<char>(0x80 | (point >> shift & 63)); };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    (out += static_cast<char>(0xc0 | point >> 6)) += low(0);
  } else if (point < 0x10000) {
    ((out += static_cast<char>(0xe0 | point >> 12)) += low(6)) += low(0);
  } else {
    (((out += static_cast<char>(0xf0 | point >> 18)) += low(12)) += low(6)) += low(0);
  }
}

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view origin) : source_(source), origin_(origin) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) text_and_tag();
    push(Token::Kind::end, {});
    return std::move(tokens_);
  }

 private:
  /// Offset of the next "{{", "{%" or "{#".
  std::size_t next_tag() const {
    for (std::size_t at = at_;; ++at) {
      at = source_.find('{', at);
      if (at == npos || at + 1 == source_.size()) return npos;
      if (std::string_view("{%#").find(source_[at + 1]) != npos) return at;
    }
  }

  void text_and_tag() {
    const std::size_t open = next_tag();
    if (open == npos) {
      push(Token::Kind::text, source_.substr(at_));
      return advance(source_.size());
    }
    const char tag = source_[open + 1];
    const char sign = open + 2 < source_.size() ? source_[open + 2] : ' ';
    const auto text = kept(source_.substr(at_, open - at_), tag, sign);
    if (!text.empty()) push(Token::Kind::text, text);
    advance(open + (sign == '-' || sign == '+' ? 3 : 2));
    if (tag == '#') return comment();
    push(tag == '%' ? Token::Kind::block_begin : Token::Kind::output_begin, {});
    const std::uint32_t line = line_;
    brackets_.clear();
    while (!tag_end(tag)) {
      if (at_ == source_.size()) fail_at(origin_, line, "a tag is not closed");
      token();
    }
  }

  /// What is left of the text before a tag.
  std::string_view kept(std::string_view text, char tag, char sign) const {
    if (sign == '-') return strip(text, Side::right);
    if (sign == '+' || tag == '{') return text;
    const std::size_t begin = text.rfind('\n') + 1;  // 0 when there is none
    const bool at_line_start = begin > 0 || line_starting_;
    return at_line_start && is_space(text.substr(begin)) ? text.substr(0, begin) : text;
  }

  void comment() {
    const std::size_t end = source_.find("#}", at_);
    if (end == npos) fail_at(origin_, line_, "a comment is not closed");
    const char sign = end > at_ ? source_[end - 1] : ' ';
    advance(end + 2);
    after_tag(sign, true);
  }

  /// Takes the end of a tag if it is here.
  bool tag_end(char tag) {
    advance(source_.size() - strip(source_.substr(at_), Side::left).size());
    if (!brackets_.empty() || at_ == source_.size()) return false;
    const auto rest = source_.substr(at_);
    const bool block = tag == '%';
    const char sign = rest[0];
    const std::size_t length = sign == '-' || (sign == '+' && block) ? 1 : 0;
    if (!rest.substr(length).starts_with(block ? "%}" : "}}")) return false;
    push(block ? Token::Kind::block_end : Token::Kind::output_end, {});
    advance(at_ + length + 2);
    after_tag(sign, block);
    return true;
  }

  void after_tag(char sign, bool trims) {
    if (sign == '-')
      advance(source_.size() - strip(source_.substr(at_), Side::left).size());
    else if (sign != '+' && trims && source_.substr(at_).starts_with('\n'))
      advance(at_ + 1);
    line_starting_ = source_[at_ - 1] == '\n';
  }

  void token() {
    const char c = source_[at_];
    if (begins_name(c)) return name();
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return string(c);
    symbol();
  }

  void name() {
    std::size_t end = at_;
    while (end < source_.size() && continues_name(source_[end])) ++end;
    take(Token::Kind::name, end);
  }

  void number() {
    std::size_t end = digits(at_);
    Token::Kind kind = Token::Kind::integer;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      end = digits(end + 1);
      kind = Token::Kind::real;
    }
    if (end < source_.size() && continues_name(source_[end]))
      fail_at(origin_, line_,
              "the number at \"" + printable(source_.substr(at_, end + 1 - at_), 40) +
                  "\" is not written in plain decimal");
    take(kind, end);
  }

  std::size_t digits(std::size_t at) const {
    while (at < source_.size() && is_digit(source_[at])) ++at;
    return at;
  }

  void symbol() {
    constexpr std::array<std::string_view, 6> twos{"==", "!=", "<=", ">=", "//", "**"};
    const auto rest = source_.substr(at_);
    for (const auto two : twos)
      if (rest.starts_with(two)) return take(Token::Kind::symbol, at_ + 2);
    const char c = rest.front();
    if (std::string_view("+-*/%~<>=()[]{}.,:|").find(c) == npos)
      fail_at(origin_, line_,
              "unexpected \"" + printable(rest.substr(0, character_length(rest))) + "\"");
    bracket(c);
    take(Token::Kind::symbol, at_ + 1);
  }

  void bracket(char c) {
    constexpr std::string_view open = "([{", close = ")]}";
    if (open.find(c) != npos) brackets_ += c;
    const auto kind = close.find(c);
    if (kind == npos) return;
    if (brackets_.empty() || brackets_.back() != open[kind])
      fail_at(origin_, line_, "\"" + std::string(1, c) + "\" closes nothing");
    brackets_.pop_back();
  }

  void string(char quote) {
    const std::uint32_t line = line_;
    std::string text;
    std::size_t at = at_ + 1;
    for (;; ++at) {
      if (at >= source_.size()) fail_at(origin_, line, "a string is not closed");
      if (source_[at] == quote) break;
      if (source_[at] == '\\')
        at = escape(at + 1, text);
      else
        text += source_[at];
    }
    push(Token::Kind::string, text);
    advance(at + 1);
  }

  /// Appends what the escape at `at` stands for; returns the offset of its last byte.
  std::size_t escape(std::size_t at, std::string& text) const {
    if (at >= source_.size()) fail_at(origin_, line_, "a string is not closed");
    const char c = source_[at];
    constexpr std::string_view letters = "ntrabfv\\'\"", meant = "\n\t\r\a\b\f\v\\'\"";
    if (const auto i = letters.find(c); i != npos) {
      text += meant[i];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      return code_point(at, c == 'x' ? 2 : c == 'u' ? 4 : 8, text);
    } else if (c == 'N' || is_digit(c)) {
      fail_at(origin_, line_, "the escape \"\\" + std::string(1, c) + "\" is not supported");
    } else if (c != '\n') {  // an escaped line end is none; what Python does not know stays
      (text += '\\') += c;
    }
    return at;
  }

  std::size_t code_point(std::size_t at, std::size_t count, std::string& text) const {
    std::uint32_t point = 0;
    for (std::size_t i = 1; i <= count; ++i) {
      const char c = at + i < source_.size() ? lower(source_.substr(at + i, 1))[0] : ' ';
      const auto digit = std::string_view("0123456789abcdef").find(c);
      if (digit == npos || point >> 28 != 0)
        point = 0x110000;
      else
        point = point << 4 | static_cast<std::uint32_t>(digit);
    }
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
      fail_at(origin_, line_,
              "the escape \"\\" + printable(source_.substr(at, count + 1)) + "\" is no character");
    append_utf8(text, point);
    return at + count;
  }

  void take(Token::Kind kind, std::size_t end) {
    push(kind, source_.substr(at_, end - at_));
    advance(end);
  }
  void push(Token::Kind kind, std::string_view text) {
    tokens_.push_back({kind, line_, std::string(text)});
  }
  void advance(std::size_t to) {
    line_ += static_cast<std::uint32_t>(
        std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                   source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  std::string_view source_, origin_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool line_starting_ = true;  // nothing but line ends lie between the last line and here
  std::string brackets_;       // open ones within the tag: "}}" may close two dicts
  std::vector<Token> tokens_;
};

}  // namespace

void fail_at(std::string_view origin, std::uint32_t line, std::string_view what, std::string hint) {
  throw Error(Exit::usage,
              printable(origin) + ":" + std::to_string(line) + ": " + std::string(what),
              std::move(hint));
}

std::vector<Token> tokenise(std::string_view source, std::string_view origin) {
  constexpr std::size_t max_source = std::size_t{1} << 20;
  if (source.size() > max_source)
    throw Error(Exit::usage, printable(origin) + ": the template has " +
                                 std::to_string(source.size()) + " bytes, more than the " +
                                 std::to_string(max_source) + " allowed");
  if (!is_utf8(source)) throw Error(Exit::usage, printable(origin) + ": the template is not UTF-8");
  return Lexer(normalised(source), origin).run();
}

}  // namespace volt::lm::jinja
