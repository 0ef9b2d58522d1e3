// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"
#include "libvolt/schema/job.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

/// A job of which `members` begin in line 4.
Job parsed(const std::string& members) {
  return parse_job(
      doc::parse_toml(
          "schema = \"volt.job/1\"\nworkload = \"finetune\"\n[finetune]\n" + members + "\n",
          "job.toml"),
      {"job.toml", Exit::usage}, "job");
}

Finetune finetune(const std::string& members) { return parsed(members).finetune; }

std::string complaint(const std::string& members) {
  return message_of([&] { parsed(members); });
}

void check_round_trip(const std::string& members) {
  const auto value = to_value(parsed(members));
  CHECK(doc::to_canonical_json(to_value(parse_job(value, {"job.json", Exit::usage}, "x"))) ==
        doc::to_canonical_json(value));
}

}  // namespace

TEST_CASE("a new model has usual sizes, and a full training") {
  const auto f = finetune("init = \"random\"\nmodel = {}");
  CHECK(f.method.kind == Method::Kind::full);
  CHECK(f.model->layers == 4);
  CHECK(f.model->width == 256);
  CHECK(f.model->kv_heads == 4);
  CHECK(f.model->ff_width == 768);  // 8/3 of the width, in groups of 128
  CHECK(f.context == 512);
  const auto job = parsed("init = \"random\"\nmodel = {}");
  CHECK(job.inputs().size() == 1);
  CHECK(job.finetune.outputs() ==
        std::vector<std::string>{"states.bin", "model/config.json", "model/model.safetensors",
                                 "model/tokenizer.json", "model/tokenizer_config.json"});
  check_round_trip("init = \"random\"\nmodel = { width = 96, heads = 6, kv_heads = 2 }");
  check_round_trip(
      "init = \"random\"\ntokenizer = \"t\"\nmodel = { activation = \"era\", temperature = 2 }");
}

TEST_CASE("a new model that cannot be is refused with its place") {
  const auto model = [](const std::string& members) {
    return complaint("init = \"random\"\nmodel = { " + members + " }");
  };
  const std::string at = "job.toml:5:";
  CHECK(model("width = 100, heads = 3") ==
        at + "32: finetune.model.heads does not cut a width of 100 into 3 heads of an even width");
  CHECK(model("width = 36, heads = 4") ==
        at + "31: finetune.model.heads does not cut a width of 36 into 4 heads of an even width");
  CHECK(model("kv_heads = 3") == at + "22: finetune.model.kv_heads does not divide the 4 heads");
  CHECK(model("activation = \"relu\"").find("not one of \"silu\", \"gelu\", \"era\"") !=
        std::string::npos);
  CHECK(model("lambda = 1") == at + "20: unknown key \"finetune.model.lambda\"");
  CHECK(complaint("init = \"random\"\nbase = \"m\"\nmodel = {}") ==
        "job.toml:5:8: finetune.base and init = \"random\" cannot both be given");
  CHECK(complaint("model = {}").find("finetune.init is missing") != std::string::npos);
  CHECK(
      complaint("init = \"random\"\nmodel = {}\nmethod = { lora = {} }") ==
      "job.toml:6:10: finetune.method cannot adapt a model that knows nothing yet [write { full = "
      "{} }]");
}

TEST_CASE("flylora has the defaults of its paper") {
  const auto f = finetune("method = { flylora = {} }");
  CHECK(f.method.kind == Method::Kind::flylora);
  CHECK(f.method.rank == 32);
  CHECK(f.method.active == 8);
  CHECK(f.method.alpha == 64);
  CHECK(f.method.balance == 1e-3);
  CHECK(finetune("method = { flylora = { rank = 4 } }").method.active == 4);
  CHECK(complaint("method = { flylora = { rank = 4, active = 5 } }") ==
        "job.toml:4:43: finetune.method.flylora.active is more than the rank of 4");
  CHECK(complaint("method = { flylora = { dropout = 0.1 } }") ==
        "job.toml:4:34: unknown key \"finetune.method.flylora.dropout\"");
  check_round_trip("method = { flylora = { balance = 0, targets = [\"q_proj\"] } }");
}

TEST_CASE("what is merged is a lora") {
  CHECK(finetune("merged = true").outputs().size() == 7);
  CHECK(complaint("merged = true\nmethod = { flylora = {} }") ==
        "job.toml:4:10: finetune.merged is for lora alone [what flylora adds depends on each token "
        "and cannot be merged]");
  CHECK(complaint("merged = true\nmethod = { full = {} }") ==
        "job.toml:4:10: finetune.merged is for lora alone [a full training writes its model "
        "anyway]");
  check_round_trip("merged = true");
  check_round_trip("method = { full = {} }");
}

TEST_CASE("what is not trained may be kept in fewer bits") {
  CHECK(finetune("").base_format == "fp32");
  CHECK(finetune("base_format = \"nf4\"").base_format == "nf4");
  CHECK(finetune("method = { full = {} }\nbase_format = \"fp32\"").base_format == "fp32");
  CHECK(complaint("base_format = \"int8\"").find("not one of \"fp32\", \"bf16\", \"nf4\"") !=
        std::string::npos);
  for (const std::string format : {"bf16", "nf4"}) {
    CHECK(complaint("method = { full = {} }\nbase_format = \"" + format + "\"") ==
          "job.toml:5:15: finetune.base_format is \"" + format +
              "\", but a full training has every parameter in fp32 [leave it out, or write method "
              "= { lora = {} }]");
    check_round_trip("base_format = \"" + format + "\"");
  }
  CHECK(complaint("init = \"random\"\nmodel = {}\nbase_format = \"fp32\"").find("unknown key") !=
        std::string::npos);
}

TEST_CASE("a training ends early by what it is told of held-out samples") {
  const auto f = finetune("eval = \"2%\"\nstop_when = { patience = 3, confidence = 0.85 }");
  CHECK(f.stop_when.patience == 3);
  CHECK(f.stop_when.confidence == 0.85);
  CHECK(complaint("stop_when = { patience = 3 }") ==
        "job.toml:4:13: finetune.stop_when needs held-out samples [set eval = \"2%\"]");
  CHECK(complaint("eval = \"2%\"\nstop_when = { min_delta = 0.1 }") ==
        "job.toml:5:13: finetune.stop_when names neither a patience nor a confidence [write { "
        "patience = 3 } or { confidence = 0.85 }]");
  check_round_trip("eval = \"2%\"\nstop_when = { patience = 3, min_delta = 0.01 }");
  check_round_trip("eval = \"2%\"\nstop_when = { confidence = 0.5 }");
}
