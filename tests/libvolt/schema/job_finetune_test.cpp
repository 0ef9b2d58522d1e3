// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <random>

#include "libvolt/doc/read.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/sweep.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

const doc::Source source{"job.toml", Exit::usage};

/// A job of which `members` begin in line 4.
std::string text_of(const std::string& members) {
  return "schema = \"volt.job/1\"\nworkload = \"finetune\"\n[finetune]\n" + members + "\n";
}

Job parsed(const std::string& members) {
  return parse_job(doc::parse_toml(text_of(members), "job.toml"), source, "job");
}

Finetune finetune(const std::string& members) { return parsed(members).finetune; }

std::string complaint(const std::string& members) {
  return message_of([&] { parsed(members); });
}

std::string resolved(const Job& job) { return doc::to_canonical_json(to_value(job)); }

}  // namespace

TEST_CASE("a fine-tune that says nothing has every default, and its inputs are to be bound") {
  const Job job = parsed("");
  CHECK(job.is_finetune());
  CHECK(job.inputs().size() == 2);
  CHECK(job.inputs()[0].first == "base");
  CHECK(job.inputs()[1].first == "data");
  CHECK(std::get<File>(job.finetune.base.from).path.empty());
  CHECK(resolved(job) ==
        R"({"finetune":{"base":{},"base_format":"fp32","batch":{"context":2048,"tokens":16384},)"
        R"("clip":1,"data":{},"epochs":1,"eval":"0%","lr":0.0002,"merged":false,)"
        R"("method":{"lora":{"alpha":32,"dropout":0,"rank":16,"targets":"all-linear"}},)"
        R"("on_bad_line":"error","optimizer":"adamw","profile":"i8x","schedule":"cosine","seed":1,)"
        R"("tensorboard":false,"turns":"together","warmup":0,"weight_decay":0},"limits":{},)"
        R"("name":"job","proof":{"catch":0.1,"error":0.01,"level":"L2"},)"
        R"("schema":"volt.job/1","workload":"finetune"})");
}

TEST_CASE("a fine-tune that says everything is read as it stands") {
  const std::string digest(64, 'a');
  const Job job = parsed("base = { path = \"models/tiny\", sha256 = \"" + digest + R"(" }
data = "train.jsonl"
eval = "2.5%"
method = { lora = { rank = 8, alpha = 16.5, dropout = 0.05, targets = ["v_proj", "q_proj"] } }
steps = 1000
batch = { tokens = 4096, context = 1024 }
lr = 1e-4
schedule = "linear"
warmup = 10
weight_decay = 0.01
clip = 0.5
profile = "f32x"
seed = 9007199254740991
on_bad_line = "skip"
turns = "apart"
span = 32
[limits]
memory = "8 GiB"
[proof]
level = "all")");
  const Finetune& f = job.finetune;
  CHECK(std::get<File>(f.base.from).path == "models/tiny");
  CHECK(f.base.sha256->hex() == digest);
  CHECK(std::get<File>(f.data.from).path == "train.jsonl");
  CHECK(f.data.mark.line == 5);
  CHECK(f.data.mark.column == 8);
  CHECK(f.eval_millionths == 25'000);
  CHECK(f.method.rank == 8);
  CHECK(f.method.alpha == 16.5);
  CHECK(f.method.dropout == 0.05);
  CHECK(f.method.targets == std::vector<std::string>{"q_proj", "v_proj"});
  CHECK(f.steps == 1000);
  CHECK(f.batch_tokens == 4096);
  CHECK(f.context == 1024);
  CHECK(f.rate == 1e-4);
  CHECK(f.schedule == "linear");
  CHECK(f.warmup == 10);
  CHECK(f.weight_decay == 0.01);
  CHECK(f.clip == 0.5);
  CHECK(f.profile == "f32x");
  CHECK(f.seed == (std::uint64_t{1} << 53) - 1);
  CHECK(f.skip_bad_lines);
  CHECK(f.answers_apart);
  CHECK(f.span == 32);
  CHECK(job.limits.memory_bytes == std::uint64_t{8} << 30);
  CHECK(job.proof.demand() == Demand::output);
  CHECK(job.needs_folder("base"));
  CHECK_FALSE(job.takes_folder("data"));
}

