// SPDX-License-Identifier: Apache-2.0

#include "measured.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <stdexcept>

#include "commit.hpp"

namespace volt::bench {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    const bool control = static_cast<unsigned char>(c) < 0x20;
    out += control ? ' ' : c;
  }
  return out + '"';
}

std::string quoted_or_null(const std::string& text) { return text.empty() ? "null" : quoted(text); }

// Four digits: more than any clock here is worth, and short in a table.
std::string figure(double value) {
  if (!std::isfinite(value)) return "null";
  if (value == 0) return "0";
  const double unit = std::pow(10.0, std::floor(std::log10(std::fabs(value))) - 3);
  const double rounded =
      unit < 1 ? std::round(value / unit) / std::round(1 / unit) : std::round(value / unit) * unit;
  char text[400];
  const auto end = std::to_chars(text, text + sizeof text, rounded, std::chars_format::fixed);
  return {text, end.ptr};
}

std::string figure(const std::optional<double>& value) { return value ? figure(*value) : "null"; }

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm parts;
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &parts));
  return text;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t start = line.find_first_not_of(": \t", line.find(':'));
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::string commit_json(const std::string& given) {
  const std::string commit = given.empty() ? VOLT_COMMIT : given;
  return commit == "unknown" ? "null" : quoted(commit);
}

std::string machine_json(const Machine& m) {
  return "{\"cpu\": " + quoted_or_null(m.cpu) + ", \"cores\": " + std::to_string(m.cores) +
         ", \"memory_bytes\": " + std::to_string(m.memory_bytes) +
         ", \"kernel\": " + quoted_or_null(m.kernel) + ", \"gpu\": " + quoted_or_null(m.gpu) +
         ", \"capability\": " + quoted_or_null(m.capability) +
         ", \"driver\": " + quoted_or_null(m.driver) +
         ", \"cuda_runtime\": " + quoted_or_null(m.cuda_runtime) + "}";
}

std::string target_json(const Row& r) {
  if (!r.target) return "";
  return ", \"target\": " + figure(r.target) + ", \"passes\": " + (r.passes() ? "true" : "false");
}

std::string row_json(const Row& r) {
  return "{\"what\": " + quoted(r.what) + ", \"shape\": " + quoted(r.shape) +
         ", \"unit\": " + quoted(r.unit) + ", \"ours\": " + figure(r.ours) +
         ", \"peer\": " + figure(r.peer) + ", \"peer_name\": " + quoted_or_null(r.peer_name) +
         ", \"ratio\": " + figure(r.ratio()) + ", \"spread\": " + figure(r.spread) +
         target_json(r) + "}";
}

std::string verdict(const Row& r) {
  if (!r.target) return "";
  return "; at least " + figure(r.target) + (r.passes() ? ": passes" : ": fails");
}

std::string parity_json(const Parity& p) {
  return "{\"operation\": " + quoted(p.operation) + ", \"cases\": " + std::to_string(p.cases) +
         ", \"differ\": " + std::to_string(p.differ) + "}";
}

// One object a line, so that two reports can be compared by diff.
template <class T>
std::string list_json(const std::vector<T>& list, std::string (*item)(const T&)) {
  std::string out = "[";
  for (const T& one : list) out += (&one == &list.front() ? "\n    " : ",\n    ") + item(one);
  return out + (list.empty() ? "]" : "\n  ]");
}

}  // namespace

std::optional<double> Row::ratio() const {
  if (!peer || *peer == 0) return {};
  return ours / *peer;
}

bool Row::passes() const { return target && ratio() >= target; }

Machine this_machine() {
  Machine machine;
  machine.cpu = cpu_name();
  machine.cores = static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN));
  machine.memory_bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  utsname names;
  if (uname(&names) == 0) machine.kernel = names.release;
  return machine;
}

std::string heading(const std::string& what, const std::string& commit, const Machine& machine) {
  return "{\n  \"schema\": \"volt.measured/1\",\n  \"what\": " + quoted(what) +
         ",\n  \"date\": " + quoted(now()) + ",\n  \"commit\": " + commit_json(commit) +
         ",\n  \"machine\": " + machine_json(machine);
}

std::string to_json(const Report& report) {
  return heading(report.what, report.commit, report.machine) +
         ",\n  \"parity\": " + list_json(report.parity, parity_json) +
         ",\n  \"rows\": " + list_json(report.rows, row_json) + "\n}\n";
}

std::string to_table(const Report& report) {
  std::string out;
  char line[400];
  const auto add = [&](int length) {
    out.append(line, static_cast<std::size_t>(std::min<int>(length, sizeof line - 1)));
  };
  if (!report.parity.empty()) out += "operation                   cases     differ\n";
  for (const Parity& p : report.parity) {
    add(std::snprintf(line, sizeof line, "%-22s %10llu %10llu\n", p.operation.c_str(),
                      static_cast<unsigned long long>(p.cases),
                      static_cast<unsigned long long>(p.differ)));
  }
  if (!report.parity.empty() && !report.rows.empty()) out += '\n';
  if (!report.rows.empty()) {
    add(std::snprintf(line, sizeof line, "%-12s %-26s %-7s %9s %9s %7s %7s  %s\n", "what", "shape",
                      "unit", "ours", "peer", "ratio", "spread", "peer"));
  }
  for (const Row& r : report.rows) {
    add(std::snprintf(line, sizeof line, "%-12s %-26s %-7s %9s %9s %7s %6.1f%%  %s%s\n",
                      r.what.c_str(), r.shape.c_str(), r.unit.c_str(), figure(r.ours).c_str(),
                      r.peer ? figure(r.peer).c_str() : "-",
                      r.ratio() ? figure(r.ratio()).c_str() : "-", 100 * r.spread,
                      r.peer_name.c_str(), verdict(r).c_str()));
  }
  return out;
}

Summary summarise(std::vector<double> samples) {
  if (samples.empty()) throw std::invalid_argument("there are no samples");
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double part) {  // between the two nearest
    const double place = part * static_cast<double>(samples.size() - 1);
    const auto low = static_cast<std::size_t>(place);
    const std::size_t high = std::min(low + 1, samples.size() - 1);
    return samples[low] + (place - static_cast<double>(low)) * (samples[high] - samples[low]);
  };
  const double median = at(0.5);
  return {median, median == 0 ? 0 : (at(0.75) - at(0.25)) / median};
}

}  // namespace volt::bench
