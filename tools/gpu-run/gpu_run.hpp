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
#include "libvolt/run/worker.hpp"

/// What gpu-run's verbs share: the values of its options, and a function each.
namespace volt::gpu_run {

struct Arguments {
  std::string job, output, device = "auto", example = "matmul", challenge;
  std::string sandbox = "auto";
  std::vector<std::string> bindings, inputs, env, secrets, host_paths;
  std::uint64_t threads = 0;
  std::optional<std::chrono::seconds> timeout;
  std::vector<std::string> only;
  std::uint64_t parallel = 1;
  bool check = false, lock = false, force = false, exit_class = false;
};

inline crypto::KeyStore key_store() {
  return crypto::KeyStore(host::configuration_folder() / "keys");
}

inline run::Interrupt interrupt(const cli::Session& session) {
  return {session.stop(), session.signal_fd(), {}};
}

/// Where inputs are looked for. Throws Error (usage) for a malformed --input.
inputs::Places places(const Arguments& arguments, const host::Path& folder, net::Http& http);

/// What the command line adds to a job, which becomes part of it.
void add_environment(schema::Job& job, const std::vector<std::string>& env);
/// What it gives a job's program beside that. Throws Error (usage, not_found).
run::Given given(const Arguments& arguments, const schema::Job& job);

Exit run_sweep(cli::Session& session, const Arguments& arguments, const run::JobFile& file,
               const inputs::Places& where);
Exit run_job(cli::Session& session, const Arguments& arguments);
Exit list_devices(cli::Session& session);
Exit print_example(cli::Session& session, const Arguments& arguments);
Exit prove(cli::Session& session, const Arguments& arguments);

}  // namespace volt::gpu_run
