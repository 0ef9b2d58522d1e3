// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/runs.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <tuple>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::run {
namespace {

namespace fs = std::filesystem;
using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::size_t id_digits = 12, least_digits = 4;
constexpr std::string_view entry_schema = "volt.start/1";
constexpr std::size_t max_entry_bytes = 65'536;
/// It may name as many inputs as a job can have.
constexpr doc::Limits report_limits{std::size_t{8} << 20, 8};

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool has_run(const host::Path& folder) { return host::is_folder(folder / ".volt"); }

std::string text_in(Fields& fields, std::string_view key) {
  return fields.has(key) ? fields.string(key) : std::string();
}

std::uint64_t count_in(Fields& fields, std::string_view key) {
  return fields.has(key) ? static_cast<std::uint64_t>(fields.integer(key, 0, INT64_MAX)) : 0;
}

Exit class_named(std::string_view word) {
  const auto all = exit_classes();
  const auto found = std::ranges::find(all, word, &ExitClass::word);
  return found == all.end() ? Exit::failure : found->code;
}

Report parse_report(const host::Path& path) {
  const auto text = host::read_file(path, report_limits.bytes);
  const Value document = doc::parse_json(text, "run.json", report_limits);
  const Source source{"run.json"};
  Fields fields(document, source);
  constexpr std::array<std::string_view, 1> schemas{"volt.run/1"};
  constexpr std::array<std::string_view, 4> ends{"program", "limit", "volt", "interrupted"};
  fields.choice("schema", schemas);
  Report report;
  report.ended = fields.choice("ended", ends);
  const int least = report.ended == "program" ? 0 : 1;
  report.status = static_cast<int>(fields.integer("status", least, 255));
  report.exit = class_named(fields.string("class"));
  report.name = fields.string("name");
  report.workload = fields.string("workload");
  report.started = fields.string("started");
  report.error = text_in(fields, "error");
  report.hint = text_in(fields, "hint");
  report.attempt = count_in(fields, "attempt");
  report.elapsed_ns = count_in(fields, "elapsed_ns");
  report.peak_memory_bytes = count_in(fields, "peak_memory_bytes");
  return report;
}

Value to_value(const Run& run) {
  Value::Object members{{"schema", entry_schema}, {"folder", run.folder.string()},
                        {"name", run.name},       {"workload", run.workload},
                        {"job", run.job},         {"started", run.started}};
  if (run.process) {
    members.insert(members.end(), {{"pid", std::int64_t{run.process->pid}},
                                   {"pid_started", run.process->started},
                                   {"boot", run.process->boot}});
  }
  return members;
}

/// Throws Error, and that is all that is made of an entry which we did not write.
Run parse_entry(const host::Path& path) {
  const Source source{path.filename().string(), Exit::failure};
  const Value document = doc::parse_json(host::read_file(path, max_entry_bytes), source.origin,
                                         {max_entry_bytes, 4}, source.code);
  Fields fields(document, source);
  constexpr std::array<std::string_view, 1> schemas{entry_schema};
  fields.choice("schema", schemas);
  Run run;
  run.folder = fields.string("folder");
  run.id = id_of(run.folder);
  if (run.id != source.origin || !run.folder.is_absolute()) {
    fields.fail("folder", fields.get("folder"), "is not that of this entry");
  }
  run.name = fields.string("name");
  run.workload = fields.string("workload");
  run.job = fields.string("job");
  run.started = fields.string("started");
  if (!parse_utc(run.started)) fields.fail("started", fields.get("started"), "is no time");
  if (fields.has("pid")) {
    run.process = {static_cast<pid_t>(fields.integer("pid", 1, INT_MAX)),
                   static_cast<std::uint64_t>(fields.integer("pid_started", 0, INT64_MAX)),
                   fields.string("boot")};
  }
  return run;
}

/// Runs that were started in the same second are told apart by their processes.
auto age(const Run& run) {
  return std::tuple(run.started, run.process ? run.process->started : 0, run.id);
}

}  // namespace

std::string_view to_text(State state) {
  constexpr std::array<std::string_view, 6> words{"running", "done",        "failed",
                                                  "limit",   "interrupted", "stopped"};
  return words[static_cast<std::size_t>(state)];
}

