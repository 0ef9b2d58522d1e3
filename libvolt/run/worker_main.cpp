// SPDX-License-Identifier: Apache-2.0
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <new>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/run/messages.hpp"
#include "libvolt/run/tasks.hpp"
#include "libvolt/run/worker.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::int64_t max_descriptor = 1024;  // as many as a process usually has
constexpr std::size_t max_request_bytes = std::size_t{4} << 20;

void say(const Value& message) {
  host::write_all(answer_fd, doc::to_canonical_json(message) + "\n");
}

/// Sends events up the pipe; of progress only what a person can follow.
class PipeSink final : public Sink {
 public:
  void send(const Event& event) override {
    if (const auto* progress = std::get_if<Progress>(&event)) {
      const auto now = std::chrono::steady_clock::now();
      const bool last = progress->done == progress->total;
      if (!last && now - sent_ < std::chrono::milliseconds(50)) return;
      sent_ = now;
    }
    say(to_message(event));
  }

 private:
  std::chrono::steady_clock::time_point sent_;
};

Value::Object perform(const std::string& text) {
  static const Source source{"task", Exit::failure};
  Request request;
  request.value = doc::parse_json(text, "task", {max_request_bytes, 16}, Exit::failure);
  Fields fields(request.value, source);
  const auto* files = fields.get("files").get_if<Value::Object>();
  if (files == nullptr) throw Error(Exit::failure, "the task names no files");
  Fields numbers = fields.table("files");
  for (const auto& [name, number] : *files) {
    request.files[name] = static_cast<int>(numbers.integer(name, answer_fd + 1, max_descriptor));
  }
  const auto& task = fields.string("task");
  PipeSink sink;
  if (task == "run") return do_run(request, sink, say);
  if (task == "replay") return do_replay(request, sink, say);
  if (task == "plan") return do_plan(request, sink, say);
  if (task == "train") return do_train(request, sink, say);
  if (task == "retrain") return do_retrain(request, sink, say);
  if (task == "generate") return do_generate(request, sink, say);
  if (task == "regenerate") return do_regenerate(request, sink, say);
  if (task == "prove") return do_prove(request, sink, say);
  if (task == "openings") return do_openings(request, sink, say);
  throw Error(Exit::failure, "no task is called " + printable(task));
}

}  // namespace

int worker_main() {
  // A Ctrl-C in the terminal reaches the whole group; the parent decides, and kills.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that is gone is an error of write(), and can be told
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit then is an error of write(), and can be told
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  try {
    try {
      say(Value::Object{
          {"end", perform(host::read_all(STDIN_FILENO, max_request_bytes, "the task"))}});
      return 0;
    } catch (const Error& error) {
      say(to_message(error));
    } catch (const std::bad_alloc&) {
      say(to_message(Error(Exit::no_device, "there is not enough memory",
                           "use a machine with more, or a smaller job")));
    } catch (const std::exception& error) {
      say(to_message(Error(Exit::failure, "internal error",
                           "this is a bug of volt: please report it", error.what())));
    }
  } catch (const Error&) {
    // The parent is gone; there is nobody to tell.
  }
  return 1;
}

}  // namespace volt::run
