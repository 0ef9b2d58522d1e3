// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/run.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/cli/output.hpp"
#include "libvolt/cli/signals.hpp"
#include "libvolt/net/http.hpp"
#include "libvolt/run/plan.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {

using doc::Value;

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

namespace {

Exit check(cli::Session& session, const run::JobFile& file, const inputs::Places& where) {
  inputs::check_present(file.job, where);
  if (!session.json()) session.print(file.origin + ": ok\n");
  session.result({{"job", schema::to_value(file.job)}});
  return Exit::ok;
}

Exit lock(cli::Session& session, const run::JobFile& file, const inputs::Places& where) {
  if (file.is_json) {
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

Exit plan(cli::Session& session, const Arguments& arguments, const run::JobFile& file,
          const inputs::Places& where) {
  run::Options options;
  options.folder = arguments.output;
  options.places = where;
  options.device = device::wanted(arguments.device, arguments.threads);
  auto outcome = run::plan_job(file, options, session.sink(), interrupt(session));
  if (!session.json()) session.print(outcome.text);
  session.result(std::move(outcome.document));
  return outcome.exit;
}

}  // namespace

schema::Job with_environment(schema::Job job, const std::vector<std::string>& env) {
  if (!env.empty() && !job.is_command()) {
    throw Error(Exit::usage, "--env is for command jobs, which this is not");
  }
  for (const auto& entry : env) {
    const auto equals = entry.find('=');
    const auto name = entry.substr(0, equals);
    if (equals == std::string::npos || !schema::is_variable(name) || !is_utf8(entry)) {
      throw Error(Exit::usage, "--env is \"" + printable(entry) + "\", not NAME=VALUE");
    }
    std::erase_if(job.command.env, [&](const auto& one) { return one.first == name; });
    job.command.env.emplace_back(name, entry.substr(equals + 1));
  }
  // It must be a job that could have been written so.
  return env.empty()
             ? job
             : schema::parse_job(schema::to_value(job), {"with --env", Exit::usage}, job.name);
}

run::Given given(const Arguments& arguments, const schema::Job& job) {
  run::Given given;
  given.device = arguments.device == "cpu" ? "auto" : arguments.device;
  if (arguments.sandbox != "auto") given.level = sandbox::level_of(arguments.sandbox);
  given.network = arguments.network;
  given.shown = run::shown_paths(arguments.host_paths);
  given.secrets = run::find_secrets(job, arguments.secrets);
  return given;
}

namespace {

/// What a run came to, said and given as the result.
Exit tell(cli::Session& session, const run::JobFile& file, const run::Outcome& outcome) {
  const std::string folder = outcome.folder.string();
  const auto& name = file.job.name;
  Value::Object result{
      {"name", name}, {"folder", folder}, {"ended", "program"}, {"status", outcome.status}};
  if (!outcome.receipt) {
    session.sink().send(Log{Log::Level::info, name + ": the program ended with status " +
                                                  std::to_string(outcome.status) +
                                                  "; its files are in " + folder +
                                                  "/.volt/work/scratch/work"});
    result.emplace_back("class", exit_class(Exit::answer_is_no).word);
    session.result(std::move(result));
    return Exit::answer_is_no;
  }
  const auto& receipt = *outcome.receipt;
  if (!outcome.sketch.empty() && !session.json()) {
    session.sink().send(
        Log{Log::Level::info, receipt.outputs.back().name + ":\n" + outcome.sketch});
  }
  session.sink().send(Log{
      Log::Level::info, name + " done in " +
                            format_duration(std::chrono::nanoseconds(receipt.elapsed_ns)) + " on " +
                            receipt.device + "; verify it with: gpu-verify " + folder});
  if (!file.job.is_command()) {
    const double seconds = static_cast<double>(receipt.elapsed_ns) / 1e9;
    session.sink().send(Metric{"rate", outcome.multiply_adds / seconds, "multiply-adds/s"});
    if (!session.json()) session.print(folder + "\n");
  }
  Value::Array outputs;
  for (const auto& output : receipt.outputs) outputs.emplace_back(output.name);
  result.insert(result.end(), {{"class", exit_class(Exit::ok).word},
                               {"sandbox", receipt.sandbox},
                               {"outputs", std::move(outputs)},
                               {"receipt_sha256", outcome.receipt_digest.hex()},
                               {"attempt", receipt.attempt},
                               {"trace_root", receipt.trace_root.hex()},
                               {"units", receipt.units},
                               {"elapsed_ns", receipt.elapsed_ns}});
  result.insert(result.end(), outcome.facts.begin(), outcome.facts.end());
  session.result(std::move(result));
  return Exit::ok;
}

/// Lists the run; that it cannot be listed is no reason not to run it.
void add_to_list(cli::Session& session, const run::Run& run) {
  try {
    runs().add(run);
  } catch (const Error& error) {
    session.sink().send(
        Log{Log::Level::warning, "gpu-run list will not show this run: " + error.text()});
  }
}

run::Run describe(const run::JobFile& file, const host::Path& folder) {
  run::Run run;
  run.folder = run::real_folder(folder);
  run.id = run::id_of(run.folder);
  run.name = file.job.name;
  run.workload = file.job.workload;
  run.job = file.path.empty() ? "-" : std::filesystem::absolute(file.path).string();
  return run;
}

/// A run, and what the command line wants to be done about it.
class Following {
 public:
  Following(cli::Session& session, const Arguments& arguments, const run::JobFile& file)
      : session_(session), arguments_(arguments), file_(file) {}

  Exit perform(run::Options options) {
    if (arguments_.detach) {
      parent_ = fork_away();
      if (!parent_) return tell_id(options);
    }
    options.begun = [this](const host::Path& folder) { begin(folder); };
    options.stopped_status = [] { return 128 + cli::signals::received(); };
    try {
      return follow(options);
    } catch (const Error& error) {
      const auto end = run::end_of(error, file_.job, options);
      if (transparent()) session_.exit_as(end.status);
      finish(end);
      throw;
    } catch (const cli::ReaderGone&) {
      finish({"interrupted", 128 + SIGPIPE});
      throw;
    }
  }

 private:
  bool transparent() const { return file_.job.is_command() && !arguments_.exit_class; }

  Exit follow(const run::Options& options) {
    // Only now, as a detached run has signals of its own.
    auto stop = interrupt(session_);
    stop.limit = arguments_.timeout;
    auto keys = key_store();
    const auto outcome = run::run_job(file_, options, keys, session_.sink(), stop);
    end_ = {"program", outcome.status};
    const Exit exit = tell(session_, file_, outcome);
    finish(*end_);
    if (transparent()) session_.exit_as(outcome.status);
    return exit;
  }

  void begin(const host::Path& folder) {
    run_ = describe(file_, folder);
    add_to_list(session_, *run_);
    if (!parent_) return;
    session_.sink().send(
        Log{Log::Level::info,
            title(*run_) + " goes on by itself; watch it with: gpu-run logs -f " + run_->id});
    let_go(std::move(parent_));
  }

  /// Once, and with the first end: a program that was done stays so, though nobody may read of it.
  void finish(const run::End& end) {
    if (arguments_.then.empty() || !run_ || std::exchange(finished_, true)) return;
    run_then(session_, arguments_.then, *run_, end_.value_or(end), arguments_.detach);
  }

  Exit tell_id(const run::Options& options) {
    const auto folder = options.folder.empty() ? run::usual_folder(file_.job) : options.folder;
    const auto id = run::id_of(run::real_folder(folder));
    if (!session_.json()) session_.print(id + "\n");
    session_.result({{"id", id}, {"folder", folder.string()}});
    session_.exit_as(0);
    return Exit::ok;
  }

  cli::Session& session_;
  const Arguments& arguments_;
  const run::JobFile& file_;
  host::Fd parent_;
  std::optional<run::Run> run_;
  std::optional<run::End> end_;
  bool finished_ = false;
};

/// Options that want something to run, where nothing does.
void refuse_idle(const Arguments& arguments) {
  const int modes = arguments.check + arguments.plan + arguments.lock;
  if (modes > 1) throw Error(Exit::usage, "--check, --plan and --lock exclude each other");
  if (modes == 1 && (arguments.detach || !arguments.then.empty())) {
    throw Error(Exit::usage, "with --check, --plan or --lock nothing is run",
                "leave out --detach and --then");
  }
}

}  // namespace

Exit run_job(cli::Session& session, const Arguments& arguments) {
  refuse_idle(arguments);
  const bool transparent =
      !arguments.exit_class && !arguments.check && !arguments.plan && !arguments.lock;
  auto file = run::load_job(arguments.job, session.stop(), [&] {
    if (transparent) session.exit_as(run::own_failure);
  });
  file.job = with_environment(std::move(file.job), arguments.env);
  const auto http = net::curl_http();
  const auto where = places(arguments, file.folder, *http);
  if (arguments.lock) return lock(session, file, where);
  if (file.sweep) {
    if (arguments.plan) throw Error(Exit::usage, "--plan is for single jobs, not for sweeps");
    if (arguments.detach || !arguments.then.empty()) {
      throw Error(Exit::usage, "--detach and --then are for single runs, not for sweeps",
                  "let the shell do it: nohup gpu-run JOB &");
    }
    return run_sweep(session, arguments, file, where);
  }
  if (!arguments.only.empty()) {
    throw Error(Exit::usage, "--only is for sweeps, which this job is not");
  }
  if (arguments.check) return check(session, file, where);
  if (arguments.plan) return plan(session, arguments, file, where);
  session.set_resume_hint(file.job.is_command()
                              ? "the same command starts the program anew"
                              : "the same command goes on where this run stopped");
  run::Options options;
  options.folder = arguments.output;
  options.force = arguments.force;
  options.places = where;
  if (file.job.is_command()) {
    options.given = given(arguments, file.job);
  } else {
    options.device = device::wanted(arguments.device, arguments.threads);
  }
  return Following(session, arguments, file).perform(std::move(options));
}

}  // namespace volt::gpu_run
