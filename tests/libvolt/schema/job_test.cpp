// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/job.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

const doc::Source source{"job.toml", Exit::usage};

Job job_of(const std::string& text, std::string_view stem = "job") {
  return parse_job(doc::parse_toml(text, "job.toml"), source, stem);
}

Job matmul_job(const std::string& members, const std::string& rest = "") {
  return job_of("schema = \"volt.job/1\"\nworkload = \"matmul\"\n" + rest + "\n[matmul]\n" +
                members + "\n");
}

std::string resolved(const Job& job) { return doc::to_canonical_json(to_value(job)); }

std::uint64_t draws(double share, double error) {
  ProofPolicy policy;
  policy.catch_share = share;
  policy.error = error;
  return policy.draws();
}

}  // namespace

TEST_CASE("a job that says only what it must has every default") {
  const Job job = matmul_job("");
  CHECK(job.name == "job");
  CHECK(job.workload == "matmul");
  CHECK(std::get<File>(job.matmul.a.from).path.empty());
  CHECK(std::get<File>(job.matmul.b.from).path.empty());
  CHECK_FALSE(job.matmul.transpose_a);
  CHECK_FALSE(job.matmul.transpose_b);
  CHECK(job.matmul.out == "c.npy");
  CHECK(job.matmul.image.empty());
  CHECK(job.matmul.profile == "f32x");
  CHECK_FALSE(job.limits.time);
  CHECK_FALSE(job.limits.memory_bytes);
  CHECK_FALSE(job.limits.disk_bytes);
  CHECK(job.proof.level == "L2");
  CHECK(job.proof.catch_share == 0.01);
  CHECK(job.proof.error == 1e-12);
  CHECK(resolved(job) ==
        R"({"limits":{},"matmul":{"a":{},"b":{},"out":"c.npy","profile":"f32x",)"
        R"("transpose_a":false,"transpose_b":false},"name":"job",)"
        R"("proof":{"catch":0.01,"error":1e-12,"level":"L2"},"schema":"volt.job/1",)"
        R"("workload":"matmul"})");
}

TEST_CASE("a job that says everything is read as it stands") {
  const std::string digest(64, 'a');
  const Job job = job_of(R"(
schema = "volt.job/1"
name = "every-thing_1.0"
workload = "matmul"
[matmul]
a = { run = "../x.run", file = "c.npy", sha256 = ")" +
                         digest + R"(" }
b = { path = "m.safetensors", tensor = "w" }
transpose_b = true
out = "d.npy"
image = "d.pgm"
profile = "i8"
[limits]
time = "1h30m"
memory = "8 GiB"
disk = "512 MB"
[proof]
level = "L4"
catch = 1
error = 0.5
)");
  CHECK(job.name == "every-thing_1.0");
  CHECK(std::get<RunOutput>(job.matmul.a.from).folder == "../x.run");
  CHECK(std::get<RunOutput>(job.matmul.a.from).file == "c.npy");
  CHECK(job.matmul.a.sha256->hex() == digest);
  CHECK(job.matmul.a.mark.line == 6);
  CHECK(job.matmul.a.mark.column == 5);
  CHECK(std::get<File>(job.matmul.b.from).path == "m.safetensors");
  CHECK(job.matmul.b.tensor == "w");
  CHECK(job.matmul.transpose_b);
  CHECK(job.matmul.image == "d.pgm");
  CHECK(job.limits.time == std::chrono::minutes(90));
  CHECK(job.limits.memory_bytes == std::uint64_t{8} << 30);
  CHECK(job.limits.disk_bytes == 512'000'000);
  CHECK(job.proof.catch_share == 1);
  CHECK(job.inputs().size() == 2);
  CHECK(job.inputs()[0].first == "a");
  CHECK(job.inputs()[1].second == &job.matmul.b);
}

TEST_CASE("seeded and fetched inputs are read") {
  const Job job = matmul_job(
      "a = { seed = 9007199254740991, shape = [0, 2147483648] }\nb = { url = \"https://h/b.npy\" "
      "}");
  REQUIRE(job.matmul.a.seeded() != nullptr);
  CHECK(job.matmul.a.seeded()->seed == (std::uint64_t{1} << 53) - 1);
  CHECK(job.matmul.a.seeded()->shape == std::vector<std::uint64_t>{0, std::uint64_t{1} << 31});
  CHECK(job.matmul.b.seeded() == nullptr);
  CHECK(std::get<Url>(job.matmul.b.from).url == "https://h/b.npy");
}

