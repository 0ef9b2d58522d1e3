// SPDX-License-Identifier: Apache-2.0
// What operators do with values, as Python does it.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "libvolt/lm/jinja_interpreter.hpp"
#include "libvolt/lm/jinja_text.hpp"

namespace volt::lm::jinja {
namespace {

/// True and false are 1 and 0 to arithmetic.
std::optional<std::int64_t> whole(const Value& value) {
  if (const auto* truth = value.get_if<bool>()) return *truth;
  if (const auto* number = value.get_if<std::int64_t>()) return *number;
  return std::nullopt;
}

std::optional<double> real(const Value& value) {
  if (const auto* number = value.get_if<double>()) return *number;
  if (const auto number = whole(value)) return static_cast<double>(*number);
  return std::nullopt;
}

std::string_view spelling(Operator operation) {
  switch (operation) {
    case Operator::add:
      return "+";
    case Operator::subtract:
      return "-";
    case Operator::multiply:
      return "*";
    case Operator::divide:
      return "/";
    case Operator::floor_divide:
      return "//";
    default:
      return "%";
  }
}

/// nullopt where the result is outside int64.
std::optional<std::int64_t> exact(Operator operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (operation) {
    case Operator::add:
      return __builtin_add_overflow(a, b, &result) ? std::nullopt : std::optional(result);
    case Operator::subtract:
      return __builtin_sub_overflow(a, b, &result) ? std::nullopt : std::optional(result);
    case Operator::multiply:
      return __builtin_mul_overflow(a, b, &result) ? std::nullopt : std::optional(result);
    default:
      break;
  }
  if (b == -1) {  // the one quotient that can overflow
    if (operation == Operator::modulo) return 0;
    return a == std::numeric_limits<std::int64_t>::min() ? std::nullopt : std::optional(-a);
  }
  const std::int64_t quotient = a / b, rest = a % b;
  const bool down = rest != 0 && (rest < 0) != (b < 0);  // Python rounds towards -infinity
  return operation == Operator::modulo ? rest + (down ? b : 0) : quotient - down;
}

double inexact(Operator operation, double a, double b) {
  double rest = 0;
  switch (operation) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      return a / b;
    default:
      rest = std::fmod(a, b);
      if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
      if (rest == 0) rest = std::copysign(0.0, b);
      if (operation == Operator::modulo) return rest;
      break;
  }
  const double quotient = (a - rest) / b;
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

}  // namespace

Value Interpreter::operation(const Expression& expression, const Scope& scope) {
  const auto& parts = expression.parts;
  Value a = evaluate(parts[0], scope);
  switch (expression.operation) {  // those that may leave the second part alone, or have none
    case Operator::both:
      return a.is_true() ? evaluate(parts[1], scope) : a;
    case Operator::either:
      return a.is_true() ? a : evaluate(parts[1], scope);
    case Operator::invert:
      return !a.is_true();
    case Operator::negate:
      if (const auto* number = a.get_if<double>()) return -*number;  // 0.0 has a sign
      return arithmetic(Operator::subtract, std::int64_t{0}, a);
    case Operator::plus:
      return arithmetic(Operator::add, std::int64_t{0}, a);
    default:
      break;
  }
  const Value b = evaluate(parts[1], scope);
  switch (expression.operation) {
    case Operator::concatenate: {
      std::string text = to_text(a);
      append(text, b);
      return made(std::move(text));
    }
    case Operator::equal:
      return equal(a, b);
    case Operator::not_equal:
      return !equal(a, b);
    case Operator::less:
      return less(a, b);
    case Operator::less_equal:
      return !less(b, a);
    case Operator::greater:
      return less(b, a);
    case Operator::greater_equal:
      return !less(a, b);
    case Operator::in:
      return contains(b, a);
    case Operator::not_in:
      return !contains(b, a);
    default:
      return arithmetic(expression.operation, a, b);
  }
}

Value Interpreter::item(const Value& subject, const Value& key) {
  if (key.text() != nullptr) return attribute(subject, *key.text());
  const auto* wanted = key.get_if<std::int64_t>();
  const bool indexed = subject.list() != nullptr || subject.text() != nullptr;
  if (wanted == nullptr || !indexed) return {};
  if (const List* items = subject.list()) {
    const auto size = static_cast<std::int64_t>(items->size());
    const auto index = *wanted < 0 ? *wanted + size : *wanted;
    return index < 0 || index >= size ? Value() : (*items)[static_cast<std::size_t>(index)];
  }
  const std::string_view text = *subject.text();
  spend_bytes(text.size());
  const auto size = static_cast<std::int64_t>(count_characters(text));
  const auto index = *wanted < 0 ? *wanted + size : *wanted;
  if (index < 0 || index >= size) return {};
  const auto at = text.substr(offset_of(text, static_cast<std::size_t>(index)));
  return std::string(at.substr(0, character_length(at)));
}

Value Interpreter::slice(const Expression& expression, const Scope& scope) {
  const Value subject = evaluate(expression.parts[0], scope);
  std::array<std::optional<std::int64_t>, 3> bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const auto bound = given(expression.parts[i + 1], scope);
    if (!bound || bound->get_if<None>() != nullptr) continue;
    if (bound->get_if<std::int64_t>() == nullptr)
      fail("a bound of a slice is " + std::string(bound->kind()) + ", not a whole number");
    bounds[i] = *bound->get_if<std::int64_t>();
  }
  if (subject.is_undefined()) fail_undefined(expression.parts[0]);
  if (subject.list() == nullptr && subject.text() == nullptr)
    fail(std::string(subject.kind()) + " cannot be sliced");
  // slice.indices of Python.
  const List* items = subject.list();
  const auto size = static_cast<std::int64_t>(items != nullptr ? items->size()
                                                               : count_characters(*subject.text()));
  const std::int64_t step = bounds[2].value_or(1);
  if (step == 0 || step < -INT32_MAX || step > INT32_MAX)
    fail("the step of a slice is 0 or too large");
  const std::int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  const auto place = [&](std::optional<std::int64_t> bound, std::int64_t otherwise) {
    if (!bound) return otherwise;
    return std::clamp(*bound < 0 ? *bound + size : *bound, low, high);
  };
  const std::int64_t begin = place(bounds[0], step < 0 ? high : low);
  const std::int64_t end = place(bounds[1], step < 0 ? low : high);
  if (items == nullptr) return text_slice(*subject.text(), begin, end, step);
  List taken;
  for (auto i = begin; step < 0 ? i > end : i < end; i += step)
    taken.push_back((*items)[static_cast<std::size_t>(i)]);
  return made(std::move(taken));
}

