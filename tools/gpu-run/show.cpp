// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/schema/receipt.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

using doc::Value;

/// The last whole line of metrics.jsonl; null when there is none that can be read.
Value last_metrics(const host::Path& folder) {
  try {
    const auto file = host::open_file(folder / "metrics.jsonl");
    const auto bytes = host::stamp_of(file.get()).bytes;
    std::string tail(65'536, '\0');
    const auto from = bytes - std::min<std::uint64_t>(bytes, tail.size());
    tail.resize(
        host::read_at(file.get(), from, reinterpret_cast<std::uint8_t*>(tail.data()), tail.size()));
    const auto lines = split(tail, '\n');
    if (lines.size() < 2) return {};
    return doc::parse_json(lines[lines.size() - 2], "metrics.jsonl", {tail.size(), 4});
  } catch (const Error&) {
    return {};
  }
}

std::optional<double> number(const Value& table, std::string_view key) {
  const auto* value = table.find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* whole = value->get_if<std::int64_t>()) return static_cast<double>(*whole);
  if (const auto* real = value->get_if<double>()) return *real;
  return std::nullopt;
}

std::string memory(double bytes) {
  constexpr double most = 9e18;
  return format_memory(bytes > 0 && bytes < most ? static_cast<std::uint64_t>(bytes) : 0);
}

std::string seconds(double time) {
  constexpr double most = 9e9;
  return format_duration(std::chrono::nanoseconds(
      time > 0 && time < most ? static_cast<std::int64_t>(time * 1e9) : 0));
}

/// "cpu 2.1 s, memory 1.20 GB, disk 24.6 kB, 5 processes, GPU 0 at 97 % with 20.1 GB"
std::string use(const Value& metrics) {
  std::vector<std::string> parts;
  if (const auto cpu = number(metrics, "cpu_s")) parts.push_back("cpu " + seconds(*cpu));
  if (const auto bytes = number(metrics, "memory_bytes")) {
    parts.push_back("memory " + memory(*bytes));
  }
  if (const auto bytes = number(metrics, "disk_bytes")) parts.push_back("disk " + memory(*bytes));
  if (const auto tasks = number(metrics, "processes")) {
    parts.push_back(to_text(*tasks) + " processes");
  }
  const auto* gpus = metrics.find("gpus");
  const auto* list = gpus == nullptr ? nullptr : gpus->get_if<Value::Array>();
  for (const auto& gpu : list == nullptr ? Value::Array() : *list) {
    std::string text = "GPU " + to_text(number(gpu, "index").value_or(0));
    if (const auto busy = number(gpu, "utilisation")) text += " at " + to_text(*busy * 100) + " %";
    if (const auto bytes = number(gpu, "memory_bytes")) text += " with " + memory(*bytes);
    parts.push_back(std::move(text));
  }
  return join(parts, ", ");
}

/// "12, loss 1.2345" of a training; empty for what has no steps.
std::string progress(const Value& metrics) {
  const auto step = number(metrics, "step");
  if (!step) return {};
  const auto* eval = metrics.find("eval");
  const auto loss = number(eval == nullptr ? metrics : *eval, "loss");
  return to_text(*step) + (eval == nullptr ? ", loss " : ", held-out loss ") +
         (loss ? to_text(*loss) : "not finite");
}

/// What is to be said of the receipt; empty when there is none.
std::string receipt_text(const host::Path& folder, Value& value) {
  const auto path = folder / "receipt.json";
  if (!host::exists(path)) return {};
  try {
    const auto receipt = schema::open_receipt(
        host::read_file(path, schema::max_document_bytes, Exit::verification_failed),
        "receipt.json");
    const auto digest = receipt.digest().hex();
    const auto outputs = receipt.receipt.outputs.size();
    value = Value::Object{{"sha256", digest},
                          {"signer", receipt.signer.id()},
                          {"attempt", receipt.receipt.attempt},
                          {"outputs", std::uint64_t{outputs}}};
    return digest + ", " + std::to_string(outputs) + (outputs == 1 ? " output" : " outputs") +
           " on " + receipt.receipt.device;
  } catch (const Error& error) {
    return "not to be trusted: " + error.text();
  }
}

std::string how_to_go_on(const run::Run& run, run::State state) {
  const auto folder = run.folder.string();
  if (state == run::State::running) {
    return "gpu-run logs -f " + run.id + ", gpu-run cancel " + run.id;
  }
  if (state == run::State::done) return "gpu-verify " + folder;
  const std::string what =
      run.workload == "command" ? "starts the program anew" : "goes on where it stopped";
  if (run.job.empty() || run.job == "-") return "the command that started it " + what;
  return "gpu-run " + run.job + " -o " + folder + " " + what;
}

}  // namespace

Exit show_run(cli::Session& session, const Arguments& arguments) {
  const auto run = runs().find(arguments.run);
  const auto state = run::state_of(run.folder);
  const auto report = run::report_of(run.folder);
  const auto metrics = last_metrics(run.folder);
  const bool ended = report && state != run::State::running && state != run::State::stopped;
  Value receipt;
  std::string text;
  const auto line = [&](std::string name, std::string_view value) {
    name.resize(10, ' ');
    if (!value.empty()) text += name + printable(value, 4096) + "\n";
  };
  line("id", run.id);
  line("name", run.name);
  line("state", to_text(state));
  line("workload", run.workload);
  line("job", run.job);
  line("folder", run.folder.string());
  line("started", run.started);
  if (const auto time = time_of(run, state, report)) line("time", format_duration(*time));
  line("use", use(metrics));
  line("step", progress(metrics));
  if (ended) {
    if (report->peak_memory_bytes != 0) line("peak", format_memory(report->peak_memory_bytes));
    line("attempt", std::to_string(report->attempt));
    if (state != run::State::done) line("status", std::to_string(report->status));
    line("error", report->error);
    line("hint", report->hint);
  }
  line("receipt", receipt_text(run.folder, receipt));
  line("next", how_to_go_on(run, state));
  if (!session.json()) session.print(text);
  auto result = facts_of(run, state, report);
  result.insert(result.end(), {{"ended", ended ? Value(report->ended) : Value()},
                               {"status", ended ? Value(report->status) : Value()},
                               {"class", ended ? Value(exit_class(report->exit).word) : Value()},
                               {"error", ended ? Value(report->error) : Value()},
                               {"hint", ended ? Value(report->hint) : Value()},
                               {"metrics", metrics},
                               {"receipt", std::move(receipt)}});
  session.result(std::move(result));
  return Exit::ok;
}

}  // namespace volt::gpu_run
