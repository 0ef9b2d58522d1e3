// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/jinja_expressions.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "libvolt/base/text.hpp"

namespace volt::lm::jinja {
namespace {

/// Binding powers, weakest first: or, and, not, comparisons, + and -, ~, the products.
constexpr int comparisons = 3, operands = 7;

struct Infix {
  std::string_view spelling;
  int level;
  Operator operation;
};
constexpr std::array<Infix, 16> infixes{{{"or", 0, Operator::either},
                                         {"and", 1, Operator::both},
                                         {"==", 3, Operator::equal},
                                         {"!=", 3, Operator::not_equal},
                                         {"<", 3, Operator::less},
                                         {"<=", 3, Operator::less_equal},
                                         {">", 3, Operator::greater},
                                         {">=", 3, Operator::greater_equal},
                                         {"in", 3, Operator::in},
                                         {"+", 4, Operator::add},
                                         {"-", 4, Operator::subtract},
                                         {"~", 5, Operator::concatenate},
                                         {"*", 6, Operator::multiply},
                                         {"/", 6, Operator::divide},
                                         {"//", 6, Operator::floor_divide},
                                         {"%", 6, Operator::modulo}}};

std::vector<Expression> two(Expression a, Expression b) {
  std::vector<Expression> parts;
  parts.push_back(std::move(a));
  parts.push_back(std::move(b));
  return parts;
}

}  // namespace

// Expressions.

Expression ExpressionParser::make(Kind kind, std::uint32_t line,
                                  std::vector<Expression> parts) const {
  Expression made;
  made.kind = kind;
  made.line = line;
  for (const auto& part : parts) made.height = std::max(made.height, part.height + 1);
  if (made.height > max_height) fail_too_deep(line);
  made.parts = std::move(parts);
  return made;
}

Expression ExpressionParser::operation(Operator operation, std::uint32_t line,
                                       std::vector<Expression> parts) const {
  Expression made = make(Kind::operation, line, std::move(parts));
  made.operation = operation;
  return made;
}

Expression ExpressionParser::several(bool conditionals) {
  const std::uint32_t line = here().line;
  const auto one = [&] { return conditionals ? expression() : binary(0); };
  std::vector<Expression> parts;
  parts.push_back(one());
  if (!at(",")) return std::move(parts.front());
  while (accept(","))
    if (begins_expression()) parts.push_back(one());
  return make(Kind::list, line, std::move(parts));
}

bool ExpressionParser::begins_expression() const {
  return here().kind != Token::Kind::block_end && here().kind != Token::Kind::output_end &&
         !at(")") && !at("=");
}

Expression ExpressionParser::expression() {
  const Level level(*this);
  Expression made = binary(0);
  while (at("if")) {
    const std::uint32_t line = take().line;
    auto parts = two(std::move(made), binary(0));
    parts.push_back(accept("else") ? expression() : make(Kind::absent, line));
    made = make(Kind::conditional, line, std::move(parts));
  }
  return made;
}

std::optional<Operator> ExpressionParser::infix(int level) {
  if (level == comparisons && at("not") && is(next(), "in")) {
    take();
    take();
    return Operator::not_in;
  }
  for (const auto& one : infixes)
    if (one.level == level && accept(one.spelling)) return one.operation;
  return std::nullopt;
}

Expression ExpressionParser::binary(int level) {
  const std::uint32_t line = here().line;
  if (level == operands) return unary(true);
  if (level == 2) {
    if (!accept("not")) return binary(comparisons);
    const Level depth(*this);
    std::vector<Expression> parts;
    parts.push_back(binary(2));
    return operation(Operator::invert, line, std::move(parts));
  }
  Expression left = binary(level + 1);
  for (bool first = true; const auto found = infix(level); first = false) {
    // Jinja reads a < b < c as Python does; no template needs it.
    if (level == comparisons && !first) fail(line, "a chain of comparisons is not supported");
    left = operation(*found, line, two(std::move(left), binary(level + 1)));
  }
  return left;
}

Expression ExpressionParser::unary(bool filtered) {
  const Level level(*this);
  const std::uint32_t line = here().line;
  Expression made;
  if (at("-") || at("+")) {
    const auto sign = accept("-") ? Operator::negate : (take(), Operator::plus);
    std::vector<Expression> parts;
    parts.push_back(unary(false));
    made = operation(sign, line, std::move(parts));
  } else {
    made = primary();
  }
  made = postfix(std::move(made));
  if (at("**")) fail(here().line, "the operator \"**\" is not supported");
  return filtered ? filters_and_tests(std::move(made)) : made;
}

Expression ExpressionParser::primary() {
  const Token& token = here();
  if (at_name()) return named();
  if (token.kind == Token::Kind::string || token.kind == Token::Kind::integer ||
      token.kind == Token::Kind::real)
    return literal();
  const std::uint32_t line = token.line;
  if (accept("(")) {
    Expression made = at(")") ? make(Kind::list, line) : several();
    expect(")");
    return made;
  }
  if (accept("[")) return make(Kind::list, line, items("]", false));
  if (accept("{")) return make(Kind::dict, line, items("}", true));
  unexpected("an expression");
}

std::vector<Expression> ExpressionParser::items(std::string_view close, bool pairs) {
  std::vector<Expression> parts;
  while (!accept(close)) {
    if (!parts.empty()) {
      expect(",");
      if (accept(close)) break;
    }
    parts.push_back(expression());
    if (!pairs) continue;
    expect(":");
    parts.push_back(expression());
  }
  return parts;
}

Expression ExpressionParser::named() {
  const Token token = take();
  if (token.text == "true" || token.text == "True") return constant(token.line, true);
  if (token.text == "false" || token.text == "False") return constant(token.line, false);
  if (token.text == "none" || token.text == "None") return constant(token.line, None{});
  Expression made = make(Kind::variable, token.line);
  made.name = token.text;
  if (token.text != "loop") return made;
  // Not a value: it would outlive the loop it is about.
  if (!accept(".")) fail(token.line, "\"loop\" is of use only as in loop.index");
  constexpr std::array<std::string_view, 9> members{"index",     "index0",   "revindex",
                                                    "revindex0", "first",    "last",
                                                    "length",    "previtem", "nextitem"};
  made.kind = Kind::loop;
  made.name = name();
  if (std::find(members.begin(), members.end(), made.name) == members.end())
    fail(token.line, "unknown member \"loop." + printable(made.name) + "\"",
         suggestion(made.name, members));
  return made;
}

Expression ExpressionParser::constant(std::uint32_t line, Value value) const {
  Expression made = make(Kind::literal, line);
  made.value = std::move(value);
  return made;
}

Expression ExpressionParser::literal() {
  const Token token = take();
  if (token.kind == Token::Kind::string) {
    std::string text = token.text;  // neighbours are one string
    while (here().kind == Token::Kind::string) text += take().text;
    return constant(token.line, std::move(text));
  }
  const bool whole = token.kind == Token::Kind::integer;
  std::int64_t number = 0;
  double real = 0;
  const char* end = token.text.data() + token.text.size();
  const auto error = whole ? std::from_chars(token.text.data(), end, number).ec
                           : std::from_chars(token.text.data(), end, real).ec;
  if (error != std::errc{})
    fail(token.line, "the number " + printable(token.text, 40) + " is too large");
  return whole ? constant(token.line, number) : constant(token.line, real);
}

Expression ExpressionParser::postfix(Expression made) {
  for (;;) {
    const std::uint32_t line = here().line;
    if (accept(".")) {
      made = member(line, std::move(made));
    } else if (accept("[")) {
      made = subscript(line, std::move(made));
      expect("]");
    } else if (at("(")) {
      if (made.kind != Kind::variable)
        fail(line, "only functions, macros and methods can be called");
      made = call(made);
    } else {
      return made;
    }
  }
}

Expression ExpressionParser::member(std::uint32_t line, Expression subject) {
  std::string wanted = name();
  if (at("(")) {
    const Builtin& called = builtin(methods(), "method", line, wanted);
    return bound(line, called, std::move(subject), arguments());
  }
  // Jinja takes the method of a dict for the attribute, whatever keys the dict has.
  constexpr std::array<std::string_view, 11> of_dicts{"clear",  "copy",       "fromkeys", "get",
                                                      "items",  "keys",       "pop",      "popitem",
                                                      "update", "setdefault", "values"};
  if (std::find(of_dicts.begin(), of_dicts.end(), wanted) != of_dicts.end())
    fail(line, "\"." + wanted + "\" without a call is a method of dicts",
         "for the key write ['" + wanted + "']");
  return attribute(line, std::move(subject), std::move(wanted));
}

Expression ExpressionParser::attribute(std::uint32_t line, Expression subject,
                                       std::string name) const {
  std::vector<Expression> parts;
  parts.push_back(std::move(subject));
  Expression made = make(Kind::attribute, line, std::move(parts));
  made.name = std::move(name);
  return made;
}

Expression ExpressionParser::subscript(std::uint32_t line, Expression subject) {
  std::vector<Expression> parts;
  parts.push_back(std::move(subject));
  const auto bound = [&] { return at(":") || at("]") ? make(Kind::absent, line) : expression(); };
  parts.push_back(bound());
  if (!at(":")) {
    if (parts.back().kind == Kind::absent) unexpected("an expression");
    return make(Kind::item, line, std::move(parts));
  }
  expect(":");
  parts.push_back(bound());
  parts.push_back(accept(":") ? bound() : make(Kind::absent, line));
  return make(Kind::slice, line, std::move(parts));
}

// Calls, filters and tests.

ExpressionParser::GivenArguments ExpressionParser::arguments() {
  GivenArguments given;
  expect("(");
  while (!accept(")")) {
    if (!given.parts.empty()) {
      expect(",");
      if (accept(")")) break;
    }
    if (at("*") || at("**")) fail(here().line, "arguments given as a list are not supported");
    if (here().kind == Token::Kind::name && is(next(), "=")) {
      given.keywords.push_back(name());
      expect("=");
    } else if (!given.keywords.empty()) {
      unexpected("NAME=");
    }
    given.parts.push_back(expression());
  }
  return given;
}

const Builtin& ExpressionParser::builtin(std::span<const Builtin> all, std::string_view what,
                                         std::uint32_t line, std::string_view wanted) const {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Builtin& one) { return one.name == wanted; });
  if (found != all.end()) return *found;
  std::vector<std::string_view> names;
  for (const auto& one : all) names.push_back(one.name);
  fail(line, "unknown " + std::string(what) + " \"" + printable(wanted) + "\"",
       suggestion(wanted, names));
}