Value Interpreter::text_slice(const std::string& text, std::int64_t begin, std::int64_t end,
                              std::int64_t step) {
  spend_bytes(text.size());
  if (step == 1) {
    const auto first = offset_of(text, static_cast<std::size_t>(begin));
    const auto last = offset_of(text, static_cast<std::size_t>(std::max(begin, end)));
    return made(text.substr(first, last - first));
  }
  if (text.size() > max_parts) fail_too_many();
  const auto letters = characters(text);
  std::string taken;
  for (auto i = begin; step < 0 ? i > end : i < end; i += step)
    taken += letters[static_cast<std::size_t>(i)];
  return made(std::move(taken));
}

Value Interpreter::arithmetic(Operator operation, const Value& a, const Value& b) {
  const auto sign = spelling(operation);
  if (operation == Operator::add && a.text() != nullptr && b.text() != nullptr) {
    std::string text = *a.text();
    return made(text += *b.text());
  }
  if (operation == Operator::add && a.list() != nullptr && b.list() != nullptr) {
    List items = *a.list();
    items.insert(items.end(), b.list()->begin(), b.list()->end());
    return made(std::move(items));
  }
  if (operation == Operator::multiply && (a.text() != nullptr) != (b.text() != nullptr)) {
    const auto& text = *(a.text() != nullptr ? a : b).text();
    if (const auto times = whole(a.text() != nullptr ? b : a)) return repeated(text, *times);
  }
  const auto x = real(a), y = real(b);
  if (!x || !y)
    fail("\"" + std::string(sign) + "\" is not for " + std::string(a.kind()) + " and " +
         std::string(b.kind()));
  const bool divides = operation == Operator::divide || operation == Operator::floor_divide ||
                       operation == Operator::modulo;
  if (divides && *y == 0) fail("division by zero");
  if (whole(a) && whole(b) && operation != Operator::divide) {
    const auto result = exact(operation, *whole(a), *whole(b));
    if (!result) fail("\"" + std::string(sign) + "\" gives a number beyond 64 bits");
    return *result;
  }
  const double result = inexact(operation, *x, *y);
  if (!std::isfinite(result))
    fail("\"" + std::string(sign) + "\" gives a number that is too large");
  return result;
}

