// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/generate.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/adapter.hpp"
#include "libvolt/lm/frozen.hpp"
#include "libvolt/lm/language.hpp"
#include "libvolt/lm/network.hpp"
#include "libvolt/lm/sampler.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::workload {
namespace {

using doc::Value;
using lm::TokenId;

/// A page: the name, le64 text, block and count, then the tokens, le32, and zeros.
constexpr std::string_view page_name = "volt.generate/1\n";
constexpr std::size_t head_bytes = 40;
static_assert(page_name.size() + 3 * sizeof(std::uint64_t) == head_bytes);
static_assert(head_bytes + block_tokens * sizeof(TokenId) <= tensor::page_bytes);

/// Where a unit is.
struct Block {
  std::uint64_t text = 0, index = 0;
};

Bytes page_of(const Block& block, std::span<const TokenId> tokens) {
  Bytes page(tensor::page_bytes);
  const std::uint64_t head[] = {block.text, block.index, tokens.size()};
  std::memcpy(page.data(), page_name.data(), page_name.size());
  std::memcpy(page.data() + page_name.size(), head, sizeof head);
  std::memcpy(page.data() + head_bytes, tokens.data(), tokens.size_bytes());
  return page;
}

/// The tokens of a page that is that of `block`; of any other none.
std::vector<TokenId> tokens_in(ByteView page, const Block& block) {
  std::uint64_t count = 0;
  if (page.size() != tensor::page_bytes) return {};
  std::memcpy(&count, page.data() + head_bytes - sizeof count, sizeof count);
  if (count > block_tokens) return {};
  std::vector<TokenId> tokens(count);
  std::memcpy(tokens.data(), page.data() + head_bytes, count * sizeof(TokenId));
  return std::ranges::equal(page, page_of(block, tokens)) ? tokens : std::vector<TokenId>();
}

}  // namespace

struct Generation::Parts {
  /// A prompt, and what has been written after it.
  struct Text {
    std::string place, prompt;
    std::vector<TokenId> tokens;
    std::uint64_t given = 0;  ///< of them the prompt's
    std::uint64_t most = 0;   ///< that can be written

    std::uint64_t written() const { return tokens.size() - given; }
    std::span<const TokenId> new_tokens() const { return std::span(tokens).subspan(given); }
  };

  /// Units of one text.
  struct Drawn {
    const Text* text;
    std::uint64_t index;
    std::vector<std::uint64_t> blocks;

    std::uint64_t first(std::uint64_t block) const { return text->given + block * block_tokens; }
    std::uint64_t end(std::uint64_t block) const {
      return std::min<std::uint64_t>(first(block) + block_tokens, text->tokens.size());
    }
  };

  Parts(const schema::Generate& j, const lm::Files& base, const lm::Files& with, ByteView prompts,
        device::Device& device, Sink& sink)
      : job(j),
        architecture(lm::read_architecture(base)),
        language(base, architecture),
        eos(language.encoder().eos),
        weights(lm::find_weights(base, architecture)),
        sampler{static_cast<float>(job.temperature), static_cast<float>(job.top_p), job.seed},
        adapter(with.empty() ? lm::Adapter() : lm::read_adapter(with, architecture)),
        trained(lm::make_trained(device, adapter)) {
    read(prompts, sink);
    const lm::Format format = lm::format_named(job.base_format);
    const lm::Profile profile = lm::profile_named(job.profile);
    for (const auto& [slot, weight] : weights) {
      lm::refuse_non_finite(weight, slot.part, format, profile);
    }
    network.emplace(device, architecture, weights, trained, profile, adapter.scale,
                    lm::Capacity{block_tokens}, format);
    std::uint64_t longest = 0;
    for (const auto& text : texts) longest = std::max(longest, text.given + text.most);
    network->keep(longest);
  }

  void read(ByteView prompts, Sink& sink) {
    if (job.prompt) {
      const std::vector<lm::Segment> whole{{*job.prompt, false}};
      add({lm::Sample::Kind::text, job.prompts_name(), whole});
      return;
    }
    const std::string name = job.prompts_name();
    lm::DataOptions options;
    options.prompts = true;
    options.chat_template = language.chat_template();
    options.special_tokens = language.special_tokens();
    lm::DataReader reader(as_text(prompts), name, lm::data_format(name), options);
    while (const lm::Sample* sample = reader.next()) {
      add(*sample);
      sink.send(Progress{"reading " + name, texts.size(), 0, "prompts"});
    }
  }