Expression ExpressionParser::bound(std::uint32_t line, const Builtin& called, Expression subject,
                                   GivenArguments given) const {
  const auto positional = given.parts.size() - given.keywords.size();
  const std::string who = "\"" + std::string(called.name) + "\"";
  if (positional > called.most()) fail(line, who + " has too many arguments");
  std::vector<Expression> parts(1 + called.most());
  parts[0] = std::move(subject);
  for (std::size_t i = 0; i < given.parts.size(); ++i) {
    std::size_t place = i;
    if (i >= positional) {
      const auto& keyword = given.keywords[i - positional];
      const auto end = called.parameters.begin() + called.most();
      const auto found = std::find(called.parameters.begin(), end, keyword);
      if (found == end) fail(line, who + " has no argument \"" + printable(keyword) + "\"");
      place = static_cast<std::size_t>(found - called.parameters.begin());
    }
    if (parts[1 + place].kind != Kind::absent) fail(line, who + " has an argument twice");
    parts[1 + place] = std::move(given.parts[i]);
  }
  for (std::size_t i = 0; i < called.required; ++i)
    if (parts[1 + i].kind == Kind::absent)
      fail(line, who + " lacks the argument \"" + std::string(called.parameters[i]) + "\"");
  Expression made = make(Kind::builtin, line, std::move(parts));
  made.builtin = &called;
  return made;
}

