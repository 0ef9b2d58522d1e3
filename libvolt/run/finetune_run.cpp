// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdio>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/language.hpp"
#include "libvolt/run/attempt.hpp"
#include "libvolt/run/finetune_files.hpp"
#include "libvolt/workload/finetune.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"worker", Exit::failure};

/// A training: a worker takes step after step and keeps a state after each unit; its pages are
/// journalled, so that a run goes on after the last unit that was finished.
class FinetuneRun {
 public:
  explicit FinetuneRun(Attempt& attempt)
      : attempt_(attempt), job_(attempt.job()), folder_(attempt.folder()) {}

  Outcome perform() {
    if (!folder_.leaves().empty()) {
      info("going on where an earlier start was stopped, after " +
           format_memory(folder_.leaves().size() * tensor::page_bytes) + " of states");
    }
    return finish(train());
  }

 private:
  void info(const std::string& text) { attempt_.sink().send(Log{Log::Level::info, text}); }

  Ending train() {
    device::Wanted wanted = attempt_.options().device;
    if (job_.limits.memory_bytes) wanted.memory_bytes = *job_.limits.memory_bytes;
    Task task = task_for("train", job_, for_language_models(wanted));
    task.request.emplace_back("done_pages", std::uint64_t{folder_.leaves().size()});
    for (const auto& input : attempt_.found()) {
      if (worker_reads(input.name)) task.files.push_back({input.name, input.fd.get()});
    }
    std::vector<host::Fd> files;
    for (const auto& name : job_.finetune.outputs()) {
      const bool states = files.empty();
      files.push_back(folder_.work_file(name));
      task.files.push_back({states ? "out" : name, files.back().get()});
    }
    Interrupt interrupt = attempt_.interrupt();
    if (job_.limits.time) interrupt.limit = *job_.limits.time;
    return work(task, attempt_.sink(), interrupt, [&](const Value& message) { hear(message); });
  }

  void hear(const Value& message) {
    Fields fields(message, source);
    if (fields.has("begin")) {
      begin(fields.table("begin"));
    } else if (const auto* step = fields.find("step")) {
      take(*step);
    } else if (fields.has("unit")) {
      end_unit(fields);
    } else {
      take_pages(fields);
    }
  }

  void begin(Fields begin) {
    constexpr std::uint64_t most_steps = 10'000'000, most_state = std::uint64_t{1} << 38;
    if (records_.steps != 0) throw Error(Exit::failure, "the worker began twice");
    records_.units = count(begin, "units");
    records_.span = count(begin, "span");
    records_.steps = count(begin, "steps");
    records_.state_bytes = count(begin, "state_bytes");
    records_.evaluates = begin.boolean("evaluates");
    const std::uint64_t bytes = count(begin, "bytes");
    const bool fits = records_.steps <= most_steps && records_.state_bytes <= most_state &&
                      records_.span != 0 && records_.span <= records_.steps &&
                      records_.units == (records_.steps + records_.span - 1) / records_.span;
    if (!fits || bytes != records_.bytes()) {
      throw Error(Exit::failure, "the worker cannot count");
    }
    if (job_.limits.disk_bytes && bytes > *job_.limits.disk_bytes) {
      throw Error(Exit::answer_is_no,
                  "the kept states take " + format_memory(bytes) + ", more than the " +
                      format_memory(*job_.limits.disk_bytes) + " of [limits] disk",
                  "a larger finetune.span keeps fewer");
    }
    info(std::to_string(records_.steps) + " steps; a state of " +
         format_memory(records_.state_bytes) + " is kept every " + std::to_string(records_.span));
    folder_.begin(0, bytes);
  }

  static std::uint64_t count(Fields& fields, std::string_view key) {
    return static_cast<std::uint64_t>(fields.integer(key, 0, INT64_MAX));
  }

  void take(const Value& step) {
    if (++steps_ > records_.steps) throw Error(Exit::failure, "the worker made steps up");
    last_ = step;
    const std::string line = doc::to_canonical_json(step);
    if (line.size() > 1024) throw Error(Exit::failure, "the worker tells too much of a step");
    metrics_ += line + "\n";
  }

