// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/run/attempt.hpp"
#include "libvolt/run/model_inputs.hpp"
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
      : attempt_(attempt), job_(attempt.job()), folder_(attempt.folder()) {}

  Outcome perform() {
    if (!folder_.leaves().empty()) {
      info("going on where an earlier start was stopped, after " +
           std::to_string(folder_.leaves().size()) + " units");
    }
    return finish(generate());
  }

 private:
  void info(const std::string& text) { attempt_.sink().send(Log{Log::Level::info, text}); }

  Ending generate() {
    device::Wanted wanted = attempt_.options().device;
    if (job_.limits.memory_bytes) wanted.memory_bytes = *job_.limits.memory_bytes;
    Task task = task_for("generate", job_, for_language_models(wanted));
    task.request.emplace_back("done_pages", std::uint64_t{folder_.leaves().size()});
    for (const auto& input : attempt_.found()) {
      task.files.push_back({input.name, input.fd.get()});
    }
    std::vector<host::Fd> files;
    for (const auto& output : job_.outputs()) {
      files.push_back(folder_.work_file(output));
      task.files.push_back({files.size() == 1 ? "out" : output, files.back().get()});
    }
    Interrupt interrupt = attempt_.interrupt();
    if (job_.limits.time) interrupt.limit = *job_.limits.time;
    return work(task, attempt_.sink(), interrupt, [&](const Value& message) { hear(message); });
  }

  void hear(const Value& message) {
    Fields fields(message, source);
    if (fields.has("begin")) {
      begin(fields.table("begin"));
    } else if (fields.has("text")) {
      tell(fields.table("text"));
    } else {
      take_pages(fields);
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

  void take_pages(Fields& fields) {
    std::vector<Digest> leaves;
    for (const auto& page : fields.array("pages")) {
      const auto* text = page.get_if<std::string>();
      const auto digest = text == nullptr ? std::nullopt : Digest::from_hex(*text);
      if (!digest) throw Error(Exit::failure, "the worker sent no digest");
      leaves.push_back(*digest);
    }
    if (folder_.leaves().size() + leaves.size() > units_) {
      throw Error(Exit::failure, "the worker made units up");
    }
    folder_.add_pages(leaves, attempt_.elapsed_ns());
  }

  Outcome finish(const Ending& ending) {
    Fields end(ending.end, source, "end");
    if (folder_.leaves().empty()) throw Error(Exit::failure, "the worker kept units to itself");
    folder_.end_pages();
    auto receipt = attempt_.receipt();
    receipt.profile = job_.profile() + "/1";
    receipt.peak_memory_bytes = ending.peak_memory_bytes;
    for (const auto& input : attempt_.found()) receipt.inputs.push_back(Attempt::record(input));
    for (const auto& name : job_.outputs()) {
      const host::Fd fd = folder_.work_file(name);
      if (receipt.outputs.empty()) check_tokens(fd.get());
      const auto digest =
          inputs::digest_of(fd.get(), name, attempt_.sink(), attempt_.interrupt().stop);
      receipt.outputs.push_back({name, digest, host::stamp_of(fd.get()).bytes, {}});
    }
    receipt.trace_root = crypto::merkle_root(folder_.leaves());
    receipt.units = folder_.leaves().size();
    Fields device = end.table("device");
    receipt.backend = device.string("backend");
    receipt.device = device.string("name");
    receipt.driver = device.string("driver");
    auto outcome = attempt_.complete(
        std::move(receipt), {{"peak_memory_bytes", ending.peak_memory_bytes}, {"texts", texts_}});
    outcome.multiply_adds = end.number("multiply_adds", 0, 1e300);
    return outcome;
  }

  /// A signed receipt never names what is not on the disk.
  void check_tokens(int fd) const {
    const auto pages = folder_.leaves().size();
    const std::uint64_t bytes = pages * tensor::page_bytes;
    if (host::stamp_of(fd).bytes != bytes ||
        matching_pages(fd, 0, bytes, folder_.leaves()) != pages) {
      throw Error(Exit::local_io, "the tokens on the disk are not what was computed",
                  "run the same again; if it happens twice, check the disk");
    }
  }

  Attempt& attempt_;
  const schema::Job& job_;
  Folder& folder_;
  std::uint64_t units_ = 0, texts_ = 0;  ///< units: at most
  std::uint64_t told_ = 0;
};

}  // namespace

Outcome run_generate(Attempt& attempt) { return GenerateRun(attempt).perform(); }

}  // namespace volt::run
