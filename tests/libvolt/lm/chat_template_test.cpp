// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/chat_template.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

namespace volt::lm {
namespace {

using doc::Value;

std::string vector_file(const std::string& name) {
  const auto path =
      std::filesystem::path(__FILE__).parent_path() / "../../vectors/chat_templates" / name;
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

Value vector_json(const std::string& name) { return doc::parse_json(vector_file(name), name); }

const std::string& text_of(const Value& object, std::string_view key) {
  return *object.find(key)->get_if<std::string>();
}

const ChatTemplate::SpecialTokens tokens{"<s>", "</s>"};

Value::Array messages_of(std::string_view json) {
  return *doc::parse_json(json, "messages").get_if<Value::Array>();
}

std::string render(std::string_view source, std::string_view messages = "[]") {
  return ChatTemplate::parse(source, "t").render(messages_of(messages), tokens, false);
}
std::string refusal(std::string_view source, std::string_view messages = "[]") {
  return message_of([&] { render(source, messages); });
}

/// The text with what the assistant said in brackets.
std::string marked(const RenderedChat& chat) {
  std::string text = chat.text;
  for (auto span = chat.assistant.rbegin(); span != chat.assistant.rend(); ++span)
    text.insert(span->end, "]").insert(span->begin, "[");
  return text;
}

constexpr std::string_view two_turns = R"([{"role": "user", "content": "a"},
  {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
  {"role": "assistant", "content": "d"}])";

}  // namespace

// The golden texts are Jinja2's own: tests/oracle/chat_templates.py.

TEST_CASE("templates in the style of each family write what Jinja2 writes") {
  const Value conversations = vector_json("conversations.json");
  std::size_t texts = 0;
  const Value golden_file = vector_json("golden.json");
  for (const auto& golden : *golden_file.get_if<Value::Array>()) {
    const auto& name = text_of(golden, "template");
    CAPTURE(name);
    CAPTURE(text_of(golden, "conversation"));
    const auto chat = ChatTemplate::parse(vector_file(name + ".jinja"), name);
    const Value& given = *conversations.find(text_of(golden, "conversation"));
    const auto& messages = *given.find("messages")->get_if<Value::Array>();
    const bool prompt = *golden.find("prompt")->get_if<bool>();
    const auto written = [&] { return chat.render(messages, tokens, prompt, given.find("tools")); };
    if (golden.find("text") == nullptr) {
      CHECK_THROWS_AS(written(), Error);
      continue;
    }
    CHECK(written() == text_of(golden, "text"));
    ++texts;
  }
  CHECK(texts > 60);
}

TEST_CASE("expressions and white space are Jinja2's") {
  const Value file = vector_json("expressions.json");
  const auto& messages = *file.find("messages")->get_if<Value::Array>();
  for (const auto& one : *file.find("cases")->get_if<Value::Array>()) {
    const auto& source = text_of(one, "template");
    CAPTURE(source);
    const auto written = [&] {
      return ChatTemplate::parse(source, "t").render(messages, {}, false);
    };
    if (one.find("text") == nullptr)
      CHECK_THROWS_AS(written(), Error);
    else
      CHECK(written() == text_of(one, "text"));
  }
}

TEST_CASE("special tokens that a tokenizer lacks are undefined") {
  const auto chat = ChatTemplate::parse("{{ bos_token is defined }}{{ eos_token }}", "t");
  CHECK(chat.render({}, {}, false) == "False");
  CHECK(chat.render({}, tokens, false) == "True</s>");
}

TEST_CASE("the day is no part of the result: a template with a date of its own takes that") {
  CHECK(
      render("{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}2024{% endif %}") ==
      "2024");
  CHECK(refusal("x\n{{ strftime_now('%Y') }}") ==
        "t:2: strftime_now() would make the text depend on the day [write a fixed date into the "
        "template]");
}

TEST_CASE("what a template is not to use is refused by name and line, before any message is seen") {
  const auto parse = [](std::string_view source) {
    return message_of([&] { ChatTemplate::parse(source, "t"); });
  };
  CHECK(parse("\n{% include 'x' %}") == "t:2: {% include %} is not supported here");
  CHECK(parse("{% endif %}") == "t:1: {% endif %} is not supported here");
  CHECK(parse("{% 1 %}") == "t:1: expected the name of a tag, found \"1\"");
  CHECK(parse("{{ a|uper }}") == "t:1: unknown filter \"uper\" [did you mean \"upper\"?]");
  CHECK(parse("{{ a is strin }}") == "t:1: unknown test \"strin\" [did you mean \"string\"?]");
  CHECK(parse("{{ a is 1 }}") == "t:1: expected a test, found \"1\"");
  CHECK(parse("{{ a.format(1) }}") == "t:1: unknown method \"format\"");
  CHECK(parse("{{ a['f'](1) }}") == "t:1: only functions, macros and methods can be called");
  CHECK(parse("{{\nlipsum() }}") == "t:2: unknown function \"lipsum\"");
  CHECK(parse("{{ a ** 2 }}") == "t:1: the operator \"**\" is not supported");
  CHECK(parse("{{ 1 < a < 3 }}") == "t:1: a chain of comparisons is not supported");
  CHECK(parse("{{ f(*a) }}") == "t:1: arguments given as a list are not supported");
  CHECK(parse("{{ loop }}") == "t:1: \"loop\" is of use only as in loop.index");
  CHECK(parse("{{ loop.cycle }}") == "t:1: unknown member \"loop.cycle\"");
  CHECK(parse("{% set loop = 1 %}") == "t:1: \"loop\" cannot be set");
  CHECK(parse("{{ a.items }}") ==
        "t:1: \".items\" without a call is a method of dicts [for the key write ['items']]");
  CHECK(parse("{% for a in b recursive %}") == "t:1: a recursive loop is not supported");
  CHECK(parse("{% if a %}{% macro m() %}{% endmacro %}{% endif %}") ==
        "t:1: a macro inside another block is not supported");
  CHECK(parse("{% break %}") == "t:1: break outside a loop");
  CHECK(parse("{% continue %}") == "t:1: continue outside a loop");
  CHECK(parse("{% set x %}{% generation %}{% endgeneration %}{% endset %}") ==
        "t:1: {% generation %} inside a macro, a {% set %} or another is not supported");
  CHECK(parse("{{ a|map(b) }}") == "t:1: \"map\" needs a name in quotes");
  CHECK(parse("{{ a|map(x='b') }}") == "t:1: \"map\" needs a name in quotes");
  CHECK(parse("{{ a|upper(1) }}") == "t:1: \"upper\" has too many arguments");
  CHECK(parse("{{ a|tojson(sort_keys=true) }}") == "t:1: \"tojson\" has no argument \"sort_keys\"");
  CHECK(parse("{{ a|replace('a') }}") == "t:1: \"replace\" lacks the argument \"new\"");
  CHECK(parse("{{ a|replace('a', 'b', old='c') }}") == "t:1: \"replace\" has an argument twice");
  CHECK(parse("{{ namespace(1) }}") == "t:1: namespace() takes NAME=VALUE only");
}

TEST_CASE("broken templates are refused with the line") {
  const auto parse = [](std::string_view source) {
    return message_of([&] { ChatTemplate::parse(source, "t"); });
  };
  CHECK(parse("{% if a %}\nx") == "t:2: expected {% endif %}, found the end of the template");
  CHECK(parse("\n{{ a") == "t:2: a tag is not closed");
  CHECK(parse("{# a") == "t:1: a comment is not closed");
  CHECK(parse("{{ 'a }}") == "t:1: a string is not closed");
  CHECK(parse("{{ 'a\\") == "t:1: a string is not closed");
  CHECK(parse("{{ a b }}") == "t:1: expected \"}}\", found \"b\"");
  CHECK(parse("{{ }}") == "t:1: expected an expression, found the end of the tag");
  CHECK(parse("{{ a[] }}") == "t:1: expected an expression, found \"]\"");
  CHECK(parse("{{ f(a=1, 2) }}") == "t:1: expected NAME=, found \"2\"");
  CHECK(parse("{% for in %}") == "t:1: expected a name, found \"in\"");
  CHECK(parse("{% set a %}") == "t:1: expected {% endset %}, found the end of the template");
  CHECK(parse("{% set a 1 %}") == "t:1: expected \"=\", found \"1\"");
  CHECK(parse("{{ (a] }}") == "t:1: \"]\" closes nothing");
  CHECK(parse("{{ a ; b }}") == "t:1: unexpected \";\"");
  CHECK(parse("{{ 1_000 }}") == "t:1: the number at \"1_\" is not written in plain decimal");
  CHECK(parse("{{ 9223372036854775808 }}") == "t:1: the number 9223372036854775808 is too large");
  CHECK(parse(R"({{ '\N{DASH}' }})") == R"(t:1: the escape "\N" is not supported)");
  CHECK(parse(R"({{ '\ud800' }})") == R"(t:1: the escape "\ud800" is no character)");
  CHECK(parse(R"({{ '\xg0' }})") == R"(t:1: the escape "\xg0" is no character)");
  CHECK(parse("\xff") == "t: the template is not UTF-8");
}

TEST_CASE("what has no result is an error of the line, as it is in Python") {
  CHECK(refusal("\n{{ messages[0].role }}") == "t:2: \"messages[...]\" is undefined");
  CHECK(refusal("{{ a.b.c }}") == "t:1: \"a\" is undefined");
  CHECK(refusal("{{ [] + 1 }}") == "t:1: \"+\" is not for a list and a whole number");
  CHECK(refusal("{{ 1 / 0 }}") == "t:1: division by zero");
  CHECK(refusal("{{ 9223372036854775807 + 1 }}") == "t:1: \"+\" gives a number beyond 64 bits");
  CHECK(refusal("{{ 10.0 " + [] {
          std::string all;
          for (int i = 0; i < 150; ++i) all += "* 1000.0 ";
          return all;
        }() + "}}") == "t:1: \"*\" gives a number that is too large");
  CHECK(refusal("{{ 'a' < 1 }}") == "t:1: a string and a whole number have no order");
  CHECK(refusal("{{ 1 in 'a' }}") == "t:1: \"in\" looks for a whole number in a string");
  CHECK(refusal("{{ [] in {} }}") == "t:1: a list is never a key");
  CHECK(refusal("{{ {1: 2} }}") == "t:1: a dict has a whole number as a key, not a string");
  CHECK(refusal("{% for a in 1 %}{% endfor %}") == "t:1: a whole number has no items");
  CHECK(refusal("{% for a, b in [[1]] %}{% endfor %}") == "t:1: 2 names are given 1 values");
  CHECK(refusal("{{ none[1:] }}") == "t:1: none cannot be sliced");
  CHECK(refusal("{{ u[1:] }}") == "t:1: \"u\" is undefined");
  CHECK(refusal("{{ 'a'['b':] }}") == "t:1: a bound of a slice is a string, not a whole number");
  CHECK(refusal("{{ 'a'[::0] }}") == "t:1: the step of a slice is 0 or too large");
  CHECK(refusal("{{ none|length }}") == "t:1: none has no length");
  CHECK(refusal("{{ 1.5 is odd }}") == "t:1: a number is neither odd nor even");
  CHECK(refusal("{{ 1 is divisibleby 0 }}") ==
        "t:1: \"divisibleby\" is for whole numbers other than 0");
  CHECK(refusal("{{ 'a'|replace('', 'b') }}") == "t:1: \"replace\" needs a text to look for");
  CHECK(refusal("{{ 'a'.split('') }}") == "t:1: \"split\" needs a separator that is not empty");
  CHECK(refusal("{{ 'a'.strip(1) }}") == "t:1: an argument is a whole number, not a string");
  CHECK(refusal("{{ 'a'.split('b', 'c') }}") == "t:1: an argument is a string, not a whole number");
  CHECK(refusal("{{ 'É'|lower }}") == "t:1: the case of letters beyond ASCII cannot be changed");
  CHECK(refusal("{{ [].strip() }}") == "t:1: a method of strings is called on a list");
  CHECK(refusal("{{ ''.get('a') }}") == "t:1: a method of dicts is called on a string");
  CHECK(refusal("{{ 1|items }}") == "t:1: |items is for dicts, not a whole number");
  CHECK(refusal("{{ u|int }}") == "t:1: |int is not for what is undefined");
  CHECK(refusal("{{ '1e30'|int }}") == "t:1: |int gives a number beyond 64 bits");
  CHECK(refusal("{{ u|tojson }}") == "t:1: undefined cannot be written as JSON");
  CHECK(refusal("{{ 1|tojson(indent=-1) }}") == "t:1: |tojson indents by 1 to 16 spaces");
  CHECK(refusal("{{ [u.x]|map(attribute='a') }}").starts_with("t:1: \"u\" is undefined"));
  CHECK(refusal("{{ [u]|map(attribute='a')|list }}") ==
        "t:1: the attribute \"a\" of what is undefined");
  CHECK(refusal("{{ range(1, 2, 0) }}") ==
        "t:1: a range has a step of 0 or numbers that are too large");
  CHECK(refusal("{{ range(1000000)|length }}") == "t:1: a range has more than 100,000 numbers");
  CHECK(refusal("{{ loop.index }}") == "t:1: \"loop\" is undefined");
  CHECK(refusal("{% set a.b = 1 %}") == "t:1: \"a\" is no namespace: its members cannot be set");
}

TEST_CASE("a list has no text, as Python's way of writing one belongs in no training data") {
  CHECK(refusal("{{ [1] }}") == "t:1: a list has no text [write it with |tojson]");
  CHECK(refusal("{{ 'a' ~ {} }}") == "t:1: a dict has no text [write it with |tojson]");
}

TEST_CASE("macros are called with the arguments they have") {
  const std::string m = "{% macro m(a) %}{{ a }}{% endmacro %}";
  CHECK(render(m + "{{ m(1) }}{{ m(a=2) }}{{ m() }}") == "12");
  CHECK(refusal(m + "{{ m(1, 2) }}") == "t:1: the macro \"m\" has too many arguments");
  CHECK(refusal(m + "{{ m(b=2) }}") == "t:1: the macro \"m\" has no argument \"b\"");
  CHECK(refusal(m + "{{ m(1, a=2) }}") == "t:1: the macro \"m\" has the argument \"a\" twice");
  CHECK(refusal("{{ m() }}" + m) == "t:1: \"m\" is no macro where it is called");
}

TEST_CASE("what a template raises is an error in its own words") {
  CHECK(refusal("\n\n{{ raise_exception('no\x1b') }}") ==
        "t:3: the template refuses the conversation: \"no\\x1b\"");
}

TEST_CASE("hostile templates end, and soon") {
  CHECK(refusal("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}") ==
        "t:1: the template takes too many steps for this conversation [a loop in it does not end, "
        "or the conversation is far too long]");
  // Text and lists that double; the numbers of steps stay small.
  const std::string doubling = "{% set n = namespace(x='abcdefgh') %}{% for i in range(99) %}";
  CHECK(
      refusal(doubling + "{% set n.x = n.x ~ n.x %}{% endfor %}").starts_with("t:1: the template"));
  CHECK(refusal(doubling + "{{ n.x }}{% set n.x = [n.x, n.x] %}{% endfor %}")
            .starts_with("t:1: a list has no text"));
  CHECK(refusal(doubling + "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|tojson }}")
            .starts_with("t:1: the template"));
  CHECK(refusal(doubling + "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x == n.x }}") ==
        refusal("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"));
  CHECK(refusal("{{ 'abcdefgh' * 99999999 }}") ==
        "t:1: the template makes a text of more than 64 MiB");
  for (const std::string parts : {"|list", "[::-1]", ".split('a')"})
    CHECK(refusal("{{ ('a' * 2000000)" + parts + " }}") ==
          "t:1: the template takes a text apart into more than a million parts");
  CHECK(render("{{ ('ab' * 2000000)[3999998:] }}{{ ('ab' * 2000000)[-1] }}") == "abb");
  CHECK(refusal("{{ ('a' * 2000000)|replace('a', 'b' * 100) }}") ==
        "t:1: the template makes a text of more than 64 MiB");
  CHECK(refusal("{% set n = namespace(x=[]) %}{% for i in range(200) %}{% set n.x = [n.x] %}"
                "{% endfor %}") == "t:1: the template nests lists deeper than 100 levels");
  CHECK(refusal("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}") ==
        "t:1: macros call each other too deeply");
  const std::string open(1000, '('), close(1000, ')');
  CHECK(refusal("{{ " + open + "1" + close + " }}") == "t:1: nested deeper than 200 levels");
  std::string sum = "1", nots, blocks;
  for (int i = 0; i < 1000; ++i) sum += " + 1", nots += "not ", blocks += "{% if 1 %}";
  CHECK(refusal("{{ " + sum + " }}") == "t:1: nested deeper than 200 levels");
  CHECK(refusal("{{ " + nots + " 1 }}") == "t:1: nested deeper than 200 levels");
  CHECK(refusal(blocks) == "t:1: nested deeper than 200 levels");
  CHECK(refusal(std::string((1 << 20) + 1, 'x')) ==
        "t: the template has 1048577 bytes, more than the 1048576 allowed");
  // A namespace that holds itself leaks nothing and ends nothing.
  CHECK(render("{% set n = namespace() %}{% set n.n = n %}{{ n.n.n is defined }}") == "True");
  std::string deep = "0";
  for (int i = 0; i < 120; ++i) deep = "[" + deep + "]";
  CHECK(message_of([&] {
          const Value message = doc::parse_json(deep, "m", {1000, 200});
          ChatTemplate::parse("", "t").render(std::span(&message, 1), {}, false);
        }) == "a message is nested deeper than 100 levels");
}

TEST_CASE("what the assistant said is found by what each message adds") {
  const auto spans = [](const std::string& name, std::string_view messages) {
    const auto chat = ChatTemplate::parse(vector_file(name + ".jinja"), name);
    return marked(chat.render_marked(messages_of(messages), tokens));
  };
  CHECK(spans("chatml", two_turns) ==
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>\n]"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[d<|im_end|>\n]");
  CHECK(spans("llama2", two_turns) == "<s>[INST] a [/INST][ b </s>]<s>[INST] c [/INST][ d </s>]");
  CHECK(spans("mistral", two_turns) == "<s>[INST] a[/INST][ b</s>][INST] c[/INST][ d</s>]");
  CHECK(spans("zephyr", two_turns) ==
        "<|user|>\na</s>\n<|assistant|>\n[b</s>\n]<|user|>\nc</s>\n<|assistant|>\n[d</s>\n]");
  CHECK(spans("chatml", R"([{"role": "user", "content": "a"}])") ==
        "<|im_start|>user\na<|im_end|>\n");
}

