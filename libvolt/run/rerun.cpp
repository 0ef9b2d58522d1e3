// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/rerun.hpp"

#include "libvolt/base/text.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/run/outputs.hpp"

namespace volt::run {
namespace {

/// What the program prints is of no interest here.
class WithoutOutput final : public Sink {
 public:
  explicit WithoutOutput(Sink& sink) : sink_(sink) {}
  void send(const Event& event) override {
    if (!std::holds_alternative<Output>(event)) sink_.send(event);
  }

 private:
  Sink& sink_;
};

using Made = std::map<std::string, Digest>;

/// How one result differs from another, empty: not at all.
std::string difference(const Made& made, const Made& other, std::string_view whose) {
  for (const auto& [name, digest] : made) {
    const auto same = other.find(name);
    if (same == other.end()) return printable(name) + " is not among the " + std::string(whose);
    if (same->second != digest) return printable(name) + " is another file";
  }
  for (const auto& [name, digest] : other) {
    if (!made.contains(name)) return printable(name) + " was not made again";
  }
  return {};
}

/// The job, with no more of this machine than a verifier gives to a stranger who did not ask.
schema::Job bounded(schema::Job job, const host::Path& place, const Interrupt& interrupt) {
  const auto at_most = [](auto& limit, auto most) {
    if (!limit || *limit > most) limit = most;
  };
  host::make_folder(place);
  at_most(job.limits.disk_bytes, std::filesystem::space(place).available / 2);
  at_most(job.limits.memory_bytes, device::cpu_facts().memory_bytes / 2);
  at_most(job.limits.processes, std::uint64_t{4096});
  if (!interrupt.limit) at_most(job.limits.time, std::chrono::seconds(3600));
  return job;
}

}  // namespace

proof::Rerun rerun(const schema::Job& wanted, const schema::Receipt& receipt,
                   const std::vector<inputs::Found>& found, const Given& given,
                   const host::Path& place, Sink& sink, const Interrupt& interrupt) {
  const schema::Job job = bounded(wanted, place, interrupt);
  Made claimed;
  for (const auto& output : receipt.outputs) claimed.emplace(output.name, output.sha256);
  WithoutOutput quiet(sink);
  const auto once = [&](Made& made) -> std::string {
    const host::TemporaryFolder folder(place);
    const Scratch scratch(folder.path() / "scratch", job, found, interrupt.stop);
    try {
      const auto end = run_program(job, scratch, given, quiet, interrupt, [](const Sample&) {});
      if (end.status != 0) return "the program ended with status " + std::to_string(end.status);
      scratch.remove_links(job);
      for (const auto& file :
           collect(scratch.work(), {job.command.outputs, job.command.optional}, interrupt.stop)) {
        made.emplace(file.path, inputs::digest_of(file.fd.get(), file.path, quiet, interrupt.stop));
      }
    } catch (const Error& error) {
      if (error.code() != Exit::answer_is_no && error.code() != Exit::not_found) throw;
      return error.message();
    }
    return {};
  };
  proof::Rerun result;
  result.empty = claimed.empty();
  Made first, second;
  result.failure = once(first);
  if (!result.failure.empty()) return result;
  result.difference = difference(first, claimed, "receipt's outputs");
  if (result.difference.empty()) return result;
  sink.send(Log{Log::Level::info,
                "the outputs differ; running it once more, to see whether they "
                "always do"});
  const auto failed = once(second);
  result.repeatable = failed.empty() && difference(first, second, "others").empty();
  return result;
}

}  // namespace volt::run
