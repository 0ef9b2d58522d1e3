// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/prove.hpp"
#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/run/receipt_files.hpp"
#include "libvolt/run/seen.hpp"

namespace volt::run {
namespace {

const doc::Source source{"worker", Exit::failure};

}  // namespace

std::uint64_t prove(const host::Path& folder, const host::Path& challenge_path, int out,
                    const device::Wanted& device, const inputs::Places& places, Sink& sink,
                    const Interrupt& interrupt) {
  const Loaded loaded = load_receipt(folder);
  // Anybody may ask: the signature says who, and the seed must follow from the receipt.
  const auto [challenge, digest, asker] = schema::open_challenge(
      host::read_file(challenge_path, schema::max_document_bytes, Exit::verification_failed),
      printable(challenge_path.string()));
  proof::check_challenge(challenge, loaded.receipt.payload, loaded.receipt.receipt);
  const schema::Job job = load_resolved_job(loaded);
  if (job.workload != "matmul") {
    throw Error(Exit::usage, "a " + job.workload + " has nothing to open");
  }
  const InputFiles files = find_inputs(loaded, job, places, sink, interrupt.stop);
  if (!files.missing.empty()) {
    throw Error(Exit::not_found, missing_text(files),
                "give the file, or its folder, with --inputs");
  }
  const host::Fd output = host::open_file(loaded.folder / job.matmul.out);

  Task task = task_for("prove", job, device);
  task.request.emplace_back("receipt", loaded.receipt.payload);
  task.request.emplace_back("challenge", digest.hex());
  task.request.emplace_back("seed", challenge.seed.hex());
  task.request.emplace_back("draws", challenge.draws);
  for (const auto& input : files.found) task.files.push_back({input.name, input.fd.get()});
  task.files.push_back({"out", output.get()});
  task.files.push_back({"proof", out});
  const auto answer = work(task, sink, interrupt, [&](const doc::Value& message) {
    const auto size = doc::Fields(message, source).integer("size", 0, INT64_MAX);
    sink.send(Log{Log::Level::info,
                  "the proof takes " + format_memory(static_cast<std::uint64_t>(size))});
  });
  return static_cast<std::uint64_t>(
      doc::Fields(answer.end, source, "end").integer("bytes", 0, INT64_MAX));
}

std::string make_challenge(const host::Path& path, std::optional<std::uint64_t> draws,
                           crypto::KeyStore& keys, const host::Path& seen) {
  const Loaded loaded = load_receipt(path);
  if (const auto contradiction = Seen(seen).contradiction(loaded.receipt)) {
    throw Error(Exit::verification_failed, *contradiction);
  }
  const auto job = load_resolved_job(loaded);
  if (job.is_command()) {
    throw Error(Exit::usage, "a command has nothing to open: only running it again checks it",
                "gpu-verify --rerun, where its outputs are");
  }
  if (job.has_model()) {
    throw Error(Exit::usage,
                "a " + job.workload + " has nothing to open: a check needs all that it left",
                "gpu-verify, where its outputs are");
  }
  if (!draws) draws = job.proof.at_least(schema::usual_policy(job)).draws();
  const auto key = keys.own();
  const auto challenge = proof::make_challenge(loaded.receipt.payload, loaded.receipt.receipt,
                                               *draws, key.public_key());
  crypto::Envelope envelope{
      std::string(crypto::in_toto_payload), schema::to_payload(challenge), {}};
  envelope.sign(key);
  return envelope.json() + "\n";
}

}  // namespace volt::run