TEST_CASE("the resolved fine-tune reads as the same job, whatever the job says") {
  std::mt19937 random(12);
  const auto pick = [&](std::vector<std::string> choices) {
    return choices[random() % choices.size()];
  };
  const std::string digest(64, '7');
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    text += pick({"", "base = {}\n", "base = \"models/é \\\"x\\\"\"\n",
                  "base = { path = \"m\", sha256 = \"" + digest + "\" }\n"});
    text += pick({"", "data = \"t.txt\"\n", "data = { url = \"https://h/t.jsonl\" }\n",
                  "data = { run = \"r.run\", file = \"t.jsonl\" }\n"});
    text += pick({"", "eval = \"0%\"\n", "eval = \"0.0001%\"\n", "eval = \"33.3333%\"\n",
                  "eval = \"50%\"\n", "eval = \"2.50%\"\n"});
    text += pick({"", "method = { lora = {} }\n", "method.lora.targets = \"all-linear\"\n",
                  "method.lora = { targets = [\"v_proj\", \"k_proj\"], alpha = 0.1 }\n"});
    text += pick({"", "epochs = 3\n", "steps = 10000000\n"});
    text += pick({"", "batch = {}\n", "batch.context = 1000\n", "batch.tokens = 2048\n",
                  "batch = { context = 16777216, tokens = 2147483648 }\n"});
    text += pick({"", "lr = 1e-12\n", "lr = 10\n", "lr = 3.0000000000000004e-5\n"});
    text += pick({"", "weight_decay = -0.0\n", "weight_decay = 0.1\n"});
    text += pick({"", "clip = 0\n", "clip = 1e-6\n"});
    text += pick({"", "warmup = 100\n", "schedule = \"constant\"\n"});
    text += pick({"", "span = 1\n", "turns = \"apart\"\n", "on_bad_line = \"skip\"\n"});
    CAPTURE(text);
    const std::string once = resolved(parsed(text));
    const auto again = parse_job(doc::parse_json(once, "job.json"), source, "other");
    CHECK(resolved(again) == once);
  }
}

