// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/lm/jinja_builtins.hpp"
#include "libvolt/lm/jinja_cursor.hpp"
#include "libvolt/lm/jinja_syntax.hpp"

namespace volt::lm::jinja {

/// Makes trees of the expressions in a template, by recursive descent.
class ExpressionParser : protected TokenCursor {
 public:
  using TokenCursor::TokenCursor;

 protected:
  using Kind = Expression::Kind;

  Expression expression();
  /// Without parentheses: "a, b" is a list. With `conditionals` false an "if" ends it.
  Expression several(bool conditionals = true);
  Expression make(Kind kind, std::uint32_t line, std::vector<Expression> parts = {}) const;

  std::vector<Token> calls_;  ///< of macros, which may be defined further down

 private:
  /// Of a call, as written.
  struct GivenArguments {
    std::vector<Expression> parts;  ///< by position, then by name
    std::vector<std::string> keywords;
  };

  // Operators.
  Expression binary(int level);
  std::optional<Operator> infix(int level);
  Expression unary(bool filtered);
  Expression operation(Operator operation, std::uint32_t line, std::vector<Expression> parts) const;

  // Operands.
  Expression primary();
  /// Up to `close`; of dicts, keys and values in turn.
  std::vector<Expression> items(std::string_view close, bool pairs);
  Expression named();
  Expression literal();
  Expression constant(std::uint32_t line, Value value) const;
  bool begins_expression() const;

  // What follows an operand.
  Expression postfix(Expression made);
  Expression member(std::uint32_t line, Expression subject);
  Expression attribute(std::uint32_t line, Expression subject, std::string name) const;
  Expression subscript(std::uint32_t line, Expression subject);
  Expression call(const Expression& callee);
  GivenArguments arguments();
  const Builtin& builtin(std::span<const Builtin> all, std::string_view what, std::uint32_t line,
                         std::string_view wanted) const;
  /// A call of `called` on `subject`, with every argument in its parameter's place.
  Expression bound(std::uint32_t line, const Builtin& called, Expression subject,
                   GivenArguments given) const;
  Expression filters_and_tests(Expression made);
  Expression filter(std::uint32_t line, Expression subject);
  Expression map(std::uint32_t line, Expression subject, GivenArguments given) const;
  Expression select(std::uint32_t line, const std::string& which, Expression subject,
                    GivenArguments given) const;
  /// Takes the first argument, which must be a name known while parsing.
  std::string leading_name(std::uint32_t line, const std::string& who, GivenArguments& given) const;
  Expression test(std::uint32_t line, Expression subject);
};

}  // namespace volt::lm::jinja
