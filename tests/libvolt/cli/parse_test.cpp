// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/parse.hpp"

#include <doctest/doctest.h>

#include "libvolt/cli/table.hpp"
#include "libvolt/cli/values.hpp"

using namespace volt;
using namespace volt::cli;

namespace {

/// A tool with everything: a positional, verbs of one and two words, every kind of target.
struct Example {
  std::string job, device = "auto";
  std::optional<std::string> output;
  std::uint64_t threads = 0;
  std::optional<std::uint64_t> seed;
  bool check = false;
  std::vector<std::string> env, files;
  Common common;
  std::vector<Option> shared = common_options(common);
  Tool tool{.name = "gpu-demo",
            .summary = "try things",
            .options = {{"job", &job, "JOB", "the job", {}, {}, true},
                        {"-o,--output", &output, "DIR", "where to"},
                        {"--device", &device, "DEVICE", "where", "device", {"auto", "cpu"}},
                        {"--threads", &threads, "N", "how many", "threads"},
                        {"--seed", &seed, "N", "seed"},
                        {"-c,--check", &check, "", "only check"},
                        {"-e,--env", &env, "NAME=VALUE", "variables"}},
            .verbs = {{"example", "print an example", {}, {}},
                      {"key show", "show keys", {{"files", &files, "FILE", "keys"}}, {}},
                      {"key new", "make a key", {}, {}}},
            .run = [](Session&) { return Exit::ok; },
            .examples = {}};

  CommandLine read(const std::vector<std::string>& args) {
    const auto line = parse(tool, shared, args);
    apply(tool, line, {});
    demand(tool, line, {});
    return line;
  }

  /// The message that `args` are refused with, and its hint in parentheses.
  std::string refusal(const std::vector<std::string>& args) {
    try {
      read(args);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return error.message() + " (" + error.hint() + ")";
    }
    return "accepted";
  }
};

}  // namespace

TEST_CASE("options are read in all their spellings") {
  Example one;
  one.read({"-ofolder", "job.toml", "--seed=7", "--threads", "3", "-ce", "A=1", "--env=B==2"});
  CHECK(one.job == "job.toml");
  CHECK(one.output == "folder");
  CHECK(one.seed == 7);
  CHECK(one.threads == 3);
  CHECK(one.check);
  CHECK(one.env == std::vector<std::string>{"A=1", "B==2"});
}

TEST_CASE("values are taken as they stand") {
  Example one;
  one.read({"@config", "--env", "[a,b]", "-e", "--output", "--env", "", "--output="});
  CHECK(one.job == "@config");
  CHECK(one.env == std::vector<std::string>{"[a,b]", "--output", ""});
  CHECK(one.output == "");
}

TEST_CASE("words after two dashes are neither options nor verbs") {
  Example one;
  CHECK(one.read({"--", "example"}).verb == nullptr);
  CHECK(one.job == "example");
  one.read({"key", "show", "a", "--", "--seed", "--"});
  CHECK(one.files == std::vector<std::string>{"a", "--seed", "--"});
}

TEST_CASE("the first word that is a verb's name is the verb") {
  Example one;
  CHECK(one.read({"example"}).verb == &one.tool.verbs[0]);
  CHECK(one.read({"--json", "key", "show", "example"}).verb == &one.tool.verbs[1]);
  CHECK(one.files == std::vector<std::string>{"example"});
  CHECK(one.read({"-o", "example", "job"}).verb == nullptr);
  CHECK(one.refusal({"job", "example"}) == "unexpected argument \"example\" (try gpu-demo --help)");
  CHECK(one.refusal({"key"}) == "\"key\" needs a second word (there is \"key show\", \"key new\")");
  CHECK(one.refusal({"key", "shwo"}) == "unknown verb \"key shwo\" (did you mean \"key show\"?)");
}

TEST_CASE("a tool without a function of its own needs a verb") {
  Example one;
  one.tool.run = nullptr;
  CHECK(one.refusal({}) == "a verb is missing (try gpu-demo --help)");
  CHECK(one.refusal({"exmaple"}) == "unknown verb \"exmaple\" (did you mean \"example\"?)");
}

TEST_CASE("numbers are strict") {
  for (const char* bad : {"-1", "+5", "010", "1e3", "", " 1", "0x10", "18446744073709551616"}) {
    Example one;
    const std::string text = bad;
    CAPTURE(text);
    CHECK(one.refusal({"job", "--seed", text}) ==
          "--seed is \"" + text +
              "\", not a whole number (digits only, no sign, no leading zero, at most "
              "18446744073709551615)");
  }
  Example one;
  one.read({"job", "--seed", "18446744073709551615"});
  CHECK(one.seed == UINT64_MAX);
}

TEST_CASE("what the table does not know is refused with a hint") {
  Example one;
  CHECK(one.refusal({"job", "--ouput", "x"}) ==
        "unknown option --ouput (did you mean \"--output\"?)");
  CHECK(one.refusal({"job", "--ouput=x"}) == "unknown option --ouput (did you mean \"--output\"?)");
  CHECK(one.refusal({"job", "-z"}) == "unknown option -z (try gpu-demo --help)");
  CHECK(one.refusal({"example", "--seed", "1"}) ==
        "unknown option --seed (try gpu-demo example --help)");
  CHECK(one.refusal({"job", "--device", "cup"}) ==
        "--device is \"cup\", not one of \"auto\", \"cpu\" ()");
}

TEST_CASE("an option is given once, with a value if it takes one, and no other") {
  Example one;
  CHECK(one.refusal({"job", "--seed", "1", "--seed=1"}) == "--seed is given twice (give it once)");
  CHECK(one.refusal({"job", "--check", "-c"}) == "--check is given twice (give it once)");
  CHECK(one.refusal({"job", "--output"}) == "--output needs a value (try gpu-demo --help)");
  CHECK(one.refusal({"job", "--check=false"}) == "--check takes no value (try gpu-demo --help)");
  CHECK(one.refusal({}) == "JOB is missing (try gpu-demo --help)");
}

TEST_CASE("a flag wins over the configuration, and that over the default") {
  Example one;
  const Configuration set{{"device", {"cpu", "VOLT_DEVICE"}},
                          {"threads", {"4", "/f:3"}},
                          {"level", {"replay", "/f:4"}}};
  const std::vector<std::string> args{"job", "--device", "auto"};
  const auto rows = apply(one.tool, parse(one.tool, one.shared, args), set);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].key == "device");
  CHECK(rows[0].value == "auto");
  CHECK(rows[0].origin == "--device");
  CHECK(rows[1].origin == "/f:3");
  CHECK(one.threads == 4);
}

TEST_CASE("a bad configured value is reported with its origin") {
  Example one;
  const std::vector<std::string> args{"job"};
  const auto line = parse(one.tool, one.shared, args);
  CHECK_THROWS_WITH_AS(apply(one.tool, line, {{"threads", {"-4", "/f:3"}}}),
                       "/f:3: threads is \"-4\", not a whole number", Error);
  CHECK_THROWS_WITH_AS(apply(one.tool, line, {{"threads", {"x", "VOLT_THREADS"}}}),
                       "VOLT_THREADS is \"x\", not a whole number", Error);
}
