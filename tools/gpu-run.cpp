// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/cli/tool.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/net/http.hpp"
#include "libvolt/run/prove.hpp"
#include "libvolt/run/run.hpp"
#include "libvolt/run/worker.hpp"
#include "tools/example.hpp"

namespace {

using namespace volt;
using doc::Value;

struct Arguments {
  std::string job, output, device = "auto", example = "matmul", challenge;
  std::vector<std::string> bindings;
  std::vector<std::string> inputs;
  std::uint64_t threads = 0;
  bool check = false, lock = false, force = false;
};

crypto::KeyStore key_store() { return crypto::KeyStore(host::configuration_folder() / "keys"); }

inputs::Places places(const Arguments& arguments, const host::Path& folder, net::Http& http) {
  inputs::Places places;
  places.job_folder = folder;
  places.candidates.assign(arguments.inputs.begin(), arguments.inputs.end());
  places.cache = host::cache_folder();
  places.http = &http;
  for (const auto& binding : arguments.bindings) {
    const auto equals = binding.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == binding.size()) {
      throw Error(Exit::usage, "--input is \"" + printable(binding) + "\", not NAME=PATH",
                  "for example --input a=weights.npy");
    }
    const auto [where, fresh] =
        places.bindings.emplace(binding.substr(0, equals), binding.substr(equals + 1));
    if (!fresh) throw Error(Exit::usage, "--input names " + printable(where->first) + " twice");
  }
  return places;
}

run::Interrupt interrupt(const cli::Session& session) {
  return {session.stop(), session.signal_fd(), {}};
}

Exit check(cli::Session& session, const run::JobFile& file, const inputs::Places& where) {
  inputs::check_present(file.job, where);
  if (!session.json()) session.print(file.origin + ": ok\n");
  session.result({{"job", schema::to_value(file.job)}});
  return Exit::ok;
}

Exit lock(cli::Session& session, const run::JobFile& file, const inputs::Places& where) {
  if (file.path.extension() == ".json") {
    throw Error(Exit::usage, "--lock writes into TOML jobs only");
  }
  const auto found = inputs::find_to_pin(file.job, where, session.sink(), session.stop());
  const std::string locked = inputs::lock(file.text, file.job, found);
  Value::Object digests;
  for (const auto& input : found) digests.emplace_back(input.name, input.sha256.hex());
  if (!file.path.empty()) {
    // A link stays one, and the mode as it was.
    const auto real = std::filesystem::canonical(file.path);
    const auto mode = std::filesystem::status(real).permissions();
    host::write_file(real, locked);
    std::filesystem::permissions(real, mode);
    session.sink().send(Log{Log::Level::info, file.origin + ": " + std::to_string(found.size()) +
                                                  (found.size() == 1 ? " input" : " inputs") +
                                                  " pinned"});
  } else if (!session.json()) {
    session.print(locked);
  }
  session.result({{"pinned", std::move(digests)}});
  return Exit::ok;
}

Exit run_job(cli::Session& session, const Arguments& arguments) {
  if (arguments.check && arguments.lock) {
    throw Error(Exit::usage, "--check and --lock exclude each other");
  }
  const auto file = run::load_job(arguments.job, session.stop());
  const auto http = net::curl_http();
  const auto where = places(arguments, file.folder, *http);
  if (arguments.check) return check(session, file, where);
  if (arguments.lock) return lock(session, file, where);
  session.set_resume_hint("the same command goes on where this run stopped");
  auto keys = key_store();
  const run::Options options{arguments.output, arguments.force,
                             device::wanted(arguments.device, arguments.threads), where};
  const auto outcome = run::run_job(file, options, keys, session.sink(), interrupt(session));

  const auto& receipt = outcome.receipt;
  const double seconds = static_cast<double>(receipt.elapsed_ns) / 1e9;
  const std::string folder = outcome.folder.string();
  if (!outcome.sketch.empty() && !session.json()) {
    session.sink().send(
        Log{Log::Level::info, receipt.outputs.back().name + ":\n" + outcome.sketch});
  }
  session.sink().send(Log{
      Log::Level::info, file.job.name + " done in " +
                            format_duration(std::chrono::nanoseconds(receipt.elapsed_ns)) + " on " +
                            receipt.device + "; verify it with: gpu-verify " + folder});
  session.sink().send(Metric{"rate", outcome.multiply_adds / seconds, "multiply-adds/s"});
  if (!session.json()) session.print(folder + "\n");
  session.result({{"name", file.job.name},
                  {"folder", folder},
                  {"receipt_sha256", outcome.receipt_digest.hex()},
                  {"attempt", receipt.attempt},
                  {"trace_root", receipt.trace_root.hex()},
                  {"units", receipt.units},
                  {"elapsed_ns", receipt.elapsed_ns}});
  return Exit::ok;
}