TEST_CASE("a template that marks what the assistant says is taken at its word") {
  const auto chat = ChatTemplate::parse(vector_file("marked.jinja"), "marked");
  CHECK(marked(chat.render_marked(messages_of(two_turns), tokens)) ==
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[d<|im_end|>]\n");
}

TEST_CASE("a template that rewrites earlier turns is refused, and can train each answer apart") {
  const auto chat = ChatTemplate::parse(vector_file("qwen3.jinja"), "qwen3");
  const auto messages = messages_of(two_turns);
  CHECK(message_of([&] { chat.render_marked(messages, tokens); }) ==
        "qwen3: the template is not prefix-stable: message 2 is written differently when more "
        "messages follow [train each answer apart, or mark what the assistant says by {% "
        "generation %}]");
  CHECK(marked(chat.render_answer(std::span(messages).first(2), 1, tokens)) ==
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[<think>\n\n</think>\n\nb<|im_end|>"
        "\n]");
  CHECK(marked(chat.render_answer(messages, 3, tokens)) ==
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|"
        "im_end|>\n<|im_start|>assistant\n[<think>\n\n</think>\n\nd<|im_end|>\n]");
}

TEST_CASE("a prompt that its answer does not go on from is refused") {
  const auto chat = ChatTemplate::parse(
      "{% if add_generation_prompt %}other{% endif %}{{ messages|length }}", "t");
  CHECK(message_of([&] { chat.render_answer(messages_of(two_turns), 1, tokens); }) ==
        "t: the template is not prefix-stable: message 1 and a prompt are written differently when "
        "more messages follow [train each answer apart, or mark what the assistant says by {% "
        "generation %}]");
}

}  // namespace volt::lm
