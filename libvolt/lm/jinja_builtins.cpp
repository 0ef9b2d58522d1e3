// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/jinja_builtins.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "libvolt/base/text.hpp"
#include "libvolt/lm/jinja_interpreter.hpp"
#include "libvolt/lm/jinja_text.hpp"

namespace volt::lm::jinja {
namespace {

// Arguments.

const std::string& text_argument(Interpreter& in, Arguments given, std::size_t i) {
  const std::string* text = given[i]->text();
  if (text == nullptr)
    in.fail("an argument is " + std::string(given[i]->kind()) + ", not a string");
  return *text;
}

std::int64_t whole_argument(Interpreter& in, Arguments given, std::size_t i,
                            std::int64_t otherwise) {
  if (!given[i]) return otherwise;
  const auto* number = given[i]->get_if<std::int64_t>();
  if (number == nullptr)
    in.fail("an argument is " + std::string(given[i]->kind()) + ", not a whole number");
  return *number;
}

/// How many times at most, where -1 or nothing is no limit.
std::uint64_t count_argument(Interpreter& in, Arguments given, std::size_t i) {
  return static_cast<std::uint64_t>(whole_argument(in, given, i, -1));
}

/// The text of a filter's subject; filters take anything that has one.
std::string subject_text(Interpreter& in, const Value& subject) {
  std::string text = in.to_text(subject);
  in.spend_bytes(text.size());
  return text;
}

/// The subject of a method of strings.
const std::string& receiver(Interpreter& in, const Value& subject) {
  const std::string* text = subject.text();
  if (text == nullptr) in.fail("a method of strings is called on " + std::string(subject.kind()));
  in.spend_bytes(text->size());
  return *text;
}

// Filters.

/// `change` knows the cases of ASCII alone.
Value cased(Interpreter& in, const std::string& text, std::string (*change)(std::string_view)) {
  if (!is_ascii(text)) in.fail("the case of letters beyond ASCII cannot be changed");
  return in.made(change(text));
}

template <std::string (*change)(std::string_view)>
Value case_filter(Interpreter& in, const Value& subject, Arguments) {
  return cased(in, subject_text(in, subject), change);
}

Value stripped(Interpreter& in, std::string_view text, Side side, Arguments given) {
  if (!given[0] || given[0]->get_if<None>() != nullptr)
    return in.made(std::string(strip(text, side)));
  const std::string& unwanted = text_argument(in, given, 0);
  in.spend_bytes(text.size() * (1 + unwanted.size() / 16));
  return in.made(std::string(strip(text, side, unwanted)));
}

Value filter_trim(Interpreter& in, const Value& subject, Arguments given) {
  return stripped(in, subject_text(in, subject), Side::both, given);
}

Value filter_length(Interpreter& in, const Value& subject, Arguments) {
  if (const List* items = subject.list()) return static_cast<std::int64_t>(items->size());
  if (const Dict* members = subject.dict()) return static_cast<std::int64_t>(members->size());
  if (const std::string* text = subject.text()) {
    in.spend_bytes(text->size());
    return static_cast<std::int64_t>(count_characters(*text));
  }
  if (!subject.is_undefined()) in.fail(std::string(subject.kind()) + " has no length");
  return std::int64_t{0};
}

Value filter_join(Interpreter& in, const Value& subject, Arguments given) {
  const std::string between = given[0] ? in.to_text(*given[0]) : "";
  std::string text;
  bool first = true;
  for (const auto& item : in.iterate(subject)) {
    if (!std::exchange(first, false)) in.append_text(text, between);
    in.append(text, given[1] ? in.attribute(item, text_argument(in, given, 1)) : item);
  }
  return in.made(std::move(text));
}

Value filter_default(Interpreter&, const Value& subject, Arguments given) {
  const bool falsy_too = given[1] && given[1]->is_true();
  if (!subject.is_undefined() && (!falsy_too || subject.is_true())) return subject;
  return given[0] ? *given[0] : Value(std::string());
}

Value filter_first(Interpreter& in, const Value& subject, Arguments) {
  const List items = in.iterate(subject);
  return items.empty() ? Value() : items.front();
}

Value filter_last(Interpreter& in, const Value& subject, Arguments) {
  const List items = in.iterate(subject);
  return items.empty() ? Value() : items.back();
}

Value filter_reverse(Interpreter& in, const Value& subject, Arguments) {
  List items = in.iterate(subject);
  std::reverse(items.begin(), items.end());
  if (subject.text() == nullptr) return in.made(std::move(items));
  std::string text;
  for (const auto& item : items) text += *item.text();
  return in.made(std::move(text));
}

Value replaced(Interpreter& in, const std::string& text, Arguments given) {
  const std::string &old = text_argument(in, given, 0), &with = text_argument(in, given, 1);
  if (old.empty()) in.fail("\"replace\" needs a text to look for");
  in.spend_search(text, old);
  auto result = replace(text, old, with, count_argument(in, given, 2), Interpreter::max_text);
  if (!result) in.fail_too_long();
  return in.made(std::move(*result));
}

Value filter_replace(Interpreter& in, const Value& subject, Arguments given) {
  return replaced(in, subject_text(in, subject), given);
}

Value pairs(Interpreter& in, const Value& subject) {
  List items;
  for (const auto& [key, value] : *subject.dict()) items.push_back(List{key, value});
  return in.made(std::move(items));
}

Value filter_items(Interpreter& in, const Value& subject, Arguments) {
  if (subject.is_undefined()) return List();
  if (subject.dict() == nullptr) in.fail("|items is for dicts, not " + std::string(subject.kind()));
  return pairs(in, subject);
}

Value filter_list(Interpreter& in, const Value& subject, Arguments) {
  return in.made(in.iterate(subject));
}

Value filter_string(Interpreter& in, const Value& subject, Arguments) {
  return in.made(in.to_text(subject));
}

Value truncated(Interpreter& in, double number) {
  if (!(std::abs(number) < 0x1p63)) in.fail("|int gives a number beyond 64 bits");
  return static_cast<std::int64_t>(number);
}

Value filter_int(Interpreter& in, const Value& subject, Arguments given) {
  const std::int64_t otherwise = whole_argument(in, given, 0, 0);
  if (const auto* number = subject.get_if<double>()) return truncated(in, *number);
  if (const auto* truth = subject.get_if<bool>()) return std::int64_t{*truth};
  if (subject.get_if<std::int64_t>() != nullptr) return subject;
  if (subject.is_undefined()) in.fail("|int is not for what is undefined");
  if (subject.text() == nullptr) return otherwise;
  auto text = strip(*subject.text(), Side::both);
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) return number;
  const auto real = parse_number(text);
  return real ? truncated(in, *real) : Value(otherwise);
}

Value filter_tojson(Interpreter& in, const Value& subject, Arguments given) {
  const bool none = given[0] && given[0]->get_if<None>() != nullptr;
  const auto indent = none ? 0 : whole_argument(in, given, 0, 0);
  if (indent < 0 || indent > 16 || (indent == 0 && given[0] && !none))
    in.fail("|tojson indents by 1 to 16 spaces");
  std::string text;
  in.append_json(text, subject, static_cast<std::size_t>(indent));
  return in.made(std::move(text));
}

// Tests.

template <class T>
Value is_a(Interpreter&, const Value& subject, Arguments) {
  return subject.get_if<T>() != nullptr;
}
Value is_defined(Interpreter&, const Value& subject, Arguments) { return !subject.is_undefined(); }
Value is_string(Interpreter&, const Value& subject, Arguments) { return subject.text() != nullptr; }
Value is_mapping(Interpreter&, const Value& subject, Arguments) {
  return subject.dict() != nullptr;
}
Value is_iterable(Interpreter&, const Value& subject, Arguments) {
  return subject.text() != nullptr || subject.list() != nullptr || subject.dict() != nullptr ||
         subject.is_undefined();
}
Value is_number(Interpreter&, const Value& subject, Arguments) {
  return subject.get_if<bool>() != nullptr || subject.get_if<std::int64_t>() != nullptr ||
         subject.get_if<double>() != nullptr;
}
template <bool wanted>
Value is_exactly(Interpreter&, const Value& subject, Arguments) {
  const auto* truth = subject.get_if<bool>();
  return truth != nullptr && *truth == wanted;
}
template <std::int64_t rest>
Value is_parity(Interpreter& in, const Value& subject, Arguments) {
  const auto* number = subject.get_if<std::int64_t>();
  if (number == nullptr) in.fail(std::string(subject.kind()) + " is neither odd nor even");
  return (*number & 1) == rest;
}
Value is_divisible(Interpreter& in, const Value& subject, Arguments given) {
  const auto* number = subject.get_if<std::int64_t>();
  const auto by = whole_argument(in, given, 0, 0);
  if (number == nullptr || by == 0) in.fail("\"divisibleby\" is for whole numbers other than 0");
  return by == -1 || *number % by == 0;
}
Value is_equal(Interpreter& in, const Value& subject, Arguments given) {
  return in.equal(subject, *given[0]);
}
Value is_other(Interpreter& in, const Value& subject, Arguments given) {
  return !in.equal(subject, *given[0]);
}
Value is_in(Interpreter& in, const Value& subject, Arguments given) {
  return in.contains(*given[0], subject);
}

// Methods.

template <Side side>
Value method_strip(Interpreter& in, const Value& subject, Arguments given) {
  return stripped(in, receiver(in, subject), side, given);
}

Value method_split(Interpreter& in, const Value& subject, Arguments given) {
  const std::string& text = receiver(in, subject);
  std::optional<std::string_view> separator;
  if (given[0] && given[0]->get_if<None>() == nullptr) {
    separator = text_argument(in, given, 0);
    if (separator->empty()) in.fail("\"split\" needs a separator that is not empty");
    in.spend_search(text, *separator);
  }
  const auto most = std::min<std::uint64_t>(count_argument(in, given, 1), Interpreter::max_parts);
  const auto parts = split(text, separator, most);
  if (parts.size() > Interpreter::max_parts) in.fail_too_many();
  List texts;
  for (const auto part : parts) texts.push_back(std::string(part));
  return in.made(std::move(texts));
}

/// One text, or any of a list of them.
template <bool (*matches)(std::string_view, std::string_view)>
Value method_affix(Interpreter& in, const Value& subject, Arguments given) {
  const std::string& text = receiver(in, subject);
  if (given[0]->list() == nullptr) return matches(text, text_argument(in, given, 0));
  return std::any_of(given[0]->list()->begin(), given[0]->list()->end(), [&](const Value& one) {
    in.spend_bytes(text.size());
    return one.text() != nullptr && matches(text, *one.text());
  });
}
bool starts(std::string_view text, std::string_view with) { return text.starts_with(with); }
bool ends(std::string_view text, std::string_view with) { return text.ends_with(with); }

template <std::string (*change)(std::string_view)>
Value method_case(Interpreter& in, const Value& subject, Arguments) {
  return cased(in, receiver(in, subject), change);
}

Value method_replace(Interpreter& in, const Value& subject, Arguments given) {
  return replaced(in, receiver(in, subject), given);
}

Value method_find(Interpreter& in, const Value& subject, Arguments given) {
  const std::string& text = receiver(in, subject);
  const std::string& needle = text_argument(in, given, 0);
  in.spend_search(text, needle);
  const std::size_t at = find(text, needle);
  if (at == std::string::npos) return std::int64_t{-1};
  return static_cast<std::int64_t>(count_characters(std::string_view(text).substr(0, at)));
}

const Dict& dict_receiver(Interpreter& in, const Value& subject) {
  if (subject.dict() == nullptr)
    in.fail("a method of dicts is called on " + std::string(subject.kind()));
  return *subject.dict();
}

Value method_get(Interpreter& in, const Value& subject, Arguments given) {
  in.spend(dict_receiver(in, subject).size() / 16 + 1);
  const Value* found = given[0]->text() == nullptr ? nullptr : subject.find(*given[0]->text());
  if (found != nullptr) return *found;
  return given[1] ? *given[1] : Value(None{});
}

Value method_items(Interpreter& in, const Value& subject, Arguments) {
  dict_receiver(in, subject);
  return pairs(in, subject);
}

Value method_keys(Interpreter& in, const Value& subject, Arguments) {
  dict_receiver(in, subject);
  return in.made(in.iterate(subject));
}

Value method_values(Interpreter& in, const Value& subject, Arguments) {
  List values;
  for (const auto& member : dict_receiver(in, subject)) values.push_back(member.second);
  return in.made(std::move(values));
}

// Functions.

Value function_range(Interpreter& in, const Value&, Arguments given) {
  constexpr std::int64_t most = 100'000;  // as Jinja's sandbox has it
  const auto first = whole_argument(in, given, 0, 0);
  const auto begin = given[1] ? first : 0, end = whole_argument(in, given, 1, first);
  const auto step = whole_argument(in, given, 2, 1);
  const auto small = [](std::int64_t n) {
    return n > -(std::int64_t{1} << 40) && n < (std::int64_t{1} << 40);
  };
  if (step == 0 || !small(begin) || !small(end) || !small(step))
    in.fail("a range has a step of 0 or numbers that are too large");
  List numbers;
  for (auto i = begin; step > 0 ? i < end : i > end; i += step) {
    if (static_cast<std::int64_t>(numbers.size()) == most)
      in.fail("a range has more than 100,000 numbers");
    numbers.push_back(i);
  }
  return in.made(std::move(numbers));
}

Value function_raise(Interpreter& in, const Value&, Arguments given) {
  in.fail("the template refuses the conversation: \"" + printable(in.to_text(*given[0])) + "\"");
}

Value function_date(Interpreter& in, const Value&, Arguments) {
  // The name is undefined to `is defined`, so that templates with a date of their own take that.
  in.fail("strftime_now() would make the text depend on the day",
          "write a fixed date into the template");
}

constexpr Builtin all_filters[] = {
    {"capitalize", {}, 0, case_filter<capitalize>},
    {"count", {}, 0, filter_length},
    {"d", {"default_value", "boolean"}, 0, filter_default},
    {"default", {"default_value", "boolean"}, 0, filter_default},
    {"first", {}, 0, filter_first},
    {"int", {"default"}, 0, filter_int},
    {"items", {}, 0, filter_items},
    {"join", {"d", "attribute"}, 0, filter_join},
    {"last", {}, 0, filter_last},
    {"length", {}, 0, filter_length},
    {"list", {}, 0, filter_list},
    {"lower", {}, 0, case_filter<lower>},
    {"replace", {"old", "new", "count"}, 2, filter_replace},
    {"reverse", {}, 0, filter_reverse},
    {"safe", {}, 0, filter_string},  // nothing is ever escaped here
    {"string", {}, 0, filter_string},
    {"title", {}, 0, case_filter<title_filter>},
    {"tojson", {"indent"}, 0, filter_tojson},
    {"trim", {"chars"}, 0, filter_trim},
    {"upper", {}, 0, case_filter<upper>},
};

constexpr Builtin all_tests[] = {
    {"!=", {"other"}, 1, is_other},
    {"==", {"other"}, 1, is_equal},
    {"boolean", {}, 0, is_a<bool>},
    {"defined", {}, 0, is_defined},
    {"divisibleby", {"num"}, 1, is_divisible},
    {"eq", {"other"}, 1, is_equal},
    {"equalto", {"other"}, 1, is_equal},
    {"even", {}, 0, is_parity<0>},
    {"false", {}, 0, is_exactly<false>},
    {"float", {}, 0, is_a<double>},
    {"in", {"seq"}, 1, is_in},
    {"integer", {}, 0, is_a<std::int64_t>},
    {"iterable", {}, 0, is_iterable},
    {"mapping", {}, 0, is_mapping},
    {"ne", {"other"}, 1, is_other},
    {"none", {}, 0, is_a<None>},
    {"number", {}, 0, is_number},
    {"odd", {}, 0, is_parity<1>},
    {"sequence", {}, 0, is_iterable},
    {"string", {}, 0, is_string},
    {"true", {}, 0, is_exactly<true>},
    {"undefined", {}, 0, is_a<Undefined>},
};

constexpr Builtin all_methods[] = {
    {"capitalize", {}, 0, method_case<capitalize>},
    {"endswith", {"suffix"}, 1, method_affix<ends>},
    {"find", {"sub"}, 1, method_find},
    {"get", {"key", "default"}, 1, method_get},
    {"items", {}, 0, method_items},
    {"keys", {}, 0, method_keys},
    {"lower", {}, 0, method_case<lower>},
    {"lstrip", {"chars"}, 0, method_strip<Side::left>},
    {"replace", {"old", "new", "count"}, 2, method_replace},
    {"rstrip", {"chars"}, 0, method_strip<Side::right>},
    {"split", {"sep", "maxsplit"}, 0, method_split},
    {"startswith", {"prefix"}, 1, method_affix<starts>},
    {"strip", {"chars"}, 0, method_strip<Side::both>},
    {"title", {}, 0, method_case<title>},
    {"upper", {}, 0, method_case<upper>},
    {"values", {}, 0, method_values},
};

constexpr Builtin all_functions[] = {
    {"raise_exception", {"message"}, 1, function_raise},
    {"range", {"start", "stop", "step"}, 1, function_range},
    {"strftime_now", {"format"}, 1, function_date},
};

}  // namespace

std::span<const Builtin> filters() { return all_filters; }
std::span<const Builtin> tests() { return all_tests; }
std::span<const Builtin> methods() { return all_methods; }
std::span<const Builtin> functions() { return all_functions; }

}  // namespace volt::lm::jinja
