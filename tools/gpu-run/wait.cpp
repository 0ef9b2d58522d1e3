// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/quantities.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

/// What the run's own gpu-run ended with.
int status_of(const run::Run& run, run::State state, const std::optional<run::Report>& report,
              bool by_class) {
  if (state == run::State::done) return 0;
  if (!report || state == run::State::stopped) {
    return run.workload == "command" && !by_class ? run::own_failure
                                                  : static_cast<int>(Exit::failure);
  }
  const bool own = by_class && state != run::State::interrupted;
  return own ? static_cast<int>(report->exit) : report->status;
}

void tell(cli::Session& session, const run::Run& run, run::State state,
          const std::optional<run::Report>& report, int status) {
  std::string text = title(run) + ": ";
  if (state == run::State::failed && report && report->ended == "program") {
    text += "the program ended with status " + std::to_string(report->status);
  } else if (state != run::State::done && state != run::State::stopped && report) {
    text += report->error;
  } else {
    text += to_text(state);
  }
  const bool well = state == run::State::done;
  session.sink().send(Log{well ? Log::Level::info : Log::Level::warning, text});
  auto result = facts_of(run, state, report);
  result.emplace_back("status", status);
  session.result(std::move(result));
}

}  // namespace

Exit wait_for_run(cli::Session& session, const Arguments& arguments) {
  const auto run = runs().find(arguments.run);
  session.set_resume_hint("the run goes on; gpu-run cancel " + run.id + " ends it");
  const auto begin = std::chrono::steady_clock::now();
  auto state = run::state_of(run.folder);
  for (; state == run::State::running; state = run::state_of(run.folder)) {
    if (arguments.timeout && std::chrono::steady_clock::now() - begin >= *arguments.timeout) {
      throw Error(Exit::timeout,
                  title(run) + " still runs after " + format_duration(*arguments.timeout),
                  "it goes on; gpu-run cancel " + run.id + " ends it");
    }
    pause(session);
  }
  const auto report = run::report_of(run.folder);
  const int status = status_of(run, state, report, arguments.exit_class);
  tell(session, run, state, report, status);
  session.exit_as(status);
  return Exit::ok;
}

}  // namespace volt::gpu_run