namespace {

/// A later attempt that has not come to replace the complete run which is still there.
bool has_later_attempt(const host::Path& folder) {
  return host::exists(folder / "receipt.json") && host::exists(folder / ".volt" / "work");
}

}  // namespace

std::optional<Report> report_of(const host::Path& folder) {
  try {
    return parse_report(has_later_attempt(folder) ? folder / ".volt" / "work" / "run.json"
                                                  : folder / "run.json");
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool is_running(const host::Path& folder) { return host::Lock::held(folder / ".volt" / "lock"); }

State state_of(const host::Path& folder) {
  if (is_running(folder)) return State::running;
  if (host::exists(folder / "receipt.json") && !has_later_attempt(folder)) return State::done;
  const auto report = report_of(folder);
  if (!report) return State::stopped;
  const State state = state_of(report->ended, report->status);
  // Killed on the very last steps.
  return state == State::done ? State::stopped : state;
}

State state_of(std::string_view ended, int status) {
  if (ended == "program" && status == 0) return State::done;
  if (ended == "limit") return State::limit;
  return ended == "interrupted" ? State::interrupted : State::failed;
}

host::Path real_folder(const host::Path& folder) {
  std::error_code error;
  auto real = fs::canonical(folder, error);
  if (error) throw_system(error.value(), "cannot find " + host::shown(folder));
  return real;
}

std::string id_of(const host::Path& folder) {
  return crypto::sha256(as_bytes(folder.string())).hex().substr(0, id_digits);
}

void Runs::add(Run run) const {
  run.folder = real_folder(run.folder);
  if (!is_utf8(run.folder.string())) {
    throw Error(Exit::failure, "the name of " + host::shown(run.folder) + " is not UTF-8");
  }
  if (!is_utf8(run.job)) run.job.clear();
  run.started = format_utc(std::chrono::system_clock::now());
  run.process = host::own_name();
  host::make_folder(folder_);
  host::write_file(folder_ / id_of(run.folder), doc::to_json(to_value(run)) + "\n", 0600);
}

std::vector<Run> Runs::all() const {
  std::vector<Run> runs;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    // No links, and nothing that a crash may have left beside the entries.
    std::error_code ignored;
    if (!fs::is_regular_file(entry->symlink_status(ignored))) continue;
    if (entry->path().filename().string().size() != id_digits) continue;
    try {
      auto run = parse_entry(entry->path());
      const auto kind = fs::status(run.folder / ".volt", ignored).type();
      if (kind == fs::file_type::not_found) fs::remove(entry->path(), ignored);
      if (kind == fs::file_type::directory) runs.push_back(std::move(run));
    } catch (const Error&) {
    }
  }
  std::ranges::sort(runs, [](const Run& one, const Run& other) { return age(one) > age(other); });
  return runs;
}

Run Runs::in_folder(const std::vector<Run>& known, const host::Path& folder) const {
  Run run;
  run.folder = real_folder(folder);
  run.id = id_of(run.folder);
  const auto found = std::ranges::find(known, run.id, &Run::id);
  if (found != known.end()) return *found;
  run.name = run.folder.stem().string();
  if (const auto report = report_of(run.folder)) {
    run.name = report->name;
    run.workload = report->workload;
    run.started = report->started;
  }
  return run;
}

Run Runs::find(const std::string& name) const {
  const auto known = all();
  const auto by_id = std::ranges::find(known, name, &Run::id);
  if (by_id != known.end()) return *by_id;
  if (!name.empty() && has_run(name)) return in_folder(known, name);
  const auto by_name = std::ranges::find(known, name, &Run::name);
  if (by_name != known.end()) return *by_name;

  std::vector<std::string> begin_so;
  std::vector<std::string_view> words;
  for (const auto& run : known) {
    if (name.size() >= least_digits && is_hex(name) && run.id.starts_with(name)) {
      begin_so.push_back(run.id);
    }
    words.insert(words.end(), {run.name, run.id});
  }
  if (begin_so.size() == 1) return *std::ranges::find(known, begin_so.front(), &Run::id);
  if (!begin_so.empty()) {
    throw Error(Exit::usage, "several runs begin with " + name, "one of " + join(begin_so, ", "));
  }
  const auto hint = suggestion(name, words);
  throw Error(Exit::not_found, "there is no run \"" + printable(name) + "\"",
              hint.empty() ? "gpu-run list shows all; a run has an id, a name and a folder" : hint);
}

}  // namespace volt::run
