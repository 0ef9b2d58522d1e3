// SPDX-License-Identifier: Apache-2.0

// What it costs that a training can be resumed and checked, and how near a step of AdamW comes to
// copying. One process, without the pipe between worker and parent.
//
// The run: the steps of a job in their spans; after each the record is made, written to the file of
// states and its pages' digests are journalled; at the end comes the trace's root, the signed
// receipt, and everything its name, for which the disk must have it. That all, but for the pages'
// digests, beside the steps alone is the first row; the digests beside them are the second.
//
// A replay: the record before a span is read and held against its pages, its state becomes the
// present one, the span is run, and the record after it is read, held against its pages and
// compared; beside what the same span took in the run just before, digests not counted.
//
// AdamW reads values, both averages and gradient and writes the first three, 28 bytes a parameter;
// a copied byte is one read and one written, for memcpy() writes so much past the caches. Both go
// through 1 GiB, more than a cache holds.

#include <cstdio>
#include <cstring>
#include <map>

#include "kernels/pool.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/dsse.hpp"
#include "libvolt/crypto/keys.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/run/folder.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/workload/finetune.hpp"
#include "timing.hpp"

namespace volt::bench {
namespace {

using kernels::Backend;
using workload::Finetune;

constexpr double costs_at_most = 0.01, replay_at_most = 1.1, of_copying = 0.85;

// ---- Jobs

constexpr const char* new_10m = R"(schema = "volt.job/1"
workload = "finetune"
[finetune]
init = "random"
data = "text.txt"
steps = 1
batch = { tokens = 2048, context = 512 }
[finetune.model]
layers = 8
width = 320
ff_width = 864
heads = 5
context = 512
)";
constexpr const char* lora_10m = R"(schema = "volt.job/1"
workload = "finetune"
[finetune]
base = "model"
data = "text.txt"
method = { lora = { rank = 16, alpha = 32 } }
steps = 64
batch = { tokens = 2048, context = 512 }
)";
// jobs/quickstart.toml, with nothing held out.
constexpr const char* quickstart = R"(schema = "volt.job/1"
workload = "finetune"
[finetune]
init = "random"
data = "text.txt"
steps = 1000
batch = { tokens = 512, context = 256 }
[finetune.model]
layers = 4
width = 128
heads = 4
context = 256
)";

schema::Job parse(const char* job) {
  return schema::parse_job(doc::parse_toml(job, "job"), {"job", Exit::failure}, "job");
}

