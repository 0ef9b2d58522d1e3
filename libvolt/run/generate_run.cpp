// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/run/model_run.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"worker", Exit::failure};

/// Texts that a worker writes token by token; the page of each unit is journalled, so that a run
/// goes on after the last one.
class GenerateRun {
 public:
  explicit GenerateRun(Attempt& attempt)
      : attempt_(attempt), job_(attempt.job()), folder_(attempt.folder()), run_(attempt) {}

  Outcome perform() {
    if (!folder_.leaves().empty()) {
      info("going on where an earlier start was stopped, after " +
           std::to_string(folder_.leaves().size()) + " units");
    }
    return finish(run_.have("generate", [&](const Value& message) { hear(message); }));
  }

 private:
  void info(const std::string& text) { attempt_.sink().send(Log{Log::Level::info, text}); }

  void hear(const Value& message) {
    Fields fields(message, source);
    if (fields.has("begin")) {
      begin(fields.table("begin"));
    } else if (fields.has("text")) {
      tell(fields.table("text"));
    } else {
      run_.take_pages(fields, units_);
    }
  }

  void begin(Fields begin) {
    constexpr std::int64_t most_units = std::int64_t{1} << 40;
    if (units_ != 0) throw Error(Exit::failure, "the worker began twice");
    units_ = static_cast<std::uint64_t>(begin.integer("units", 1, most_units));
    texts_ = static_cast<std::uint64_t>(begin.integer("texts", 1, most_units));
    const std::uint64_t bytes = units_ * tensor::page_bytes;
    if (job_.limits.disk_bytes && bytes > *job_.limits.disk_bytes) {
      throw Error(Exit::answer_is_no,
                  "the tokens may take " + format_memory(bytes) + ", more than the " +
                      format_memory(*job_.limits.disk_bytes) + " of [limits] disk",
                  "generate.tokens bounds them");
    }
    folder_.begin(0, bytes);
  }

  /// What a person wants to see: the text. Indented, so that no line of it passes for one of ours.
  void tell(Fields text) {
    if (++told_ > texts_) throw Error(Exit::failure, "the worker made texts up");
    std::string shown = text.string("place") + ": " +
                        std::to_string(text.integer("tokens", 1, INT64_MAX)) +
                        " tokens, ended by " + ending(text.string("ended")) + ":";
    for (const auto line : split(text.string("completion"), '\n')) {
      shown += "\n  " + std::string(line);
    }
    info(shown + (text.boolean("whole") ? "" : "..."));
  }

  static std::string ending(const std::string& ended) {
    if (ended == "eos") return "EOS";
    return ended == "tokens" ? "generate.tokens" : "the model's context";
  }

  Outcome finish(const Ending& ending) {
    Fields end(ending.end, source, "end");
    if (folder_.leaves().empty()) throw Error(Exit::failure, "the worker kept units to itself");
    folder_.end_pages();
    const std::uint64_t units = folder_.leaves().size();
    auto receipt = run_.receipt(ending, units * tensor::page_bytes, "tokens");
    receipt.trace_root = crypto::merkle_root(folder_.leaves());
    receipt.units = units;
    auto outcome = attempt_.complete(
        std::move(receipt), {{"peak_memory_bytes", ending.peak_memory_bytes}, {"texts", texts_}});
    outcome.multiply_adds = end.number("multiply_adds", 0, 1e300);
    return outcome;
  }

  Attempt& attempt_;
  const schema::Job& job_;
  Folder& folder_;
  ModelRun run_;
  std::uint64_t units_ = 0, texts_ = 0;  ///< units: at most
  std::uint64_t told_ = 0;
};

}  // namespace

Outcome run_generate(Attempt& attempt) { return GenerateRun(attempt).perform(); }

}  // namespace volt::run