Expression ExpressionParser::call(const Expression& callee) {
  const std::uint32_t line = callee.line;
  auto given = arguments();
  const auto all = functions();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Builtin& one) { return one.name == callee.name; });
  if (found != all.end()) return bound(line, *found, Expression(), std::move(given));
  if (callee.name == "namespace") {
    if (given.parts.size() != given.keywords.size())
      fail(line, "namespace() takes NAME=VALUE only");
    Expression made = make(Kind::make_namespace, line, std::move(given.parts));
    made.keywords = std::move(given.keywords);
    return made;
  }
  calls_.push_back({Token::Kind::name, line, callee.name});
  given.parts.insert(given.parts.begin(), callee);
  Expression made = make(Kind::macro, line, std::move(given.parts));
  made.keywords = std::move(given.keywords);
  return made;
}

Expression ExpressionParser::filters_and_tests(Expression made) {
  for (;;) {
    const std::uint32_t line = here().line;
    if (accept("|"))
      made = filter(line, std::move(made));
    else if (accept("is"))
      made = test(line, std::move(made));
    else
      return made;
  }
}

Expression ExpressionParser::filter(std::uint32_t line, Expression subject) {
  const std::string wanted = name();
  auto given = at("(") ? arguments() : GivenArguments();
  if (wanted == "map") return map(line, std::move(subject), std::move(given));
  if (wanted == "select" || wanted == "reject" || wanted == "selectattr" || wanted == "rejectattr")
    return select(line, wanted, std::move(subject), std::move(given));
  return bound(line, builtin(filters(), "filter", line, wanted), std::move(subject),
               std::move(given));
}

