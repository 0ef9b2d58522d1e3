// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/data.hpp"

#include <doctest/doctest.h>

#include "tests/libvolt/doc/message.hpp"

namespace volt::lm {
namespace {

const auto chatml = ChatTemplate::parse(
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '.' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    "chatml");
// Writes its last turn in another way than the same turn when more follow.
const auto unstable = ChatTemplate::parse(
    "{% for m in messages %}{{ '<' + m.role + '>' }}"
    "{{ '(think)' if loop.last and m.role == 'assistant' }}{{ m.content + '.' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    "unstable");

DataOptions with(const ChatTemplate& chat) {
  DataOptions options;
  options.chat_template = &chat;
  return options;
}

/// All samples, one a line, what is trained in brackets.
std::string read_all(DataReader& reader) {
  std::string all;
  while (const Sample* sample = reader.next()) {
    for (const auto& segment : sample->segments)
      all += segment.trained ? "[" + std::string(segment.text) + "]" : std::string(segment.text);
    all += "\n";
  }
  return all;
}

std::string read(std::string_view file, const DataOptions& options = {}) {
  DataReader reader(file, "train.jsonl", DataFormat::json_lines, options);
  return read_all(reader);
}

std::string refusal(std::string_view file, const DataOptions& options = {}) {
  return message_of([&] { read(file, options); });
}

constexpr std::string_view two_turns =
    R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, )"
    R"({"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}], "tools": []})";

}  // namespace

TEST_CASE("prompts are what a model goes on from, and nothing in them is trained") {
  DataOptions options = with(chatml);
  options.prompts = true;
  const auto refused = [&](std::string_view file) { return refusal(file, options); };
  CHECK(read("{\"prompt\": \"a\", \"completion\": 3}\n\n{\"prompt\": \"\"}", options) == "a\n\n");
  CHECK(read(R"({"messages": [{"role": "user", "content": "a"}]})", options) ==
        "<user>a.<assistant>\n");
  CHECK(read(R"({"prompt": [{"role": "user", "content": "a"}]})", options) ==
        "<user>a.<assistant>\n");
  DataReader lines("a\r\n\n b \nc", "p.txt", DataFormat::plain_text, options);
  CHECK(read_all(lines) == "a\n b \nc\n");

  CHECK(refused("") == "train.jsonl: there is no prompt in it");
  CHECK(refused(R"({"text": "a"})") ==
        "train.jsonl:1: the line has no \"prompt\" and no \"messages\"");
  CHECK(refused(R"({"prompt": "a", "messages": []})") ==
        "train.jsonl:1: the line has \"prompt\" and \"messages\" [leave the one to go on from]");
  CHECK(refused(R"({"prompt": 1})") == "train.jsonl:1: prompt is a whole number, not a string");
  CHECK(refused("{\"prompt\": \"a\"}\n{\"messages\": []}") ==
        "train.jsonl:2: the line has no \"prompt\", which those before it have");
  CHECK(message_of([&] {
          DataReader reader("a\n\xff\n", "p.txt", DataFormat::plain_text, options);
          read_all(reader);
        }) == "p.txt:2: the line is not UTF-8");
}

TEST_CASE("a file's name tells its format") {
  CHECK(data_format("a/train.jsonl") == DataFormat::json_lines);
  CHECK(data_format("b.txt") == DataFormat::plain_text);
  CHECK(message_of([] { data_format("c.csv"); }) ==
        "c.csv: data is a .jsonl or a .txt file [one JSON object a line, or plain text]");
}

TEST_CASE("texts are trained as a whole; of prompts and completions, the latter") {
  CHECK(read("{\"text\": \"a\\n\"}\r\n\n  \n{\"id\": 7, \"text\": \"b\"}") == "[a\n]\n[b]\n");
  CHECK(read("{\"prompt\": \"2+2=\", \"completion\": \"4\", \"tools\": 1}\n"
             "{\"prompt\": \"\", \"completion\": \"x\"}\n") == "2+2=[4]\n[x]\n");
}

