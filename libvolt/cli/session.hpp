// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libvolt/cli/program_output.hpp"
#include "libvolt/cli/progress.hpp"
#include "libvolt/cli/tool.hpp"

namespace volt::cli {

/// How to talk, settled once.
struct Manner {
  bool json = false, quiet = false;
  bool terminal = false;  ///< stderr is one that can rewrite a line
  bool colour = false;
};

/// Looks at stderr, TERM and NO_COLOR.
Manner manner(bool json, bool quiet);

/// The Session that tools are given. Writes to stdout and stderr of the process.
class LiveSession final : public Session, private Sink {
 public:
  LiveSession(std::string tool, Manner manner);
  ~LiveSession() override;

  bool json() const override { return manner_.json; }
  Sink& sink() override { return *this; }
  void print(std::string_view text) override;
  void result(doc::Value::Object members) override;
  std::stop_token stop() const override;
  int signal_fd() const override;
  void set_resume_hint(std::string hint) override;
  void exit_as(int status) override { status_ = status; }
  const std::optional<int>& status() const { return status_; }

  /// Ends progress: clears the line, or sends the event held back.
  void settle();
  /// What comes next on stderr begins a line.
  void end_line() { talk({}); }
  /// What result() was given, with its schema first; null when it was not called.
  const std::optional<doc::Value>& result_document() const { return result_; }

 private:
  void send(const Event& event) override;
  bool ready() override;
  void receive(const Progress& progress);
  void receive(const Log& log);
  void receive(const Metric& metric);
  void receive(const Output& output);
  void send_event(std::string_view kind, doc::Value::Object members);
  void clear_line();
  void talk(std::string_view text);

  std::string tool_;
  Manner manner_;
  Meter meter_;
  std::optional<Progress> held_;  ///< under --json: sent later, unless a newer one comes first
  bool line_shown_ = false;
  bool one_place_ = false;  ///< stdout and stderr are
  bool mid_line_ = false;   ///< the program's last line where we talk is not ended
  std::optional<Neutraliser> out_, err_;
  std::optional<int> status_;
  std::optional<doc::Value> result_;
};

}  // namespace volt::cli
