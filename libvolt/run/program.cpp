// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/run/mask.hpp"
#include "libvolt/sandbox/usage.hpp"

namespace volt::run {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

/// Between two looks at what a program uses: a bomb is over long before it has done harm.
constexpr milliseconds look_every = 100ms;
/// What a program has, once asked, to put its things in order.
constexpr milliseconds grace = 5s;
/// Threads count as well.
constexpr std::uint64_t usual_processes = 4096;
/// One write to a pipe that is said to be ready takes so much without waiting.
constexpr std::size_t piece_bytes = 4096;
constexpr std::uint64_t slack_tasks = 64;
constexpr std::uint64_t slack_bytes = std::uint64_t{256} << 20;

std::vector<std::string> values_of(const std::map<std::string, std::string>& secrets) {
  std::vector<std::string> values;
  for (const auto& secret : secrets) values.push_back(secret.second);
  return values;
}

/// One of the program's two streams.
class Stream {
 public:
  Stream(bool error, const std::vector<std::string>& secrets) : error_(error), mask_(secrets) {}

  int reading() const { return pipe_.read.get(); }
  int writing() const { return pipe_.write.get(); }
  void close_writing() { pipe_.write = host::Fd(); }

  /// Passes on what is there; false at its end.
  bool pass(Sink& sink) {
    char piece[piece_bytes];
    const auto count = ::read(pipe_.read.get(), piece, sizeof piece);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (count <= 0) {
      finish(sink);
      return false;
    }
    send(sink, mask_.add({piece, static_cast<std::size_t>(count)}));
    return true;
  }

  /// Nothing came for a while: what was held back as the beginning of a secret was none.
  void pause(Sink& sink) { send(sink, mask_.flush()); }
  void finish(Sink& sink) {
    pause(sink);
    pipe_.read = host::Fd();
  }
  bool open() const { return static_cast<bool>(pipe_.read); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void send(Sink& sink, std::string text) {
    bytes_ += text.size();
    if (!text.empty()) sink.send(Output{std::move(text), error_});
  }
  bool error_;
  Mask mask_;
  host::Pipe pipe_;
  std::uint64_t bytes_ = 0;
};

class Following {
 public:
  Following(const schema::Job& job, const Scratch& scratch, const Given& given, Sink& sink,
            const Interrupt& interrupt, const std::function<void(const Sample&)>& measure)
      : job_(job),
        scratch_(scratch),
        given_(given),
        sink_(sink),
        interrupt_(interrupt),
        measure_(measure),
        out_(false, values_of(given.secrets)),
        err_(true, values_of(given.secrets)) {
    memory_limit_ = job.limits.memory_bytes.value_or(device::cpu_facts().memory_bytes / 10 * 9);
    task_limit_ = job.limits.processes.value_or(usual_processes);
    limit_ = interrupt.limit;
    if (job.limits.time && (!limit_ || *job.limits.time < *limit_)) limit_ = job.limits.time;
  }

  ProgramEnd perform() {
    if (job_.limits.network && !given_.network) {
      throw Error(Exit::usage, "the job wants the network", "if it shall have it, give --network");
    }
    choose_gpus();
    std::optional<sandbox::Sandbox> sandbox(start());
    begin_ = Clock::now();
    given_.started();
    try {
      follow(*sandbox);
    } catch (const Error&) {
      sandbox.reset();  // what it still printed before that is worth reading
      drain();
      throw;
    }
    const auto ended = sandbox->wait();
    drain();
    if (stopping_) throw_stopped();
    end_.status = ended.signal != 0 ? 128 + ended.signal : ended.status;
    end_.peak_memory_bytes = std::max(end_.peak_memory_bytes, ended.peak_memory_bytes);
    end_.cpu = std::max(end_.cpu, ended.cpu);
    measure_({Clock::now() - begin_, end_.cpu, 0, disk_bytes(Clock::now()), 0, {}});
    return std::move(end_);
  }

 private:
  void choose_gpus() {
    if (job_.resources.gpus == 0) return;
    auto list = device::gpus();
    // A scheduler that lends this process some of the GPUs says so by this variable.
    if (const auto lent = host::environment("CUDA_VISIBLE_DEVICES"); lent) {
      const auto names = split(*lent, ',');
      std::erase_if(list.gpus, [&](const device::Gpu& gpu) {
        return std::ranges::find(names, std::to_string(gpu.index)) == names.end() &&
               std::ranges::find(names, gpu.uuid) == names.end();
      });
    }
    end_.gpus = device::choose(list, given_.device, static_cast<unsigned>(job_.resources.gpus));
    end_.driver = list.driver;
  }

