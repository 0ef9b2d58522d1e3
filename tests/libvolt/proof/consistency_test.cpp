// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/consistency.hpp"

#include <doctest/doctest.h>

#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/read.hpp"

using namespace volt;
using namespace volt::proof;

namespace {

Digest digest(std::string_view text) { return crypto::sha256(as_bytes(text)); }

schema::Job job(const std::string& inputs) {
  const std::string text =
      R"({"schema":"volt.job/1","workload":"command","command":{"argv":["true"],)"
      R"("outputs":["out/**"],"optional":["*.png"],"inputs":)" +
      inputs + "}}";
  return schema::parse_job(doc::parse_json(text, "job.json"), {"job.json"}, "job");
}

schema::InputRecord input(const std::string& name, std::string_view content) {
  schema::InputRecord record;
  record.name = name;
  record.sha256 = digest(content);
  record.bytes = content.size();
  return record;
}

/// What an honest runner would say of a job with these inputs.
schema::Receipt receipt(std::vector<schema::InputRecord> inputs) {
  schema::Receipt receipt;
  receipt.workload = "command/1";
  receipt.profile = "none";
  receipt.inputs = std::move(inputs);
  receipt.outputs = {{"out/a", digest("a"), 1, {}}, {"out/b/c", digest("c"), 1, {}}};
  receipt.units = 1;
  receipt.trace_root = command_trace(receipt.outputs);
  return receipt;
}

const std::string plain = R"({"data":{"path":"data"}})";

}  // namespace

TEST_CASE("a command's receipt that an honest runner makes holds") {
  CHECK(contradiction(receipt({input("data", "x")}), job(plain)).empty());
  CHECK(contradiction(receipt({input("data/x", "x"), input("data/y/z", "z")}), job(plain)).empty());
  CHECK(contradiction(receipt({}), job("{}")).empty());
}

TEST_CASE("its outputs are those that the patterns name, in one unit") {
  const auto honest = receipt({});
  const auto why = [&](auto change) {
    auto forged = honest;
    change(forged);
    return contradiction(forged, job("{}"));
  };
  const auto retraced = [](schema::Receipt& r) { r.trace_root = command_trace(r.outputs); };
  CHECK(why([](auto& r) { r.outputs.pop_back(); }) == "its trace is not of its outputs");
  CHECK(why([&](auto& r) {
          r.outputs.clear();
          retraced(r);
        }) == "it has no output for out/**");
  CHECK(why([&](auto& r) {
          r.outputs.push_back({"else.txt", digest("e"), 1, {}});
          retraced(r);
        }) == "no pattern of the job names its output else.txt");
  CHECK(why([](auto& r) { r.outputs[0].sha256 = digest("b"); }) ==
        "its trace is not of its outputs");
  CHECK(why([](auto& r) { r.units = 2; }) == "a command is one unit");
  CHECK(why([](auto& r) { r.profile = "f32x/1"; }) == "a command has no profile");
  CHECK(why([](auto& r) { r.attempt = 0; }) == "attempts count from 1");
  CHECK(why([](auto& r) { r.workload = "matmul/1"; }) == "the workload matmul/1 is not command/1");
}

TEST_CASE("its inputs are the job's, each in one way") {
  const auto why = [](const std::string& inputs, std::vector<schema::InputRecord> records) {
    return contradiction(receipt(std::move(records)), job(inputs));
  };
  CHECK(why(plain, {}) == "input data is missing");
  CHECK(why(plain, {input("data", "x"), input("more", "y")}) == "it has not the job's inputs");
  CHECK(why(plain, {input("data", "x"), input("data/sneaked", "y")}) ==
        "input data is a file and a folder");
  auto tensor = input("data", "x");
  tensor.tensor.emplace();
  CHECK(why(plain, {tensor}) == "input data is no file");
  // The receipt of an earlier run cannot be left out by calling its file a folder's.
  const std::string chained = R"({"data":{"run":"first.run","file":"a"}})";
  CHECK(why(chained, {input("data", "x")}) ==
        "input data does not name the receipt of the run it comes from");
  CHECK(why(chained, {input("data/model", "x")}) == "input data is missing");
}

TEST_CASE("what the job pins is pinned") {
  const auto pinned = [](const Digest& pin) {
    return job(R"({"data":{"path":"data","sha256":")" + pin.hex() + R"("}})");
  };
  CHECK(contradiction(receipt({input("data", "x")}), pinned(digest("x"))).empty());
  CHECK(contradiction(receipt({input("data", "y")}), pinned(digest("x"))) ==
        "input data is not the file that the job pins");
  const auto folder = digest(schema::manifest({{"a", digest("1")}, {"b/c", digest("2")}}));
  CHECK(contradiction(receipt({input("data/a", "1"), input("data/b/c", "2")}), pinned(folder))
            .empty());
  CHECK(contradiction(receipt({input("data/a", "1")}), pinned(folder)) ==
        "input data is not the folder that the job pins");
}

TEST_CASE("a receipt of generated texts has the inputs and outputs of its job") {
  const auto job = [](const std::string& more) {
    return schema::parse_job(
        doc::parse_json(
            R"({"schema":"volt.job/1","workload":"generate","generate":{)" + more + "}}",
            "job.json"),
        {"job.json"}, "job");
  };
  schema::Receipt honest;
  honest.workload = "generate/1";
  honest.profile = "i8x/1";
  honest.inputs = {input("base/config.json", "c"), input("adapter/adapter_config.json", "a"),
                   input("prompts", "p")};
  honest.outputs = {{"tokens.bin", digest("t"), 1, {}}, {"generated.jsonl", digest("g"), 1, {}}};
  honest.units = 3;
  const std::string all = R"("adapter":{"path":"a"},"base":{"path":"b"},"prompts":{"path":"p"})";
  CHECK(contradiction(honest, job(all)).empty());
  const auto why = [&](auto change, const std::string& more) {
    auto forged = honest;
    change(forged);
    return contradiction(forged, job(more));
  };
  const auto same = [](auto&) {};
  CHECK(why(same, R"("base":{"path":"b"},"prompts":{"path":"p"})") ==
        "it has not the job's inputs");
  CHECK(why([](auto& r) { r.inputs.pop_back(); }, all) == "input prompts is missing");
  CHECK(why([](auto& r) { r.inputs.erase(r.inputs.begin() + 1); }, all) ==
        "input adapter is missing");
  CHECK(why([](auto& r) { r.inputs.back().tensor.emplace(); }, all) == "input prompts is no file");
  CHECK(why([](auto& r) { std::swap(r.outputs[0], r.outputs[1]); }, all) ==
        "it has not the job's outputs");
  CHECK(why([](auto& r) { r.units = 0; }, all) == "it counts no units");
  CHECK(why(same, all + R"(,"profile":"f32x")") == "the profile is i8x/1, but the job says f32x");
}
