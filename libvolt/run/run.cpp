// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/run.hpp"

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/base/version.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/run/folder.hpp"
#include "libvolt/run/operands.hpp"

namespace volt::run {
namespace {

using Clock = std::chrono::steady_clock;
using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"worker", Exit::failure};
/// How long a prover promises to keep what it needs to ending challenges.
constexpr std::uint64_t retention_s = 30 * 86'400;
const std::string tool = "gpu-run " + std::string(version());

/// What the worker said on the way.
struct Heard {
  std::vector<std::pair<std::string, schema::TensorFacts>> inputs;
  std::uint64_t offset = 0, bytes = 0;
};

class Run {
 public:
  Run(const JobFile& file, const Options& options, crypto::KeyStore& keys, Sink& sink,
      const Interrupt& interrupt)
      : job_(file.job),
        options_(options),
        key_(keys.own()),
        sink_(sink),
        interrupt_(interrupt),
        resolved_(doc::to_canonical_json(schema::to_value(job_))),
        begin_(Clock::now()) {}

  Outcome perform() {
    found_ = inputs::find(job_, options_.places, sink_, interrupt_.stop);
    // With other limits it is still the same run: a person may raise one and go on.
    schema::Job unlimited = job_;
    unlimited.limits = {};
    const auto text = doc::to_canonical_json(schema::to_value(unlimited));
    Identity identity{crypto::sha256(as_bytes(text)), {}};
    for (const auto& input : found_) identity.inputs.push_back(input.sha256);
    host::Path path = options_.folder.empty() ? host::Path(job_.name + ".run") : options_.folder;
    std::vector<std::string> names{job_.matmul.out};
    if (!job_.matmul.image.empty()) names.push_back(job_.matmul.image);
    Folder folder(path, identity, names, options_.force, key_.secret_for("volt.journal/1"));
    if (!folder.leaves().empty()) {
      sink_.send(
          Log{Log::Level::info, "going on where an earlier start was stopped, after " +
                                    format_memory(folder.leaves().size() * tensor::page_bytes) +
                                    " of the output"});
    }
    const Ending ending = compute(folder);
    return finish(folder, names, ending);
  }

