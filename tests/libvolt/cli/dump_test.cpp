// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/dump.hpp"

#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"

using namespace volt;
using namespace volt::cli;

namespace {

Tool example() {
  static std::string text;
  return {.name = "gpu-demo",
          .summary = "try things",
          .options = {{"-o,--output", &text, "DIR", "it's \\where [they] go: here", "level"},
                      {"--style", &text, "STYLE", "how", {}, {"$(id)", "it's"}}},
          .verbs = {{"key show", "show keys", {}, {}}},
          .run = [](Session&) { return Exit::ok; },
          .examples = {}};
}

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("roff text cannot become a request or an escape") {
  CHECK(escape_roff(".Sh evil") == "\\&.Sh evil");
  CHECK(escape_roff("'br") == "\\&'br");
  CHECK(escape_roff("a\\fBb") == "a\\efBb");
  CHECK(escape_roff("a\n.Sh") == "a .Sh");
  CHECK(escape_roff("use --json, lower-case") == "use \\-\\-json, lower-case");
  CHECK(quote_roff("key show") == "\"key show\"");
  CHECK(quote_roff("say \"x\"") == "\"say \\(dqx\\(dq\"");
  CHECK(quote_roff("Ar") == "\\&Ar");
  CHECK(quote_roff("|") == "\\&|");
  CHECK(quote_roff("") == "\"\"");
}

TEST_CASE("shell words are quoted for their shell") {
  CHECK(quote_shell("it's $(id)") == "'it'\\''s $(id)'");
  CHECK(quote_fish("it's \\n") == "'it\\'s \\\\n'");
  CHECK(escape_zsh("a [b]: (c)") == "a \\[b\\]\\: \\(c\\)");
}

TEST_CASE("the man page's options come from the table") {
  const auto text = man_options(example());
  CHECK(text.starts_with(".Sh OPTIONS\n.Bl -tag -width Ds\n"));
  CHECK(holds(text, ".It Fl o , Fl Fl output Ns = Ns Ar DIR\nIt's \\ewhere [they] go: here.\n"));
  CHECK(holds(text, ".It Fl h , Fl Fl help\n"));
  CHECK(holds(text, ".Sh VERBS\n.Bl -tag -width Ds\n.It Cm \"key show\"\nShow keys.\n"));
  CHECK(!holds(text, "dump"));
}

TEST_CASE("only settings that an option names are in the man page") {
  const auto text = man_settings(example());
  CHECK(holds(text, ".It Cm level , Ev VOLT_LEVEL\n"));
  CHECK(!holds(text, "signer"));
}

TEST_CASE("completions hold what the table says, quoted") {
  const auto tool = example();
  CHECK(holds(bash_completion(tool), "_gpu_demo_offer '$(id)' 'it'\\''s'"));
  CHECK(holds(zsh_completion(tool),
              "'(-o --output)--output=[it'\\''s \\\\where \\[they\\] go\\: here]:DIR:_files -/'"));
  CHECK(holds(zsh_completion(tool), R"(:STYLE:(\$\(id\) it\'\''s)')"));
  CHECK(holds(fish_completion(tool),
              "-s o -l output -x -a '(__fish_complete_directories)' -d "
              "'it\\'s \\\\where [they] go: here'"));
  for (const auto* format : {"bash", "zsh", "fish"}) CHECK(!holds(dump(tool, format), "--dump'"));
}

TEST_CASE("the table as JSON can be read back") {
  const auto document = doc::parse_json(table_json(example()), "table");
  REQUIRE(document.find("options") != nullptr);
  const auto& options = *document.find("options")->get_if<doc::Value::Array>();
  CHECK(*options.at(0).find("long")->get_if<std::string>() == "--output");
  CHECK(*options.at(0).find("setting")->get_if<std::string>() == "level");
}
