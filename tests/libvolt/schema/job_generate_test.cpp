// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"
#include "libvolt/schema/job.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

const doc::Source source{"job.toml", Exit::usage};

/// A job of which `members` begin in line 4.
Job parsed(const std::string& members) {
  const std::string text =
      "schema = \"volt.job/1\"\nworkload = \"generate\"\n[generate]\n" + members + "\n";
  return parse_job(doc::parse_toml(text, "job.toml"), source, "job");
}

std::string complaint(const std::string& members) {
  return message_of([&] { parsed(members); });
}

std::string resolved(const Job& job) { return doc::to_canonical_json(to_value(job)); }

}  // namespace

TEST_CASE("a prompt is all that must be said") {
  const Job job = parsed("prompt = \"Once\"");
  CHECK(job.is_generate());
  CHECK(job.has_model());
  CHECK(job.profile() == "i8x");
  REQUIRE(job.inputs().size() == 1);
  CHECK(job.inputs()[0].first == "base");
  CHECK(job.outputs() == std::vector<std::string>{"tokens.bin", "generated.jsonl"});
  CHECK(resolved(job) ==
        R"({"generate":{"base":{},"base_format":"fp32","profile":"i8x","prompt":"Once","seed":1,)"
        R"("temperature":0,"tokens":200,"top_p":1},"limits":{},"name":"job",)"
        R"("proof":{"catch":0.1,"error":0.01,"level":"L2"},"schema":"volt.job/1",)"
        R"("workload":"generate"})");
}

TEST_CASE("a job that says everything is read as it stands, and again as it was resolved") {
  const Job job = parsed(R"(base = "models/tiny"
base_format = "nf4"
adapter = "tune.run"
prompts = "questions.txt"
tokens = 7
temperature = 0.7
top_p = 0.9
seed = 3
profile = "f32x")");
  const auto& g = job.generate;
  CHECK(g.base_format == "nf4");
  CHECK(g.prompts_name() == "questions.txt");
  CHECK_FALSE(g.prompt.has_value());
  CHECK(g.tokens == 7);
  CHECK(g.temperature == 0.7);
  CHECK(g.top_p == 0.9);
  CHECK(g.seed == 3);
  CHECK(g.profile == "f32x");
  std::string names;
  for (const auto& [name, input] : job.inputs()) names += std::string(name) + " ";
  CHECK(names == "base adapter prompts ");
  CHECK(job.needs_folder("base"));
  CHECK(job.needs_folder("adapter"));
  CHECK_FALSE(job.takes_folder("prompts"));
  const auto text = resolved(job);
  CHECK(resolved(parse_job(doc::parse_json(text, "job.json"), source, "x")) == text);
}

TEST_CASE("an input that is to be bound is said with nothing in it") {
  const Job job = parsed("adapter = {}\nprompts = {}");
  CHECK(job.inputs().size() == 3);
  CHECK(job.generate.prompts_name() == "prompts.jsonl");
}

TEST_CASE("an empty prompt is one, and no prompt is none") {
  CHECK(parsed("prompt = \"\"").generate.prompt == "");
  CHECK(complaint("") == "job.toml: generate.prompt is missing");
}

TEST_CASE("what a job cannot say is refused where it stands") {
  const std::string p = "prompt = \"a\"\n";
  CHECK(complaint(p + "prompts = \"b.txt\"") ==
        "job.toml:5:11: generate.prompts and prompt cannot both be given");
  CHECK(complaint("prompt = 3").ends_with("generate.prompt is a whole number, not a string"));
  CHECK(complaint("prompts = { seed = 1, shape = [1, 1] }")
            .ends_with("generate.prompts is no file [prompts = \"PATH\", or --input "
                       "prompts=FILE]"));
  CHECK(complaint(p + "adapter = { url = \"https://x/y\" }")
            .ends_with("generate.adapter is no folder [adapter = \"PATH\", or --input "
                       "adapter=DIR]"));
  CHECK(complaint(p + "tokens = 0").ends_with("generate.tokens is 0, not from 1 to 16777216"));
  CHECK(complaint(p + "temperature = 0.001")
            .ends_with("generate.temperature is 0.001, neither 0 nor 0.01 or more"));
  CHECK(
      complaint(p + "temperature = -1").ends_with("generate.temperature is -1, not from 0 to 100"));
  CHECK(complaint(p + "top_p = 0").ends_with("generate.top_p is 0, not from 1e-06 to 1"));
  CHECK(complaint(p + "profile = \"i8\"")
            .ends_with("generate.profile is \"i8\", not one of \"i8x\", \"i8x2\", \"f32x\""));
  CHECK(complaint(p + "base_format = \"int4\"").find("not one of \"fp32\"") != std::string::npos);
  CHECK(complaint(p + "temprature = 1")
            .ends_with("unknown key \"generate.temprature\" [did you mean \"temperature\"?]"));
  CHECK(complaint(p + "[proof]\nlevel = \"L4\"").find("not one of \"L0\", \"L2\", \"all\"") !=
        std::string::npos);
}