TEST_CASE("of conversations what the assistant says is trained, the end of its turn included") {
  CHECK(read(two_turns, with(chatml)) == "<user>a.<assistant>[b.]<user>c.<assistant>[d.]\n");
  CHECK(read(R"({"prompt": [{"role": "user", "content": "a"}], "tools": null, )"
             R"("completion": [{"role": "assistant", "content": "b"}]})",
             with(chatml)) == "<user>a.<assistant>[b.]\n");
}

TEST_CASE("a template that is not prefix-stable trains each answer in what it saw") {
  auto options = with(unstable);
  CHECK(refusal(two_turns, options)
            .starts_with("unstable: the template is not prefix-stable: message 2 is written"));
  CHECK(refusal(two_turns, options).find("while rendering train.jsonl:1 [") != std::string::npos);
  options.answers_apart = true;
  const auto file = std::string(two_turns) + "\n" + std::string(two_turns);
  const std::string apart =
      "<user>a.<assistant>[(think)b.]\n<user>a.<assistant>b.<user>c.<assistant>[(think)d.]\n";
  CHECK(read(file, options) == apart + apart);
  std::string many = R"({"messages": [{"role": "user", "content": "a"})";
  for (int i = 0; i < 6000; ++i) many += R"(, {"role": "assistant", "content": "bbbbbb"})";
  CHECK(refusal(many + "]}", options) ==
        "train.jsonl:1: 6000 answers in 264048 bytes are too many to train each apart");
}

TEST_CASE("a bad line is named by its number") {
  const auto second = [](std::string_view line) {
    return refusal("{\"text\": \"a\"}\n" + std::string(line));
  };
  CHECK(second("{\"text\": b}") == "train.jsonl:2:10: not valid JSON at \"b}\": invalid literal");
  CHECK(second("{\"text\": \"b").starts_with("train.jsonl:2:"));
  CHECK(second("{\"text\": \"\xff\"}") == "train.jsonl:2:11: not UTF-8 at \"\\xff\"");
  CHECK(second("[1]") == "train.jsonl:2: the line is a list, not a table");
  CHECK(second("{\"text\": 1}") == "train.jsonl:2: text is a whole number, not a string");
  CHECK(second("{\"text\": \"\"}") == "train.jsonl:2: text is empty");
  CHECK(second("{\"prompt\": \"a\", \"completion\": \"b\"}") ==
        "train.jsonl:2: the line has no \"text\", which those before it have");
  CHECK(refusal("{\"prompt\": \"a\", \"completion\": \"\"}") ==
        "train.jsonl:1: completion is empty");
  CHECK(refusal("{\"prompt\": [], \"completion\": []}") == "train.jsonl:1: prompt is empty");
  CHECK(refusal("{\"messages\": 1}") == "train.jsonl:1: messages is a whole number, not a list");
  CHECK(refusal("{\"messages\": []}") == "train.jsonl:1: messages is empty");
  CHECK(refusal("{\"messages\": [1]}") == "train.jsonl:1: messages[0] has no \"role\"");
  CHECK(refusal("{\"messages\": [{\"role\": \"user\"}]}") ==
        "train.jsonl:1: messages[0] has no \"content\"");
  CHECK(refusal("{\"messages\": [{\"role\": 1, \"content\": \"a\"}]}") ==
        "train.jsonl:1: messages[0].role is a whole number, not a string");
  CHECK(refusal("{\"messages\": [{\"role\": \"user\", \"content\": null}]}") ==
        "train.jsonl:1: messages[0].content is null, not a string");
  CHECK(refusal("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", with(chatml)) ==
        "train.jsonl:1: no message has the role \"assistant\": there is nothing to train on");
  CHECK(refusal("{\"tools\": [1], \"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}") ==
        "train.jsonl:1: \"tools\" are not understood yet [leave them out, or write them into the "
        "messages]");
  CHECK(refusal(two_turns) ==
        "train.jsonl:1: a conversation, but the model has no chat template [add chat_template to "
        "its tokenizer_config.json, or give prompts and completions]");
  CHECK(refusal("{\"text\": \"" + std::string(16 << 20, 'a') + "\"}") ==
        "train.jsonl:1: the line has 16777228 bytes, more than the 16777216 allowed");
}

