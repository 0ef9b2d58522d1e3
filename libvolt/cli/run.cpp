// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libvolt/base/text.hpp"
#include "libvolt/cli/about.hpp"
#include "libvolt/cli/dump.hpp"
#include "libvolt/cli/help.hpp"
#include "libvolt/cli/line.hpp"
#include "libvolt/cli/output.hpp"
#include "libvolt/cli/parse.hpp"
#include "libvolt/cli/report.hpp"
#include "libvolt/cli/session.hpp"
#include "libvolt/cli/signals.hpp"
#include "libvolt/cli/table.hpp"
#include "libvolt/cli/tool.hpp"
#include "libvolt/cli/values.hpp"

namespace volt::cli {
namespace {

/// As a shell shows a writer that SIGPIPE killed: what `tool | head` expects.
constexpr int reader_gone_status = 128 + SIGPIPE;

void prepare_process() {
  hold_standard_descriptors();
  // Keys must not land in a core dump.
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::signal(SIGXFSZ, SIG_IGN);  // a file size limit then is an error of write(), and can be told
  signals::install();
}

/// Whether a flag stands among the arguments, for errors that come before they are understood.
bool stands(const std::vector<std::string>& args, std::string_view flag) {
  const auto end = std::ranges::find(args, "--");
  return std::find(args.begin(), end, flag) != end;
}

std::string config_text(const std::vector<Row>& rows, bool json) {
  if (json) {
    doc::Value::Array all;
    for (const auto& row : rows) {
      all.emplace_back(doc::Value::Object{
          {"key", row.key},
          {"value", row.value ? doc::Value(*row.value) : doc::Value()},
          {"origin", row.origin},
      });
    }
    return to_line(doc::Value::Object{{"schema", "volt.config/1"}, {"settings", std::move(all)}}) +
           "\n";
  }
  std::vector<std::pair<std::string, std::string>> cells{{"SETTING", "VALUE"}};
  std::vector<std::string> origins{"ORIGIN"};
  for (const auto& row : rows) {
    cells.emplace_back(row.key, row.value && !row.value->empty() ? *row.value : "-");
    origins.push_back(row.origin);
  }
  std::size_t first = 0, second = 0;
  for (const auto& [key, value] : cells) {
    first = std::max(first, key.size());
    second = std::max(second, value.size());
  }
  std::string text;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto& [key, value] = cells[i];
    text += key + std::string(first - key.size() + 2, ' ') + value +
            std::string(second - value.size() + 2, ' ') + origins[i] + "\n";
  }
  return text;
}

/// The status of a run that ended by itself with `code`: a signal that ended it is named by
/// its number, SIGHUP (129) included.
int status_of(Exit code) {
  const bool stopped = code == Exit::interrupted || code == Exit::terminated;
  if (stopped && signals::received() != 0) return 128 + signals::received();
  return static_cast<int>(code);
}

/// `status` is what the session says that an error ends with, if it says so.
int run_tool(const Tool& tool, const CommandLine& line, LiveSession& session,
             std::optional<int>& status) {
  Exit code = Exit::failure;
  try {
    code = (line.verb == nullptr ? tool.run : line.verb->run)(session);
  } catch (...) {
    session.settle();  // how far it came, before the error
    session.end_line();
    status = session.status();
    throw;
  }
  session.settle();
  if (code == Exit::interrupted || code == Exit::terminated) {
    throw Error(code, std::string(exit_class(code).word));
  }
  if (session.json()) {
    auto document = session.result_document();
    if (!document) document = doc::Value::Object{{"schema", "volt.result/1"}};
    write_out(to_line(*document) + "\n");
  }
  return session.status().value_or(static_cast<int>(code));
}

int obey(const Tool& tool, const std::vector<std::string>& args, std::optional<int>& status) {
  Common common;
  auto options = common_options(common);
  options.push_back(dump_option(common));
  const auto line = parse(tool, options, args);
  for (const auto& option : options) {
    if (const auto* given = line.find(option)) assign(option, given->texts, name_of(option));
  }
  if (common.help) {
    write_out(help_text(tool, line.verb));
  } else if (common.version) {
    write_out(about(tool.name, common.json));
  } else if (common.dump) {
    write_out(dump(tool, *common.dump));
  } else {
    const auto settings = configuration();
    if (!common.show_config) demand(tool, line, settings);
    const auto rows = apply(tool, line, settings, common.show_config);
    if (common.show_config) {
      write_out(config_text(rows, common.json));
    } else {
      LiveSession session(tool.name, manner(common.json, common.quiet));
      return run_tool(tool, line, session, status);
    }
  }
  return 0;
}

/// An end by a signal is named after that signal, whatever the tool called it, and says how to go
/// on.
Error stopped(const Error& error) {
  const int signal = signals::received();
  const Exit code = signal == 0        ? error.code()
                    : signal == SIGINT ? Exit::interrupted
                                       : Exit::terminated;
  const auto plain = exit_class(error.code()).word;
  Error named(code, error.message() == plain ? std::string(exit_class(code).word) : error.message(),
              error.hint().empty() ? std::string(signals::resume_hint()) : error.hint(),
              error.cause());
  for (const auto& note : error.notes()) named.note(note);
  return named;
}

/// A file that is not there may have been meant as a verb: gpu-run exmaple.
std::string verb_hint(const Tool& tool, const std::vector<std::string>& args, const Error& error) {
  if (error.code() != Exit::not_found || !error.hint().empty() || args.empty()) return error.hint();
  std::vector<std::string_view> verbs;
  for (const auto& verb : tool.verbs) verbs.push_back(verb.name);
  return suggestion(args.front(), verbs);
}

/// An error ends with `instead`, if given, unless it is a time limit or a signal: those look the
/// same whoever was stopped.
int report(const Tool& tool, const std::vector<std::string>& args, Error error,
           const std::optional<int>& instead) {
  if (const auto hint = verb_hint(tool, args, error); hint != error.hint()) {
    error = Error(error.code(), error.message(), hint, error.cause());
  }
  if (error.code() == Exit::interrupted || error.code() == Exit::terminated) error = stopped(error);
  const bool own = error.code() == Exit::timeout || error.code() == Exit::interrupted ||
                   error.code() == Exit::terminated;
  const int status = instead && !own ? *instead : status_of(error.code());
  const bool json = stands(args, "--json");
  const bool quiet = stands(args, "-q") || stands(args, "--quiet");
  if (json) {
    write_out(to_line(error_document(error, status)) + "\n");
    return status;
  }
  write_err(error_text(tool.name, error, manner(json, quiet).colour));
  const char* actions = std::getenv("GITHUB_ACTIONS");
  if (!quiet && actions != nullptr && std::string_view(actions) == "true") {
    write_err(github_error(tool.name, error));
  }
  return status;
}

/// Runs `f` and turns whatever it throws into an Error that is reported.
template <class F>
int guarded(const Tool& tool, const std::vector<std::string>& args, F&& f) {
  std::optional<int> status;
  try {
    return f(status);
  } catch (const Error& error) {
    return report(tool, args, error, status);
  } catch (const std::bad_alloc&) {
    return report(tool, args,
                  Error(Exit::failure, "out of memory", "free some memory, or give less work"),
                  status);
  } catch (const std::exception& error) {
    return report(tool, args,
                  Error(Exit::failure, "internal error: " + std::string(error.what()),
                        "this is a mistake in volt: please report it with the command line"),
                  status);
  }
}

}  // namespace

int run(const Tool& tool, int argc, char** argv) {
  const std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  try {
    const int status = guarded(tool, args, [&](std::optional<int>& own_status) {
      prepare_process();
      return obey(tool, args, own_status);
    });
    finish_out();
    return status;
  } catch (const ReaderGone&) {
    return reader_gone_status;
  } catch (const Error& error) {
    // Standard output itself has failed: this can only be said on stderr, also under --json.
    write_err(error_text(tool.name, error, manner(false, false).colour));
    return static_cast<int>(error.code());
  }
}

}  // namespace volt::cli
