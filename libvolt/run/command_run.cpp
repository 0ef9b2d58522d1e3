// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/proof/consistency.hpp"
#include "libvolt/run/attempt.hpp"
#include "libvolt/run/outputs.hpp"

namespace volt::run {
namespace {

using doc::Value;

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// metrics.jsonl while the program runs: what it uses, a line a sample.
class Metrics {
 public:
  explicit Metrics(const Folder& folder) {
    const auto path = folder.note("metrics.jsonl", {});
    file_ = host::Fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    if (!file_) throw_system(errno, "cannot open " + host::shown(path));
  }

  void add(const Sample& sample) const {
    Value::Array gpus;
    for (const auto& gpu : sample.gpus) {
      gpus.emplace_back(Value::Object{{"index", static_cast<std::int64_t>(gpu.index)},
                                      {"utilisation", known(gpu.utilisation)},
                                      {"memory_bytes", known(gpu.memory_used_bytes)},
                                      {"power_w", known(gpu.power_w)},
                                      {"temperature_c", known(gpu.temperature_c)}});
    }
    const Value line =
        Value::Object{{"t_s", seconds(sample.since_start)},  {"cpu_s", seconds(sample.cpu)},
                      {"memory_bytes", sample.memory_bytes}, {"disk_bytes", sample.disk_bytes},
                      {"processes", sample.tasks},           {"gpus", std::move(gpus)}};
    host::write_all(file_.get(), doc::to_canonical_json(line) + "\n");
  }

 private:
  static Value known(double value) { return value == value ? Value(value) : Value(nullptr); }
  host::Fd file_;
};

class CommandRun {
 public:
  explicit CommandRun(Attempt& attempt) : attempt_(attempt), job_(attempt.job()) {}

  Outcome perform() {
    const Scratch scratch(attempt_.folder().work() / "scratch", job_, attempt_.found(),
                          attempt_.interrupt().stop);
    const Metrics metrics(attempt_.folder());
    const auto end = follow(scratch, metrics);
    scratch.remove_links(job_);
    if (end.status != 0) {
      attempt_.leave(end.status, members(end));
      Outcome outcome;
      outcome.folder = attempt_.folder().path();
      outcome.status = end.status;
      return outcome;
    }
    return finish(scratch, end);
  }

 private:
  ProgramEnd follow(const Scratch& scratch, const Metrics& metrics) const {
    try {
      Given given = attempt_.options().given;
      if (attempt_.options().begun) {
        given.started = [&] { attempt_.options().begun(attempt_.folder().path()); };
      }
      return run_program(job_, scratch, given, attempt_.sink(), attempt_.interrupt(),
                         [&](const Sample& sample) { metrics.add(sample); });
    } catch (const Stopped&) {
      // What a program left is kept for a look at it, but not what is more than it may have.
      const auto& most = job_.limits.disk_bytes;
      if (most && scratch.disk_bytes(*most) > *most) {
        host::remove_tree(scratch.folder());
        attempt_.sink().send(Log{Log::Level::warning,
                                 "the program's files are removed: they take "
                                 "more than [limits] disk"});
      }
      throw;
    }
  }

  Outcome finish(const Scratch& scratch, const ProgramEnd& end) {
    auto receipt = attempt_.receipt();
    for (const auto& input : attempt_.found()) receipt.inputs.push_back(Attempt::record(input));
    std::vector<std::pair<std::string, host::Path>> sources;
    try {
      const auto stop = attempt_.interrupt().stop;
      for (const auto& file :
           collect(scratch.work(), {job_.command.outputs, job_.command.optional}, stop)) {
        const auto digest = inputs::digest_of(file.fd.get(), file.path, attempt_.sink(), stop);
        receipt.outputs.push_back({file.path, digest, file.bytes, {}});
        // Whatever else the program set for its files is not for those who copy them.
        ::fchmod(file.fd.get(), file.executable ? 0755 : 0644);
        static_cast<void>(::fchown(file.fd.get(), ::geteuid(), ::getegid()));
        sources.emplace_back(file.path, scratch.work() / file.path);
      }
    } catch (Error& error) {
      error.note("collecting the outputs; the program's files are still in " +
                 host::shown(scratch.work()));
      throw;
    }
    attempt_.folder().set_outputs(sources);
    receipt.profile = "none";
    receipt.units = 1;
    receipt.trace_root = proof::command_trace(receipt.outputs);
    receipt.peak_memory_bytes = end.peak_memory_bytes;
    receipt.sandbox = sandbox::name_of(end.level);
    describe_device(receipt, end);
    return attempt_.complete(std::move(receipt), members(end));
  }

  static void describe_device(schema::Receipt& receipt, const ProgramEnd& end) {
    const auto cpu = device::cpu_facts();
    receipt.backend = cpu.backend;
    receipt.device = cpu.name;
    receipt.driver = cpu.driver;
    if (end.gpus.empty()) return;
    std::vector<std::string> names;
    for (const auto& gpu : end.gpus) names.push_back(gpu.name + " " + gpu.uuid);
    receipt.backend = "cuda";
    receipt.device = join(names, ", ");
    receipt.driver = end.driver;
  }

  static Value::Object members(const ProgramEnd& end) {
    return {{"sandbox", sandbox::name_of(end.level)},
            {"peak_memory_bytes", end.peak_memory_bytes},
            {"cpu_ns", static_cast<std::int64_t>(end.cpu.count())}};
  }

  Attempt& attempt_;
  const schema::Job& job_;
};

}  // namespace

Outcome run_command(Attempt& attempt) { return CommandRun(attempt).perform(); }

}  // namespace volt::run