  void add(const lm::Sample& sample) {
    Text text;
    text.place = sample.place;
    for (const auto& segment : sample.segments) text.prompt += segment.text;
    text.tokens = lm::tokenise(sample, language.encoder()).tokens;
    text.given = text.tokens.size();
    const std::uint64_t sees = architecture.sees();
    if (text.given == 0) {
      throw Error(Exit::usage, text.place + ": the prompt has no token to go on from");
    }
    if (text.given >= sees) {
      throw Error(Exit::usage, text.place + ": the prompt has " + std::to_string(text.given) +
                                   " tokens, but the model sees " + std::to_string(sees) +
                                   ", of which it is to write at least one");
    }
    text.most = std::min(job.tokens, sees - text.given);
    most += text.most;
    texts.push_back(std::move(text));
  }

  bool is_eos(TokenId token) const { return std::ranges::find(eos, token) != eos.end(); }
  bool at_end(const Text& text) const {
    return text.written() != 0 && (text.written() == text.most || is_eos(text.tokens.back()));
  }
  /// Takes note of a unit that the present text was given.
  void end_unit() {
    const Text& text = texts[now];
    units.push_back({now, (text.written() - 1) / block_tokens});
    if (!at_end(text)) return;
    most -= text.most - text.written();
    ++now;
    fed = 0;
  }
  /// Where the next unit is to be.
  Block next_block() const { return {now, texts[now].written() / block_tokens}; }

  /// Has the network see tokens [from, to) of a text; returns those that it gives after the last
  /// `rows`.
  std::vector<TokenId> feed(std::uint64_t index, std::uint64_t from, std::uint64_t to,
                            std::uint64_t rows) {
    const auto tokens = std::span(std::as_const(texts[index].tokens));
    if (from == 0) network->forget();
    for (; to - from > block_tokens; from += block_tokens) {
      network->draw(tokens.subspan(from, block_tokens), 0, sampler, index);
    }
    return to == from ? std::vector<TokenId>()
                      : network->draw(tokens.subspan(from, to - from), rows, sampler, index);
  }

  std::string check(const Drawn& drawn);
  std::vector<Drawn> by_text(std::span<const std::uint64_t> drawn) const;
  double multiply_adds(const Drawn& drawn) const;

  const schema::Generate job;
  const lm::Architecture architecture;
  const lm::Language language;
  const std::vector<TokenId> eos;
  const lm::Weights weights;
  const lm::Sampler sampler;
  const lm::Adapter adapter;  ///< without one nothing is in it
  lm::Trained trained;
  std::optional<lm::Network> network;
  std::vector<Text> texts;
  std::vector<Block> units;
  std::uint64_t written = 0, most = 0;  ///< tokens of all texts, and what they can come to
  std::uint64_t now = 0;                ///< the text that is being written
  std::uint64_t fed = 0;                ///< of its tokens, those that the network has seen
};

Generation::Generation(const schema::Generate& job, const lm::Files& base, const lm::Files& adapter,
                       ByteView prompts, device::Device& device, Sink& sink)
    : parts_(std::make_unique<Parts>(job, base, adapter, prompts, device, sink)) {}
Generation::~Generation() = default;

std::uint64_t Generation::texts() const { return parts_->texts.size(); }
std::uint64_t Generation::ended() const { return parts_->now; }
std::uint64_t Generation::units() const { return parts_->units.size(); }

std::uint64_t Generation::most_units() const {
  std::uint64_t units = 0;
  for (const auto& text : parts_->texts) units += (text.most + block_tokens - 1) / block_tokens;
  return units;
}

Bytes Generation::next(Sink& sink) {
  Parts& p = *parts_;
  const Block block = p.next_block();
  Parts::Text& text = p.texts[p.now];
  const std::uint64_t begin = text.written();
  do {
    const auto given = p.feed(p.now, p.fed, text.tokens.size(), 1);
    p.fed = text.tokens.size();
    text.tokens.push_back(lm::some_token(given[0]));
    sink.send(Progress{"generating", ++p.written, p.most, "tokens"});
  } while (text.written() - begin < block_tokens && !p.at_end(text));
  Bytes page = page_of(block, text.new_tokens().subspan(begin));
  p.end_unit();
  return page;
}

std::string Generation::take(ByteView page) {
  Parts& p = *parts_;
  if (ended() == texts()) return "there are tokens behind the end of the last text";
  const Block block = p.next_block();
  Parts::Text& text = p.texts[p.now];
  const auto tokens = tokens_in(page, block);
  if (tokens.empty()) {
    const bool goes_on = block.index != 0;
    return "unit " + std::to_string(units()) + " is not block " + std::to_string(block.index) +
           " of " + text.place + (goes_on ? ", which had not ended" : "");
  }
  const std::uint64_t written = text.written() + tokens.size();
  if (written > text.most) {
    return text.place + " has " + std::to_string(written) + " new tokens, more than the " +
           std::to_string(text.most) + " that it can have";
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string where = text.place + ": token " + std::to_string(text.written() + i) +
                              " is " + std::to_string(tokens[i]);
    if (tokens[i] >= p.architecture.vocabulary) return where + ", which the model does not have";
    if (p.is_eos(tokens[i]) && i + 1 != tokens.size()) return where + ", an EOS, and not the last";
  }
  const bool ends = written == text.most || p.is_eos(tokens.back());
  if (!ends && tokens.size() != block_tokens) {
    return text.place + " ends after " + std::to_string(written) +
           " tokens, where neither an EOS nor a limit ends it";
  }
  text.tokens.insert(text.tokens.end(), tokens.begin(), tokens.end());
  p.written += tokens.size();
  p.end_unit();
  return {};
}