  /// What a person wants to see: a line a unit, which are about as many as the root of the steps.
  void end_unit(Fields& fields) {
    if (++units_ > records_.units) throw Error(Exit::failure, "the worker made units up");
    std::string line = "step " + std::to_string(steps_) + "/" + std::to_string(records_.steps) +
                       ": loss " + shown(last_, "loss");
    if (fields.has("eval")) {
      line += ", eval " + shown(fields.get("eval"), "loss");
      Value::Object members{{"step", steps_}};
      members.emplace_back("eval", fields.get("eval"));
      metrics_ += doc::to_canonical_json(members) + "\n";
    }
    info(line);
    // All of it each time: seldom, then, where there are many units.
    const auto now = std::chrono::steady_clock::now();
    if (units_ != records_.units && now - noted_ < std::chrono::seconds(10)) return;
    noted_ = now;
    folder_.note("metrics.jsonl", metrics_);
  }

  static std::string shown(const Value& of, std::string_view key) {
    const Value* value = of.find(key);
    const auto* number = value == nullptr ? nullptr : value->get_if<double>();
    if (number == nullptr) return "not finite";
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", *number);
    return text;
  }

  void take_pages(Fields& fields) {
    std::vector<Digest> leaves;
    for (const auto& page : fields.array("pages")) {
      const auto* text = page.get_if<std::string>();
      const auto digest = text == nullptr ? std::nullopt : Digest::from_hex(*text);
      if (!digest) throw Error(Exit::failure, "the worker sent no digest");
      leaves.push_back(*digest);
    }
    if (folder_.leaves().size() + leaves.size() > tensor::page_count(records_.bytes())) {
      throw Error(Exit::failure, "the worker sent more pages than the states have");
    }
    folder_.add_pages(leaves, attempt_.elapsed_ns());
  }

  Outcome finish(const Ending& ending) {
    Fields end(ending.end, source, "end");
    if (records_.steps == 0 || steps_ != records_.steps || units_ != records_.units) {
      throw Error(Exit::failure, "the worker kept steps to itself");
    }
    auto receipt = attempt_.receipt();
    receipt.profile = job_.finetune.profile + "/1";
    receipt.peak_memory_bytes = ending.peak_memory_bytes;
    for (const auto& input : attempt_.found()) receipt.inputs.push_back(Attempt::record(input));
    for (const auto& name : job_.finetune.outputs()) {
      const host::Fd fd = folder_.work_file(name);
      if (receipt.outputs.empty()) check_states(fd.get());
      const auto digest =
          inputs::digest_of(fd.get(), name, attempt_.sink(), attempt_.interrupt().stop);
      receipt.outputs.push_back({name, digest, host::stamp_of(fd.get()).bytes, {}});
    }
    receipt.trace_root = crypto::merkle_root(workload::trace_leaves(records_, folder_.leaves()));
    receipt.units = records_.units;
    Fields device = end.table("device");
    receipt.backend = device.string("backend");
    receipt.device = device.string("name");
    receipt.driver = device.string("driver");
    auto outcome =
        attempt_.complete(std::move(receipt), {{"peak_memory_bytes", ending.peak_memory_bytes},
                                               {"steps", records_.steps},
                                               {"trained", end.integer("trained", 0, INT64_MAX)}});
    outcome.multiply_adds = end.number("multiply_adds", 0, 1e300);
    return outcome;
  }

  /// A signed receipt never names what is not on the disk.
  void check_states(int fd) const {
    const auto pages = tensor::page_count(records_.bytes());
    if (folder_.leaves().size() != pages ||
        matching_pages(fd, 0, records_.bytes(), folder_.leaves()) != pages) {
      throw Error(Exit::local_io, "the states on the disk are not what was computed",
                  "run the same again; if it happens twice, check the disk");
    }
  }

  Attempt& attempt_;
  const schema::Job& job_;
  Folder& folder_;
  workload::Records records_;
  std::uint64_t steps_ = 0, units_ = 0;
  std::chrono::steady_clock::time_point noted_;
  Value last_;
  std::string metrics_;
};

}  // namespace

device::Wanted for_language_models(device::Wanted wanted) {
  if (wanted.device == "auto") wanted.device = "cpu";
  return wanted;
}

bool worker_reads(std::string_view input) {
  const auto slash = input.find('/');
  if (slash == std::string_view::npos || input.starts_with("adapter/")) return true;
  const auto name = input.substr(slash + 1);
  return name == "config.json" || name == lm::tokenizer_file || name == lm::tokenizer_config_file ||
         name == lm::chat_template_file || name == "model.safetensors.index.json" ||
         (name.ends_with(".safetensors") && name.find('/') == std::string_view::npos);
}

Outcome run_finetune(Attempt& attempt) { return FinetuneRun(attempt).perform(); }

}  // namespace volt::run