TEST_CASE("the resolved job reads as the same job, whatever the job says") {
  std::mt19937 random(11);
  const auto pick = [&](std::vector<std::string> choices) {
    return choices[random() % choices.size()];
  };
  const std::string digest(64, '7');
  for (int i = 0; i < 3000; ++i) {
    const auto input = [&] {
      return pick({"\"a.npy\"", "{ path = \"d/é \\\"q\\\".npy\" }", "{ seed = 3, shape = [4, 5] }",
                   "{ seed = 9007199254740991, shape = [0, 1] }", "{ url = \"https://h/x?y=1\" }",
                   "{ url = \"https://h/x\", sha256 = \"" + digest + "\", tensor = \"t\" }",
                   "{ run = \"r.run\", file = \"c.npy\" }", "{ tensor = \"w.0\" }", "{}",
                   "{ sha256 = \"" + digest + "\" }"});
    };
    std::string text = "schema = \"volt.job/1\"\nworkload = \"matmul\"\n";
    text += pick({"", "name = \"x\"\n", "name = \"0.a_b-c\"\n"});
    text += "[matmul]\n";
    if (random() % 4 != 0) text += "a = " + input() + "\n";
    if (random() % 4 != 0) text += "b = " + input() + "\n";
    text += pick({"", "transpose_a = true\n", "transpose_b = true\n", "transpose_a = false\n"});
    text += pick({"", "out = \"x y.npy\"\n", "out = \"ü.npy\"\n"});
    text += pick({"", "image = \"p.pgm\"\n"});
    const std::string profile = pick({"f32x", "i8x", "i8"});
    text += "profile = \"" + profile + "\"\n[limits]\n";
    text += pick({"", "time = \"1d2h\"\n", "time = \"1s\"\n", "time = \"36500d\"\n"});
    text += pick({"", "memory = \"3 GiB\"\n", "memory = \"18446744073709551615 B\"\n"});
    text += pick({"", "disk = \"1 B\"\n"}) + "[proof]\n";
    text += pick({"", "level = \"L0\"\n", "level = \"all\"\n",
                  profile == "i8" ? "level = \"L4\"\n" : "level = \"L2\"\n"});
    text += pick({"", "catch = 1\n", "catch = 1.5e-4\n", "catch = 0.333333333333333333\n"});
    text += pick({"", "error = 0.5\n", "error = 1e-30\n", "error = 1.2345678901234567e-9\n"});
    CAPTURE(text);
    const std::string once = resolved(job_of(text, "stem"));
    const doc::Value read = doc::parse_json(once, "job.json");
    CHECK(resolved(parse_job(read, source, "other")) == once);
    // The indented form for people is the same document.
    const doc::Value shown = doc::parse_json(doc::to_json(to_value(job_of(text, "stem"))), "j");
    CHECK(resolved(parse_job(shown, source, "other")) == once);
  }
}

TEST_CASE("a job without a name takes the file's stem, made into a name") {
  const auto name = [](std::string_view stem) {
    return job_of("schema = \"volt.job/1\"\nworkload = \"matmul\"\n[matmul]\n", stem).name;
  };
  CHECK(name("first") == "first");
  CHECK(name("My Job (2)") == "my-job--2-");
  CHECK(name("-x") == "j-x");
  CHECK(name("") == "j");
  CHECK(name("é") == "j--");
  CHECK(name(std::string(100, 'a')) == std::string(63, 'a'));
  CHECK(name(std::string(100, '.')) == "j" + std::string(62, '.'));
}

TEST_CASE("draws are the least count that leaves no more than the error") {
  CHECK(draws(0.01, 1e-12) == 2750);
  CHECK(draws(0.5, 1e-12) == 40);
  CHECK(draws(0.5, 0.5) == 1);
  CHECK(draws(0.1, 1e-6) == 132);
  CHECK(draws(1, 1e-30) == 1);
  CHECK(draws(0.99, 0.5) == 1);
  CHECK(draws(1e-6, 1e-12) == 27'631'008);
  for (const double share : {0.3, 0.1, 0.05, 0.01, 0.001}) {
    for (const double error : {0.5, 0.1, 1e-3, 1e-12, 1e-30}) {
      CAPTURE(share);
      CAPTURE(error);
      const auto k = static_cast<long double>(draws(share, error));
      const auto miss = [&](long double count) { return std::pow(1.0L - share, count); };
      CHECK(miss(k) <= error * (1 + 1e-9L));
      CHECK(miss(k - 1) > error * (1 - 1e-9L));
    }
  }
}

TEST_CASE("what a job demands follows from its level") {
  const auto demand = [](const char* level) {
    ProofPolicy policy;
    policy.level = level;
    return policy.demand();
  };
  CHECK(demand("L0") == Demand::identity);
  CHECK(demand("L2") == Demand::work);
  CHECK(demand("L4") == Demand::output);
  CHECK(demand("all") == Demand::output);
}

TEST_CASE("an output may lie in a folder, but not under a name of volt's own") {
  const std::string plain = "is no plain file name", own = "is a name that volt uses itself";
  for (const char* path : {"a", "a/b.txt", "a/.b", "a/receipt.json", "a/...", "\xc3\xa9/ "}) {
    CHECK(why_no_output(path) == "");
  }
  for (const char* path :
       {"", ".", "..", "/a", "a/", "a//b", "a/.", "a/../b", "../a", "./a", "a/\n", "\xff"}) {
    CHECK(why_no_output(path) == plain);
  }
  for (const char* path :
       {".volt", ".a/b", "receipt.json", "job.json/a", "run.json", "metrics.jsonl", "loss.svg"}) {
    CHECK(why_no_output(path) == own);
  }
  const std::string longest(255, 'n');
  const std::string four = longest + "/" + longest + "/" + longest + "/" + longest;
  CHECK(why_no_output(four + "/") == plain);
  CHECK(why_no_output(four) == "");
  CHECK(why_no_output(four + "/n") == plain);
  CHECK(why_no_output("a/n" + longest) == plain);
}
