// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "libvolt/cli/tool.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/sandbox/supervisor.hpp"
#include "tools/gpu-run/example.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {

Exit print_example(cli::Session& session, const Arguments& arguments) {
  const auto text = arguments.example == "command" ? example::command : example::matmul;
  if (!session.json()) session.print(text);
  session.result({{"toml", text}});
  return Exit::ok;
}

}  // namespace volt::gpu_run

int main(int argc, char** argv) {
  using namespace volt;
  using namespace volt::gpu_run;
  if (argc == 2 && std::string_view(argv[1]) == "--worker") return run::worker_main();
  if (argc == 3 && argv[1] == sandbox::supervisor_argument) {
    return sandbox::supervisor_main(argv[2]);
  }
  Arguments a;
  const cli::Option device{"--device", &a.device, "NAME",
                           "where to compute: auto, cpu or cuda:N; cuda:0,1 for a command",
                           "device"};
  const cli::Option threads{"--threads", &a.threads, "N",
                            "threads to compute with; changes no bit of any result", "threads"};
  const cli::Option exit_class{
      "--exit-class", &a.exit_class, {}, "end with volt's code, not the program's"};
  const cli::Option named{"run", &a.run, "RUN", "id, folder or name of a run", {}, {}, true};
  const cli::Tool tool{
      .name = "gpu-run",
      .summary = "run a job, and leave a receipt that anyone can verify",
      .options = {{"job", &a.job, "JOB", "job file, or - for standard input", {}, {}, true},
                  {"-o,--output", &a.output, "DIR", "run folder; default NAME.run"},
                  {"--input", &a.bindings, "NAME=PATH", "where an input of the job is"},
                  {"--check", &a.check, {}, "examine the job file and run nothing"},
                  {"--plan", &a.plan, {}, "tell what a training takes here, and train nothing"},
                  {"--lock", &a.lock, {}, "write the digests of all inputs into the job file"},
                  {"--force", &a.force, {}, "replace a complete run, once the new one is complete"},
                  {"--timeout", &a.timeout, "TIME", "end the run after 90s, 10m, 1h30m"},
                  {"--only", &a.only, "POINTS", "run these of a sweep: 0,3-5, or KEY=VALUE"},
                  {"-j,--parallel", &a.parallel, "N", "how many points of a sweep run at once"},
                  {"--detach", &a.detach, {}, "leave the run to itself once it has begun"},
                  {"--then", &a.then, "CMD", "run this shell line when the run has ended, however"},
                  {"--env", &a.env, "NAME=VALUE", "set a variable of a command"},
                  {"--secret", &a.secrets, "NAME[=FILE]",
                   "give a command this secret, from a file or the environment"},
                  {"--network", &a.network, {}, "let a command that wants the network have it"},
                  {"--host-path", &a.host_paths, "DIR", "show a command this folder, read-only",
                   "host_path"},
                  {"--sandbox",
                   &a.sandbox,
                   "LEVEL",
                   "what holds a command; auto takes the best that works",
                   "sandbox",
                   {"auto", "namespaces", "landlock", "none"}},
                  exit_class,
                  device,
                  threads},
      .verbs =
          {{"devices",
            "list what this machine can compute on, and how it can confine",
            {},
            list_devices},
           {"example",
            "print a commented job that runs",
            {{"workload", &a.example, "WORKLOAD", "what kind of job", {}, {"matmul", "command"}}},
            [&](cli::Session& session) { return print_example(session, a); }},
           {"list", "list the runs that were started here", {}, list_runs},
           {"show",
            "tell how a run stands, and how to go on",
            {named},
            [&](cli::Session& session) { return show_run(session, a); }},
           {"logs",
            "print what a run has printed",
            {named, {"-f,--follow", &a.follow, {}, "go on until the run has ended"}},
            [&](cli::Session& session) { return print_log(session, a); }},
           {"wait",
            "wait until a run has ended, and end as it did",
            {named,
             {"--timeout", &a.timeout, "TIME", "wait no longer than 90s, 10m, 1h30m"},
             exit_class},
            [&](cli::Session& session) { return wait_for_run(session, a); }},
           {"cancel",
            "end a run",
            {named},
            [&](cli::Session& session) { return cancel_run(session, a); }},
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
