// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/pre_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "libvolt/base/text.hpp"
#include "libvolt/lm/unicode.hpp"

namespace volt::lm {

PreTokenizer::PreTokenizer(const doc::Fields& root, const doc::Value& tokenizer,
                           const doc::Source& source) {
  for (doc::Fields& fields : steps_of(root, tokenizer, source, "pre_tokenizer", "pretokenizers")) {
    if (byte_level_)
      fields.fail("type", fields.get("type"),
                  "is \"" + printable(fields.string("type")) + "\", behind ByteLevel",
                  "volt reads ByteLevel as the last step only");
    read(fields);
  }
}

void PreTokenizer::read(doc::Fields& fields) {
  constexpr std::array<std::string_view, 4> types{"ByteLevel", "Digits", "Metaspace", "Split"};
  const std::string& type = fields.choice("type", types);
  if (type == "ByteLevel") {
    read_byte_level(fields);
  } else if (type == "Digits") {
    steps_.emplace_back(Digits{fields.boolean("individual_digits")});
  } else if (type == "Metaspace") {
    steps_.emplace_back(MetaspaceSettings::read(fields));
  } else {
    steps_.emplace_back(read_split(fields));
  }
  fields.refuse_others();
}

void PreTokenizer::read_byte_level(doc::Fields& fields) {
  if (fields.boolean("add_prefix_space")) steps_.emplace_back(LeadingSpace{});
  fields.find("trim_offsets");  // about offsets, which volt does not keep
  if (flag(fields, "use_regex", true)) steps_.emplace_back(Split{SplitPattern::gpt2});
  byte_level_ = true;
}

PreTokenizer::Split PreTokenizer::read_split(doc::Fields& fields) {
  doc::Fields pattern = fields.table("pattern");
  const std::string& regex = pattern.string("Regex");
  const auto found = split_pattern(regex);
  if (!found)
    pattern.fail("Regex", pattern.get("Regex"),
                 "is \"" + printable(regex) + "\", which volt does not know",
                 "volt knows the patterns of GPT-2, Llama 3 and Qwen 2 to the letter");
  pattern.refuse_others();
  constexpr std::array<std::string_view, 1> behaviors{"Isolated"};
  fields.choice("behavior", behaviors);
  if (fields.boolean("invert")) fields.fail("invert", fields.get("invert"), "is true, not false");
  return {*found};
}

bool PreTokenizer::looks_at_start() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    const auto* metaspace = std::get_if<MetaspaceSettings>(&step);
    return metaspace != nullptr && metaspace->prepend == MetaspaceSettings::Prepend::first;
  });
}

namespace {

/// The ends of the parts of every word; `part_end(word, at)` is where the part beginning at `at`
/// ends.
template <class F>
void cut_each(Words& words, F part_end) {
  std::vector<std::size_t> ends;
  ends.reserve(words.ends.size());
  std::size_t begin = 0;
  for (const std::size_t end : words.ends) {
    const auto word = std::string_view(words.text).substr(begin, end - begin);
    for (std::size_t at = 0; at < word.size(); ends.push_back(begin + at)) at = part_end(word, at);
    begin = end;
  }
  words.ends = std::move(ends);
}

/// Puts `prefix` before the words that lack it: the `first` one if so, and the `others` if so.
void prefix_each(Words& words, std::string_view prefix, bool first, bool others) {
  std::string text;
  text.reserve(words.text.size() + prefix.size());
  std::size_t begin = 0;
  for (std::size_t& end : words.ends) {
    const auto word = std::string_view(words.text).substr(begin, end - begin);
    if ((begin == 0 ? first : others) && !word.starts_with(prefix)) text += prefix;
    text += word;
    begin = end;
    end = text.size();
  }
  words.text = std::move(text);
}

/// Writes `replacement` for every space.
void replace_spaces(Words& words, std::string_view replacement) {
  std::string text;
  std::size_t begin = 0;
  for (std::size_t& end : words.ends) {
    for (; begin < end; ++begin) {
      if (words.text[begin] == ' ')
        text += replacement;
      else
        text += words.text[begin];
    }
    end = text.size();
  }
  words.text = std::move(text);
}

/// A number, or a run of them unless they are `individual`; else all up to the next.
std::size_t digits_end(std::string_view word, std::size_t at, bool individual) {
  const auto numeric = [&](std::size_t place) {
    return is_numeric(character_at(word, place).code);
  };
  const bool number = numeric(at);
  do at += character_at(word, at).length;
  while (at < word.size() && !(number && individual) && numeric(at) == number);
  return at;
}

}  // namespace

Words PreTokenizer::cut(const Step& step, Words words, Place place) {
  if (const auto* split = std::get_if<Split>(&step)) {
    const SplitPattern pattern = split->pattern;
    cut_each(words,
             [=](std::string_view word, std::size_t at) { return match_end(pattern, word, at); });
  } else if (const auto* digits = std::get_if<Digits>(&step)) {
    const bool individual = digits->individual;
    cut_each(words, [=](std::string_view word, std::size_t at) {
      return digits_end(word, at, individual);
    });
  } else if (const auto* metaspace = std::get_if<MetaspaceSettings>(&step)) {
    const auto& [replacement, prepend, split_there] = *metaspace;
    replace_spaces(words, replacement);
    const bool always = prepend == MetaspaceSettings::Prepend::always;
    const bool first = prepend == MetaspaceSettings::Prepend::first && place == Place::start;
    prefix_each(words, replacement, first || (always && place != Place::continued), always);
    if (split_there) {
      const std::string& mark = metaspace->replacement;
      cut_each(words, [&](std::string_view word, std::size_t at) {
        return std::min(word.find(mark, at + 1), word.size());
      });
    }
  } else {
    prefix_each(words, " ", place != Place::continued, true);
  }
  return words;
}

Words PreTokenizer::apply(std::string text, Place place) const {
  Words words;
  if (!text.empty()) words.ends.push_back(text.size());
  words.text = std::move(text);
  for (const Step& step : steps_) words = cut(step, std::move(words), place);
  return words;
}

}  // namespace volt::lm
