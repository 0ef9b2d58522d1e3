// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <utility>

#include "libvolt/base/text.hpp"
#include "libvolt/lm/jinja_expressions.hpp"
#include "libvolt/lm/jinja_syntax.hpp"

namespace volt::lm::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

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
      take();
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
    take();
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
    return take().text;
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
      take(), end_of_tag();
  }

  void loop(Statement& made) {
    made.kind = Statement::Kind::loop;
    made.names = targets();
    expect("in");
    made.expressions.push_back(several(false));
    made.expressions.push_back(accept("if") ? several() : make(Kind::absent, made.line));
    if (at("recursive")) fail(here().line, "a recursive loop is not supported");
    end_of_tag();
    constexpr std::array<std::string_view, 2> ends{"else", "endfor"};
    ++loops_;
    made.bodies.push_back(block(ends));
    --loops_;
    if (accept("else"))
      made.bodies.push_back(body("endfor"));
    else
      take(), end_of_tag();
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
    if (depth() > 1) fail(made.line, "a macro inside another block is not supported");
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

  std::uint32_t loops_ = 0, captures_ = 0;
  bool marks_generation_ = false;
  std::set<std::string, std::less<>> macros_;
};

}  // namespace

Program parse(std::string_view source, std::string_view origin) {
  return Parser(tokenise(source, origin), origin).run();
}

}  // namespace volt::lm::jinja
