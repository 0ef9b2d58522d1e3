// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/jinja_interpreter.hpp"
#include "libvolt/lm/jinja_text.hpp"

namespace volt::lm::jinja {

void Interpreter::append_json(std::string& out, const Value& value, std::size_t indent,
                              std::size_t depth) {
  const auto line = [&](std::size_t levels) {
    return indent == 0 ? "" : "\n" + std::string(indent * levels, ' ');
  };
  // Before an item: what parts it from the last one, and its line.
  const auto begin = [&](std::size_t i) {
    return (i == 0 ? "" : indent == 0 ? ", " : ",") + line(depth + 1);
  };
  const auto close = [&](bool empty, char bracket) {
    append_text(out, (empty ? "" : line(depth)) + bracket);
  };
  if (const std::string* text = value.text()) {
    spend_bytes(text->size());
    append_text(out, json_string(*text));
  } else if (const List* items = value.list()) {
    append_text(out, "[");
    for (std::size_t i = 0; i < items->size(); ++i) {
      append_text(out, begin(i));
      append_json(out, (*items)[i], indent, depth + 1);
    }
    close(items->empty(), ']');
  } else if (const Dict* members = value.dict()) {
    append_text(out, "{");
    for (std::size_t i = 0; i < members->size(); ++i) {
      append_text(out, begin(i) + json_string((*members)[i].first) + ": ");
      append_json(out, (*members)[i].second, indent, depth + 1);
    }
    close(members->empty(), '}');
  } else if (const auto* truth = value.get_if<bool>()) {
    append_text(out, *truth ? "true" : "false");
  } else if (value.get_if<None>() != nullptr) {
    append_text(out, "null");
  } else if (value.get_if<std::int64_t>() != nullptr || value.get_if<double>() != nullptr) {
    append(out, value);
  } else {
    fail(std::string(value.kind()) + " cannot be written as JSON");
  }
}

}  // namespace volt::lm::jinja
