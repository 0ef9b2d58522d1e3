// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/lm/tokenizer.hpp"
#include "libvolt/lm/tokenizer_parts.hpp"

namespace volt::lm {
namespace {

using doc::Fields;
using doc::Value;

constexpr std::size_t max_merges = std::size_t{1} << 25;
constexpr std::size_t max_added = std::size_t{1} << 20;
constexpr std::size_t max_added_bytes = 256;
constexpr std::size_t max_template = 64;

std::string quoted(std::string_view text) { return "\"" + printable(text, 60) + "\""; }

bool is_null(const Value* value) {
  return value == nullptr || value->get_if<std::nullptr_t>() != nullptr;
}

/// "model.merges[7]"
std::string element(const Fields& fields, std::string_view list, std::size_t index) {
  return fields.path() + (fields.path().empty() ? "" : ".") + std::string(list) + "[" +
         std::to_string(index) + "]";
}

Vocabulary read_vocabulary(Fields& model, const std::string& origin) {
  const Value& value = model.get("vocab");
  const auto* members = value.get_if<Value::Object>();
  if (members == nullptr)
    model.fail("vocab", value, "is " + std::string(value.kind()) + ", not a table");
  if (members->size() > max_tokens) model.fail("vocab", value, "has more than 2^24 tokens");
  Vocabulary vocabulary(members->size());
  for (const auto& [token, id] : *members) {
    const auto* number = id.get_if<std::int64_t>();
    if (number == nullptr || *number < 0 || *number >= max_tokens)
      model.fail("vocab", value,
                 "has the token " + quoted(token) + ", whose id is not a whole number below 2^24");
    try {
      vocabulary.add(token, static_cast<std::uint32_t>(*number));
    } catch (const Error& error) {
      throw Error(Exit::usage, origin + ": model.vocab: " + error.message());
    }
  }
  return vocabulary;
}

/// The two sides of a merge: "a b", or ["a", "b"].
std::optional<std::pair<std::string_view, std::string_view>> sides(const Value& merge) {
  if (const auto* text = merge.get_if<std::string>()) {
    const auto space = text->find(' ');
    if (space == std::string::npos || text->find(' ', space + 1) != std::string::npos)
      return std::nullopt;
    return std::pair{std::string_view(*text).substr(0, space),
                     std::string_view(*text).substr(space + 1)};
  }
  const auto* pair = merge.get_if<Value::Array>();
  if (pair == nullptr || pair->size() != 2) return std::nullopt;
  const auto* left = (*pair)[0].get_if<std::string>();
  const auto* right = (*pair)[1].get_if<std::string>();
  if (left == nullptr || right == nullptr) return std::nullopt;
  return std::pair<std::string_view, std::string_view>{*left, *right};
}

std::vector<Bpe::Merge> read_merges(Fields& model, const Vocabulary& vocabulary) {
  const auto& list = model.array("merges");
  if (list.size() > max_merges)
    model.fail("merges", model.get("merges"), "has more than 2^25 elements");
  std::vector<Bpe::Merge> merges;
  merges.reserve(list.size());
  std::string both;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto* line = list[i].get_if<std::string>();
    if (line != nullptr && line->starts_with("#version")) continue;  // merges.txt's first line
    const auto fail = [&](const std::string& what) {
      model.fail("merges[" + std::to_string(i) + "]", list[i], what);
    };
    const auto found = sides(list[i]);
    if (!found || found->first.empty() || found->second.empty()) fail("is not two tokens");
    both.assign(found->first);
    both += found->second;
    std::array<std::uint32_t, 3> ids{};
    const std::array<std::string_view, 3> texts{found->first, found->second, both};
    for (std::size_t k = 0; k < texts.size(); ++k) {
      const auto id = vocabulary.find(texts[k]);
      if (!id)
        fail((k == 2 ? "makes " : "has ") + quoted(texts[k]) + ", which is not in model.vocab");
      ids[k] = *id;
    }
    merges.push_back({ids[0], ids[1], ids[2]});
  }
  return merges;
}

/// Refuses what would change ids and belongs to no family that volt reads.
void refuse_variants(Fields& model) {
  if (model.has("type")) model.choice("type", std::array<std::string_view, 1>{"BPE"});
  if (!is_null(model.find("dropout")) && model.number("dropout", 0, 1) != 0)
    model.fail("dropout", model.get("dropout"), "is not 0: encoding would be random");
  for (const auto key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!is_null(model.find(key)) && !model.string(key).empty())
      model.fail(key, model.get(key), "is " + quoted(model.string(key)) + ", not empty");
}

Bpe read_model(Fields model, const std::string& origin) {
  refuse_variants(model);
  Bpe::Settings settings;
  if (!is_null(model.find("unk_token"))) settings.unknown_token = model.string("unk_token");
  settings.fuse_unknown = flag(model, "fuse_unk", false);
  settings.byte_fallback = flag(model, "byte_fallback", false);
  settings.ignore_merges = flag(model, "ignore_merges", false);
  Vocabulary vocabulary = read_vocabulary(model, origin);
  const auto merges = read_merges(model, vocabulary);
  model.refuse_others();
  return Bpe(std::move(vocabulary), merges, std::move(settings));
}

AddedToken read_added_token(Fields& fields) {
  AddedToken token;
  token.id = static_cast<std::uint32_t>(fields.integer("id", 0, max_tokens - 1));
  token.content = fields.string("content");
  if (token.content.empty() || token.content.size() > max_added_bytes)
    fields.fail("content", fields.get("content"),
                "has " + std::to_string(token.content.size()) + " bytes, not from 1 to 256");
  token.special = fields.boolean("special");
  token.normalized = fields.boolean("normalized");
  token.single_word = fields.boolean("single_word");
  token.lstrip = fields.boolean("lstrip");
  token.rstrip = fields.boolean("rstrip");
  fields.refuse_others();
  return token;
}

/// The reference takes the id of an added token from the vocabulary, or else counts on from its
/// size, and does not look at "id": a file in which that is another id means two things.
std::vector<AddedToken> read_added_tokens(Fields& root, const Vocabulary& vocabulary,
                                          const doc::Source& source) {
  std::vector<AddedToken> tokens;
  if (is_null(root.find("added_tokens"))) return tokens;
  const auto& list = root.array("added_tokens");
  if (list.size() > max_added)
    root.fail("added_tokens", root.get("added_tokens"), "has more than 2^20 elements");
  std::map<std::string_view, std::size_t> seen;
  std::uint32_t next = vocabulary.count();
  for (std::size_t i = 0; i < list.size(); ++i) {
    Fields fields(list[i], source, element(root, "added_tokens", i));
    tokens.push_back(read_added_token(fields));
    const AddedToken& token = tokens.back();
    const auto known = vocabulary.find(token.content);
    const std::uint32_t id = known ? *known : next++;
    if (id != token.id)
      fields.fail("id", fields.get("id"),
                  "is " + std::to_string(token.id) + ", but " + quoted(token.content) +
                      " is token " + std::to_string(id) +
                      (known ? " of model.vocab" : ", the next free one"));
    if (!known && vocabulary.has(id))
      fields.fail("id", fields.get("id"),
                  "is " + std::to_string(id) + ", which is " + quoted(vocabulary.text(id)) +
                      " in model.vocab");
    if (!seen.emplace(*fields.get("content").get_if<std::string>(), i).second)
      fields.fail("content", fields.get("content"), "is " + quoted(token.content) + " once more");
  }
  return tokens;
}

/// The ids of special token `name` in a TemplateProcessing.
std::vector<std::uint32_t> special_ids(Fields& tokens, const std::string& name) {
  Fields token = tokens.table(name);
  const auto& list = token.array("ids");
  std::vector<std::uint32_t> ids;
  for (const Value& value : list) {
    const auto* id = value.get_if<std::int64_t>();
    if (id == nullptr || *id < 0 || *id >= max_tokens || list.size() > max_template)
      token.fail("ids", token.get("ids"), "is not a list of at most 64 ids");
    ids.push_back(static_cast<std::uint32_t>(*id));
  }
  return ids;
}

/// Reads the template for one text: what is before $A and what behind it.
void read_template(Fields& fields, const doc::Source& source, Tokenizer::Parts& parts) {
  const auto& pieces = fields.array("single");
  fields.find("pair");  // of two texts, which volt does not encode
  Fields tokens = fields.table("special_tokens");
  if (pieces.size() > max_template)
    fields.fail("single", fields.get("single"), "has more than 64 elements");
  bool text = false;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Fields piece(pieces[i], source, element(fields, "single", i));
    if (piece.has("SpecialToken")) {
      const auto ids = special_ids(tokens, piece.table("SpecialToken").string("id"));
      auto& side = text ? parts.after : parts.before;
      side.insert(side.end(), ids.begin(), ids.end());
    } else {
      piece.table("Sequence").choice("id", std::array<std::string_view, 1>{"A"});
      if (std::exchange(text, true))
        fields.fail("single", fields.get("single"), "has the text twice");
    }
    piece.refuse_others();
  }
  if (!text) fields.fail("single", fields.get("single"), "does not have the text");
}

