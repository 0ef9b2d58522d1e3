// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/tokenizer_parts.hpp"

#include <algorithm>
#include <array>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/unicode.hpp"

namespace volt::lm {
namespace {

constexpr std::size_t max_steps = 16;
constexpr std::size_t max_short = 1024;

}  // namespace

std::vector<doc::Fields> steps_of(const doc::Fields& root, const doc::Value& value,
                                  const doc::Source& source, std::string_view key,
                                  std::string_view list) {
  std::vector<doc::Fields> steps;
  const doc::Value* part = value.find(key);
  if (part == nullptr || part->get_if<std::nullptr_t>() != nullptr) return steps;
  doc::Fields fields(*part, source, std::string(key));
  if (fields.string("type") != "Sequence") {
    steps.push_back(std::move(fields));
    return steps;
  }
  const auto& array = fields.array(list);
  fields.refuse_others();
  if (array.size() > max_steps) root.fail(key, *part, "has more than 16 steps");
  for (const doc::Value& one : array)
    steps.emplace_back(
        one, source,
        fields.path() + "." + std::string(list) + "[" + std::to_string(steps.size()) + "]");
  return steps;
}

const std::string& short_string(doc::Fields& fields, std::string_view key) {
  const std::string& text = fields.string(key);
  if (text.empty() || text.size() > max_short)
    fields.fail(key, fields.get(key),
                "has " + std::to_string(text.size()) + " bytes, not from 1 to 1024");
  return text;
}

const std::string& one_character(doc::Fields& fields, std::string_view key) {
  const std::string& text = short_string(fields, key);
  if (!is_utf8(text) || character_at(text, 0).length != text.size())
    fields.fail(key, fields.get(key), "is \"" + printable(text) + "\", not one character");
  return text;
}

bool flag(doc::Fields& fields, std::string_view key, bool otherwise) {
  const doc::Value* value = fields.find(key);
  if (value == nullptr || value->get_if<std::nullptr_t>() != nullptr) return otherwise;
  return fields.boolean(key);
}

Replace Replace::read(doc::Fields& fields) {
  Replace replace;
  doc::Fields pattern = fields.table("pattern");
  replace.pattern = short_string(pattern, "String");
  pattern.refuse_others();
  replace.content = fields.string("content");
  if (replace.content.size() > max_short)
    fields.fail("content", fields.get("content"), "has more than 1024 bytes");
  fields.refuse_others();
  return replace;
}

MetaspaceSettings MetaspaceSettings::read(doc::Fields& fields) {
  constexpr std::array<std::string_view, 3> schemes{"always", "first", "never"};
  MetaspaceSettings settings;
  settings.replacement = one_character(fields, "replacement");
  fields.find("str_rep");  // the replacement once more, in old files
  settings.split = flag(fields, "split", true);
  if (fields.has("prepend_scheme")) {
    const std::string& scheme = fields.choice("prepend_scheme", schemes);
    const auto found = std::find(schemes.begin(), schemes.end(), scheme);
    settings.prepend = static_cast<Prepend>(found - schemes.begin());
  }
  if (!flag(fields, "add_prefix_space", true) && settings.prepend != Prepend::never)
    fields.fail("add_prefix_space", fields.get("add_prefix_space"),
                "is false, but prepend_scheme is not \"never\"");
  return settings;
}

std::string Replace::apply(std::string_view text, std::size_t most) const {
  std::string result;
  for (std::size_t at = 0;;) {
    const std::size_t found = text.find(pattern, at);
    result += text.substr(at, found - at);
    if (found == std::string_view::npos) break;
    result += content;
    at = found + pattern.size();
    if (result.size() > most) break;
  }
  if (result.size() > most)
    throw Error(Exit::usage, "the tokenizer's replacements make a text more than 16 times as long");
  return result;
}

}  // namespace volt::lm