const std::string& text() {
  static const std::string all = [] {
    std::string made;
    while (made.size() < 200'000)
      made += "the quick brown fox jumps over the lazy dog, and again. ";
    return made;
  }();
  return all;
}

/// The folder of a model with random weights.
std::map<std::string, Bytes> new_model(const schema::Job& job, device::Device& device) {
  NullSink sink;
  Finetune fresh(job, {}, as_bytes(text()), device, sink);
  fresh.build();
  std::map<std::string, Bytes> files;
  for (const auto& name : job.finetune.results()) {
    Bytes& file = files[name.substr(name.rfind('/') + 1)];
    fresh.put_output(name,
                     [&](ByteView part) { file.insert(file.end(), part.begin(), part.end()); });
  }
  return files;
}

// ---- A training

class KeptTraining {
 public:
  KeptTraining(const schema::Job& job, const lm::Files& base, device::Device& device)
      : device_(device),
        finetune_(job, base, as_bytes(text()), device, sink_),
        place_(std::filesystem::temp_directory_path()),
        folder_(place_.path() / "x.run", {}, {"states.bin"}, false, {}),
        file_(folder_.work_file("states.bin")) {
    finetune_.build();
    folder_.begin(0, records().bytes());
  }

  const workload::Records& records() const { return finetune_.records(); }
  std::uint64_t tokens() const { return finetune_.plan().step_tokens; }

  /// What the run took, in seconds, and of some spans what a step took in the run and in a replay.
  struct Costs {
    double steps = 0, keeping = 0, digests = 0;
    std::vector<double> run_step, replayed_step;
  };

  Costs run() {
    constexpr std::uint64_t replays = 8;
    const std::uint64_t every = std::max<std::uint64_t>(records().units / replays, 1);
    Costs costs;
    keep(0, costs);
    for (std::uint64_t unit = 1; unit <= records().units; ++unit) {
      const double before = costs.steps + costs.keeping;
      keep(unit, costs);
      if (unit % every != 0) continue;
      const auto steps = static_cast<double>(records().steps_of(unit));
      costs.run_step.push_back((costs.steps + costs.keeping - before) / steps);
      costs.replayed_step.push_back(replay(unit) / steps);
    }
    const double began = now();
    finish();
    costs.keeping += now() - began;
    return costs;
  }

 private:
  void keep(std::uint64_t unit, Costs& costs) {
    const double began = now();
    double stepped = began;
    const ByteView record =
        unit == 0 ? finetune_.begin()
                  : finetune_.run(unit, [&](const lm::StepTold&) { stepped = now(); });
    host::write_at(file_.get(), unit * record.size(), record);
    const double written = now();
    const auto leaves = digests(record);
    const double hashed = now();
    folder_.add_pages(leaves, 0);
    costs.steps += stepped - began;
    costs.keeping += written - stepped + (now() - hashed);
    costs.digests += hashed - written;
  }

  /// Seconds.
  double replay(std::uint64_t unit) {
    const double began = now();
    finetune_.go_on_from(kept(unit - 1));
    const ByteView right = finetune_.run(unit, [](const lm::StepTold&) {});
    if (!std::ranges::equal(right, kept(unit))) throw std::runtime_error("a replay differs");
    return now() - began;
  }

  std::vector<Digest> digests(ByteView record) {
    std::vector<Digest> leaves(record.size() / kernels::page_bytes);
    const auto buffer = device_.borrow(record);
    device_.call(&Backend::page_digests, static_cast<const kernels::Buffer*>(buffer.get()),
                 std::uint64_t{0}, std::uint64_t{record.size()}, leaves.front().bytes.data());
    return leaves;
  }

  Bytes kept(std::uint64_t index) {
    Bytes record(records().record_bytes());
    host::read_at(file_.get(), index * record.size(), record.data(), record.size());
    const auto leaves = digests(record);
    const auto first =
        folder_.leaves().begin() + static_cast<std::ptrdiff_t>(index * leaves.size());
    if (!std::equal(leaves.begin(), leaves.end(), first))
      throw std::runtime_error("a page differs");
    return record;
  }

  void finish() {
    schema::Receipt receipt;
    receipt.trace_root = crypto::merkle_root(workload::trace_leaves(records(), folder_.leaves()));
    receipt.units = records().units;
    receipt.outputs = {{"states.bin", {}, records().bytes(), {}}};
    receipt.signer = key_.public_key().der();
    crypto::Envelope envelope{
        std::string(crypto::in_toto_payload), schema::to_payload(receipt), {}};
    envelope.sign(key_);
    folder_.complete("{}", "{}", envelope.json());
  }

  NullSink sink_;
  device::Device& device_;
  Finetune finetune_;
  const host::TemporaryFolder place_;
  run::Folder folder_;
  const host::Fd file_;
  const crypto::SigningKey key_ = crypto::SigningKey::make();
};

// ---- Rows

Summary once(double seconds) { return {seconds, 0}; }

/// What the usual policy draws of so many spans, and so what it costs and what it sees.
std::string usual_check(std::uint64_t units) {
  const auto drawn = proof::drawn_units({}, schema::ProofPolicy().draws(), units).size();
  char text[120];
  std::snprintf(
      text, sizeof text,
      "; the usual check replays %zu: its cost, and the chance that it sees a wrong one, is %.3g",
      drawn, static_cast<double>(drawn) / static_cast<double>(units));
  return text;
}

void add_training(Report& report, const std::string& name, const schema::Job& job,
                  const lm::Files& base, device::Device& device) {
  KeptTraining training(job, base, device);
  const auto costs = training.run();
  const auto& records = training.records();
  const std::string shape = name + ", " + std::to_string(records.units) + " spans";
  const auto tokens = static_cast<double>(training.tokens());
  const auto beside_steps = [&](const std::string& what, double more) {
    return row(what, shape, "tokens/s", tokens, {once(costs.steps + more), once(costs.steps)},
               "the steps alone");
  };
  report.rows.push_back(beside_steps("receipt, trace and checkpoints", costs.keeping));
  report.rows.back().target = 1 / (1 + costs_at_most);
  report.rows.push_back(beside_steps("digests of the checkpoints", costs.digests));

  report.rows.push_back(row("replay of a span", shape + usual_check(records.units), "steps/s", 1,
                            {summarise(costs.replayed_step), summarise(costs.run_step)},
                            "the span in the run"));
  report.rows.back().target = 1 / replay_at_most;
}

void add_trainings(Report& report) {
  device::Device device(device::wanted("cpu", std::min(2U, report.machine.cores)));
  const auto model = new_model(parse(new_10m), device);
  add_training(report, "LoRA r=16 of a Llama of 10M", parse(lora_10m), {model.begin(), model.end()},
               device);
  add_training(report, "the first job", parse(quickstart), {}, device);
}

void add_adamw(Report& report, unsigned threads) {
  constexpr std::uint64_t count = std::uint64_t{64} << 20;
  device::Device device(device::wanted("cpu", threads));
  lm::Trained trained(device, {{.rows = 1, .cols = count}});
  const auto& all = trained.tensors().front();
  const kernels::Matrix value = trained.value(all), gradient = trained.gradient(all);
  for (const kernels::Matrix& m : {value, gradient}) {
    device.call(&Backend::fill_f32, m.buffer, std::uint64_t{0}, count, std::uint64_t{1},
                std::uint32_t{1}, std::uint64_t{0});
  }
  kernels::Pool pool(threads);
  const Bytes from(8 * count, 1);
  Bytes to(8 * count);
  const std::uint64_t share = from.size() / threads;
  const Pair pair = in_turn([&] { trained.step({.rate = 1e-4F, .decay = 0.1F}); },
                            [&] {
                              pool.each(threads, true, [&](std::uint64_t i) {
                                std::memcpy(to.data() + i * share, from.data() + i * share, share);
                              });
                            });
  // One call of each moves another number of bytes.
  Row result = row("AdamW step, " + threads_text(threads),
                   std::to_string(count) + " parameters, 28 bytes each", "GB/s",
                   28e-9 * static_cast<double>(count), pair, "memcpy");
  result.peer = 2e-9 * static_cast<double>(from.size()) / pair.peer.median;
  result.target = of_copying;
  report.rows.push_back(result);
}

void run(const char* path) {
  Report report;
  report.what = "training costs";
  report.machine = this_machine();
  for (unsigned threads = 1; threads <= std::min(2U, report.machine.cores); ++threads) {
    add_adamw(report, threads);
  }
  add_trainings(report);
  std::fputs(to_table(report).c_str(), stdout);
  if (path != nullptr) host::write_file(path, to_json(report));
}

}  // namespace
}  // namespace volt::bench

int main(int argc, char** argv) {
  if (argc > 2) {
    std::fputs("usage: bench_training_costs [OUT.json]\n", stderr);
    return 2;
  }
  try {
    volt::bench::run(argc == 2 ? argv[1] : nullptr);
    return 0;
  } catch (const volt::Error& error) {
    std::fprintf(stderr, "bench: error: %s\n", error.message().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: error: %s\n", error.what());
  }
  return 1;
}
