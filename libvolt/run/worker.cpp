// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/worker.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "libvolt/base/quantities.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/host/process.hpp"
#include "libvolt/run/messages.hpp"

namespace volt::run {
namespace {

using Clock = std::chrono::steady_clock;

/// Splits what comes out of the pipe into lines, and refuses what is too long or too much.
class Lines {
 public:
  void add(std::string_view bytes) {
    rest_ += bytes;
    if (rest_.size() > max_message_bytes && rest_.find('\n') == std::string::npos) {
      throw Error(Exit::failure, "the worker sent a message that is too long");
    }
  }
  std::optional<std::string> next() {
    const auto end = rest_.find('\n', start_);
    if (end == std::string::npos) {
      rest_.erase(0, start_);
      start_ = 0;
      return std::nullopt;
    }
    std::string line = rest_.substr(start_, end - start_);
    start_ = end + 1;
    return line;
  }

 private:
  std::string rest_;
  std::size_t start_ = 0;
};

[[noreturn]] void throw_ended(const host::Ended& ended) {
  if (ended.signal == SIGBUS) {
    throw Error(Exit::conflict, "an input was cut short while the worker read it",
                "run it again once nothing else writes that file");
  }
  if (ended.signal == SIGKILL) {
    throw Error(Exit::failure, "the worker was killed",
                "most often by the kernel for want of memory: see dmesg, or give the job less");
  }
  const std::string how = ended.signal != 0 ? std::string("by signal ") + ::strsignal(ended.signal)
                                            : "with status " + std::to_string(ended.status);
  throw Error(Exit::failure, "the worker ended too early, " + how,
              "this is a bug of volt: please report it");
}

/// Milliseconds for poll(), -1 for ever.
int wait_ms(const std::optional<Clock::time_point>& deadline) {
  if (!deadline) return -1;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(std::min<long long>(left + 1, 60'000));
}

}  // namespace

Task task_for(std::string_view name, const schema::Job& job, const device::Wanted& device) {
  return {{{"task", name},
           {"job", schema::to_value(job)},
           {"device", doc::Value::Object{{"name", device.device},
                                         {"threads", static_cast<std::int64_t>(device.threads)},
                                         {"memory", device.memory_bytes}}}},
          {}};
}

Ending work(const Task& task, Sink& sink, const Interrupt& interrupt,
            const std::function<void(const doc::Value&)>& message) {
  host::Pipe request, answer;
  host::Child::Options options;
  options.program = host::own_program();
  options.argv = {"volt-worker", "--worker"};
  options.fds = {{request.read.get(), 0}, {STDERR_FILENO, 2}, {answer.write.get(), answer_fd}};
  const host::Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  options.fds.emplace_back(null.get(), 1);
  doc::Value::Object whole = task.request, files;
  for (const auto& file : task.files) {
    const int number = answer_fd + 1 + static_cast<int>(files.size());
    options.fds.emplace_back(file.fd, number);
    files.emplace_back(file.name, number);
  }
  whole.emplace_back("files", std::move(files));

  host::Child child = host::Child::start(options);
  request.read = host::Fd();
  answer.write = host::Fd();
  try {
    host::write_all(request.write.get(), doc::to_canonical_json(whole));
  } catch (const Error&) {
    // It died before it had read its task: how it ended says more than EPIPE does.
  }
  request.write = host::Fd();

  std::optional<Clock::time_point> deadline;
  if (interrupt.limit) deadline = Clock::now() + *interrupt.limit;
  Lines lines;
  std::optional<doc::Value> last;
  for (bool open = true; open;) {
    pollfd polled[2] = {{answer.read.get(), POLLIN, 0}, {interrupt.fd, POLLIN, 0}};
    if (::poll(polled, 2, wait_ms(deadline)) < 0 && errno != EINTR) {
      throw_system(errno, "cannot wait for the worker", {}, Exit::failure);
    }
    if (interrupt.stop.stop_requested()) {
      child.kill(SIGKILL);  // safe at any moment: what is done is in the journal
      throw Error(Exit::interrupted, "interrupted");
    }
    if (deadline && Clock::now() >= *deadline) {
      child.kill(SIGKILL);
      throw Error(Exit::timeout,
                  "the time limit of " + format_duration(*interrupt.limit) + " is over",
                  "the same command goes on where this start stopped; [limits] time, which may be "
                  "raised, is for each start");
    }
    if ((polled[0].revents & (POLLIN | POLLHUP)) == 0) continue;
    char buffer[65536];
    const auto count = ::read(answer.read.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      open = false;
      continue;
    }
    lines.add({buffer, static_cast<std::size_t>(count)});
    while (const auto line = lines.next()) {
      if (last) throw Error(Exit::failure, "the worker went on after its end");
      doc::Value value = doc::parse_json(*line, "worker", {max_message_bytes, 8}, Exit::failure);
      if (value.find("end") != nullptr || value.find("error") != nullptr) {
        last = std::move(value);
      } else if (!send_event(value, sink)) {
        message(value);
      }
    }
  }
  const host::Ended ended = child.wait();
  if (!last) throw_ended(ended);
  if (const auto* error = last->find("error")) throw_message(*error);
  return {*last->find("end"), ended.peak_memory_bytes};
}

}  // namespace volt::run
