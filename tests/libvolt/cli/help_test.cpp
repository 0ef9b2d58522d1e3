// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/help.hpp"

#include <doctest/doctest.h>

#include "libvolt/base/text.hpp"

using namespace volt;
using namespace volt::cli;

namespace {

Tool example() {
  static std::string text;
  static bool flag;
  static std::vector<std::string> list;
  return {.name = "gpu-demo",
          .summary = "try things",
          .options = {{"job", &text, "JOB", "job file, or - for standard input", {}, {}, true},
                      {"-o,--output", &text, "DIR", "where to"},
                      {"--a-very-long-option-name", &text, "VALUE", "has a line of its own"},
                      {"--device",
                       &text,
                       "DEVICE",
                       "where to compute, told in so many words that they need two lines",
                       {},
                       {"auto", "cpu"}}},
          .verbs = {{"key show",
                     "show keys",
                     {{"--all", &flag, "", "also old ones"},
                      {"--store", &text, "DIR", "of keys", {}, {}, true},
                      {"files", &list, "FILE", "keys"}},
                     {}}},
          .run = [](Session&) { return Exit::ok; },
          .examples = {"gpu-demo jobs/matmul.toml"}};
}

}  // namespace

TEST_CASE("help says how to call, with what, and what else") {
  CHECK(help_text(example(), nullptr) == R"(usage: gpu-demo [OPTION]... JOB
       gpu-demo key show [OPTION]... --store DIR [FILE]...

try things

arguments:
  JOB  job file, or - for standard input

options:
  -o, --output DIR     where to
      --a-very-long-option-name VALUE
                       has a line of its own
      --device DEVICE  where to compute, told in so many words that they need
                       two lines (auto, cpu)

common options:
  -h, --help         print this help
      --version      print the version and what it was built with
      --json         print JSON only, one document or one event a line
  -q, --quiet        no progress and no talk but warnings and errors
      --show-config  print each setting, its value and its origin

verbs:
  key show  show keys

examples:
  gpu-demo jobs/matmul.toml

exit codes: volt-exit(7)
)");
}

TEST_CASE("a verb's help speaks of the verb only") {
  const auto tool = example();
  const auto text = help_text(tool, &tool.verbs[0]);
  CHECK(text.starts_with(
      "usage: gpu-demo key show [OPTION]... --store DIR [FILE]...\n\nshow keys\n"));
  CHECK(text.find("--device") == std::string::npos);
  CHECK(text.find("      --all        also old ones\n") != std::string::npos);
}

TEST_CASE("help fits 80 columns") {
  for (const auto line : split(help_text(example(), nullptr), '\n')) CHECK(line.size() <= 80);
}
