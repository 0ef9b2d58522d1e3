// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libvolt/cli/tool.hpp"
#include "libvolt/crypto/key_store.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "libvolt/run/job_file.hpp"
#include "libvolt/run/program.hpp"
#include "libvolt/run/run.hpp"
#include "libvolt/run/runs.hpp"
#include "libvolt/run/worker.hpp"

/// What gpu-run's verbs share: the values of its options, and a function each.
namespace volt::gpu_run {

struct Arguments {
  std::string job, output, device = "auto", example = "matmul", challenge, run, then;
  std::string sandbox = "auto";
  std::vector<std::string> bindings, inputs, env, secrets, host_paths;
  std::uint64_t threads = 0;
  std::optional<std::chrono::seconds> timeout;
  std::vector<std::string> only;
  std::uint64_t parallel = 1;
  bool network = false, check = false, plan = false, lock = false, force = false,
       exit_class = false, detach = false, follow = false;
};

inline crypto::KeyStore key_store() {
  return crypto::KeyStore(host::configuration_folder() / "keys");
}

inline run::Runs runs() { return run::Runs(host::state_folder() / "runs"); }

inline run::Interrupt interrupt(const cli::Session& session) {
  return {session.stop(), session.signal_fd(), {}};
}

/// Where inputs are looked for. Throws Error (usage) for a malformed --input.
inputs::Places places(const Arguments& arguments, const host::Path& folder, net::Http& http);

/// A job with what --env adds to it, which becomes part of it. Throws Error (usage).
schema::Job with_environment(schema::Job job, const std::vector<std::string>& env);
/// What it gives a job's program beside that. Throws Error (usage, not_found).
run::Given given(const Arguments& arguments, const schema::Job& job);

Exit run_sweep(cli::Session& session, const Arguments& arguments, const run::JobFile& file,
               const inputs::Places& where);
/// --detach: forks. In the child, which is the run and has a session of its own, gives what
/// let_go() is to be called with. In the parent waits for that, and gives nothing; if the run ends
/// before, so does the parent, with the same status: it has said why.
host::Fd fork_away();
/// Leaves the terminal to others, and lets the parent end.
void let_go(host::Fd parent);

/// --then: runs a shell line after a run. What it prints goes to standard error, or to the run's
/// log when that is all there is. That it fails is a warning.
void run_then(cli::Session& session, const std::string& line, const run::Run& run,
              const run::End& end, bool to_log);

/// What list, show, wait and cancel tell of a run under --json.
doc::Value::Object facts_of(const run::Run& run, run::State state,
                            const std::optional<run::Report>& report);
/// How long it has run, as far as that is known.
std::optional<std::chrono::nanoseconds> time_of(const run::Run& run, run::State state,
                                                const std::optional<run::Report>& report);
/// "hello (3f2a91c04b7d)"
std::string title(const run::Run& run);
/// Between two looks at a run. Throws Error (interrupted).
void pause(const cli::Session& session);

Exit run_job(cli::Session& session, const Arguments& arguments);
Exit list_devices(cli::Session& session);
Exit print_example(cli::Session& session, const Arguments& arguments);
Exit list_runs(cli::Session& session);
Exit show_run(cli::Session& session, const Arguments& arguments);
Exit print_log(cli::Session& session, const Arguments& arguments);
Exit wait_for_run(cli::Session& session, const Arguments& arguments);
Exit cancel_run(cli::Session& session, const Arguments& arguments);
Exit prove(cli::Session& session, const Arguments& arguments);

}  // namespace volt::gpu_run
