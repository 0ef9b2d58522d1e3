// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libvolt/lm/jinja_builtins.hpp"
#include "libvolt/lm/jinja_syntax.hpp"

namespace volt::lm::jinja {

/// The names that a part of a template sees, those of the parts around it included.
struct Scope {
  struct Loop {
    const List* items;
    std::size_t index;
  };
  const Scope* outer = nullptr;
  Namespace names;
  const Loop* loop = nullptr;
};

/// Runs one parsed template once. Whatever the template says, it ends: every step, element and 32
/// bytes of text cost one of `steps`, which the caller counts down over several runs. Throws Error
/// (usage) "origin:line: ...", also for what the template itself raises.
class Interpreter {
 public:
  struct Output {
    std::string text;
    std::vector<std::pair<std::size_t, std::size_t>> generated;  ///< bytes [begin, end)
  };

  Interpreter(const Program& program, std::string_view origin, std::uint64_t& steps)
      : program_(program), origin_(origin), steps_(steps) {}
  Output run(Namespace variables);

  // For builtins.
  void spend(std::uint64_t steps);
  void spend_bytes(std::uint64_t bytes) { spend(bytes / 32 + 1); }
  void spend_search(std::string_view text, std::string_view needle) {
    spend_bytes(text.size() * (1 + std::min<std::size_t>(needle.size(), 256) / 16));
  }
  [[noreturn]] void fail(std::string_view what, std::string hint = {}) const;
  static constexpr std::size_t max_text = std::size_t{64} << 20;  ///< bytes
  static constexpr std::size_t max_parts = 1'000'000;             ///< of a text
  [[noreturn]] void fail_too_long() const;
  [[noreturn]] void fail_too_many() const;
  /// A value whose size is paid for and bounded.
  Value made(std::string text);
  Value made(List items);
  bool equal(const Value& a, const Value& b);
  bool contains(const Value& whole, const Value& part);
  Value attribute(const Value& subject, std::string_view name);
  /// What a loop over `value` sees: items, keys or characters.
  List iterate(const Value& value);
  /// Appends str(value); lists and dicts have none here.
  void append(std::string& out, const Value& value);
  void append_text(std::string& out, std::string_view text);
  std::string to_text(const Value& value);
  /// Appends json.dumps(value, ensure_ascii=False, indent=indent), 0 for one line.
  void append_json(std::string& out, const Value& value, std::size_t indent, std::size_t depth = 0);

 private:
  enum class Flow { next, leave, skip };
  /// A statement or expression inside another, by macros as well: bounds the stack.
  class Level {
   public:
    explicit Level(Interpreter& interpreter);
    ~Level() { --interpreter_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Interpreter& interpreter_;
  };

  // Statements.
  Flow run(const Block& block, Scope& scope);
  Flow run(const Statement& statement, Scope& scope);
  Flow branch(const Statement& statement, Scope& scope);
  Flow loop(const Statement& statement, Scope& scope);
  void set(const Statement& statement, Scope& scope);
  void assign(const std::vector<std::string>& names, Value value, Scope& scope);
  void generation(const Statement& statement, Scope& scope);
  std::string captured(const Block& block, Scope& scope);

  // Expressions.
  std::optional<Value> given(const Expression& expression, const Scope& scope);
  Value evaluate(const Expression& expression, const Scope& scope);
  Value dispatch(const Expression& expression, const Scope& scope);
  const Value* find(std::string_view name, const Scope& scope);
  Value loop_member(const Expression& expression, const Scope& scope);
  Value list(const Expression& expression, const Scope& scope);
  Value dict(const Expression& expression, const Scope& scope);
  [[noreturn]] void fail_undefined(const Expression& expression) const;
  Value item(const Value& subject, const Value& key);
  Value slice(const Expression& expression, const Scope& scope);
  Value text_slice(const std::string& text, std::int64_t begin, std::int64_t end,
                   std::int64_t step);
  Value operation(const Expression& expression, const Scope& scope);
  Value arithmetic(Operator operation, const Value& a, const Value& b);
  Value repeated(std::string_view text, std::int64_t times);
  bool less(const Value& a, const Value& b);
  Value builtin(const Expression& expression, const Scope& scope);
  Value each(const Expression& expression, const Scope& scope);
  Value select(const Expression& expression, const Scope& scope);
  Value make_namespace(const Expression& expression, const Scope& scope);
  Value call_macro(const Expression& expression, const Scope& scope);
  Value path(Value subject, std::string_view dotted);

  const Program& program_;
  std::string_view origin_;
  std::uint64_t& steps_;
  std::uint32_t line_ = 1, depth_ = 0;
  std::string* out_ = nullptr;
  Output output_;
  Scope root_;
  std::deque<Namespace> namespaces_;  // where they stay when more come
};

}  // namespace volt::lm::jinja
