// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/event.hpp"
#include "libvolt/doc/value.hpp"

/// A tool is a table and a function. From the table come the parser, --help, the man page's
/// OPTIONS, the completions, --show-config and the tests; nothing is written twice.
namespace volt::cli {

/// Where the text of an option goes. Numbers are strict: no sign, no leading zero, no overflow; a
/// time is "90s" or "1h30m" and more than nothing.
/// A vector takes the option as often as it is given.
using Target = std::variant<bool*, std::string*, std::optional<std::string>*, std::uint64_t*,
                            std::optional<std::uint64_t>*, std::optional<std::chrono::seconds>*,
                            std::vector<std::string>*>;

struct Option {
  std::string names;  ///< "-o,--output", or "job" for a positional argument
  Target target;
  std::string value;  ///< "DIR", "FILE", "N" ...; empty for a flag; FILE and DIR complete paths
  std::string help;   ///< one line, lower case, no full stop
  std::string setting = {};               ///< key in configuration files, see settings.hpp
  std::vector<std::string> choices = {};  ///< the only values allowed, offered by completions
  bool required = false;
};

class Session;

struct Verb {
  std::string name;     ///< "example", or two words: "key show"
  std::string summary;  ///< one line, lower case, no full stop
  std::vector<Option> options;
  std::function<Exit(Session&)> run;
};

struct Tool {
  std::string name;
  std::string summary;
  std::vector<Option> options;  ///< of the tool without a verb
  std::vector<Verb> verbs;
  std::function<Exit(Session&)> run;  ///< empty: a verb is needed
  std::vector<std::string> examples;  ///< command lines shown by --help, each runnable
};

/// What a tool's function is given: where to say things, and when to stop.
class Session {
 public:
  virtual ~Session() = default;
  virtual bool json() const = 0;  ///< --json
  /// Progress and talk: on stderr for people, as lines of volt.event/1 on stdout under --json.
  virtual Sink& sink() = 0;
  /// Data for stdout. Under --json nothing may be printed: give a result instead. A closed stdout
  /// is an Error (local_io), but EPIPE ends the tool quietly.
  virtual void print(std::string_view text) = 0;
  /// What the run came to: under --json the last line, with "schema" (volt.result/1 unless set) put
  /// first; otherwise ignored.
  virtual void result(doc::Value::Object members) = 0;
  /// Stopped by SIGINT, SIGTERM or SIGHUP. After a second signal the process is gone at once, and
  /// `resume_hint` printed.
  virtual std::stop_token stop() const = 0;
  /// Readable (never to be read) once a signal came: for poll().
  virtual int signal_fd() const = 0;
  virtual void set_resume_hint(std::string hint) = 0;
  /// From now on the process ends with `status` and not with the number of its class, an error too:
  /// for a tool that stands for a program which it runs. A time limit and signals keep their own.
  virtual void exit_as(int status) = 0;
};

/// Parses, configures, runs and reports; the whole of main(). Errors end here and nowhere else: one
/// line `tool: error: ...` and one `hint: ...` on stderr, or volt.error/1 on stdout under --json.
/// Returns the exit status; a run ended by a signal exits 130 or 143.
int run(const Tool& tool, int argc, char** argv);

}  // namespace volt::cli
