// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libvolt/lm/jinja_syntax.hpp"

namespace volt::lm::jinja {

/// Walks over the tokens of a template, and says what it found where it was to find another.
class TokenCursor {
 public:
  TokenCursor(std::vector<Token> tokens, std::string_view origin)
      : tokens_(std::move(tokens)), origin_(origin) {}

 protected:
  /// Of blocks and expressions, so that nothing that follows the tree needs a deep stack.
  static constexpr std::uint32_t max_height = 200;

  /// Counts how deep a parser has called itself.
  class Level {
   public:
    explicit Level(TokenCursor& cursor) : cursor_(cursor) {
      if (++cursor_.depth_ > max_height) cursor_.fail_too_deep(cursor_.here().line);
    }
    ~Level() { --cursor_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenCursor& cursor_;
  };
  std::uint32_t depth() const { return depth_; }

  /// Throws Error (usage) "origin:line: what".
  [[noreturn]] void fail(std::uint32_t line, const std::string& what, std::string hint = {}) const {
    fail_at(origin_, line, what, std::move(hint));
  }
  [[noreturn]] void fail_too_deep(std::uint32_t line) const;
  /// "expected WANTED, found ..."
  [[noreturn]] void unexpected(std::string_view wanted) const;

  const Token& here() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  /// The token here, which is not the last one.
  const Token& take() { return tokens_[at_++]; }

  /// Names and symbols.
  static bool is(const Token& token, std::string_view spelling);
  bool at(std::string_view spelling) const { return is(here(), spelling); }
  bool accept(std::string_view spelling);
  void expect(std::string_view spelling);
  void expect(Token::Kind kind, std::string_view wanted);

  bool at_name() const;  ///< one that is no keyword
  std::string name();
  std::string target();  ///< a name that may be set

 private:
  std::vector<Token> tokens_;
  std::string_view origin_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0;
};

}  // namespace volt::lm::jinja
