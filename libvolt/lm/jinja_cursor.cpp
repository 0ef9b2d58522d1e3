// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/jinja_cursor.hpp"

#include <algorithm>
#include <array>

#include "libvolt/base/text.hpp"

namespace volt::lm::jinja {

void TokenCursor::fail_too_deep(std::uint32_t line) const {
  fail(line, "nested deeper than " + std::to_string(max_height) + " levels");
}

void TokenCursor::unexpected(std::string_view wanted) const {
  const auto kind = here().kind;
  std::string found = "\"" + printable(here().text, 40) + "\"";
  if (kind == Token::Kind::end || kind == Token::Kind::text)
    found = "the end of the template";
  else if (kind == Token::Kind::block_end || kind == Token::Kind::output_end)
    found = "the end of the tag";
  fail(here().line, "expected " + std::string(wanted) + ", found " + found);
}

bool TokenCursor::is(const Token& token, std::string_view spelling) {
  return (token.kind == Token::Kind::name || token.kind == Token::Kind::symbol) &&
         token.text == spelling;
}

bool TokenCursor::accept(std::string_view spelling) {
  const bool found = at(spelling);
  at_ += found;
  return found;
}

void TokenCursor::expect(std::string_view spelling) {
  if (!accept(spelling)) unexpected("\"" + std::string(spelling) + "\"");
}

void TokenCursor::expect(Token::Kind kind, std::string_view wanted) {
  if (here().kind != kind) unexpected(wanted);
  ++at_;
}

bool TokenCursor::at_name() const {
  constexpr std::array<std::string_view, 7> keywords{"not", "and", "or", "in", "is", "if", "else"};
  return here().kind == Token::Kind::name &&
         std::find(keywords.begin(), keywords.end(), here().text) == keywords.end();
}

std::string TokenCursor::name() {
  if (!at_name()) unexpected("a name");
  return take().text;
}

std::string TokenCursor::target() {
  if (at("loop")) fail(here().line, "\"loop\" cannot be set");
  return name();
}

}  // namespace volt::lm::jinja
