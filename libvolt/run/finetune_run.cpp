// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <optional>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/run/model_run.hpp"
#include "libvolt/run/training_report.hpp"
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
      : attempt_(attempt), job_(attempt.job()), folder_(attempt.folder()), run_(attempt) {}

  Outcome perform() {
    if (!folder_.leaves().empty()) {
      info("going on where an earlier start was stopped, after " +
           format_memory(folder_.leaves().size() * tensor::page_bytes) + " of states");
    }
    return finish(run_.have("train", [&](const Value& message) { hear(message); }));
  }

 private:
  void info(const std::string& text) { attempt_.sink().send(Log{Log::Level::info, text}); }

  void hear(const Value& message) {
    Fields fields(message, source);
    if (fields.has("begin")) {
      begin(fields.table("begin"));
    } else if (records_.steps == 0) {
      throw Error(Exit::failure, "the worker did not begin");
    } else if (fields.has("step")) {
      take(fields);
    } else if (fields.has("unit")) {
      end_unit(fields);
    } else if (fields.has("ended")) {
      end_early(fields.table("ended"));
    } else if (fields.has("merged")) {
      report().merged(fields.get("merged"));
    } else {
      run_.take_pages(fields, tensor::page_count(records_.bytes()));
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
                  job_.finetune.span != 0 ? "without finetune.span they are as many as fit"
                                          : "they are the first and the last one");
    }
    info((job_.finetune.stop_when.any() ? "at most " : "") + std::to_string(records_.steps) +
         " steps; a state of " + format_memory(records_.state_bytes) + " is kept every " +
         std::to_string(records_.span));
    folder_.begin(0, bytes);
    // A unit whose pages are not all there is run again, and a profile that is not exact may then
    // give it other bits.
    const std::uint64_t pages = records_.record_bytes() / tensor::page_bytes;
    folder_.keep_pages(folder_.leaves().size() / pages * pages);
  }

  static std::uint64_t count(Fields& fields, std::string_view key) {
    return static_cast<std::uint64_t>(fields.integer(key, 0, INT64_MAX));
  }

  void take(Fields& fields) {
    if (++steps_ > records_.steps) throw Error(Exit::failure, "the worker made steps up");
    std::optional<Measured> measured;
    if (fields.has("took_ns")) {
      measured = {std::chrono::nanoseconds(fields.integer("took_ns", 1, INT64_MAX)),
                  count(fields, "memory_bytes")};
    }
    report().step(fields.get("step"), measured);
  }

  void end_unit(Fields& fields) {
    if (++units_ > records_.units) throw Error(Exit::failure, "the worker made units up");
    if (fields.has("eval")) report().eval(fields.get("eval"));
    report().unit();
  }

  /// The job's rule has ended it before its last unit.
  void end_early(Fields ended) {
    if (!job_.finetune.stop_when.any() || units_ == 0 || units_ >= records_.units ||
        count(ended, "units") != units_) {
      throw Error(Exit::failure, "the worker ended early");
    }
    records_ = records_.until(units_);
    folder_.end_pages();
  }

  /// Not before there is something to report: a run that is refused leaves nothing.
  TrainingReport& report() {
    if (!report_) report_.emplace(attempt_, records_.steps);
    return *report_;
  }

  Outcome finish(const Ending& ending) {
    Fields end(ending.end, source, "end");
    if (records_.steps == 0 || steps_ != records_.steps || units_ != records_.units) {
      throw Error(Exit::failure, "the worker kept steps to itself");
    }
    auto receipt = run_.receipt(ending, records_.bytes(), "states");
    receipt.trace_root = crypto::merkle_root(workload::trace_leaves(records_, folder_.leaves()));
    receipt.units = records_.units;
    report_->finish(ending.peak_memory_bytes);
    Value::Object facts = report_->facts();
    facts.emplace_back("trained", end.integer("trained", 0, INT64_MAX));
    facts.emplace_back("peak_memory_bytes", ending.peak_memory_bytes);
    auto outcome = attempt_.complete(std::move(receipt), facts);
    outcome.facts = std::move(facts);
    outcome.multiply_adds = end.number("multiply_adds", 0, 1e300);
    return outcome;
  }

  Attempt& attempt_;
  const schema::Job& job_;
  Folder& folder_;
  ModelRun run_;
  workload::Records records_;
  std::uint64_t steps_ = 0, units_ = 0;
  std::optional<TrainingReport> report_;
};

}  // namespace

Outcome run_finetune(Attempt& attempt) { return FinetuneRun(attempt).perform(); }

}  // namespace volt::run
