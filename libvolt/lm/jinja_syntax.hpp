// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/lm/jinja_value.hpp"

/// A template as text, as tokens and as a tree. The language is the part of Jinja 3.1 that chat
/// templates use; whatever is outside it is refused by name while parsing.
namespace volt::lm::jinja {

struct Builtin;

struct Token {
  enum class Kind {
    text,
    block_begin,
    block_end,
    output_begin,
    output_end,
    name,
    string,
    integer,
    real,
    symbol,
    end
  };
  Kind kind = Kind::end;
  std::uint32_t line = 1;
  std::string text;  ///< of strings what they stand for
};

/// White space is already as `trim_blocks`, `lstrip_blocks` and the signs in the tags leave it.
/// Throws Error (usage) "origin:line: ...", as does parse().
std::vector<Token> tokenise(std::string_view source, std::string_view origin);

enum class Operator {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  concatenate,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
  both,
  either,
  negate,
  plus,
  invert
};

struct Expression {
  enum class Kind {
    absent,       ///< an argument or bound that was not given
    literal,      ///< value
    variable,     ///< name
    loop,         ///< loop.NAME
    list,         ///< parts
    dict,         ///< keys and values in turn
    attribute,    ///< parts[0].NAME
    item,         ///< parts[0][parts[1]]
    slice,        ///< parts[0][parts[1]:parts[2]:parts[3]]
    operation,    ///< operation on one or two parts
    conditional,  ///< parts[0] if parts[1] else parts[2]
    builtin,      ///< a filter, test, method or function of parts[0] with the other parts
    each,         ///< `map`: the builtin on every item of parts[0]
    select,       ///< items of parts[0], by attribute parts[1] if any, that pass the test `builtin`
    make_namespace,  ///< namespace(NAME=part, ...)
    macro            ///< parts[0] called with the other parts, the last ones by name
  };
  Kind kind = Kind::absent;
  Operator operation = Operator::add;
  bool negated = false;  ///< of tests, and of `reject`
  std::uint32_t line = 1;
  std::uint32_t height = 1;  ///< of the tree below: bounds how deep anything recurses
  std::string name;
  Value value;
  const Builtin* builtin = nullptr;
  std::vector<Expression> parts;
  std::vector<std::string> keywords;  ///< of the last parts
};

struct Statement;
using Block = std::vector<Statement>;

struct Statement {
  enum class Kind {
    text,        ///< name
    output,      ///< expressions[0]
    branch,      ///< bodies[i] if expressions[i]; a last body without one is the else
    loop,        ///< names in expressions[0] if expressions[1]: bodies[0], else bodies[1]
    set,         ///< names = expressions[0]; or attribute `name` of the namespace names[0]
    capture,     ///< names[0] = what bodies[0] writes
    macro,       ///< name(names), defaults of the last ones in expressions: bodies[0]
    generation,  ///< bodies[0] is what the assistant says
    leave,       ///< break
    skip         ///< continue
  };
  Kind kind = Kind::text;
  std::uint32_t line = 1;
  std::string name;
  std::vector<std::string> names;
  std::vector<Expression> expressions;
  std::vector<Block> bodies;
};

struct Program {
  Block statements;
  bool marks_generation = false;  ///< has a {% generation %}
};
Program parse(std::string_view source, std::string_view origin);

/// Throws Error (usage) "origin:line: what".
[[noreturn]] void fail_at(std::string_view origin, std::uint32_t line, std::string_view what,
                          std::string hint = {});

}  // namespace volt::lm::jinja
