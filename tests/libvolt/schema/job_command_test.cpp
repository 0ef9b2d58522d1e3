// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"
#include "libvolt/schema/job.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

Job parsed(const std::string& more, const std::string& after = "") {
  const std::string text =
      "schema = \"volt.job/1\"\nworkload = \"command\"\n[command]\n" + more + "\n" + after;
  return parse_job(doc::parse_toml(text, "job.toml"), {"job.toml"}, "job");
}

std::string complaint(const std::string& more, const std::string& after = "") {
  return message_of([&] { parsed(more, after); });
}

const std::string argv = "argv = [\"true\"]\n";

}  // namespace

TEST_CASE("a command is read as it was written, and written as it is read") {
  const auto job = parsed(
      "argv = [\"sh\", \"-c\", \"\"]\nenv = { B = \"2\", A = \"\" }\nsecrets = [\"S\"]\n"
      "outputs = [\"out/**\", \"a*.txt\"]\noptional = [\"*.png\"]\n"
      "[command.inputs]\n\"d/t.csv\" = \"t.csv\"\nsrc = { path = \"src\" }\nbound = {}\n",
      "[resources]\ngpus = 2\n[limits]\ntime = \"90s\"\nprocesses = 7\nnetwork = true\n"
      "[proof]\nlevel = \"all\"\n");
  CHECK(job.command.argv == std::vector<std::string>{"sh", "-c", ""});
  CHECK(job.command.env.front().first == "A");
  CHECK(job.inputs().size() == 3);
  CHECK(job.inputs().front().first == "bound");
  CHECK(job.resources.gpus == 2);
  CHECK(job.limits.processes == 7);
  CHECK(job.limits.network);
  CHECK(job.proof.demand() == Demand::output);
  const auto text = doc::to_canonical_json(to_value(job));
  const auto again = parse_job(doc::parse_json(text, "job.json"), {"job.json"}, "job");
  CHECK(doc::to_canonical_json(to_value(again)) == text);
}

TEST_CASE("a command demands nothing that only running it again could show") {
  CHECK(parsed(argv).proof.demand() == Demand::identity);
  CHECK_FALSE(parsed(argv).limits.network);
}

TEST_CASE("what a command may not say is refused, each with its own words") {
  CHECK(complaint("argv = []") ==
        "job.toml:4:8: command.argv names no program [argv = [\"python3\", \"train.py\"]]");
  CHECK(complaint("argv = [1]") ==
        "job.toml:4:9: command.argv is no list of texts of at most 65536 bytes");
  CHECK(complaint("argv = \"true\"").starts_with("job.toml:4:8: command.argv is a string, not a"));
  CHECK(complaint(argv + "env = { \"A-B\" = \"x\" }") ==
        "job.toml:5:17: command.env.A-B is no name of a variable [use letters, digits and '_']");
  CHECK(complaint(argv + "env = { A = 1 }").starts_with("job.toml:5:13: command.env.A is a whole"));
  CHECK(
      complaint(argv + "secrets = [\"A=secret\"]")
          .starts_with("job.toml:5:11: command.secrets names \"A=secret\", which is no variable"));
  CHECK(complaint(argv + "env = { A = \"x\" }\nsecrets = [\"A\"]") ==
        "job.toml:6:11: command.secrets names A, which is set twice");
  CHECK(complaint(argv + "secrets = [\"A\", \"A\"]") ==
        "job.toml:5:11: command.secrets names A, which is set twice");
  for (const char* name : {"../x", "/x", "a//b", "a/", "a=b", "."}) {
    CHECK(complaint(argv + "inputs = { \"" + name + "\" = \"x\" }")
              .find("is no usable name in the working folder") != std::string::npos);
  }
  CHECK(complaint(argv + "inputs = { a = { seed = 1, shape = [1, 1] } }")
            .find("is of a kind that only matmul has") != std::string::npos);
  CHECK(complaint(argv + "inputs = { \"a/b\" = \"x\", a = \"y\" }")
            .find("command.inputs.a/b lies below another input, a") != std::string::npos);
  CHECK(complaint(argv + "outputs = [\"../x\"]")
            .starts_with("job.toml:5:11: command.outputs has \"../x\", which names nothing below"));
  CHECK(complaint(argv, "[resources]\ngpus = 65").find("resources.gpus") != std::string::npos);
  CHECK(complaint(argv, "[limits]\nprocesses = 0").find("limits.processes") != std::string::npos);
  CHECK(complaint(argv, "[limits]\nnetwork = 1").find("limits.network") != std::string::npos);
  CHECK(complaint(argv, "[proof]\nlevel = \"L2\"").find("proof.level is \"L2\", not one of") !=
        std::string::npos);
  CHECK(complaint(argv, "[proof]\ncatch = 0.5").find("unknown key \"proof.catch\"") !=
        std::string::npos);
  CHECK(complaint(argv + "outpts = []").find("unknown key \"command.outpts\"") !=
        std::string::npos);
  CHECK(message_of([] {
          parse_job(doc::parse_toml("schema = \"volt.job/1\"\nworkload = \"command\"", "j"), {"j"},
                    "j");
        }).find("command") != std::string::npos);
}