void read_post_processor(const Fields& root, const Value& tokenizer, const doc::Source& source,
                         Tokenizer::Parts& parts) {
  constexpr std::array<std::string_view, 2> types{"ByteLevel", "TemplateProcessing"};
  bool templated = false;
  for (Fields& fields : steps_of(root, tokenizer, source, "post_processor", "processors")) {
    // ByteLevel moves offsets, which volt does not keep.
    if (fields.choice("type", types) == "ByteLevel") continue;
    if (std::exchange(templated, true))
      fields.fail("type", fields.get("type"), "is TemplateProcessing once more");
    read_template(fields, source, parts);
    fields.refuse_others();
  }
}

}  // namespace

Tokenizer parse_tokenizer(const Value& tokenizer_json, std::string_view origin) {
  const doc::Source source{printable(origin)};
  Fields root(tokenizer_json, source);
  if (root.has("version")) root.choice("version", std::array<std::string_view, 1>{"1.0"});
  Normalizer normalizer(root, tokenizer_json, source);
  PreTokenizer pre_tokenizer(root, tokenizer_json, source);
  if (pre_tokenizer.looks_at_start() && !normalizer.empty())
    root.fail("pre_tokenizer", root.get("pre_tokenizer"),
              "has the prepend_scheme \"first\" behind a normalizer, which volt does not read");
  Decoder decoder(root, tokenizer_json, source);
  Tokenizer::Parts parts{std::move(normalizer),
                         std::move(pre_tokenizer),
                         read_model(root.table("model"), source.origin),
                         std::move(decoder),
                         {},
                         {},
                         {}};
  parts.added = read_added_tokens(root, parts.model.vocabulary(), source);
  read_post_processor(root, tokenizer_json, source, parts);
  auto around = parts.before;
  around.insert(around.end(), parts.after.begin(), parts.after.end());
  try {
    Tokenizer tokenizer(std::move(parts));
    for (const std::uint32_t id : around)
      if (tokenizer.token(id).empty())
        throw Error(Exit::usage,
                    "post_processor adds the id " + std::to_string(id) + ", which no token has");
    return tokenizer;
  } catch (const Error& error) {
    throw Error(Exit::usage, source.origin + ": " + error.message());
  }
}

}  // namespace volt::lm