TEST_CASE("a share is kept to the millionth, and not rounded") {
  const auto share = [](const std::string& percent) {
    return finetune("eval = \"" + percent + "\"").eval_millionths;
  };
  CHECK(share("0%") == 0);
  CHECK(share("0.0001%") == 1);
  CHECK(share("0.1%") == 1000);
  CHECK(share("33.3333%") == 333'333);
  CHECK(share("49.9999%") == 499'999);
  CHECK(share("50.00%") == 500'000);
  for (const std::string text :
       {"", "%", "2", "2 %", " 2%", "+2%", "-2%", "-0.0001%", "50.0001%", "0.00001%", "2e0%",
        "nan%", "inf%", "1e999%", "2%%", "0x2%", "2%\\u0000", "all"}) {
    CAPTURE(text);
    CHECK(complaint("eval = \"" + text + "\"") ==
          "job.toml:4:8: finetune.eval is no share from 0% to 50%, to four decimals "
          "[write \"2%\"]");
  }
  CHECK(complaint("eval = 0.02") == "job.toml:4:8: finetune.eval is a number, not a string");
}

TEST_CASE("a batch that says only its context has whole rows of it, about as many tokens as ever") {
  const auto tokens = [](const std::string& batch) { return finetune(batch).batch_tokens; };
  CHECK(tokens("") == 16'384);
  CHECK(tokens("batch = {}") == 16'384);
  CHECK(tokens("batch.context = 512") == 16'384);
  CHECK(tokens("batch.context = 1000") == 16'000);
  CHECK(tokens("batch.context = 16385") == 16'385);
  CHECK(tokens("batch.context = 131072") == 131'072);
  CHECK(tokens("batch.tokens = 2048") == 2048);
}

TEST_CASE("the order of targets makes no other job") {
  const auto job = [](const char* targets) {
    return resolved(parsed(std::string("method.lora.targets = ") + targets));
  };
  CHECK(job("[\"q_proj\", \"k_proj\"]") == job("[\"k_proj\", \"q_proj\"]"));
  CHECK(job("[\"q_proj\"]") != job("[\"k_proj\"]"));
}

TEST_CASE(
    "base and tokenizer are folders and the data a file, none of a kind that only matmul has") {
  const std::string folder = "finetune.base is no folder [base = \"PATH\", or --input base=DIR]";
  const std::string file = "finetune.data is no file [data = \"PATH\", or --input data=FILE]";
  CHECK(complaint("base = { seed = 1, shape = [1, 1] }") == "job.toml:4:8: " + folder);
  CHECK(complaint("base = { url = \"https://h/m\" }") == "job.toml:4:8: " + folder);
  CHECK(complaint("base = { run = \"r.run\", file = \"m\" }") == "job.toml:4:8: " + folder);
  CHECK(complaint("base = { path = \"m\", tensor = \"w\" }") == "job.toml:4:8: " + folder);
  const std::string random = "init = \"random\"\nmodel = {}\ntokenizer = ";
  for (const std::string from : {"url = \"https://h/t\"", "run = \"r.run\", file = \"t\""}) {
    CHECK(complaint(random + "{ " + from + " }") ==
          "job.toml:6:13: finetune.tokenizer is no folder [tokenizer = \"PATH\", or --input "
          "tokenizer=DIR]");
  }
  CHECK(complaint("data = { seed = 1, shape = [1, 1] }") == "job.toml:4:8: " + file);
  CHECK(complaint("data = { path = \"m\", tensor = \"w\" }") == "job.toml:4:8: " + file);
  CHECK(complaint("base = 7") ==
        "job.toml:4:8: finetune.base is a whole number, not an input "
        "[an input is \"a.npy\" or a table with path, url, run or seed]");
}

TEST_CASE("a method that is none is refused with its place") {
  CHECK(complaint("method = \"lora\"") ==
        "job.toml:4:10: finetune.method is a string, not a table");
  const std::string kinds = "write { lora = {} }, { flylora = {} } or { full = {} }]";
  CHECK(complaint("method = {}") == "job.toml:4:10: finetune.method names no method [" + kinds);
  CHECK(complaint("method = { lroa = {} }") ==
        "job.toml:4:19: unknown key \"finetune.method.lroa\" [did you mean \"lora\"?]");
  CHECK(complaint("method = { lora = {}, full = {} }") ==
        "job.toml:4:10: finetune.method names several [" + kinds);
  CHECK(complaint("method.lora.rnk = 8") ==
        "job.toml:4:19: unknown key \"finetune.method.lora.rnk\" [did you mean \"rank\"?]");
  CHECK(complaint("method.lora.rank = 0") ==
        "job.toml:4:20: finetune.method.lora.rank is 0, not from 1 to 4096");
  CHECK(complaint("method.lora.rank = 4097") ==
        "job.toml:4:20: finetune.method.lora.rank is 4097, not from 1 to 4096");
  CHECK(complaint("method.lora.alpha = 0") ==
        "job.toml:4:21: finetune.method.lora.alpha is 0, not from 0.001 to 1e+06");
  CHECK(complaint("method.lora.dropout = 1") ==
        "job.toml:4:23: finetune.method.lora.dropout is 1, not from 0 to 0.95");
}

TEST_CASE("targets that name nothing, no matrix, too many or one twice are refused") {
  const std::string targets = "finetune.method.lora.targets ";
  const std::string no_list = targets + "is no list of up to 64 names of matrices";
  CHECK(complaint("method.lora.targets = \"all\\u001b\"") ==
        "job.toml:4:23: " + targets +
            "is \"all\\x1b\" [write \"all-linear\", or a list such as [\"q_proj\", \"v_proj\"]]");
  CHECK(complaint("method.lora.targets = 1") ==
        "job.toml:4:23: " + targets + "is a whole number, not a list");
  CHECK(complaint("method.lora.targets = []") == "job.toml:4:23: " + targets + "names no matrix");
  CHECK(complaint("method.lora.targets = [\"q_proj\", 1]") == "job.toml:4:34: " + no_list);
  CHECK(complaint("method.lora.targets = [\"\"]") == "job.toml:4:24: " + no_list);
  CHECK(complaint("method.lora.targets = [\"" + std::string(256, 'q') + "\"]") ==
        "job.toml:4:24: " + no_list);
  CHECK(complaint("method.lora.targets = [\"q_proj\", \"q_proj\"]") ==
        "job.toml:4:34: " + targets + "names \"q_proj\" twice");
  std::string many;
  for (int i = 0; i < 64; ++i) many += "\"" + std::to_string(100 + i) + "\",";
  CHECK(finetune("method.lora.targets = [" + many + "]").method.targets.size() == 64);
  CHECK(complaint("method.lora.targets = [" + many + "\"x\"]") == "job.toml:4:408: " + no_list);
}

TEST_CASE("lengths and batches out of bounds are refused with their places") {
  CHECK(complaint("epochs = 1\nsteps = 1") ==
        "job.toml:5:9: finetune.steps and epochs cannot both be given");
  CHECK(complaint("epochs = 0") == "job.toml:4:10: finetune.epochs is 0, not from 1 to 10000");
  CHECK(complaint("epochs = 10001") ==
        "job.toml:4:10: finetune.epochs is 10001, not from 1 to 10000");
  CHECK(complaint("epochs = 1.5") ==
        "job.toml:4:10: finetune.epochs is a number, not a whole number");
  CHECK(complaint("steps = 0") == "job.toml:4:9: finetune.steps is 0, not from 1 to 10000000");
  CHECK(complaint("steps = 10000001") ==
        "job.toml:4:9: finetune.steps is 10000001, not from 1 to 10000000");
  CHECK(complaint("warmup = -1") == "job.toml:4:10: finetune.warmup is -1, not from 0 to 10000000");
  CHECK(complaint("span = 0") == "job.toml:4:8: finetune.span is 0, not from 1 to 10000000");
  CHECK(complaint("batch = 4096") == "job.toml:4:9: finetune.batch is a whole number, not a table");
  CHECK(complaint("batch.context = 1") ==
        "job.toml:4:17: finetune.batch.context is 1, not from 2 to 16777216");
  CHECK(complaint("batch.context = 16777217") ==
        "job.toml:4:17: finetune.batch.context is 16777217, not from 2 to 16777216");
  CHECK(complaint("batch.tokens = 2147483649") ==
        "job.toml:4:16: finetune.batch.tokens is 2147483649, not from 2 to 2147483648");
  CHECK(complaint("batch = { context = 512, tokens = 1000 }") ==
        "job.toml:4:35: finetune.batch.tokens is no multiple of the context of 512");
  CHECK(complaint("batch.tokens = 1024") ==
        "job.toml:4:16: finetune.batch.tokens is no multiple of the context of 2048");
  CHECK(complaint("batch.token = 1024") ==
        "job.toml:4:15: unknown key \"finetune.batch.token\" [did you mean \"tokens\"?]");
}

TEST_CASE("rates, choices and seeds out of bounds are refused with their places") {
  CHECK(complaint("lr = 0") == "job.toml:4:6: finetune.lr is 0, not from 1e-12 to 10");
  CHECK(complaint("lr = 11") == "job.toml:4:6: finetune.lr is 11, not from 1e-12 to 10");
  CHECK(complaint("lr = \"2e-4\"") == "job.toml:4:6: finetune.lr is a string, not a number");
  CHECK(complaint("weight_decay = -0.1") ==
        "job.toml:4:16: finetune.weight_decay is -0.1, not from 0 to 10");
  CHECK(complaint("clip = -1") == "job.toml:4:8: finetune.clip is -1, not from 0 to 1e+06");
  // In fp32 it would be 0, which stands for no clipping at all.
  CHECK(complaint("clip = 1e-50") ==
        "job.toml:4:8: finetune.clip is 1e-50, neither 0 nor 1e-06 or more");
  CHECK(complaint("schedule = \"cosin\"") ==
        "job.toml:4:12: finetune.schedule is \"cosin\", not one of \"cosine\", \"linear\", "
        "\"constant\" [did you mean \"cosine\"?]");
  CHECK(complaint("profile = \"i8\"") ==
        "job.toml:4:11: finetune.profile is \"i8\", not one of \"i8x\", \"i8x2\", \"f32x\", "
        "\"native\"");
  CHECK(complaint("seed = -1") ==
        "job.toml:4:8: finetune.seed is -1, not from 0 to 9007199254740991");
  CHECK(complaint("on_bad_line = \"ignore\"") ==
        "job.toml:4:15: finetune.on_bad_line is \"ignore\", not one of \"error\", \"skip\"");
  CHECK(complaint("turns = \"both\"") ==
        "job.toml:4:9: finetune.turns is \"both\", not one of \"together\", \"apart\"");
  CHECK(complaint("warmpu = 10") ==
        "job.toml:4:10: unknown key \"finetune.warmpu\" [did you mean \"warmup\"?]");
}

TEST_CASE("what belongs to other workloads is refused") {
  CHECK(complaint("[matmul]") == "job.toml:4:1: unknown key \"matmul\"");
  CHECK(complaint("[resources]\ngpus = 1").find("unknown key \"resources\"") != std::string::npos);
  CHECK(complaint("[limits]\nprocesses = 1").find("unknown key \"limits.processes\"") !=
        std::string::npos);
  CHECK(complaint("[proof]\nlevel = \"L4\"") ==
        "job.toml:5:9: proof.level is \"L4\", not one of \"L0\", \"L2\", \"all\"");
}

TEST_CASE("a sweep varies a fine-tune's settings, each point a job of its own") {
  auto tree = doc::parse_toml(
      text_of("base = \"m\"\ndata = \"t.txt\"\n[sweep.product]\n"
              "\"finetune.lr\" = [1e-4, 2e-4]\n\"finetune.method.lora.rank\" = [4, 8, 16]\n"),
      "job.toml");
  const auto sweep = Sweep::take(tree, source, "tune");
  REQUIRE(sweep);
  CHECK(sweep->size() == 6);
  CHECK(sweep->job(1).finetune.rate == 1e-4);
  CHECK(sweep->job(1).finetune.method.rank == 8);
  CHECK(sweep->job(5).finetune.rate == 2e-4);
  CHECK(sweep->job(5).finetune.method.rank == 16);
  CHECK(sweep->title(5) == "005 finetune.lr=0.0002 finetune.method.lora.rank=16");
}
