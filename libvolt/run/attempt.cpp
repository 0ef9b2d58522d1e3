// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/attempt.hpp"

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/base/version.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::run {
namespace {

using doc::Value;

/// How long a prover promises to keep what it needs to answer challenges.
constexpr std::uint64_t retention_s = 30 * 86'400;
const std::string tool = "gpu-run " + std::string(version());

std::string resolved(const schema::Job& job) {
  return doc::to_canonical_json(schema::to_value(job));
}

}  // namespace

Digest identity_of(const schema::Job& job) {
  schema::Job unlimited = job;
  unlimited.limits = {};
  return crypto::sha256(as_bytes(resolved(unlimited)));
}

void LogSink::send(const Event& event) {
  if (const auto* output = std::get_if<Output>(&event)) {
    host::write_all(folder_.log(), output->text);
    if (!output->text.empty()) mid_line_ = output->text.back() != '\n';
  } else if (const auto* log = std::get_if<Log>(&event); log && log->level != Log::Level::debug) {
    add("volt: " + printable(log->text, 4000));
  }
  sink_.send(event);
}

void LogSink::add(const std::string& line) {
  host::write_all(folder_.log(), (std::exchange(mid_line_, false) ? "\n" : "") + line + "\n");
}

Attempt::Attempt(const JobFile& file, const Options& options,
                 const std::vector<std::string>& outputs, crypto::KeyStore& keys, Sink& sink,
                 const Interrupt& interrupt)
    : begin_(std::chrono::steady_clock::now()),
      job_(file.job),
      options_(options),
      key_(keys.own()),
      interrupt_(interrupt),
      resolved_(resolved(job_)),
      found_(inputs::find(job_, options.places, sink, interrupt.stop)),
      folder_(open_folder(outputs)),
      log_(sink, folder_) {
  // What an earlier start left there is true no more, and nothing would contradict it if this one
  // were killed.
  std::error_code ignored;
  const auto folder = folder_.path();
  if (!host::exists(folder / "receipt.json")) std::filesystem::remove(folder / "run.json", ignored);
}

Folder Attempt::open_folder(const std::vector<std::string>& outputs) const {
  Identity identity{identity_of(job_), {}};
  for (const auto& input : found_) {
    // Of a folder the names say what a file is for.
    const bool below = input.name.find('/') != std::string::npos;
    identity.inputs.push_back(
        below ? crypto::sha256(as_bytes(schema::manifest({{input.name, input.sha256}})))
              : input.sha256);
  }
  return {options_.folder.empty() ? usual_folder(job_) : options_.folder, identity, outputs,
          options_.force, key_.secret_for("volt.journal/1")};
}

std::uint64_t Attempt::elapsed_ns() const {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now() - begin_)
                                        .count());
}

schema::Receipt Attempt::receipt() const {
  schema::Receipt receipt;
  receipt.job = crypto::sha256(as_bytes(resolved_));
  receipt.workload = job_.workload + "/1";
  receipt.attempt = folder_.attempt();
  receipt.retention_s = retention_s;
  receipt.started = folder_.started();
  receipt.ended = format_utc(std::chrono::system_clock::now());
  receipt.elapsed_ns = folder_.earlier_ns() + elapsed_ns();
  receipt.tool = tool;
  receipt.signer = key_.public_key().der();
  return receipt;
}

schema::InputRecord Attempt::record(const inputs::Found& input) {
  input.check_unchanged();
  schema::InputRecord record;
  record.name = input.name;
  record.sha256 = input.sha256;
  record.bytes = input.stamp.bytes;
  record.receipt = input.receipt;
  return record;
}

Outcome Attempt::complete(schema::Receipt receipt, const Value::Object& more) {
  crypto::Envelope envelope{std::string(crypto::in_toto_payload), schema::to_payload(receipt), {}};
  envelope.sign(key_);
  folder_.complete(resolved_, run_json("program", 0, Exit::ok, more), envelope.json() + "\n");
  Outcome outcome;
  outcome.folder = folder_.path();
  outcome.receipt = std::move(receipt);
  outcome.receipt_digest = crypto::sha256(as_bytes(envelope.payload));
  return outcome;
}

void Attempt::leave(int status, const Value::Object& more) {
  folder_.note("run.json", run_json("program", status, Exit::answer_is_no, more));
}

void Attempt::leave(std::string_view ended, int status, const Error& error) noexcept {
  try {
    const auto text = error.text();
    log_.add("volt: error: " + printable(text, 4000));
    folder_.note("run.json", run_json(ended, status, error.code(),
                                      {{"error", printable(text, 4000)},
                                       {"hint", printable(error.hint(), 4000)}}));
  } catch (const std::exception&) {
    // A full disk, most likely, of which the error tells.
  }
}

/// For people and for finding inputs again; nothing in it is signed.
std::string Attempt::run_json(std::string_view ended, int status, Exit exit,
                              const Value::Object& more) const {
  Value::Object files;
  for (const auto& input : found_) {
    files.emplace_back(input.name, Value::Object{{"path", printable(input.path.string(), 4096)},
                                                 {"sha256", input.sha256.hex()}});
  }
  Value::Object members{{"schema", "volt.run/1"},
                        {"name", job_.name},
                        {"workload", job_.workload},
                        {"tool", tool},
                        {"job", schema::to_value(job_)},
                        {"inputs", std::move(files)},
                        {"attempt", folder_.attempt()},
                        {"started", folder_.started()},
                        {"elapsed_ns", folder_.earlier_ns() + elapsed_ns()},
                        {"ended", ended},
                        {"status", status},
                        {"class", exit_class(exit).word}};
  members.insert(members.end(), more.begin(), more.end());
  return doc::to_json(members) + "\n";
}

}  // namespace volt::run
