// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include "libvolt/host/process.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

/// A program has 5 seconds to end after it was asked to, and its remains are removed.
constexpr auto patience = 15s;

/// Whether it has ended within that time.
bool ends(const cli::Session& session, const run::Run& run, std::chrono::seconds within) {
  const auto begin = steady_clock::now();
  while (run::is_running(run.folder)) {
    if (steady_clock::now() - begin >= within) return false;
    pause(session);
  }
  return true;
}

[[noreturn]] void refuse(const run::Run& run) {
  throw Error(Exit::conflict,
              title(run) + " is not running: its state is " +
                  std::string(to_text(run::state_of(run.folder))),
              "gpu-run show " + run.id + " tells more");
}

}  // namespace

Exit cancel_run(cli::Session& session, const Arguments& arguments) {
  const auto run = runs().find(arguments.run);
  host::Fd process;
  if (run.process) process = host::open_process(*run.process);
  if (!run::is_running(run.folder)) refuse(run);
  if (!process) {
    throw Error(Exit::conflict, "it is not known which process works in " + host::shown(run.folder),
                "it was started on another machine, or by somebody else: end it there");
  }
  session.set_resume_hint("it was asked to end, and may still do so");
  host::signal_process(process, SIGTERM);
  if (!ends(session, run, patience)) {
    session.sink().send(Log{Log::Level::warning, title(run) + " did not end, and is killed"});
    host::signal_process(process, SIGKILL);
    if (!ends(session, run, patience)) {
      throw Error(Exit::failure, title(run) + " cannot be killed",
                  "its process hangs in the system; a restart of the machine ends it");
    }
  }
  const auto state = run::state_of(run.folder);
  session.sink().send(Log{Log::Level::info, title(run) + ": " + std::string(to_text(state))});
  session.result(facts_of(run, state, run::report_of(run.folder)));
  return Exit::ok;
}

}  // namespace volt::gpu_run
