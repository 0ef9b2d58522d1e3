// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/sweep.hpp"

#include "libvolt/base/text.hpp"
#include "libvolt/device/device.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

using doc::Value;
using State = run::Point::State;

constexpr std::uint64_t max_parallel = 256;

std::string count(std::size_t points) {
  return std::to_string(points) + (points == 1 ? " point" : " points");
}

/// The options of this process that concern a run; names of files stay true in another folder.
std::vector<std::string> arguments_of_points(const Arguments& arguments,
                                             const inputs::Places& where) {
  const auto absolute = [](const host::Path& path) {
    return std::filesystem::absolute(path).string();
  };
  // Of their events only what they come to is wanted, and the class of that says more here than a
  // program's own status.
  std::vector<std::string> all{"--quiet", "--exit-class", "--device=" + arguments.device,
                               "--threads=" + std::to_string(arguments.threads),
                               "--sandbox=" + arguments.sandbox};
  for (const auto& [name, path] : where.bindings) {
    all.push_back("--input=" + name + "=" + absolute(path));
  }
  for (const auto& secret : arguments.secrets) {
    const auto equals = secret.find('=');
    const bool in_file = equals != std::string::npos;
    all.push_back(
        "--secret=" +
        (in_file ? secret.substr(0, equals + 1) + absolute(secret.substr(equals + 1)) : secret));
  }
  for (const auto& list : arguments.host_paths) {
    for (const auto path : split(list, ':')) {
      if (!path.empty()) all.push_back("--host-path=" + absolute(path));
    }
  }
  if (arguments.timeout)
    all.push_back("--timeout=" + std::to_string(arguments.timeout->count()) + "s");
  if (arguments.network) all.emplace_back("--network");
  if (arguments.force) all.emplace_back("--force");
  return all;
}

Exit check(cli::Session& session, const run::JobFile& file, const run::SweepOptions& options) {
  Value::Array points;
  for (std::size_t i = 0; i < file.sweep->size(); ++i) {
    if (session.stop().stop_requested()) throw Error(Exit::interrupted, "interrupted");
    const auto job = options.job(i);
    during("checking point " + file.sweep->title(i),
           [&] { inputs::check_present(job, options.places); });
    points.emplace_back(Value::Object{{"index", static_cast<std::int64_t>(i)},
                                      {"settings", file.sweep->settings(i)}});
  }
  if (!session.json()) session.print(file.origin + ": ok, " + count(points.size()) + "\n");
  session.result({{"job", schema::to_value(file.job)}, {"points", std::move(points)}});
  return Exit::ok;
}

/// The points that were wanted, as the result, and on standard output those that are complete.
Exit tell(cli::Session& session, const run::JobFile& file, const run::SweepOptions& options,
          const run::SweepOutcome& outcome) {
  Value::Array points;
  std::string complete;
  std::size_t failed = 0;
  for (const auto i : options.points) {
    const auto& point = outcome.points[i];
    const auto folder = point.folder.string();
    const bool good = point.state == State::complete;
    Value::Object members{{"index", static_cast<std::int64_t>(i)},
                          {"folder", folder},
                          {"settings", file.sweep->settings(i)},
                          {"state", good ? "complete" : "failed"}};
    if (good) {
      complete += folder + "\n";
    } else {
      members.emplace_back("error", point.error);
      ++failed;
    }
    points.emplace_back(std::move(members));
  }
  const Exit exit = failed == 0 ? Exit::ok : Exit::answer_is_no;
  if (failed != 0) {
    session.sink().send(Log{Log::Level::info, std::to_string(failed) + " of " +
                                                  count(points.size()) +
                                                  " failed; the same command runs " +
                                                  (failed == 1 ? "it" : "them") + " again"});
  }
  if (!session.json()) session.print(complete);
  session.result({{"name", file.job.name},
                  {"folder", outcome.folder.string()},
                  {"class", exit_class(exit).word},
                  {"points", std::move(points)}});
  return exit;
}

bool varies(const schema::Sweep& sweep, std::string_view key) {
  for (std::size_t point = 0; point < sweep.size(); ++point) {
    for (const auto& [name, value] : sweep.settings(point)) {
      if (name == key) return true;
    }
  }
  return false;
}

}  // namespace

Exit run_sweep(cli::Session& session, const Arguments& arguments, const run::JobFile& file,
               const inputs::Places& where) {
  if (arguments.parallel == 0 || arguments.parallel > max_parallel) {
    throw Error(Exit::usage, "--parallel is " + std::to_string(arguments.parallel) +
                                 ", not from 1 to " + std::to_string(max_parallel));
  }
  run::SweepOptions options;
  options.folder = arguments.output;
  options.force = arguments.force;
  options.at_once = arguments.parallel;
  options.signer = key_store().own().public_key().id();
  options.points = file.sweep->choose(arguments.only);
  options.places = where;
  options.job = [&](std::size_t point) {
    return with_environment(file.sweep->job(point), arguments.env);
  };
  for (const auto& entry : arguments.env) {
    const auto name = entry.substr(0, entry.find('='));
    if (varies(*file.sweep, "command.env." + name)) {
      throw Error(Exit::usage, "--env " + printable(name) + " is what the sweep varies",
                  "choose points with --only command.env." + printable(name) + "=VALUE");
    }
  }
  if (arguments.check) return check(session, file, options);
  // What cannot be right for any point is said once.
  if (file.job.is_command()) {
    given(arguments, file.job);
  } else {
    device::wanted(arguments.device, arguments.threads);
  }
  session.set_resume_hint("the same command goes on with what is missing");
  options.arguments = arguments_of_points(arguments, where);
  return tell(session, file, options,
              run::run_sweep(file, options, session.sink(), interrupt(session)));
}

}  // namespace volt::gpu_run
