// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/model_run.hpp"

#include "libvolt/run/model_inputs.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::run {

using doc::Fields;
using doc::Value;

ModelRun::ModelRun(Attempt& attempt) : attempt_(attempt), folder_(attempt.folder()) {}

Ending ModelRun::have(std::string_view name, const std::function<void(const Value&)>& hear) {
  const schema::Job& job = attempt_.job();
  device::Wanted wanted = attempt_.options().device;
  if (job.limits.memory_bytes) wanted.memory_bytes = *job.limits.memory_bytes;
  Task task = task_for(name, job, for_language_models(wanted, job));
  task.request.emplace_back("done_pages", std::uint64_t{folder_.leaves().size()});
  for (const auto& input : attempt_.found()) task.files.push_back({input.name, input.fd.get()});
  std::vector<host::Fd> files;
  for (const auto& output : job.outputs()) {
    files.push_back(folder_.work_file(output));
    task.files.push_back({files.size() == 1 ? "out" : output, files.back().get()});
  }
  Interrupt interrupt = attempt_.interrupt();
  if (job.limits.time) interrupt.limit = *job.limits.time;
  return work(task, attempt_.sink(), interrupt, hear);
}

void ModelRun::take_pages(Fields& message, std::uint64_t most) {
  std::vector<Digest> leaves;
  for (const auto& page : message.array("pages")) {
    const auto* text = page.get_if<std::string>();
    const auto digest = text == nullptr ? std::nullopt : Digest::from_hex(*text);
    if (!digest) throw Error(Exit::failure, "the worker sent no digest");
    leaves.push_back(*digest);
  }
  if (folder_.leaves().size() + leaves.size() > most) {
    throw Error(Exit::failure, "the worker sent more pages than the output has");
  }
  folder_.add_pages(leaves, attempt_.elapsed_ns());
}

schema::Receipt ModelRun::receipt(const Ending& ending, std::uint64_t bytes,
                                  std::string_view what) {
  const schema::Job& job = attempt_.job();
  auto receipt = attempt_.receipt();
  receipt.profile = job.profile() + "/1";
  receipt.peak_memory_bytes = ending.peak_memory_bytes;
  for (const auto& input : attempt_.found()) receipt.inputs.push_back(Attempt::record(input));
  for (const auto& name : job.outputs()) {
    const host::Fd fd = folder_.work_file(name);
    if (receipt.outputs.empty()) check_pages(fd.get(), bytes, what);
    const auto digest =
        inputs::digest_of(fd.get(), name, attempt_.sink(), attempt_.interrupt().stop);
    receipt.outputs.push_back({name, digest, host::stamp_of(fd.get()).bytes, {}});
  }
  const doc::Source source{"worker", Exit::failure};
  Fields end(ending.end, source, "end");
  Fields device = end.table("device");
  receipt.backend = device.string("backend");
  receipt.device = device.string("name");
  receipt.driver = device.string("driver");
  return receipt;
}

/// A signed receipt never names what is not on the disk.
void ModelRun::check_pages(int fd, std::uint64_t bytes, std::string_view what) const {
  const auto pages = tensor::page_count(bytes);
  if (host::stamp_of(fd).bytes != bytes || folder_.leaves().size() != pages ||
      matching_pages(fd, 0, bytes, folder_.leaves()) != pages) {
    throw Error(Exit::local_io,
                "the " + std::string(what) + " on the disk are not what was computed",
                "run the same again; if it happens twice, check the disk");
  }
}

}  // namespace volt::run
