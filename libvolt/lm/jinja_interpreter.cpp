// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/jinja_interpreter.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "libvolt/base/text.hpp"
#include "libvolt/lm/jinja_text.hpp"

namespace volt::lm::jinja {
namespace {

/// The expression as a person would name it: "message.content".
std::string shown(const Expression& expression) {
  switch (expression.kind) {
    case Expression::Kind::variable:
      return expression.name;
    case Expression::Kind::attribute:
      return shown(expression.parts[0]) + "." + expression.name;
    case Expression::Kind::item:
      return shown(expression.parts[0]) + "[...]";
    default:
      return "a value";
  }
}

}  // namespace

Interpreter::Level::Level(Interpreter& interpreter) : interpreter_(interpreter) {
  interpreter_.spend(1);
  if (++interpreter_.depth_ > 500) interpreter_.fail("macros call each other too deeply");
}

Interpreter::Output Interpreter::run(Namespace variables) {
  root_.names = std::move(variables);
  out_ = &output_.text;
  run(program_.statements, root_);
  return std::move(output_);
}

void Interpreter::spend(std::uint64_t steps) {
  if (steps > steps_)
    fail("the template takes too many steps for this conversation",
         "a loop in it does not end, or the conversation is far too long");
  steps_ -= steps;
}

void Interpreter::fail(std::string_view what, std::string hint) const {
  fail_at(origin_, line_, what, std::move(hint));
}

void Interpreter::fail_too_long() const { fail("the template makes a text of more than 64 MiB"); }

void Interpreter::fail_too_many() const {
  fail("the template takes a text apart into more than a million parts");
}

void Interpreter::fail_undefined(const Expression& expression) const {
  fail("\"" + printable(shown(expression)) + "\" is undefined");
}

Value Interpreter::made(std::string text) {
  if (text.size() > max_text) fail_too_long();
  spend_bytes(text.size());
  return text;
}

Value Interpreter::made(List items) {
  spend(items.size() + 1);
  Value value(std::move(items));
  if (value.depth() > Value::max_depth) fail("the template nests lists deeper than 100 levels");
  return value;
}

// Statements.

Interpreter::Flow Interpreter::run(const Block& block, Scope& scope) {
  for (const auto& statement : block)
    if (const Flow flow = run(statement, scope); flow != Flow::next) return flow;
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const Statement& statement, Scope& scope) {
  using Kind = Statement::Kind;
  const Level level(*this);
  line_ = statement.line;
  switch (statement.kind) {
    case Kind::text:
      append_text(*out_, statement.name);
      break;
    case Kind::output:
      append(*out_, evaluate(statement.expressions[0], scope));
      break;
    case Kind::branch:
      return branch(statement, scope);
    case Kind::loop:
      return loop(statement, scope);
    case Kind::set:
      set(statement, scope);
      break;
    case Kind::capture:
      scope.names[statement.names[0]] = made(captured(statement.bodies[0], scope));
      break;
    case Kind::macro:
      scope.names[statement.name] = Value(&statement);
      break;
    case Kind::generation:
      generation(statement, scope);
      break;
    case Kind::leave:
      return Flow::leave;
    case Kind::skip:
      return Flow::skip;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::branch(const Statement& statement, Scope& scope) {
  for (std::size_t i = 0; i < statement.expressions.size(); ++i)
    if (evaluate(statement.expressions[i], scope).is_true()) return run(statement.bodies[i], scope);
  if (statement.bodies.size() == statement.expressions.size()) return Flow::next;
  return run(statement.bodies.back(), scope);
}

Interpreter::Flow Interpreter::loop(const Statement& statement, Scope& scope) {
  List items = iterate(evaluate(statement.expressions[0], scope));
  const Expression& condition = statement.expressions[1];
  if (condition.kind != Expression::Kind::absent) {
    List kept;
    for (auto& item : items) {
      Scope inner{&scope, {}, nullptr};
      assign(statement.names, item, inner);
      if (evaluate(condition, inner).is_true()) kept.push_back(std::move(item));
    }
    items = std::move(kept);
  }
  bool finished = false;  // some iteration came to its end: Jinja asks for that, not for items
  Scope::Loop state{&items, 0};
  for (; state.index < items.size(); ++state.index) {
    Scope inner{&scope, {}, &state};  // what an iteration sets is gone with it
    assign(statement.names, items[state.index], inner);
    const Flow flow = run(statement.bodies[0], inner);
    finished = finished || flow == Flow::next;
    if (flow == Flow::leave) break;
  }
  if (finished || statement.bodies.size() == 1) return Flow::next;
  Scope inner{&scope, {}, nullptr};
  return run(statement.bodies[1], inner);
}

void Interpreter::set(const Statement& statement, Scope& scope) {
  Value value = evaluate(statement.expressions[0], scope);
  if (statement.name.empty()) return assign(statement.names, std::move(value), scope);
  const Value* owner = find(statement.names[0], scope);
  const auto* names = owner == nullptr ? nullptr : owner->get_if<Namespace*>();
  if (names == nullptr)
    fail("\"" + statement.names[0] + "\" is no namespace: its members cannot be set");
  (**names)[statement.name] = std::move(value);
}

void Interpreter::assign(const std::vector<std::string>& names, Value value, Scope& scope) {
  if (names.size() == 1) {
    scope.names[names[0]] = std::move(value);
    return;
  }
  const List items = iterate(value);
  if (items.size() != names.size())
    fail(std::to_string(names.size()) + " names are given " + std::to_string(items.size()) +
         " values");
  for (std::size_t i = 0; i < names.size(); ++i) scope.names[names[i]] = items[i];
}

void Interpreter::generation(const Statement& statement, Scope& scope) {
  const std::size_t begin = out_->size();
  Scope inner{&scope, {}, nullptr};
  run(statement.bodies[0], inner);
  output_.generated.emplace_back(begin, out_->size());
}

std::string Interpreter::captured(const Block& block, Scope& scope) {
  std::string text;
  std::string* const before = std::exchange(out_, &text);
  Scope inner{&scope, {}, nullptr};
  run(block, inner);
  out_ = before;
  return text;
}

// Expressions.

std::optional<Value> Interpreter::given(const Expression& expression, const Scope& scope) {
  if (expression.kind == Expression::Kind::absent) return std::nullopt;
  return evaluate(expression, scope);
}

Value Interpreter::evaluate(const Expression& expression, const Scope& scope) {
  const Level level(*this);
  const auto line = std::exchange(line_, expression.line);
  Value value = dispatch(expression, scope);
  line_ = line;
  return value;
}

Value Interpreter::dispatch(const Expression& expression, const Scope& scope) {
  using Kind = Expression::Kind;
  const auto& parts = expression.parts;
  switch (expression.kind) {
    case Kind::absent:
      return {};
    case Kind::literal:
      return expression.value;
    case Kind::variable: {
      const Value* found = find(expression.name, scope);
      return found == nullptr ? Value() : *found;
    }
    case Kind::loop:
      return loop_member(expression, scope);
    case Kind::list:
      return list(expression, scope);
    case Kind::dict:
      return dict(expression, scope);
    case Kind::attribute: {
      const Value subject = evaluate(parts[0], scope);
      if (subject.is_undefined()) fail_undefined(parts[0]);
      return attribute(subject, expression.name);
    }
    case Kind::item: {
      const Value subject = evaluate(parts[0], scope);
      if (subject.is_undefined()) fail_undefined(parts[0]);
      return item(subject, evaluate(parts[1], scope));
    }
    case Kind::slice:
      return slice(expression, scope);
    case Kind::operation:
      return operation(expression, scope);
    case Kind::conditional:
      return evaluate(parts[evaluate(parts[1], scope).is_true() ? 0 : 2], scope);
    case Kind::builtin:
      return builtin(expression, scope);
    case Kind::each:
      return each(expression, scope);
    case Kind::select:
      return select(expression, scope);
    case Kind::make_namespace:
      return make_namespace(expression, scope);
    case Kind::macro:
      return call_macro(expression, scope);
  }
  return {};
}

const Value* Interpreter::find(std::string_view name, const Scope& scope) {
  for (const Scope* at = &scope; at != nullptr; at = at->outer) {
    spend(1);  // the number of scopes is the template's own
    const auto found = at->names.find(name);
    if (found != at->names.end()) return &found->second;
  }
  return nullptr;
}

Value Interpreter::loop_member(const Expression& expression, const Scope& scope) {
  const Scope* at = &scope;
  while (at != nullptr && at->loop == nullptr) at = at->outer;
  if (at == nullptr) fail("\"loop\" is undefined");
  const auto index = static_cast<std::int64_t>(at->loop->index);
  const auto length = static_cast<std::int64_t>(at->loop->items->size());
  const auto neighbour = [&](std::int64_t i) {
    return i < 0 || i >= length ? Value() : (*at->loop->items)[static_cast<std::size_t>(i)];
  };
  const std::string& name = expression.name;
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return length - index;
  if (name == "revindex0") return length - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == length;
  if (name == "length") return length;
  return neighbour(name == "previtem" ? index - 1 : index + 1);
}

Value Interpreter::list(const Expression& expression, const Scope& scope) {
  List items;
  for (const auto& part : expression.parts) items.push_back(evaluate(part, scope));
  return made(std::move(items));
}

Value Interpreter::dict(const Expression& expression, const Scope& scope) {
  // Of equal keys the last one wins, in the first one's place.
  std::map<std::string, std::size_t, std::less<>> places;
  Dict members;
  for (std::size_t i = 0; i < expression.parts.size(); i += 2) {
    const Value key = evaluate(expression.parts[i], scope);
    if (key.text() == nullptr)
      fail("a dict has " + std::string(key.kind()) + " as a key, not a string");
    const auto place = places.try_emplace(*key.text(), members.size()).first->second;
    if (place == members.size()) members.emplace_back(*key.text(), Value());
    members[place].second = evaluate(expression.parts[i + 1], scope);
  }
  Value made_dict(std::move(members));
  if (made_dict.depth() > Value::max_depth) fail("the template nests lists deeper than 100 levels");
  return made_dict;
}

Value Interpreter::attribute(const Value& subject, std::string_view name) {
  if (const Dict* members = subject.dict()) {
    spend(members->size() / 16 + 1);
    const Value* found = subject.find(name);
    return found == nullptr ? Value() : *found;
  }
  if (const auto* names = subject.get_if<Namespace*>()) {
    const auto found = (*names)->find(name);
    return found == (*names)->end() ? Value() : found->second;
  }
  if (subject.is_undefined())
    fail("the attribute \"" + printable(name) + "\" of what is undefined");
  return {};
}

Value Interpreter::path(Value subject, std::string_view dotted) {
  for (const auto name : split(dotted, ".", UINT64_MAX)) subject = attribute(subject, name);
  return subject;
}

Value Interpreter::builtin(const Expression& expression, const Scope& scope) {
  const Value subject = evaluate(expression.parts[0], scope);
  std::vector<std::optional<Value>> arguments;
  for (std::size_t i = 1; i < expression.parts.size(); ++i)
    arguments.push_back(given(expression.parts[i], scope));
  Value result = expression.builtin->call(*this, subject, arguments);
  if (expression.negated) return !result.is_true();
  return result;
}

Value Interpreter::each(const Expression& expression, const Scope& scope) {
  const List items = iterate(evaluate(expression.parts[0], scope));
  std::vector<std::optional<Value>> arguments;
  for (std::size_t i = 1; i < expression.parts.size(); ++i)
    arguments.push_back(given(expression.parts[i], scope));
  List results;
  for (const auto& item : items)
    results.push_back(expression.builtin == nullptr
                          ? path(item, expression.name)
                          : expression.builtin->call(*this, item, arguments));
  return made(std::move(results));
}

Value Interpreter::select(const Expression& expression, const Scope& scope) {
  const List items = iterate(evaluate(expression.parts[0], scope));
  std::vector<std::optional<Value>> arguments;
  for (std::size_t i = 1; i < expression.parts.size(); ++i)
    arguments.push_back(given(expression.parts[i], scope));
  List kept;
  for (const auto& item : items) {
    Value value = expression.name.empty() ? item : path(item, expression.name);
    if (expression.builtin != nullptr) value = expression.builtin->call(*this, value, arguments);
    if (value.is_true() != expression.negated) kept.push_back(item);
  }
  return made(std::move(kept));
}

Value Interpreter::make_namespace(const Expression& expression, const Scope& scope) {
  Namespace names;
  for (std::size_t i = 0; i < expression.parts.size(); ++i)
    names[expression.keywords[i]] = evaluate(expression.parts[i], scope);
  namespaces_.push_back(std::move(names));
  return &namespaces_.back();
}

Value Interpreter::call_macro(const Expression& expression, const Scope& scope) {
  const std::string& name = expression.parts[0].name;
  const Value called = evaluate(expression.parts[0], scope);
  const auto* found = called.get_if<const Statement*>();
  if (found == nullptr) fail("\"" + name + "\" is no macro where it is called");
  const Statement& macro = **found;
  const std::size_t given = expression.parts.size() - 1;
  const std::size_t positional = given - expression.keywords.size();
  if (positional > macro.names.size()) fail("the macro \"" + name + "\" has too many arguments");
  Scope inner{&root_, {}, nullptr};
  for (std::size_t i = 0; i < given; ++i) {
    const std::string& parameter =
        i < positional ? macro.names[i] : expression.keywords[i - positional];
    if (std::find(macro.names.begin(), macro.names.end(), parameter) == macro.names.end())
      fail("the macro \"" + name + "\" has no argument \"" + parameter + "\"");
    if (!inner.names.try_emplace(parameter, evaluate(expression.parts[i + 1], scope)).second)
      fail("the macro \"" + name + "\" has the argument \"" + parameter + "\" twice");
  }
  const std::size_t required = macro.names.size() - macro.expressions.size();
  for (std::size_t i = 0; i < macro.names.size(); ++i) {
    if (inner.names.contains(macro.names[i])) continue;
    // One without a default is undefined, and hides what is called so outside.
    Value value = i < required ? Value() : evaluate(macro.expressions[i - required], inner);
    inner.names.emplace(macro.names[i], std::move(value));
  }
  return made(captured(macro.bodies[0], inner));
}

}  // namespace volt::lm::jinja
