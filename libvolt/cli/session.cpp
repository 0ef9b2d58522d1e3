// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/session.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "libvolt/base/text.hpp"
#include "libvolt/cli/line.hpp"
#include "libvolt/cli/output.hpp"
#include "libvolt/cli/signals.hpp"

namespace volt::cli {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

std::string_view variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

std::size_t columns() {
  winsize size{};
  if (::ioctl(2, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

Meter meter_for(const Manner& manner) {
  if (manner.json) return {0ms, 100ms};
  if (manner.terminal) return {200ms, 100ms};  // work that is over at once shall not flash
  return {1min, 1min};
}

std::string_view name(Log::Level level) {
  if (level == Log::Level::debug) return "debug";
  return level == Log::Level::info ? "info" : "warning";
}

}  // namespace

Manner manner(bool json, bool quiet) {
  const bool terminal = ::isatty(2) == 1 && variable("TERM") != "dumb";
  return {json, quiet, terminal, terminal && variable("NO_COLOR").empty()};
}

LiveSession::LiveSession(std::string tool, Manner manner)
    : tool_(std::move(tool)), manner_(manner), meter_(meter_for(manner)) {
  one_place_ = are_one(1, 2);
  if (read_by_runner(1)) out_.emplace();
  if (read_by_runner(2) && !one_place_) err_.emplace();
}

LiveSession::~LiveSession() { clear_line(); }

void LiveSession::print(std::string_view text) {
  if (manner_.json) throw std::logic_error("print() under --json");
  clear_line();
  write_out(text);
}

void LiveSession::result(doc::Value::Object members) {
  doc::Value::Object document;
  document.emplace_back("schema", "volt.result/1");
  for (auto& [key, value] : members) {
    if (key == "schema") {
      document.front().second = std::move(value);
    } else {
      document.emplace_back(std::move(key), std::move(value));
    }
  }
  result_.emplace(std::move(document));
}

std::stop_token LiveSession::stop() const { return signals::token(); }
int LiveSession::signal_fd() const { return signals::fd(); }
void LiveSession::set_resume_hint(std::string hint) { signals::set_resume_hint(hint); }

void LiveSession::settle() {
  clear_line();
  if (!held_) return;
  const Progress last = std::move(*held_);
  held_.reset();
  send_event(
      "progress",
      {{"what", last.what}, {"done", last.done}, {"total", last.total}, {"unit", last.unit}});
}

void LiveSession::send(const Event& event) {
  std::visit([&](const auto& one) { receive(one); }, event);
}

void LiveSession::receive(const Progress& progress) {
  if (manner_.quiet) return;
  const auto now = steady_clock::now();
  if (manner_.json) {
    if (meter_.begins(progress)) settle();  // the last of the work before
    held_ = progress;
    const bool complete = progress.total != 0 && progress.done >= progress.total;
    if (meter_.due(progress, now) || complete) settle();
    return;
  }
  if (!meter_.due(progress, now)) return;
  const std::size_t width = manner_.terminal ? columns() - 1 : 200;
  const auto text = progress_text(progress, meter_.since(), meter_.elapsed(now), width);
  if (manner_.terminal) {
    write_err("\r\x1b[K" + text);
    line_shown_ = true;
  } else {
    talk(tool_ + ": " + text + "\n");
  }
}

void LiveSession::receive(const Log& log) {
  const bool warning = log.level == Log::Level::warning;
  if (manner_.quiet && !warning) return;
  if (manner_.json) {
    settle();
    send_event("log", {{"level", name(log.level)}, {"text", log.text}});
    return;
  }
  if (log.level == Log::Level::debug) return;
  clear_line();
  const char* label = !warning ? "" : manner_.colour ? "\x1b[1;33mwarning:\x1b[0m " : "warning: ";
  // Each line is made safe alone; all but the first stand as they are, for pictures and tables.
  std::string text = tool_ + ": " + label;
  for (const auto line : split(log.text, '\n')) text += printable(line, 4000) + "\n";
  talk(text);
}

void LiveSession::receive(const Metric& metric) {
  // For people metrics go into files only.
  if (!manner_.json) return;
  settle();
  doc::Value::Object members{{"name", metric.name}, {"value", metric.value}, {"unit", metric.unit}};
  if (metric.step) members.emplace_back("step", *metric.step);
  send_event("metric", std::move(members));
}

void LiveSession::receive(const Output& output) {
  if (manner_.json) {
    settle();
    send_event("output", {{"stream", output.error ? "stderr" : "stdout"}, {"text", output.text}});
    return;
  }
  clear_line();
  auto& neutraliser = output.error && !one_place_ ? err_ : out_;
  const std::string text = neutraliser ? neutraliser->add(output.text) : output.text;
  if (text.empty()) return;
  if (output.error) {
    write_err(text);
  } else {
    write_out(text);
  }
  if (output.error || one_place_) mid_line_ = text.back() != '\n';
}

bool LiveSession::ready() {
  pollfd streams[2] = {{1, POLLOUT, 0}, {manner_.json ? -1 : 2, POLLOUT, 0}};
  // An error is ready as well: the write will tell of it.
  return ::poll(streams, 2, 0) == (manner_.json ? 1 : 2);
}

/// Ours begins on a line of its own, whatever the program left open.
void LiveSession::talk(std::string_view text) {
  if (std::exchange(mid_line_, false)) write_err("\n");
  write_err(text);
}

void LiveSession::send_event(std::string_view kind, doc::Value::Object members) {
  doc::Value::Object document{{"schema", "volt.event/1"}, {"kind", kind}};
  for (auto& member : members) document.push_back(std::move(member));
  write_out(to_line(doc::Value(std::move(document))) + "\n");
}

void LiveSession::clear_line() {
  if (std::exchange(line_shown_, false)) write_err("\r\x1b[K");
}

}  // namespace volt::cli
