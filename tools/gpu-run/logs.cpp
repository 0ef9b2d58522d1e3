// SPDX-License-Identifier: Apache-2.0
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

/// A run's log, which grows and which a new start empties.
class LogFile {
 public:
  explicit LogFile(host::Path path) : path_(std::move(path)) {}

  /// Sends what came since; false when that was nothing.
  bool pass(Sink& sink) {
    if (!host::exists(path_)) return false;
    std::error_code ignored;
    if (std::filesystem::is_symlink(path_, ignored)) {
      throw Error(Exit::conflict, host::shown(path_) + " is a link, which volt did not make");
    }
    const auto file = host::open_file(path_);
    const auto now = host::stamp_of(file.get());
    const bool another = now.inode != seen_.inode || now.device != seen_.device;
    if (another || now.bytes < read_) read_ = 0;
    seen_ = now;
    std::string text(65'536, '\0');
    text.resize(host::read_at(file.get(), read_, reinterpret_cast<std::uint8_t*>(text.data()),
                              text.size()));
    if (text.empty()) return false;
    // Whole lines, if there are any: no character then is cut in two.
    if (const auto end = text.rfind('\n'); end != std::string::npos) text.resize(end + 1);
    read_ += text.size();
    sink.send(Output{std::move(text), false});
    return true;
  }

 private:
  host::Path path_;
  host::Stamp seen_;
  std::uint64_t read_ = 0;
};

}  // namespace

Exit print_log(cli::Session& session, const Arguments& arguments) {
  const auto run = runs().find(arguments.run);
  session.set_resume_hint("the run goes on");
  LogFile log(run.folder / ".volt" / "log");
  for (;;) {
    // Asked first: what a run that has ended wrote is all there when it is read.
    const bool running = run::is_running(run.folder);
    while (log.pass(session.sink())) {
      if (session.stop().stop_requested()) throw Error(Exit::interrupted, "interrupted");
    }
    if (!arguments.follow || !running) break;
    pause(session);
  }
  const auto state = run::state_of(run.folder);
  if (arguments.follow) {
    session.sink().send(Log{Log::Level::info, title(run) + ": " + std::string(to_text(state))});
  }
  session.result({{"id", run.id}, {"folder", run.folder.string()}, {"state", to_text(state)}});
  return Exit::ok;
}

}  // namespace volt::gpu_run