Value Interpreter::repeated(std::string_view text, std::int64_t times) {
  if (times <= 0 || text.empty()) return std::string();
  if (static_cast<std::uint64_t>(times) > max_text / text.size()) fail_too_long();
  std::string all;
  for (std::int64_t i = 0; i < times; ++i) all += text;
  return made(std::move(all));
}

bool Interpreter::equal(const Value& a, const Value& b) {
  spend(1);
  if (a.text() != nullptr && b.text() != nullptr) {
    spend_bytes(a.text()->size());
    return *a.text() == *b.text();
  }
  if (a.list() != nullptr && b.list() != nullptr)
    return std::equal(a.list()->begin(), a.list()->end(), b.list()->begin(), b.list()->end(),
                      [&](const Value& x, const Value& y) { return equal(x, y); });
  if (a.dict() != nullptr && b.dict() != nullptr) {
    if (a.dict()->size() != b.dict()->size()) return false;
    return std::all_of(a.dict()->begin(), a.dict()->end(), [&](const auto& member) {
      spend(b.dict()->size() / 16 + 1);
      const Value* other = b.find(member.first);
      return other != nullptr && equal(member.second, *other);
    });
  }
  if (whole(a) && whole(b)) return *whole(a) == *whole(b);
  if (real(a) && real(b)) return *real(a) == *real(b);
  return a.identical(b);
}

bool Interpreter::less(const Value& a, const Value& b) {
  if (a.text() != nullptr && b.text() != nullptr) {
    spend_bytes(a.text()->size());
    return *a.text() < *b.text();  // bytes of UTF-8 are in the order of code points
  }
  if (whole(a) && whole(b)) return *whole(a) < *whole(b);
  if (!real(a) || !real(b))
    fail(std::string(a.kind()) + " and " + std::string(b.kind()) + " have no order");
  return *real(a) < *real(b);
}

bool Interpreter::contains(const Value& whole, const Value& part) {
  if (const std::string* text = whole.text()) {
    if (part.text() == nullptr)
      fail("\"in\" looks for " + std::string(part.kind()) + " in a string");
    spend_search(*text, *part.text());
    return jinja::find(*text, *part.text()) != std::string::npos;
  }
  if (const Dict* members = whole.dict()) {
    spend(members->size() / 16 + 1);
    if (part.depth() != 0) fail(std::string(part.kind()) + " is never a key");
    return part.text() != nullptr && whole.find(*part.text()) != nullptr;
  }
  const List items = iterate(whole);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& item) { return equal(item, part); });
}

List Interpreter::iterate(const Value& value) {
  List items;
  if (value.list() != nullptr) {
    items = *value.list();
  } else if (const Dict* members = value.dict()) {
    for (const auto& member : *members) items.push_back(member.first);
  } else if (const std::string* text = value.text()) {
    if (text->size() > max_parts) fail_too_many();
    for (const auto letter : characters(*text)) items.push_back(std::string(letter));
  } else if (!value.is_undefined()) {
    fail(std::string(value.kind()) + " has no items");
  }
  spend(items.size() + 1);
  return items;
}

void Interpreter::append(std::string& out, const Value& value) {
  if (const std::string* text = value.text()) return append_text(out, *text);
  if (const auto* truth = value.get_if<bool>()) return append_text(out, *truth ? "True" : "False");
  if (const auto* number = value.get_if<std::int64_t>())
    return append_text(out, std::to_string(*number));
  if (const auto* number = value.get_if<double>()) return append_text(out, jinja::to_text(*number));
  if (value.get_if<None>() != nullptr) return append_text(out, "None");
  if (!value.is_undefined())
    fail(std::string(value.kind()) + " has no text", "write it with |tojson");
}

void Interpreter::append_text(std::string& out, std::string_view text) {
  if (text.size() > max_text - out.size()) fail("the template makes a text of more than 64 MiB");
  spend_bytes(text.size());
  out += text;
}

std::string Interpreter::to_text(const Value& value) {
  std::string text;
  append(text, value);
  return text;
}

}  // namespace volt::lm::jinja
