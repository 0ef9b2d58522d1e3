// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "libvolt/base/text.hpp"
#include "libvolt/lm/jinja_builtins.hpp"
#include "libvolt/lm/jinja_syntax.hpp"

namespace volt::lm::jinja {
namespace {

using Kind = Expression::Kind;

/// Of blocks and expressions, so that nothing that follows the tree needs a deep stack.
constexpr std::uint32_t max_height = 200;

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

struct GivenArguments {
  std::vector<Expression> parts;  // by position, then by name
  std::vector<std::string> keywords;
};

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::string_view origin)
      : tokens_(std::move(tokens)), origin_(origin) {}

  Program run() {
    Program program;
    program.statements = block({});
    for (const auto& call : calls_)
      if (!macros_.contains(call.text))
        fail(call.line, "unknown function \"" + printable(call.text) + "\"");
    program.marks_generation = marks_generation_;
    return program;
  }

 private:
  /// Counts how deep the parser has called itself.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > max_height) parser_.fail_here("nested deeper than 200 levels");
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };

  [[noreturn]] void fail(std::uint32_t line, const std::string& what, std::string hint = {}) const {
    fail_at(origin_, line, what, std::move(hint));
  }
  [[noreturn]] void fail_here(const std::string& what) const { fail(here().line, what); }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    std::string found = "the end of the template";
    if (here().kind == Token::Kind::block_end || here().kind == Token::Kind::output_end)
      found = "the end of the tag";
    else if (here().kind != Token::Kind::end)
      found = "\"" + printable(here().text, 40) + "\"";
    fail_here("expected " + std::string(wanted) + ", found " + found);
  }

  // Tokens.
  const Token& here() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  static bool is(const Token& token, std::string_view spelling) {
    return (token.kind == Token::Kind::name || token.kind == Token::Kind::symbol) &&
           token.text == spelling;
  }
  bool at(std::string_view spelling) const { return is(here(), spelling); }
  bool accept(std::string_view spelling) {
    const bool found = at(spelling);
    at_ += found;
    return found;
  }
  void expect(std::string_view spelling) {
    if (!accept(spelling)) unexpected("\"" + std::string(spelling) + "\"");
  }
  void expect(Token::Kind kind, std::string_view wanted) {
    if (here().kind != kind) unexpected(wanted);
    ++at_;
  }
  bool is_keyword(const Token& token) const {
    constexpr std::array<std::string_view, 7> keywords{"not", "and", "or",  "in",
                                                       "is",  "if",  "else"};
    return std::find(keywords.begin(), keywords.end(), token.text) != keywords.end();
  }
  std::string name() {
    if (here().kind != Token::Kind::name || is_keyword(here())) unexpected("a name");
    return tokens_[at_++].text;
  }
  std::string target() {
    if (at("loop")) fail_here("\"loop\" cannot be set");
    return name();
  }

  // Expressions.
  Expression make(Kind kind, std::uint32_t line, std::vector<Expression> parts = {}) const {
    Expression made;
    made.kind = kind;
    made.line = line;
    for (const auto& part : parts) made.height = std::max(made.height, part.height + 1);
    if (made.height > max_height) fail(line, "nested deeper than 200 levels");
    made.parts = std::move(parts);
    return made;
  }
  static std::vector<Expression> two(Expression a, Expression b) {
    std::vector<Expression> parts;
    parts.push_back(std::move(a));
    parts.push_back(std::move(b));
    return parts;
  }
  Expression operation(Operator operation, std::uint32_t line, std::vector<Expression> parts) {
    Expression made = make(Kind::operation, line, std::move(parts));
    made.operation = operation;
    return made;
  }

  /// Without parentheses: "a, b" is a list.
  Expression several(bool conditionals = true) {
    const std::uint32_t line = here().line;
    const auto one = [&] { return conditionals ? expression() : binary(0); };
    std::vector<Expression> parts;
    parts.push_back(one());
    if (!at(",")) return std::move(parts.front());
    while (accept(","))
      if (begins_expression()) parts.push_back(one());
    return make(Kind::list, line, std::move(parts));
  }
  bool begins_expression() const {
    return here().kind != Token::Kind::block_end && here().kind != Token::Kind::output_end &&
           !at(")") && !at("=");
  }

  Expression expression() {
    const Level level(*this);
    Expression made = binary(0);
    while (at("if")) {
      const std::uint32_t line = tokens_[at_++].line;
      auto parts = two(std::move(made), binary(0));
      parts.push_back(accept("else") ? expression() : make(Kind::absent, line));
      made = make(Kind::conditional, line, std::move(parts));
    }
    return made;
  }

  std::optional<Operator> infix(int level) {
    if (level == comparisons && at("not") && is(next(), "in")) {
      at_ += 2;
      return Operator::not_in;
    }
    for (const auto& one : infixes)
      if (one.level == level && accept(one.spelling)) return one.operation;
    return std::nullopt;
  }

  Expression binary(int level) {
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

  Expression unary(bool filtered) {
    const Level level(*this);
    const std::uint32_t line = here().line;
    Expression made;
    if (at("-") || at("+")) {
      const auto sign = accept("-") ? Operator::negate : (++at_, Operator::plus);
      std::vector<Expression> parts;
      parts.push_back(unary(false));
      made = operation(sign, line, std::move(parts));
    } else {
      made = primary();
    }
    made = postfix(std::move(made));
    if (at("**")) fail_here("the operator \"**\" is not supported");
    return filtered ? filters_and_tests(std::move(made)) : made;
  }

  Expression primary() {
    const Token& token = here();
    if (token.kind == Token::Kind::name && !is_keyword(token)) return named();
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

  /// Up to `close`; of dicts, keys and values in turn.
  std::vector<Expression> items(std::string_view close, bool pairs) {
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

  Expression named() {
    const Token token = tokens_[at_++];
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

  Expression constant(std::uint32_t line, Value value) const {
    Expression made = make(Kind::literal, line);
    made.value = std::move(value);
    return made;
  }

  Expression literal() {
    const Token token = tokens_[at_++];
    if (token.kind == Token::Kind::string) {
      std::string text = token.text;  // neighbours are one string
      while (here().kind == Token::Kind::string) text += tokens_[at_++].text;
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

  Expression postfix(Expression made) {
    for (;;) {
      const std::uint32_t line = here().line;
      if (accept(".")) {
        std::string member = name();
        const bool calls = at("(");
        if (!calls) refuse_bare_method(line, member);
        made = calls ? method(line, std::move(made), member) : attribute(line, std::move(made));
        if (!calls) made.name = std::move(member);
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

  Expression attribute(std::uint32_t line, Expression subject) const {
    std::vector<Expression> parts;
    parts.push_back(std::move(subject));
    return make(Kind::attribute, line, std::move(parts));
  }

  /// Jinja takes the method of a dict for the attribute, whatever keys the dict has.
  void refuse_bare_method(std::uint32_t line, const std::string& member) const {
    constexpr std::array<std::string_view, 11> of_dicts{
        "clear", "copy",    "fromkeys",   "get",    "items", "keys",
        "pop",   "popitem", "setdefault", "update", "values"};
    if (std::find(of_dicts.begin(), of_dicts.end(), member) != of_dicts.end())
      fail(line, "\"." + member + "\" without a call is a method of dicts",
           "for the key write ['" + member + "']");
  }

  Expression subscript(std::uint32_t line, Expression subject) {
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

  // Calls.
  GivenArguments arguments() {
    GivenArguments given;
    expect("(");
    while (!accept(")")) {
      if (!given.parts.empty()) {
        expect(",");
        if (accept(")")) break;
      }
      if (at("*") || at("**")) fail_here("arguments given as a list are not supported");
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

  const Builtin& builtin(std::span<const Builtin> all, std::string_view what, std::uint32_t line,
                         std::string_view wanted) const {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Builtin& one) { return one.name == wanted; });
    if (found != all.end()) return *found;
    std::vector<std::string_view> names;
    for (const auto& one : all) names.push_back(one.name);
    fail(line, "unknown " + std::string(what) + " \"" + printable(wanted) + "\"",
         suggestion(wanted, names));
  }

  /// A call of `called` on parts[0], with every parameter in its place.
  Expression bound(std::uint32_t line, const Builtin& called, Expression subject,
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

  Expression method(std::uint32_t line, Expression subject, const std::string& member) {
    const Builtin& called = builtin(methods(), "method", line, member);
    return bound(line, called, std::move(subject), arguments());
  }

  Expression call(const Expression& callee) {
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

  // Filters and tests.
  Expression filters_and_tests(Expression made) {
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

  Expression filter(std::uint32_t line, Expression subject) {
    const std::string wanted = name();
    auto given = at("(") ? arguments() : GivenArguments();
    if (wanted == "map") return map(line, std::move(subject), std::move(given));
    if (wanted == "select" || wanted == "reject" || wanted == "selectattr" ||
        wanted == "rejectattr")
      return select(line, wanted, std::move(subject), std::move(given));
    return bound(line, builtin(filters(), "filter", line, wanted), std::move(subject),
                 std::move(given));
  }

  /// Takes the first argument, which must be a name known while parsing.
  std::string leading_name(std::uint32_t line, const std::string& who,
                           GivenArguments& given) const {
    const std::string* text = given.parts.empty() ? nullptr : given.parts.front().value.text();
    if (text == nullptr) fail(line, "\"" + who + "\" needs a name in quotes");
    std::string taken = *text;
    given.parts.erase(given.parts.begin());
    return taken;
  }

  Expression map(std::uint32_t line, Expression subject, GivenArguments given) const {
    const bool by_attribute = given.keywords.size() == 1 && given.parts.size() == 1 &&
                              given.keywords.front() == "attribute";
    if (by_attribute) given.keywords.clear();
    std::string wanted = leading_name(line, "map", given);
    Expression made;
    if (by_attribute)
      made = attribute(line, std::move(subject));
    else
      made = bound(line, builtin(filters(), "filter", line, wanted), std::move(subject),
                   std::move(given));
    made.kind = Kind::each;
    if (by_attribute) made.name = std::move(wanted);
    return made;
  }

  Expression select(std::uint32_t line, const std::string& which, Expression subject,
                    GivenArguments given) const {
    std::string by;
    if (which.ends_with("attr")) by = leading_name(line, which, given);
    if (given.parts.empty()) {  // what is true passes
      Expression made = attribute(line, std::move(subject));
      return finished(std::move(made), which, std::move(by));
    }
    const std::string wanted = leading_name(line, which, given);
    return finished(
        bound(line, builtin(tests(), "test", line, wanted), std::move(subject), std::move(given)),
        which, std::move(by));
  }
  static Expression finished(Expression made, const std::string& which, std::string by) {
    made.kind = Kind::select;
    made.negated = which.starts_with("reject");
    made.name = std::move(by);
    return made;
  }

  Expression test(std::uint32_t line, Expression subject) {
    const bool negated = accept("not");
    if (here().kind != Token::Kind::name) unexpected("a test");
    const Builtin& called = builtin(tests(), "test", line, tokens_[at_++].text);
    GivenArguments given;
    if (called.required > 0 && !at("("))
      given.parts.push_back(postfix(primary()));
    else if (at("("))
      given = arguments();
    Expression made = bound(line, called, std::move(subject), std::move(given));
    made.negated = negated;
    return made;
  }

  // Statements.
  Block block(std::span<const std::string_view> ends) {
    const Level level(*this);
    Block statements;
    for (;;) {
      const Token& token = here();
      Statement made;
      made.line = token.line;
      if (token.kind == Token::Kind::end) {
        if (!ends.empty()) unexpected("{% " + std::string(ends.back()) + " %}");
        return statements;
      }
      ++at_;
      if (token.kind == Token::Kind::text) {
        made.name = token.text;
      } else if (token.kind == Token::Kind::output_begin) {
        made.kind = Statement::Kind::output;
        made.expressions.push_back(several());
        expect(Token::Kind::output_end, "\"}}\"");
      } else {
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return at(end); }))
          return statements;
        made = statement();
      }
      statements.push_back(std::move(made));
    }
  }

  void end_of_tag() { expect(Token::Kind::block_end, "\"%}\""); }

  /// The rest of a block that ends with {% END %}.
  Block body(std::string_view end) {
    end_of_tag();
    const std::string_view ends[] = {end};
    Block statements = block(ends);
    ++at_;
    end_of_tag();
    return statements;
  }

  Statement statement() {
    Statement made;
    made.line = here().line;
    const std::string tag = name_of_tag();
    if (tag == "if")
      branch(made);
    else if (tag == "for")
      loop(made);
    else if (tag == "set")
      set(made);
    else if (tag == "macro")
      macro(made);
    else if (tag == "generation")
      generation(made);
    else if (tag == "break" || tag == "continue")
      leave(made, tag == "break");
    else
      fail(made.line, "{% " + printable(tag, 40) + " %} is not supported here");
    return made;
  }

  std::string name_of_tag() {
    if (here().kind != Token::Kind::name) unexpected("the name of a tag");
    return tokens_[at_++].text;
  }

  void branch(Statement& made) {
    made.kind = Statement::Kind::branch;
    constexpr std::array<std::string_view, 3> ends{"elif", "else", "endif"};
    bool more = true;
    while (more) {
      made.expressions.push_back(several());
      end_of_tag();
      made.bodies.push_back(block(ends));
      more = accept("elif");
    }
    if (accept("else"))
      made.bodies.push_back(body("endif"));
    else
      ++at_, end_of_tag();
  }

  void loop(Statement& made) {
    made.kind = Statement::Kind::loop;
    made.names = targets();
    expect("in");
    made.expressions.push_back(several(false));
    made.expressions.push_back(accept("if") ? several() : make(Kind::absent, made.line));
    if (at("recursive")) fail_here("a recursive loop is not supported");
    end_of_tag();
    constexpr std::array<std::string_view, 2> ends{"else", "endfor"};
    ++loops_;
    made.bodies.push_back(block(ends));
    --loops_;
    if (accept("else"))
      made.bodies.push_back(body("endfor"));
    else
      ++at_, end_of_tag();
  }

  std::vector<std::string> targets() {
    const bool parentheses = accept("(");
    std::vector<std::string> names{target()};
    while (accept(",")) names.push_back(target());
    if (parentheses) expect(")");
    return names;
  }

  void set(Statement& made) {
    made.kind = Statement::Kind::set;
    made.names = targets();
    if (made.names.size() == 1 && accept(".")) made.name = name();
    if (accept("=")) {
      made.expressions.push_back(several());
      return end_of_tag();
    }
    if (here().kind != Token::Kind::block_end || made.names.size() != 1 || !made.name.empty())
      unexpected("\"=\"");
    made.kind = Statement::Kind::capture;
    made.bodies.push_back(captured("endset"));
  }

  /// A body whose output goes somewhere else: no place of the text that is made.
  Block captured(std::string_view end) {
    const auto loops = std::exchange(loops_, 0);
    ++captures_;
    Block statements = body(end);
    --captures_;
    loops_ = loops;
    return statements;
  }

  void macro(Statement& made) {
    made.kind = Statement::Kind::macro;
    if (depth_ > 1) fail(made.line, "a macro inside another block is not supported");
    made.name = target();
    expect("(");
    while (!accept(")")) {
      if (!made.names.empty()) expect(",");
      made.names.push_back(target());
      if (accept("="))
        made.expressions.push_back(expression());
      else if (!made.expressions.empty())
        unexpected("\"=\"");
    }
    macros_.insert(made.name);
    made.bodies.push_back(captured("endmacro"));
  }

  void generation(Statement& made) {
    made.kind = Statement::Kind::generation;
    if (captures_ > 0)
      fail(made.line, "{% generation %} inside a macro, a {% set %} or another is not supported");
    marks_generation_ = true;
    made.bodies.push_back(captured("endgeneration"));
  }

  void leave(Statement& made, bool all) {
    made.kind = all ? Statement::Kind::leave : Statement::Kind::skip;
    if (loops_ == 0) fail(made.line, all ? "break outside a loop" : "continue outside a loop");
    end_of_tag();
  }

  std::vector<Token> tokens_;
  std::string_view origin_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0, loops_ = 0, captures_ = 0;
  bool marks_generation_ = false;
  std::vector<Token> calls_;  // of macros, which may be defined further down
  std::set<std::string, std::less<>> macros_;
};

}  // namespace

Program parse(std::string_view source, std::string_view origin) {
  return Parser(tokenise(source, origin), origin).run();
}

}  // namespace volt::lm::jinja