Generation::Told Generation::told(std::uint64_t index) const {
  const Parts& p = *parts_;
  const Parts::Text& text = p.texts[index];
  Told told{text.place, {}, text.written(), "context"};
  if (told.tokens == p.job.tokens) told.ended = "tokens";
  if (told.tokens != 0 && p.is_eos(text.tokens.back())) told.ended = "eos";
  // Decoded alone, the first word could lose its space.
  const auto& tokenizer = p.language.tokenizer();
  const std::string before = tokenizer.decode(std::span(text.tokens).first(text.given), true);
  const std::string all = tokenizer.decode(text.tokens, true);
  told.completion = as_utf8(all.starts_with(before) ? all.substr(before.size())
                                                    : tokenizer.decode(text.new_tokens(), true));
  return told;
}

std::string Generation::line(std::uint64_t index) const {
  const Told t = told(index);
  return doc::to_canonical_json(Value::Object{{"prompt", parts_->texts[index].prompt},
                                              {"completion", t.completion},
                                              {"tokens", t.tokens},
                                              {"ended", t.ended}}) +
         "\n";
}

std::vector<Generation::Parts::Drawn> Generation::Parts::by_text(
    std::span<const std::uint64_t> drawn) const {
  std::vector<Drawn> all;
  for (const std::uint64_t unit : drawn) {
    const Block& block = units[unit];
    if (all.empty() || all.back().index != block.text) {
      all.push_back({&texts[block.text], block.text, {}});
    }
    all.back().blocks.push_back(block.index);
  }
  return all;
}

/// What is seen up to a token gives the logits that it is drawn from.
std::string Generation::Parts::check(const Drawn& drawn) {
  const Text& text = *drawn.text;
  std::uint64_t seen = 0;
  for (const std::uint64_t block : drawn.blocks) {
    const std::uint64_t first = drawn.first(block), count = drawn.end(block) - first;
    feed(drawn.index, seen, first - 1, 0);
    const auto given = feed(drawn.index, first - 1, first - 1 + count, count);
    seen = first - 1 + count;
    for (std::uint64_t i = 0; i < count; ++i) {
      const TokenId right = lm::some_token(given[i]);
      if (text.tokens[first + i] == right) continue;
      return text.place + ": token " + std::to_string(first + i - text.given) + " is " +
             std::to_string(text.tokens[first + i]) + ", but the model gives " +
             std::to_string(right);
    }
  }
  return {};
}

std::string Generation::check(std::span<const std::uint64_t> units, Sink& sink) {
  std::uint64_t done = 0;
  for (const auto& drawn : parts_->by_text(units)) {
    if (auto why = parts_->check(drawn); !why.empty()) return why;
    done += drawn.blocks.size();
    sink.send(Progress{"reading again", done, units.size(), "units"});
  }
  return {};
}

double Generation::Parts::multiply_adds(const Drawn& drawn) const {
  const std::uint64_t seen = drawn.end(drawn.blocks.back()) - 1;
  std::uint64_t predicted = 0;
  for (const std::uint64_t block : drawn.blocks) predicted += drawn.end(block) - drawn.first(block);
  double layers = 0;
  for (const auto& parameter : lm::parameters_of(architecture)) {
    const auto part = parameter.slot.part;
    if (parameter.shape.size() != 2 || part == lm::Part::token_embedding ||
        part == lm::Part::position_embedding || part == lm::Part::head) {
      continue;
    }
    layers += static_cast<double>(parameter.shape[0]) * static_cast<double>(parameter.shape[1]);
  }
  layers += static_cast<double>(trained.elements());
  const double head =
      static_cast<double>(architecture.vocabulary) * static_cast<double>(architecture.width);
  return static_cast<double>(seen) * layers + static_cast<double>(predicted) * head;
}

double Generation::multiply_adds(std::span<const std::uint64_t> units) const {
  double all = 0;
  for (const auto& drawn : parts_->by_text(units)) all += parts_->multiply_adds(drawn);
  return all;
}

}  // namespace volt::workload
