// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

using doc::Value;

using Row = std::array<std::string, 6>;

std::string local(const std::string& utc) {
  const auto time = parse_utc(utc);
  if (!time) return "-";
  const std::time_t seconds = std::chrono::system_clock::to_time_t(*time);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts)};
}

std::string table(const std::vector<Row>& rows) {
  std::array<std::size_t, 6> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      text += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    }
    text += row.back() + "\n";
  }
  return text;
}

}  // namespace

std::optional<std::chrono::nanoseconds> time_of(const run::Run& run, run::State state,
                                                const std::optional<run::Report>& report) {
  const auto started = parse_utc(run.started);
  if (state == run::State::running && started) {
    return std::max(std::chrono::system_clock::now() - *started,
                    std::chrono::system_clock::duration(0));
  }
  if (state == run::State::running || state == run::State::stopped || !report) return std::nullopt;
  return std::chrono::nanoseconds(report->elapsed_ns);
}

Value::Object facts_of(const run::Run& run, run::State state,
                       const std::optional<run::Report>& report) {
  const auto time = time_of(run, state, report);
  return {{"id", run.id},
          {"name", run.name},
          {"workload", run.workload},
          {"state", to_text(state)},
          {"started", run.started},
          {"elapsed_ns", time ? Value(std::int64_t{time->count()}) : Value()},
          {"folder", run.folder.string()},
          {"job", run.job}};
}

std::string title(const run::Run& run) { return run.name + " (" + run.id + ")"; }

void pause(const cli::Session& session) {
  constexpr int milliseconds = 100;
  pollfd signal{session.signal_fd(), POLLIN, 0};
  ::poll(&signal, 1, milliseconds);
  if (session.stop().stop_requested()) throw Error(Exit::interrupted, "interrupted");
}

Exit list_runs(cli::Session& session) {
  std::vector<Row> rows{{"ID", "NAME", "STATE", "STARTED", "TIME", "FOLDER"}};
  Value::Array items;
  for (const auto& run : runs().all()) {
    try {
      const auto state = run::state_of(run.folder);
      const auto report = run::report_of(run.folder);
      const auto time = time_of(run, state, report);
      rows.push_back({run.id, printable(run.name), std::string(to_text(state)), local(run.started),
                      time ? format_duration(*time) : "-", printable(run.folder.string(), 4096)});
      items.emplace_back(facts_of(run, state, report));
    } catch (const Error& error) {
      session.sink().send(Log{Log::Level::warning, error.text()});
    }
  }
  if (!session.json()) session.print(table(rows));
  session.result({{"schema", "volt.runs/1"}, {"runs", std::move(items)}});
  return Exit::ok;
}

}  // namespace volt::gpu_run