TEST_CASE("the first line tells what all lines are, and has to tell one thing") {
  CHECK(refusal("{\"txt\": \"a\"}") ==
        "train.jsonl:1: the line has no \"text\", no \"messages\", and no \"prompt\" with a "
        "\"completion\" [did you mean \"text\"?]");
  CHECK(refusal("{\"text\": \"a\", \"messages\": []}") ==
        "train.jsonl:1: the line has more than one of \"text\", \"messages\", and \"prompt\" with "
        "\"completion\" [leave the one to train on]");
  // A prompt alone is a key like any other.
  CHECK(read("{\"prompt\": 1, \"text\": \"a\"}") == "[a]\n");
}

TEST_CASE("bad lines can be skipped: they are counted, and the first ones told") {
  DataOptions options = with(chatml);
  options.skip_bad_lines = true;
  std::string file = "{\n{\"text\": \"a\"}\n";
  for (int i = 0; i < 9; ++i) file += "{\"text\": 1}\n";
  file += "{\"text\": \"b\"}";
  DataReader reader(file, "train.jsonl", DataFormat::json_lines, options);
  CHECK(read_all(reader) == "[a]\n[b]\n");
  CHECK(reader.skipped().lines == 10);
  REQUIRE(reader.skipped().first.size() == 5);
  CHECK(reader.skipped().first[1] == "train.jsonl:3: text is a whole number, not a string");
  // What the template refuses is a bad line, too; the next conversation begins anew.
  const auto picky = ChatTemplate::parse(
      "{% for m in messages %}{% if m.role == 'x' %}{{ raise_exception('no x') }}{% endif %}"
      "{{ m.content }}{% endfor %}",
      "picky");
  options.chat_template = &picky;
  const std::string bad =
      R"({"messages": [{"role": "assistant", "content": "a"}, {"role": "x", "content": "b"}]})";
  file = bad + "\n" + std::string(two_turns);
  DataReader chats(file, "train.jsonl", DataFormat::json_lines, options);
  CHECK(read_all(chats) == "a[b]c[d]\n");
  CHECK(chats.skipped().first.front() ==
        "picky:1: the template refuses the conversation: \"no x\", while rendering train.jsonl:1");
}

TEST_CASE("data without any sample is refused") {
  CHECK(refusal("") == "train.jsonl: there is nothing to train on in it");
  CHECK(refusal("\n \r\n") == "train.jsonl: there is nothing to train on in it");
  DataOptions options;
  options.skip_bad_lines = true;
  CHECK(refusal("1\n2", options) ==
        "train.jsonl: every line is bad; first: train.jsonl:1: the line is a whole number, not a "
        "table");
}

TEST_CASE("a plain text is one sample, in parts that a tokenizer would not join") {
  const auto segments = [](const std::string& text) {
    DataReader reader(text, "a.txt", DataFormat::plain_text, {});
    const Sample* sample = reader.next();
    REQUIRE(sample != nullptr);
    CHECK(sample->kind == Sample::Kind::document);
    std::vector<std::size_t> lengths;
    std::string whole;
    for (const auto& segment : sample->segments) {
      CHECK(segment.trained);
      lengths.push_back(segment.text.size());
      whole += segment.text;
    }
    CHECK((whole == text));
    CHECK(reader.next() == nullptr);
    return lengths;
  };
  constexpr std::size_t part = 1 << 20;
  CHECK(segments("a\nb") == std::vector<std::size_t>{3});
  CHECK(segments(std::string(part, 'x') + "\n\n y\nz") == std::vector<std::size_t>{part + 5, 1});
  CHECK(segments(std::string(3 * part, 'x')) == std::vector<std::size_t>{3 * part});
  CHECK(segments(std::string(part, 'x') + "\n") == std::vector<std::size_t>{part + 1});
  const auto bad = [](std::string_view text) {
    return message_of([&] { DataReader(text, "a.txt", DataFormat::plain_text, {}).next(); });
  };
  CHECK(bad(" \n") == "a.txt: there is nothing to train on in it");
  CHECK(bad("\xef\xbb\xbfx") ==
        "a.txt: begins with a byte order mark [save it as UTF-8 without BOM]");
  CHECK(bad("a\nb\n\xff\n") == "a.txt:3: the line is not UTF-8");
}

}  // namespace volt::lm