  sandbox::Program program() const {
    sandbox::Program program;
    program.argv = job_.command.argv;
    auto& environment = program.environment;
    environment = {{"LANG", "C.UTF-8"}, {"PYTHONUNBUFFERED", "1"}};
    if (!end_.gpus.empty()) {
      std::vector<std::string> uuids;
      for (const auto& gpu : end_.gpus) uuids.push_back(gpu.uuid);
      environment.emplace_back("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
      environment.emplace_back("CUDA_VISIBLE_DEVICES", join(uuids, ","));
      program.devices = device::nodes(end_.gpus);
    }
    const auto set = [&](const std::string& name, const std::string& value) {
      std::erase_if(environment, [&](const auto& one) { return one.first == name; });
      environment.emplace_back(name, value);
    };
    for (const auto& [name, value] : job_.command.env) set(name, value);
    for (const auto& [name, value] : given_.secrets) set(name, value);
    program.scratch = scratch_.folder();
    program.shown = given_.shown;
    program.shown.insert(program.shown.end(), scratch_.in_place().begin(),
                         scratch_.in_place().end());
    program.network = job_.limits.network;
    // What the kernel enforces lies beyond what ends the program: it is to be told why it ended.
    program.tasks = task_limit_ + slack_tasks;
    if (job_.limits.disk_bytes) program.file_bytes = 2 * *job_.limits.disk_bytes + slack_bytes;
    program.shared_bytes = memory_limit_ / 2;
    return program;
  }

  sandbox::Sandbox start_at(sandbox::Level level) {
    try {
      auto sandbox = sandbox::Sandbox::start(level, program(), out_.writing(), err_.writing());
      out_.close_writing();
      err_.close_writing();
      end_.level = level;
      return sandbox;
    } catch (const sandbox::NotStarted& error) {
      throw Stopped(error, error.code() == Exit::not_found ? 127 : 126, "volt");
    }
  }

  sandbox::Sandbox start() {
    if (given_.level) return start_at(*given_.level);
    try {
      return start_at(sandbox::Level::namespaces);
    } catch (const Error& error) {
      // What went wrong with this program would go wrong here as well, or should.
      if (error.code() != Exit::sandbox ||
          sandbox::availability(sandbox::Level::namespaces).works) {
        throw;
      }
      try {
        auto sandbox = start_at(sandbox::Level::landlock);
        sink_.send(Log{Log::Level::warning, "sandbox landlock, which hides no processes: " +
                                                error.text() + "; " + error.hint()});
        return sandbox;
      } catch (const Error& last) {
        if (last.code() != Exit::sandbox) throw;
        throw Error(Exit::sandbox, "no sandbox works here: " + error.text() + "; " + last.text(),
                    error.hint());
      }
    }
  }

  /// Until the program has ended or must be ended.
  void follow(sandbox::Sandbox& sandbox) {
    auto next_look = begin_;
    bool ended = false;
    while (!ended) {
      // While nobody takes what it prints the program waits, as it would for a reader of its own.
      const bool ready = sink_.ready();
      pollfd polled[4] = {{sandbox.fd(), POLLIN, 0},
                          {stopping_ ? -1 : interrupt_.fd, POLLIN, 0},
                          {ready && out_.open() ? out_.reading() : -1, POLLIN, 0},
                          {ready && err_.open() ? err_.reading() : -1, POLLIN, 0}};
      const auto now = Clock::now();
      const auto wait = std::chrono::duration_cast<milliseconds>(next_look - now).count();
      const auto most = ready ? wait : std::min<long>(wait, 10);
      if (::poll(polled, 4, static_cast<int>(std::max<long>(most, 0))) < 0 && errno != EINTR) {
        throw_system(errno, "cannot wait for the program", {}, Exit::failure);
      }
      const bool quiet = (polled[2].revents | polled[3].revents) == 0;
      if (polled[2].revents != 0 && !out_.pass(sink_)) out_.finish(sink_);
      if (polled[3].revents != 0 && !err_.pass(sink_)) err_.finish(sink_);
      ended = polled[0].revents != 0;
      if (Clock::now() < next_look) continue;
      if (quiet && ready) pause();
      look(sandbox);
      next_look = Clock::now() + look_every;
    }
  }

  void pause() {
    if (out_.open()) out_.pause(sink_);
    if (err_.open()) err_.pause(sink_);
  }

  void look(sandbox::Sandbox& sandbox) {
    const auto now = Clock::now();
    ask_to_end(sandbox, now);
    const auto usage = sandbox::usage_below(sandbox.root(), memory_limit_);
    Sample sample{now - begin_, usage.cpu, usage.memory_bytes, disk_bytes(now), usage.tasks, {}};
    sample.disk_bytes += usage.nameless_bytes + printed_bytes();
    end_.peak_memory_bytes = std::max(end_.peak_memory_bytes, sample.memory_bytes);
    end_.cpu = std::max(end_.cpu, sample.cpu);
    if (now >= next_sample_) {
      // Every second of a short run, and still a few thousand lines of a long one.
      next_sample_ = now + std::clamp<Clock::duration>((now - begin_) / 1000, 1s, 1min);
      sample.gpus = device::sample(end_.gpus);
      measure_(sample);
    }
    // The supervisor lets nobody look at it. For a second, for a process that is about to end
    // cannot be looked at either.
    const unsigned own = end_.level == sandbox::Level::namespaces ? 1 : 0;
    unseen_ = usage.unseen > own ? unseen_ + 1 : 0;
    if (unseen_ > 10 && (job_.limits.memory_bytes || job_.limits.disk_bytes)) {
      throw Stopped(Error(Exit::answer_is_no,
                          "the program was ended: it hides what it uses of memory and disk",
                          "a program that makes itself undumpable (prctl(2)) can have no limits of "
                          "those: leave them out"),
                    128 + SIGKILL, "limit");
    }
    if (sample.memory_bytes > memory_limit_) {
      throw_limit("it used more than the " + format_memory(memory_limit_) + " of memory",
                  "[limits] memory");
    }
    if (job_.limits.disk_bytes && sample.disk_bytes > *job_.limits.disk_bytes) {
      throw_limit("it wrote more than the " + format_memory(*job_.limits.disk_bytes) + " of disk",
                  "[limits] disk");
    }
    if (sample.tasks > task_limit_ + sandbox::Sandbox::own_tasks) {
      throw_limit("it had more than the " + std::to_string(task_limit_) + " processes and threads",
                  "[limits] processes");
    }
  }

  /// What it prints is kept as well.
  std::uint64_t printed_bytes() const { return out_.bytes() + err_.bytes(); }

  [[noreturn]] void throw_limit(const std::string& what, const std::string& key) const {
    throw Stopped(Error(Exit::answer_is_no, "the program was ended: " + what + " that it may",
                        "raise " + key + " in the job if it needs more"),
                  128 + SIGKILL, "limit");
  }

  /// Counting a folder takes its time; no more than a tenth of the run's goes into it.
  std::uint64_t disk_bytes(Clock::time_point now) {
    if (now < next_count_) return counted_;
    counted_ = scratch_.disk_bytes(job_.limits.disk_bytes.value_or(std::uint64_t{1} << 60));
    next_count_ = now + std::max<Clock::duration>(10 * (Clock::now() - now), look_every);
    return counted_;
  }

  /// A person's wish and the deadline take the same way: first SIGTERM, then what cannot be
  /// refused.
  void ask_to_end(sandbox::Sandbox& sandbox, Clock::time_point now) {
    if (!stopping_) {
      late_ = limit_ && now - begin_ >= *limit_;
      if (!late_ && !interrupt_.stop.stop_requested()) return;
      stopping_ = now;
      sandbox.signal(SIGTERM);
      sandbox.signal(SIGCONT);
    } else if (now - *stopping_ >= grace) {
      throw_stopped();
    }
  }

  [[noreturn]] void throw_stopped() const {
    if (!late_) throw Error(Exit::interrupted, "interrupted");
    throw Stopped(Error(Exit::timeout, "the time limit of " + format_duration(*limit_) + " is over",
                        "raise [limits] time or --timeout if the program needs more"),
                  124, "limit");
  }

  void drain() {
    // All writers are gone: what is in the pipes is all that there will be.
    for (auto* stream : {&out_, &err_}) {
      if (!stream->open()) continue;
      ::fcntl(stream->reading(), F_SETFL, O_NONBLOCK);
      pollfd polled{stream->reading(), POLLIN, 0};
      // A reader that takes nothing is not waited for: the run is over.
      while (::poll(&polled, 1, 0) > 0 && sink_.ready() && stream->pass(sink_)) {
      }
      if (stream->open()) stream->finish(sink_);
    }
  }

  const schema::Job& job_;
  const Scratch& scratch_;
  const Given& given_;
  Sink& sink_;
  const Interrupt& interrupt_;
  const std::function<void(const Sample&)>& measure_;
  Stream out_, err_;
  std::uint64_t memory_limit_ = 0, task_limit_ = 0, counted_ = 0;
  std::optional<std::chrono::seconds> limit_;
  Clock::time_point begin_, next_sample_, next_count_;
  std::optional<Clock::time_point> stopping_;
  bool late_ = false;
  unsigned unseen_ = 0;
  ProgramEnd end_;
};

}  // namespace

ProgramEnd run_program(const schema::Job& job, const Scratch& scratch, const Given& given,
                       Sink& sink, const Interrupt& interrupt,
                       const std::function<void(const Sample&)>& measure) {
  return Following(job, scratch, given, sink, interrupt, measure).perform();
}

}  // namespace volt::run
