// SPDX-License-Identifier: Apache-2.0
// Whatever a tokenizer.json has that volt would get wrong is refused by name.
#include <doctest/doctest.h>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/tokenizer.hpp"
#include "tests/libvolt/doc/message.hpp"

namespace volt::lm {
namespace {

const std::string vocab = R"({"<unk>":0,"a":1,"b":2,"ab":3})";

/// A tokenizer.json of these members, comma first, and a model that has `more` of them.
std::string refusal(const std::string& members, const std::string& more = "",
                    const std::string& tokens = vocab, const std::string& merges = R"(["a b"])") {
  const std::string model =
      R"({"type":"BPE","vocab":)" + tokens + R"(,"merges":)" + merges + more + "}";
  const std::string json = R"({"model":)" + model + members + "}";
  return message_of([&] { parse_tokenizer(doc::parse_json(json, "t.json"), "t.json"); });
}

/// About one added token, whose members are these.
std::string added(const std::string& id, const std::string& content, const std::string& more = "") {
  return R"({"id":)" + id + R"(,"content":)" + content + R"(,"special":true,"normalized":false,)" +
         R"("single_word":false,"lstrip":false,"rstrip":false)" + more + "}";
}

std::string model(const std::string& more) { return refusal("", more); }

TEST_CASE("the base of these cases is accepted") {
  CHECK(refusal("") == "nothing thrown");
  CHECK(refusal("", "", vocab, R"([["a","b"],"#version: 0.2"])") == "nothing thrown");
  CHECK(refusal(R"(,"version":"1.0","truncation":{},"padding":{},"other":1)") == "nothing thrown");
  CHECK(refusal(R"(,"added_tokens":[)" + added("4", R"("<s>")") + "]") == "nothing thrown");
}

TEST_CASE("models that are no byte pair encoding, or another kind of it") {
  CHECK(message_of([] { parse_tokenizer(doc::Value(doc::Value::Object{}), "t.json"); }) ==
        "t.json: model is missing");
  CHECK(message_of([] { parse_tokenizer(doc::Value(1), "t.json"); }) ==
        "t.json: the document is a whole number, not a table");
  CHECK(refusal(R"(,"version":"2.0")") == R"(t.json: version is "2.0", not "1.0")");
  CHECK(message_of([] {
          parse_tokenizer(doc::parse_json(R"({"model":{"type":"Unigram"}})", "t"), "t");
        }) == R"(t: model.type is "Unigram", not "BPE")");
  CHECK(model(R"(,"dropout":0.1)") == "t.json: model.dropout is not 0: encoding would be random");
  CHECK(model(R"(,"dropout":0.0)") == "nothing thrown");
  CHECK(model(R"(,"end_of_word_suffix":"</w>")") ==
        R"(t.json: model.end_of_word_suffix is "</w>", not empty)");
  CHECK(model(R"(,"continuing_subword_prefix":"@@")") ==
        R"(t.json: model.continuing_subword_prefix is "@@", not empty)");
  CHECK(model(R"(,"scores":[])") == R"(t.json: unknown key "model.scores")");
}

TEST_CASE("vocabularies") {
  const auto of = [](const std::string& tokens) { return refusal("", "", tokens, "[]"); };
  CHECK(of("[]") == "t.json: model.vocab is a list, not a table");
  CHECK(of(R"({"a":"1"})") ==
        R"(t.json: model.vocab has the token "a", whose id is not a whole number below 2^24)");
  CHECK(of(R"({"a":-1})").ends_with("below 2^24"));
  CHECK(of(R"({"a":16777216})").ends_with("below 2^24"));
  CHECK(of(R"({"a":7,"b":7})") ==
        R"(t.json: model.vocab: token "b" has the id 7, and "a" has it too)");
  CHECK(of(R"({")" + std::string(65537, 'x') + R"(":1})")
            .ends_with("..."
                       R"(" takes more than 64 KiB)"));
}

TEST_CASE("merges") {
  const auto of = [](const std::string& merges) { return refusal("", "", vocab, merges); };
  CHECK(of("{}") == "t.json: model.merges is a table, not a list");
  for (const std::string merge :
       {R"("ab")", R"("a b c")", R"("a ")", R"(["a"])", R"(["a",1])", R"(["","a"])", "3"})
    CHECK(of("[" + merge + "]") == "t.json: model.merges[0] is not two tokens");
  CHECK(of(R"(["a b","a c"])") ==
        R"(t.json: model.merges[1] has "c", which is not in model.vocab)");
  CHECK(of(R"(["c a"])") == R"(t.json: model.merges[0] has "c", which is not in model.vocab)");
  // Merges that never end would need this: each makes a longer token, and it must be one.
  CHECK(of(R"(["b a"])") == R"(t.json: model.merges[0] makes "ba", which is not in model.vocab)");
}

TEST_CASE("a character without token is refused when the token for it is missing too") {
  const auto tokenizer = parse_tokenizer(
      doc::parse_json(R"({"model":{"vocab":{"a":0},"merges":[],"unk_token":"<unk>"}})", "t"), "t");
  CHECK(tokenizer.encode("aa", false).size() == 2);
  CHECK(message_of([&] { tokenizer.encode("ax", false); }) ==
        R"(no token for "x", and unk_token "<unk>" is not in the vocabulary)");
}

TEST_CASE("added tokens") {
  const auto of = [](const std::string& tokens, const std::string& more = "") {
    return refusal(R"(,"added_tokens":[)" + tokens + "]" + more);
  };
  CHECK(of(added("4", R"("")")) ==
        "t.json: added_tokens[0].content has 0 bytes, not from 1 to 256");
  CHECK(of(added("4", "\"" + std::string(257, 'x') + "\"")) ==
        "t.json: added_tokens[0].content has 257 bytes, not from 1 to 256");
  CHECK(of(added("16777216", R"("<s>")")) ==
        "t.json: added_tokens[0].id is 16777216, not from 0 to 16777215");
  CHECK(of(added("4", R"("<s>")", R"(,"color":1)")) ==
        R"(t.json: unknown key "added_tokens[0].color")");
  CHECK(of(R"({"id":4,"content":"<s>"})") == "t.json: added_tokens[0].special is missing");
  // The reference would go on with another id than the file says.
  CHECK(of(added("2", R"("<unk>")")) ==
        R"(t.json: added_tokens[0].id is 2, but "<unk>" is token 0 of model.vocab)");
  CHECK(of(added("9", R"("<s>")")) ==
        R"(t.json: added_tokens[0].id is 9, but "<s>" is token 4, the next free one)");
  CHECK(refusal(R"(,"added_tokens":[)" + added("1", R"("<s>")") + "]", "", R"({"a":1})", "[]") ==
        R"(t.json: added_tokens[0].id is 1, which is "a" in model.vocab)");
  CHECK(of(added("0", R"("<unk>")") + "," + added("0", R"("<unk>")")) ==
        R"(t.json: added_tokens[1].content is "<unk>" once more)");
  const std::string normalized =
      R"(,"special":true,"normalized":true,"single_word":false,"lstrip":false,"rstrip":false})";
  CHECK(of(R"({"id":4,"content":"é")" + normalized + R"(,{"id":5,"content":"e\u0301")" + normalized,
           R"(,"normalizer":{"type":"NFC"})") == R"(t.json: added tokens 4 and 5 are both "é")");
  CHECK(of(R"({"id":4,"content":"x")" + normalized,
           R"(,"normalizer":{"type":"Replace","pattern":{"String":"x"},"content":""})") ==
        R"(t.json: added token "x" is empty once normalized)");
}

TEST_CASE("normalizers") {
  const auto of = [](const std::string& part) { return refusal(R"(,"normalizer":)" + part); };
  CHECK(of("null") == "nothing thrown");
  CHECK(of(R"({"type":"NFKC"})") ==
        R"(t.json: normalizer.type is "NFKC", not one of "NFC", "Prepend", "Replace")");
  CHECK(
      of(R"({"type":"Sequence","normalizers":[{"type":"Lowercase"}]})") ==
      R"(t.json: normalizer.normalizers[0].type is "Lowercase", not one of "NFC", "Prepend", "Replace")");
  CHECK(of(R"({"type":"Sequence","normalizers":[{"type":"Sequence","normalizers":[]}]})")
            .starts_with(R"(t.json: normalizer.normalizers[0].type is "Sequence", not one of)"));
  std::string many = R"({"type":"NFC"})";
  for (int i = 0; i < 16; ++i) many += R"(,{"type":"NFC"})";
  CHECK(of(R"({"type":"Sequence","normalizers":[)" + many + "]}") ==
        "t.json: normalizer has more than 16 steps");
  CHECK(of(R"({"type":"NFC","form":1})") == R"(t.json: unknown key "normalizer.form")");
  CHECK(of(R"({"type":"Prepend","prepend":""})") ==
        "t.json: normalizer.prepend has 0 bytes, not from 1 to 1024");
  CHECK(of(R"({"type":"Replace","pattern":{"Regex":"a+"},"content":""})") ==
        "t.json: normalizer.pattern.String is missing");
  CHECK(of(R"({"type":"Replace","pattern":{"String":"a"},"content":")" + std::string(1025, 'x') +
           "\"}") == "t.json: normalizer.content has more than 1024 bytes");
}

TEST_CASE("a chain of replacements does not make a text endless") {
  const std::string ten = R"({"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaaa"})";
  std::string chain = ten;
  for (int i = 0; i < 15; ++i) chain += "," + ten;
  const auto tokenizer = parse_tokenizer(
      doc::parse_json(R"({"model":{"vocab":{"a":0},"merges":[]},"decoder":{"type":"Sequence",)"
                      R"("decoders":[)" +
                          chain +
                          R"(]},"normalizer":{"type":"Sequence",)"
                          R"("normalizers":[)" +
                          chain + "]}}",
                      "t"),
      "t");
  const std::string message = "the tokenizer's replacements make a text more than 16 times as long";
  CHECK(message_of([&] { tokenizer.encode("a", false); }) == message);
  CHECK(message_of([&] { tokenizer.decode(std::vector<std::uint32_t>{0}, false); }) == message);
}

TEST_CASE("pre-tokenizers") {
  const auto of = [](const std::string& part) { return refusal(R"(,"pre_tokenizer":)" + part); };
  CHECK(
      of(R"({"type":"Whitespace"})") ==
      R"(t.json: pre_tokenizer.type is "Whitespace", not one of "ByteLevel", "Digits", "Metaspace", "Split")");
  CHECK(of(R"({"type":"Split","pattern":{"Regex":"\\w+"},"behavior":"Isolated","invert":false})") ==
        R"(t.json: pre_tokenizer.pattern.Regex is "\w+", which volt does not know )"
        R"([volt knows the patterns of GPT-2, Llama 3 and Qwen 2 to the letter])");
  CHECK(of(R"({"type":"Split","pattern":{"String":" "},"behavior":"Isolated","invert":false})") ==
        "t.json: pre_tokenizer.pattern.Regex is missing");
  const std::string gpt2 = doc::to_json(doc::Value(regex_of(SplitPattern::gpt2)));
  const std::string split = R"({"type":"Split","pattern":{"Regex":)" + gpt2 + "},";
  CHECK(of(split + R"("behavior":"Isolated","invert":false})") == "nothing thrown");
  CHECK(of(split + R"("behavior":"Removed","invert":false})") ==
        R"(t.json: pre_tokenizer.behavior is "Removed", not "Isolated")");
  CHECK(of(split + R"("behavior":"Isolated","invert":true})") ==
        "t.json: pre_tokenizer.invert is true, not false");
  CHECK(of(R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false},)"
           R"({"type":"Digits","individual_digits":true}]})") ==
        R"(t.json: pre_tokenizer.pretokenizers[1].type is "Digits", behind ByteLevel )"
        R"([volt reads ByteLevel as the last step only])");
  CHECK(of(R"({"type":"Metaspace","replacement":"__"})") ==
        R"(t.json: pre_tokenizer.replacement is "__", not one character)");
  CHECK(of(R"({"type":"Metaspace","replacement":"_","add_prefix_space":false})") ==
        R"(t.json: pre_tokenizer.add_prefix_space is false, but prepend_scheme is not "never")");
  CHECK(
      refusal(R"(,"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"})"
              R"(,"normalizer":{"type":"NFC"})") ==
      R"(t.json: pre_tokenizer has the prepend_scheme "first" behind a normalizer, which volt )"
      "does not read");
}

TEST_CASE("decoders") {
  const auto of = [](const std::string& part) { return refusal(R"(,"decoder":)" + part); };
  CHECK(of(R"({"type":"WordPiece"})") ==
        R"(t.json: decoder.type is "WordPiece", not one of "ByteFallback", "ByteLevel", "Fuse", )"
        R"("Metaspace", "Replace", "Strip")");
  CHECK(of(R"({"type":"Strip","content":"  ","start":1,"stop":0})") ==
        R"(t.json: decoder.content is "  ", not one character)");
  CHECK(of(R"({"type":"Strip","content":" ","start":-1,"stop":0})") ==
        "t.json: decoder.start is -1, not from 0 to 1024");
}

TEST_CASE("post-processors") {
  const auto of = [](const std::string& part) { return refusal(R"(,"post_processor":)" + part); };
  const auto single = [&](const std::string& pieces, const std::string& ids = "[0]") {
    return of(R"({"type":"TemplateProcessing","pair":[],"single":[)" + pieces +
              R"(],"special_tokens":{"<s>":{"id":"<s>","ids":)" + ids + R"(,"tokens":["<s>"]}}})");
  };
  const std::string token = R"({"SpecialToken":{"id":"<s>","type_id":0}})";
  const std::string text = R"({"Sequence":{"id":"A","type_id":0}})";
  CHECK(single(token + "," + text) == "nothing thrown");
  CHECK(
      of(R"({"type":"RobertaProcessing"})") ==
      R"(t.json: post_processor.type is "RobertaProcessing", not one of "ByteLevel", "TemplateProcessing")");
  CHECK(single(token) == "t.json: post_processor.single does not have the text");
  CHECK(single(text + "," + text) == "t.json: post_processor.single has the text twice");
  CHECK(single(R"({"Sequence":{"id":"B","type_id":0}})") ==
        R"(t.json: post_processor.single[0].Sequence.id is "B", not "A")");
  CHECK(single(text + R"(,{"SpecialToken":{"id":"</s>","type_id":0}})") ==
        R"(t.json: unknown key "post_processor.special_tokens.<s>" [did you mean "</s>"?])");
  CHECK(single(text + "," + token, "[-1]") ==
        "t.json: post_processor.special_tokens.<s>.ids is not a list of at most 64 ids");
  CHECK(single(text + "," + token, "[4]") ==
        "t.json: post_processor adds the id 4, which no token has");
  CHECK(of(R"({"type":"Sequence","processors":[{"type":"TemplateProcessing","single":[)" + text +
           R"(],"special_tokens":{}},{"type":"TemplateProcessing","single":[)" + text +
           R"(],"special_tokens":{}}]})") ==
        "t.json: post_processor.processors[1].type is TemplateProcessing once more");
}

}  // namespace
}  // namespace volt::lm
