// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/normalizer.hpp"

#include <array>

#include "libvolt/lm/unicode.hpp"

namespace volt::lm {

Normalizer::Normalizer(const doc::Fields& root, const doc::Value& tokenizer,
                       const doc::Source& source) {
  for (doc::Fields& fields : steps_of(root, tokenizer, source, "normalizer", "normalizers"))
    steps_.push_back(read(fields));
}

Normalizer::Step Normalizer::read(doc::Fields& fields) {
  constexpr std::array<std::string_view, 3> types{"NFC", "Prepend", "Replace"};
  const std::string& type = fields.choice("type", types);
  if (type == "Replace") return Replace::read(fields);
  Step step = Nfc{};
  if (type == "Prepend") step = Prepend{short_string(fields, "prepend")};
  fields.refuse_others();
  return step;
}

std::string Normalizer::apply(std::string_view utf8, bool continues) const {
  std::string text(utf8);
  for (const Step& step : steps_) {
    if (const auto* replace = std::get_if<Replace>(&step))
      text = replace->apply(text, longest(utf8.size()));
    else if (const auto* prepend = std::get_if<Prepend>(&step))
      text.insert(0, text.empty() || continues ? "" : prepend->text);
    else
      text = to_nfc(text);
  }
  return text;
}

}  // namespace volt::lm
