// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/run/attempt.hpp"
#include "libvolt/run/operands.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"worker", Exit::failure};

/// What the worker said on the way.
struct Heard {
  std::vector<std::pair<std::string, schema::TensorFacts>> inputs;
  std::uint64_t offset = 0, bytes = 0;
};

/// A matmul: a worker computes page by page, and what it has done is journalled.
class MatmulRun {
 public:
  explicit MatmulRun(Attempt& attempt)
      : attempt_(attempt), job_(attempt.job()), folder_(attempt.folder()) {}

  Outcome perform() {
    if (!folder_.leaves().empty()) {
      attempt_.sink().send(
          Log{Log::Level::info, "going on where an earlier start was stopped, after " +
                                    format_memory(folder_.leaves().size() * tensor::page_bytes) +
                                    " of the output"});
    }
    return finish(compute());
  }

 private:
  Ending compute() {
    device::Wanted wanted = attempt_.options().device;
    if (job_.limits.memory_bytes) wanted.memory_bytes = *job_.limits.memory_bytes;
    Task task = task_for("run", job_, wanted);
    task.request.emplace_back("done_pages", std::uint64_t{folder_.leaves().size()});
    for (const auto& input : attempt_.found()) task.files.push_back({input.name, input.fd.get()});
    const host::Fd out = folder_.work_file(job_.matmul.out);
    task.files.push_back({"out", out.get()});
    host::Fd image;
    if (!job_.matmul.image.empty()) {
      image = folder_.work_file(job_.matmul.image);
      task.files.push_back({"image", image.get()});
    }
    Interrupt interrupt = attempt_.interrupt();
    if (job_.limits.time) interrupt.limit = *job_.limits.time;
    return work(task, attempt_.sink(), interrupt, [&](const Value& message) { hear(message); });
  }

  void hear(const Value& message) {
    Fields fields(message, source);
    if (const auto* input = fields.find("input")) {
      if (heard_.inputs.size() == 2) throw Error(Exit::failure, "the worker made inputs up");
      heard_.inputs.emplace_back(fields.table("input").string("name"), facts_of(*input));
    } else if (fields.has("begin")) {
      Fields begin = fields.table("begin");
      heard_.offset = static_cast<std::uint64_t>(begin.integer("offset", 0, 65'536));
      heard_.bytes = static_cast<std::uint64_t>(begin.integer("bytes", 0, INT64_MAX));
      if (job_.limits.disk_bytes && heard_.bytes > *job_.limits.disk_bytes) {
        throw Error(Exit::answer_is_no,
                    "the output takes " + format_memory(heard_.bytes) + ", more than the " +
                        format_memory(*job_.limits.disk_bytes) + " of [limits] disk");
      }
      folder_.begin(heard_.offset, heard_.bytes);
    } else {
      std::vector<Digest> leaves;
      for (const auto& page : fields.array("pages")) {
        const auto* text = page.get_if<std::string>();
        const auto digest = text == nullptr ? std::nullopt : Digest::from_hex(*text);
        if (!digest) throw Error(Exit::failure, "the worker sent no digest");
        leaves.push_back(*digest);
      }
      if (folder_.leaves().size() + leaves.size() > tensor::page_count(heard_.bytes)) {
        throw Error(Exit::failure, "the worker sent more pages than the output has");
      }
      folder_.add_pages(leaves, attempt_.elapsed_ns());
    }
  }

  Outcome finish(const Ending& ending) {
    Fields end(ending.end, source, "end");
    if (heard_.inputs.size() != 2) throw Error(Exit::failure, "the worker kept an input to itself");
    const auto geometry = workload::geometry(job_.matmul, heard_.inputs[0].second.description,
                                             heard_.inputs[1].second.description);
    auto receipt = attempt_.receipt();
    receipt.profile = job_.matmul.profile + "/1";
    receipt.peak_memory_bytes = ending.peak_memory_bytes;
    for (const auto& [name, facts] : heard_.inputs) receipt.inputs.push_back(record(name, facts));
    for (const auto& name : job_.outputs()) {
      const host::Fd fd = folder_.work_file(name);
      const auto digest =
          inputs::digest_of(fd.get(), name, attempt_.sink(), attempt_.interrupt().stop);
      receipt.outputs.push_back({name, digest, host::stamp_of(fd.get()).bytes, {}});
      if (name == job_.matmul.out) check_output(fd.get());
    }
    schema::TensorFacts output = facts_of(end.get("output"));
    output.pages = tensor::pages_root(output.description, folder_.leaves());
    receipt.outputs.front().tensor = output;
    receipt.trace_root = output.pages;
    receipt.units = output.description.elements();
    Fields device = end.table("device");
    receipt.backend = device.string("backend");
    receipt.device = device.string("name");
    receipt.driver = device.string("driver");

    auto outcome =
        attempt_.complete(std::move(receipt), {{"peak_memory_bytes", ending.peak_memory_bytes}});
    outcome.multiply_adds = geometry.multiply_adds();
    if (const auto* sketch = end.get("sketch").get_if<std::string>()) outcome.sketch = *sketch;
    return outcome;
  }

  /// A signed receipt never names what is not on the disk.
  void check_output(int fd) const {
    const auto pages = tensor::page_count(heard_.bytes);
    if (folder_.leaves().size() != pages ||
        matching_pages(fd, heard_.offset, heard_.bytes, folder_.leaves()) != pages) {
      throw Error(Exit::local_io, "the output on the disk is not what was computed",
                  "run the same again; if it happens twice, check the disk");
    }
  }

  schema::InputRecord record(const std::string& name, const schema::TensorFacts& facts) const {
    schema::InputRecord record;
    for (const auto& input : attempt_.found()) {
      if (input.name == name) record = Attempt::record(input);
    }
    for (const auto& [known, input] : job_.inputs()) {
      if (known == name && input->seeded() != nullptr) record.seed = input->seeded()->seed;
    }
    record.name = name;
    record.tensor = facts;
    return record;
  }

  Attempt& attempt_;
  const schema::Job& job_;
  Folder& folder_;
  Heard heard_;
};

}  // namespace

Outcome run_matmul(Attempt& attempt) { return MatmulRun(attempt).perform(); }

}  // namespace volt::run