std::string ExpressionParser::leading_name(std::uint32_t line, const std::string& who,
                                           GivenArguments& given) const {
  const bool has = given.parts.size() > given.keywords.size();
  const std::string* text = has ? given.parts.front().value.text() : nullptr;
  if (text == nullptr) fail(line, "\"" + who + "\" needs a name in quotes");
  std::string taken = *text;
  given.parts.erase(given.parts.begin());
  return taken;
}

Expression ExpressionParser::map(std::uint32_t line, Expression subject,
                                 GivenArguments given) const {
  const bool by_attribute = given.parts.size() == 1 && given.keywords.size() == 1 &&
                            given.keywords.front() == "attribute";
  if (by_attribute) given.keywords.clear();
  std::string wanted = leading_name(line, "map", given);
  Expression made = by_attribute ? attribute(line, std::move(subject), std::move(wanted))
                                 : bound(line, builtin(filters(), "filter", line, wanted),
                                         std::move(subject), std::move(given));
  made.kind = Kind::each;
  return made;
}

Expression ExpressionParser::select(std::uint32_t line, const std::string& which,
                                    Expression subject, GivenArguments given) const {
  std::string by;
  if (which.ends_with("attr")) by = leading_name(line, which, given);
  Expression made;
  if (given.parts.empty()) {  // what is true passes
    made = attribute(line, std::move(subject), {});
  } else {
    const std::string wanted = leading_name(line, which, given);
    made =
        bound(line, builtin(tests(), "test", line, wanted), std::move(subject), std::move(given));
  }
  made.kind = Kind::select;
  made.negated = which.starts_with("reject");
  made.name = std::move(by);
  return made;
}

Expression ExpressionParser::test(std::uint32_t line, Expression subject) {
  const bool negated = accept("not");
  if (here().kind != Token::Kind::name) unexpected("a test");
  const Builtin& called = builtin(tests(), "test", line, take().text);
  GivenArguments given;
  if (called.required > 0 && !at("("))
    given.parts.push_back(postfix(primary()));
  else if (at("("))
    given = arguments();
  Expression made = bound(line, called, std::move(subject), std::move(given));
  made.negated = negated;
  return made;
}

}  // namespace volt::lm::jinja
