// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/token_samples.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/libvolt/doc/message.hpp"

namespace volt::lm {
namespace {

constexpr TokenId bos = 1, eos = 2, end_of_turn = 3;

/// A token a character; "<", ">" and "." are BOS, EOS and another token that ends a text.
TextEncoder encoder(bool adds_bos = true) {
  TextEncoder made;
  made.encode = [](std::string_view text, bool) {
    std::vector<TokenId> ids;
    for (const char c : text)
      ids.push_back(c == '<' ? bos : c == '>' ? eos : c == '.' ? end_of_turn : TokenId(c));
    return ids;
  };
  made.bos = bos;
  made.adds_bos = adds_bos;
  made.eos = {eos, end_of_turn};
  return made;
}

/// The sample's tokens as characters again, the trained ones in capitals or behind "!".
std::string shown(const TokenSample& sample) {
  std::string text;
  for (std::size_t i = 0; i < sample.tokens.size(); ++i) {
    const TokenId id = sample.tokens[i];
    if (sample.trained[i]) text += '!';
    text += id == bos ? '<' : id == eos ? '>' : id == end_of_turn ? '.' : static_cast<char>(id);
  }
  return text;
}

std::string tokenised(Sample::Kind kind, std::vector<Segment> segments, bool adds_bos = true) {
  return shown(tokenise({kind, "train.jsonl:7", std::move(segments)}, encoder(adds_bos)));
}

constexpr auto text = Sample::Kind::text, chat = Sample::Kind::chat,
               document = Sample::Kind::document;

TokenSample all_trained(std::size_t length) {
  TokenSample sample;
  for (std::size_t i = 0; i < length; ++i) sample.tokens.push_back(TokenId(i));
  sample.trained.assign(length, 1);
  return sample;
}

}  // namespace

TEST_CASE("a text gets BOS if the tokenizer adds it, and always an EOS to learn") {
  CHECK(tokenised(text, {{"ab", true}}) == "<!a!b!>");
  CHECK(tokenised(text, {{"ab", true}}, false) == "!a!b!>");
  CHECK(tokenised(text, {{"a", false}, {"b", true}}) == "<a!b!>");
  CHECK(tokenised(document, {{"a", true}, {"b", true}}) == "<!a!b!>");
}

TEST_CASE("BOS and EOS that are there are not put there again") {
  CHECK(tokenised(text, {{"<ab>", true}}) == "!<!a!b!>");
  CHECK(tokenised(text, {{"ab.", true}}) == "<!a!b!.");
  CHECK(tokenised(text, {{"a>b", true}}) == "<!a!>!b!>");  // one in the middle ends nothing
}

TEST_CASE("two BOS at the begin are refused, wherever they came from") {
  const std::string twice =
      "train.jsonl:7: begins with the BOS token (id 1) twice [the chat template writes it, or the "
      "data has it already: leave out one of them]";
  CHECK(message_of([] { tokenised(chat, {{"<<a", true}}); }) == twice);
  CHECK(message_of([] { tokenised(text, {{"<<a", true}}); }) == twice);
  // A tokenizer that was asked not to add it, and does.
  auto wrong = encoder();
  wrong.encode = [](std::string_view, bool continues) {
    return continues ? std::vector<TokenId>{9} : std::vector<TokenId>{bos, bos, 9};
  };
  CHECK(message_of([&] { tokenise({chat, "train.jsonl:7", {{"<a", true}}}, wrong); }) == twice);
}

TEST_CASE("a chat is as its template writes it") {
  CHECK(tokenised(chat, {{"<u", false}, {"a>", true}}) == "<u!a!>");
  CHECK(tokenised(chat, {{"u", false}, {"a.", true}}) == "u!a!.");  // no BOS of the tokenizer's
  CHECK(tokenised(chat, {{"u", false}, {"a.\n", true}}) == "u!a!.!\n");
}

TEST_CASE("but an answer that nothing ends gets an EOS: else the model would never stop") {
  CHECK(tokenised(chat, {{"u", false}, {"a", true}}) == "u!a!>");
  CHECK(tokenised(chat, {{"u", false}, {"a>", true}, {"u", false}, {"b", true}}) == "u!a!>u!b!>");
  // Not where the user has the last word.
  CHECK(tokenised(chat, {{"u", false}, {"a", true}, {"v", false}}) == "u!av");
}

TEST_CASE("EOS may be any token, that which others pad with included: masks tell what is trained") {
  auto padded = encoder();
  padded.eos = {0};
  const auto sample = tokenise({text, "t", {{"a", true}}}, padded);
  CHECK(sample.tokens == std::vector<TokenId>{bos, 'a', 0});
  CHECK(sample.trained == std::vector<std::uint8_t>{0, 1, 1});
}

TEST_CASE("a segment behind another is told to the tokenizer") {
  std::string calls;
  TextEncoder watched = encoder();
  watched.encode = [&](std::string_view piece, bool continues) {
    calls += (continues ? "+" : "|") + std::string(piece);
    return encoder().encode(piece, continues);
  };
  tokenise({text, "t", {{"", false}, {"a", false}, {"b", true}}}, watched);
  CHECK(calls == "||a+b");  // nothing is before the second
}

TEST_CASE("a tokenizer without EOS cannot end a text") {
  auto endless = encoder();
  endless.eos.clear();
  CHECK(message_of([&] {
          tokenise({text, "train.jsonl:7", {{"a", true}}}, endless);
        }) ==
        "train.jsonl:7: the tokenizer has no EOS token to end it with [name it as eos_token in the "
        "model's tokenizer_config.json]");
}

TEST_CASE("a sample longer than the context loses its end, and that is counted") {
  TokenSamples samples(4);
  samples.add(all_trained(4), text);
  samples.add(all_trained(7), text);
  CHECK(samples.size() == 2);
  CHECK(samples.length(1) == 4);
  CHECK(samples.tokens(1)[3] == 3);
  CHECK(samples.counts().shortened == 1);
  CHECK(samples.counts().tokens_cut_off == 3);
  CHECK(samples.counts().tokens == 8);
  CHECK(samples.counts().predicted == 6);  // never the first of a sample
}

TEST_CASE("a sample with nothing left to predict is left out, and that is counted") {
  TokenSamples samples(4);
  TokenSample late = all_trained(6);
  late.trained = {0, 0, 0, 0, 1, 1};  // all that is trained is cut off
  samples.add(late, chat);
  samples.add(all_trained(1), text);  // nothing comes before it
  samples.add({}, text);
  CHECK(samples.size() == 0);
  CHECK(samples.counts().all_masked == 3);
  CHECK(samples.counts().shortened == 1);
  CHECK(samples.counts().given == 3);
}

TEST_CASE("a document becomes samples of the context's length, and loses nothing") {
  TokenSamples samples(4);
  samples.add(all_trained(10), document);
  REQUIRE(samples.size() == 3);
  CHECK(samples.length(0) == 4);
  CHECK(samples.length(2) == 2);
  CHECK(samples.tokens(2)[0] == 8);
  CHECK(samples.trained(2)[1] == 1);
  CHECK(samples.counts().shortened == 0);
  CHECK(samples.counts().given == 1);
}

}  // namespace volt::lm
