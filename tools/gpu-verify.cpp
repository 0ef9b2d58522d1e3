// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <string_view>

#include "libvolt/base/text.hpp"
#include "libvolt/cli/render.hpp"
#include "libvolt/cli/tool.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/net/http.hpp"
#include "libvolt/run/prove.hpp"
#include "libvolt/run/verify.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/sandbox/supervisor.hpp"
#include "libvolt/schema/job.hpp"

namespace {

using namespace volt;
using doc::Value;

struct Arguments {
  std::string receipt, job, challenge, proof, device = "auto", key_file, key_name;
  std::optional<std::string> signer, level;
  std::vector<std::string> inputs, secrets, host_paths;
  std::string sandbox = "auto";
  std::optional<std::chrono::seconds> timeout;
  std::uint64_t threads = 0;
  std::optional<std::uint64_t> draws;
  bool all = false, fetch = false, rerun = false;
};

crypto::KeyStore key_store() { return crypto::KeyStore(host::configuration_folder() / "keys"); }

Exit verify(cli::Session& session, const Arguments& arguments) {
  const auto http = net::curl_http();
  run::VerifyOptions options;
  options.path = arguments.receipt;
  options.signer = arguments.signer;
  options.level = arguments.all ? std::optional<std::string>("all") : arguments.level;
  options.job = arguments.job;
  options.challenge = arguments.challenge;
  options.proof = arguments.proof;
  options.device = device::wanted(arguments.device, arguments.threads);
  options.places.candidates.assign(arguments.inputs.begin(), arguments.inputs.end());
  options.places.cache = host::cache_folder();
  if (arguments.fetch) options.places.http = http.get();
  options.seen = host::state_folder() / "seen";
  options.rerun = arguments.rerun;
  options.cache = host::cache_folder();
  if (arguments.sandbox != "auto") options.given.level = sandbox::level_of(arguments.sandbox);
  options.given.secrets = run::read_secrets(arguments.secrets);
  options.given.shown = run::shown_paths(arguments.host_paths);
  run::Interrupt interrupt{session.stop(), session.signal_fd(), {}};
  interrupt.limit = arguments.timeout;
  auto keys = key_store();
  const auto verified = run::verify(options, keys, session.sink(), interrupt);
  if (!session.json()) session.print(cli::to_text(verified.verdict));
  const Exit exit = verified.verdict.exit(verified.demand);
  auto members = schema::to_members(verified.verdict);
  members.emplace_back("exit", static_cast<int>(exit));
  session.result(std::move(members));
  return exit;
}

Exit challenge(cli::Session& session, const Arguments& arguments) {
  if (arguments.draws && (*arguments.draws == 0 || *arguments.draws > schema::max_draws)) {
    throw Error(Exit::usage, "--draws must be from 1 to 1000000");
  }
  auto keys = key_store();
  const std::string text =
      run::make_challenge(arguments.receipt, arguments.draws, keys, host::state_folder() / "seen");
  if (!session.json()) session.print(text);
  session.result({{"challenge", text}});
  return Exit::ok;
}

Exit key_show(cli::Session& session) {
  auto keys = key_store();
  const auto own = keys.own().public_key();
  Value::Array known;
  std::string text = own.id() + "  you  " + keys.own_path().string() + "\n";
  for (const auto& entry : keys.known()) {
    text += entry.key.id() + "  " + entry.name + "\n";
    known.push_back(Value::Object{{"name", entry.name}, {"key", entry.key.id()}});
  }
  if (!session.json()) session.print(text);
  session.result({{"schema", "volt.keys/1"},
                  {"own", own.id()},
                  {"file", keys.own_path().string()},
                  {"known", std::move(known)}});
  return Exit::ok;
}

Exit key_export(cli::Session& session) {
  const auto pem = key_store().own().public_key().pem();
  if (!session.json()) session.print(pem);
  session.result({{"pem", pem}});
  return Exit::ok;
}

Exit key_import(cli::Session& session, const Arguments& arguments) {
  const std::string pem =
      arguments.key_file == "-"
          ? host::read_all(STDIN_FILENO, crypto::max_pem_bytes, "standard input", session.stop())
          : host::read_file(arguments.key_file, crypto::max_pem_bytes);
  const auto id = key_store().import(pem, arguments.key_name);
  if (!session.json()) session.print(id + "\n");
  session.result({{"key", id}});
  return Exit::ok;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--worker") return run::worker_main();
  if (argc == 3 && argv[1] == sandbox::supervisor_argument) {
    return sandbox::supervisor_main(argv[2]);
  }
  Arguments a;
  const cli::Tool tool{
      .name = "gpu-verify",
      .summary = "verify a receipt, and what was computed, bit for bit",
      .options = {{"receipt", &a.receipt, "RECEIPT", "run folder, or receipt file", {}, {}, true},
                  {"--inputs", &a.inputs, "PATH", "input file, or folder of them, found by digest"},
                  {"--fetch", &a.fetch, {}, "download inputs that the receipt's job names by url"},
                  {"--job", &a.job, "FILE", "the job that the receipt must be for"},
                  {"--signer", &a.signer, "KEY", "who must have signed: name, key id or PEM file",
                   "signer"},
                  {"--level",
                   &a.level,
                   "LEVEL",
                   "what to examine; default: what the job demands",
                   "level",
                   {"L0", "L2", "L4", "all"}},
                  {"--all", &a.all, {}, "compute everything again, whatever level is set"},
                  {"--rerun", &a.rerun, {}, "run a command's program again, in a sandbox"},
                  {"--sandbox",
                   &a.sandbox,
                   "LEVEL",
                   "what holds that program; auto takes the best that works",
                   "sandbox",
                   {"auto", "namespaces", "landlock", "none"}},
                  {"--secret", &a.secrets, "NAME[=FILE]", "give that program this secret"},
                  {"--host-path", &a.host_paths, "DIR", "show that program this folder, read-only",
                   "host_path"},
                  {"--timeout", &a.timeout, "TIME", "give up after 90s, 10m, 1h30m"},
                  {"--challenge", &a.challenge, "FILE",
                   "your challenge, when the outputs are elsewhere"},
                  {"--proof", &a.proof, "FILE", "the prover's answer to it"},
                  {"--device", &a.device, "NAME", "where to compute: auto, cpu, cuda:N or GPU-uuid",
                   "device"},
                  {"--threads", &a.threads, "N",
                   "threads to compute with; changes no bit of any result", "threads"}},
      .verbs = {{"challenge",
                 "print a challenge to the prover of a receipt",
                 {{"receipt", &a.receipt, "RECEIPT", "run folder, or receipt file", {}, {}, true},
                  {"--draws", &a.draws, "N",
                   "elements to draw; default: as the job's [proof] says"}},
                 [&](cli::Session& session) { return challenge(session, a); }},
                {"key show", "list your key and those of others that you know", {}, key_show},
                {"key export", "print your public key as PEM", {}, key_export},
                {"key import",
                 "take somebody's public key, or your own secret one",
                 {{"file", &a.key_file, "FILE", "PEM file, or - for standard input", {}, {}, true},
                  {"--name", &a.key_name, "NAME", "what to call the owner of a public key"}},
                 [&](cli::Session& session) { return key_import(session, a); }}},
      .run = [&](cli::Session& session) { return verify(session, a); },
      .examples = {"gpu-verify product.run", "gpu-verify product.run --all",
                   "gpu-verify challenge receipt.json > challenge.json",
                   "gpu-verify receipt.json --challenge challenge.json --proof proof"}};
  return cli::run(tool, argc, argv);
}