 private:
  std::uint64_t elapsed_ns() const {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_).count());
  }

  Ending compute(Folder& folder) {
    device::Wanted wanted = options_.device;
    if (job_.limits.memory_bytes) wanted.memory_bytes = *job_.limits.memory_bytes;
    Task task = task_for("run", job_, wanted);
    task.request.emplace_back("done_pages", std::uint64_t{folder.leaves().size()});
    for (const auto& input : found_) task.files.push_back({input.name, input.fd.get()});
    const host::Fd out = folder.work_file(job_.matmul.out);
    task.files.push_back({"out", out.get()});
    host::Fd image;
    if (!job_.matmul.image.empty()) {
      image = folder.work_file(job_.matmul.image);
      task.files.push_back({"image", image.get()});
    }
    Interrupt interrupt = interrupt_;
    if (job_.limits.time) interrupt.limit = *job_.limits.time;
    return work(task, sink_, interrupt, [&](const Value& message) { hear(message, folder); });
  }

  void hear(const Value& message, Folder& folder) {
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
      folder.begin(heard_.offset, heard_.bytes);
    } else {
      std::vector<Digest> leaves;
      for (const auto& page : fields.array("pages")) {
        const auto* text = page.get_if<std::string>();
        const auto digest = text == nullptr ? std::nullopt : Digest::from_hex(*text);
        if (!digest) throw Error(Exit::failure, "the worker sent no digest");
        leaves.push_back(*digest);
      }
      if (folder.leaves().size() + leaves.size() > tensor::page_count(heard_.bytes)) {
        throw Error(Exit::failure, "the worker sent more pages than the output has");
      }
      folder.add_pages(leaves, elapsed_ns());
    }
  }

  Outcome finish(Folder& folder, const std::vector<std::string>& names, const Ending& ending) {
    Fields end(ending.end, source, "end");
    if (heard_.inputs.size() != 2) throw Error(Exit::failure, "the worker kept an input to itself");
    const auto geometry = workload::geometry(job_.matmul, heard_.inputs[0].second.description,
                                             heard_.inputs[1].second.description);
    schema::Receipt receipt;
    for (const auto& name : names) {
      const host::Fd fd = folder.work_file(name);
      receipt.outputs.push_back({name,
                                 inputs::digest_of(fd.get(), name, sink_, interrupt_.stop),
                                 host::stamp_of(fd.get()).bytes,
                                 {}});
      if (name == job_.matmul.out) check_output(fd.get(), folder);
    }
    schema::TensorFacts output = facts_of(end.get("output"));
    output.pages = tensor::pages_root(output.description, folder.leaves());
    receipt.outputs.front().tensor = output;
    receipt.job = crypto::sha256(as_bytes(resolved_));
    for (const auto& [name, facts] : heard_.inputs) receipt.inputs.push_back(record(name, facts));
    receipt.workload = workload::matmul_version;
    receipt.profile = job_.matmul.profile + "/1";
    receipt.trace_root = output.pages;
    receipt.units = output.description.elements();
    receipt.attempt = folder.attempt();
    receipt.retention_s = retention_s;
    receipt.started = folder.started();
    receipt.ended = format_utc(std::chrono::system_clock::now());
    receipt.elapsed_ns = folder.earlier_ns() + elapsed_ns();
    receipt.peak_memory_bytes = ending.peak_memory_bytes;
    Fields device = end.table("device");
    receipt.backend = device.string("backend");
    receipt.device = device.string("name");
    receipt.driver = device.string("driver");
    receipt.tool = tool;
    receipt.signer = key_.public_key().der();

    crypto::Envelope envelope{
        std::string(crypto::in_toto_payload), schema::to_payload(receipt), {}};
    envelope.sign(key_);
    folder.complete(resolved_, doc::to_json(run_members(folder, ending)) + "\n",
                    envelope.json() + "\n");
    Outcome outcome{folder.path(),
                    std::move(receipt),
                    crypto::sha256(as_bytes(envelope.payload)),
                    {},
                    geometry.multiply_adds()};
    if (const auto* sketch = end.get("sketch").get_if<std::string>()) outcome.sketch = *sketch;
    return outcome;
  }

  /// A signed receipt never names what is not on the disk.
  void check_output(int fd, const Folder& folder) const {
    const auto pages = tensor::page_count(heard_.bytes);
    if (folder.leaves().size() != pages ||
        matching_pages(fd, heard_.offset, heard_.bytes, folder.leaves()) != pages) {
      throw Error(Exit::local_io, "the output on the disk is not what was computed",
                  "run the same again; if it happens twice, check the disk");
    }
  }

  schema::InputRecord record(const std::string& name, const schema::TensorFacts& facts) const {
    schema::InputRecord record;
    record.name = name;
    record.tensor = facts;
    for (const auto& [known, input] : job_.inputs()) {
      if (known == name && input->seeded() != nullptr) record.seed = input->seeded()->seed;
    }
    for (const auto& input : found_) {
      if (input.name != name) continue;
      input.check_unchanged();
      record.sha256 = input.sha256;
      record.bytes = input.stamp.bytes;
      record.receipt = input.receipt;
    }
    return record;
  }

  /// run.json: for people and for finding inputs again; nothing in it is signed.
  Value run_members(const Folder& folder, const Ending& ending) const {
    Value::Object files;
    for (const auto& input : found_)
      files.emplace_back(input.name, printable(input.path.string(), 4096));
    return Value::Object{{"schema", "volt.run/1"},
                         {"name", job_.name},
                         {"tool", tool},
                         {"inputs", std::move(files)},
                         {"attempt", folder.attempt()},
                         {"started", folder.started()},
                         {"elapsed_ns", folder.earlier_ns() + elapsed_ns()},
                         {"peak_memory_bytes", ending.peak_memory_bytes}};
  }

  const schema::Job& job_;
  const Options& options_;
  crypto::SigningKey key_;
  Sink& sink_;
  const Interrupt& interrupt_;
  std::string resolved_;
  Clock::time_point begin_;
  std::vector<inputs::Found> found_;
  Heard heard_;
};

}  // namespace

Outcome run_job(const JobFile& file, const Options& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt) {
  return Run(file, options, keys, sink, interrupt).perform();
}

}  // namespace volt::run