Exit list_devices(cli::Session& session) {
  const auto facts = device::cpu_facts();
  if (!session.json()) {
    session.print("cpu  " + facts.name + ", " + std::to_string(facts.cores) + " cores, " +
                  format_memory(facts.memory_bytes) + "\n");
  }
  session.result(
      {{"schema", "volt.devices/1"},
       {"devices", Value::Array{Value::Object{{"device", "cpu"},
                                              {"name", facts.name},
                                              {"cores", static_cast<std::int64_t>(facts.cores)},
                                              {"memory_bytes", facts.memory_bytes}}}}});
  return Exit::ok;
}

Exit print_example(cli::Session& session) {
  if (!session.json()) session.print(example::matmul);
  session.result({{"toml", example::matmul}});
  return Exit::ok;
}

Exit prove(cli::Session& session, const Arguments& arguments) {
  const bool to_stdout = arguments.output.empty();
  if (to_stdout && (session.json() || ::isatty(STDOUT_FILENO) == 1)) {
    throw Error(Exit::usage, "a proof is binary, and standard output is not the place for it here",
                "give -o FILE");
  }
  const auto http = net::curl_http();
  const host::Path part = arguments.output + ".part" + std::to_string(::getpid());
  host::Fd file(
      to_stdout ? ::dup(STDOUT_FILENO)
                : ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file) throw_system(errno, "cannot create " + printable(part.string()));
  std::uint64_t bytes = 0;
  try {
    bytes = run::prove(arguments.job, arguments.challenge, file.get(),
                       device::wanted(arguments.device, arguments.threads),
                       places(arguments, ".", *http), session.sink(), interrupt(session));
    if (!to_stdout) host::rename_into(part, arguments.output);
  } catch (...) {
    if (!to_stdout) ::unlink(part.c_str());
    throw;
  }
  session.result({{"proof", arguments.output}, {"bytes", bytes}});
  return Exit::ok;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--worker") return run::worker_main();
  Arguments a;
  const cli::Option device{"--device", &a.device, "NAME", "where to compute: auto or cpu",
                           "device"};
  const cli::Option threads{"--threads", &a.threads, "N",
                            "threads to compute with; changes no bit of any result", "threads"};
  const cli::Tool tool{
      .name = "gpu-run",
      .summary = "run a job, and leave a receipt that anyone can verify",
      .options = {{"job", &a.job, "JOB", "job file, or - for standard input", {}, {}, true},
                  {"-o,--output", &a.output, "DIR", "run folder; default NAME.run"},
                  {"--input", &a.bindings, "NAME=PATH", "where an input of the job is"},
                  {"--check", &a.check, {}, "examine the job file and run nothing"},
                  {"--lock", &a.lock, {}, "write the digests of all inputs into the job file"},
                  {"--force", &a.force, {}, "replace a complete run, once the new one is complete"},
                  device,
                  threads},
      .verbs = {{"devices", "list what this machine can compute on", {}, list_devices},
                {"example",
                 "print a commented job that runs",
                 {{"workload", &a.example, "WORKLOAD", "what kind of job", {}, {"matmul"}}},
                 print_example},
                {"prove",
                 "answer a verifier's challenge to a run",
                 {{"run", &a.job, "DIR", "run folder", {}, {}, true},
                  {"challenge",
                   &a.challenge,
                   "CHALLENGE",
                   "file with the challenge to answer",
                   {},
                   {},
                   true},
                  {"-o,--output", &a.output, "FILE", "where to write; default standard output"},
                  {"--inputs", &a.inputs, "PATH", "input file, or folder of them"},
                  device,
                  threads},
                 [&](cli::Session& session) { return prove(session, a); }}},
      .run = [&](cli::Session& session) { return run_job(session, a); },
      .examples = {"gpu-run example > job.toml", "gpu-run job.toml",
                   "gpu-run job.toml --input a=left.npy -o first.run"}};
  return cli::run(tool, argc, argv);
}
