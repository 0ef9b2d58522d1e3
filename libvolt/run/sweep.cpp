// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/sweep.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <list>
#include <map>
#include <utility>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/host/process.hpp"
#include "libvolt/proof/consistency.hpp"
#include "libvolt/run/attempt.hpp"
#include "libvolt/run/runs.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::run {
namespace {

using doc::Value;
using Clock = std::chrono::steady_clock;
using State = Point::State;
using Files = std::map<std::string, Digest>;

const doc::Source point_source{"point", Exit::failure}, sweep_source{"sweep.json", Exit::usage};
constexpr std::string_view sweep_schema = "volt.sweep/1";
/// Of sweep.json: settings may be long, and the points many.
constexpr std::size_t max_sweep_bytes = std::size_t{1} << 30;
/// Of one line of a child: the result, with the names of all outputs.
constexpr std::size_t max_line_bytes = std::size_t{8} << 20;
/// Between two writes of sweep.json, which for many points is long.
constexpr std::chrono::seconds note_every{1};

std::string_view name_of(State state) {
  if (state == State::complete) return "complete";
  return state == State::failed ? "failed" : "missing";
}

/// A file without a name that holds `text`, to be read from its beginning: unlike a pipe it takes
/// all at once, whether its reader still lives or not.
host::Fd holding(std::string_view text) {
  host::Fd file(::memfd_create("job", MFD_CLOEXEC));
  if (!file) throw_system(errno, "cannot hold a job in memory", {}, Exit::failure);
  host::write_all(file.get(), text);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) throw_system(errno, "cannot rewind a job");
  return file;
}

/// One point on its way.
class Running {
 public:
  Running(std::size_t point, const host::Child::Options& options, host::Pipe pipe)
      : point_(point), child_(host::Child::start(options)), answer_(std::move(pipe.read)) {}

  std::size_t point() const { return point_; }
  int fd() const { return answer_.get(); }
  Clock::duration elapsed() const { return Clock::now() - begin_; }
  void ask_to_end() const { child_.kill(SIGTERM); }

  /// Takes what is there, of which only the last line matters; false at the end.
  bool take() {
    char piece[65536];
    const auto count = ::read(answer_.get(), piece, sizeof piece);
    if (count < 0 && errno == EINTR) return true;
    if (count <= 0) return false;
    for (const char c : std::string_view(piece, static_cast<std::size_t>(count))) {
      if (std::exchange(ended_, c == '\n')) line_.clear();
      if (c != '\n' && line_.size() < max_line_bytes) line_ += c;
    }
    return true;
  }

  /// Why it failed; empty: it did not.
  std::string wait() {
    const auto ended = child_.wait();
    if (ended.signal != 0) return "it was killed by signal " + std::to_string(ended.signal);
    if (ended.status == 0) return {};
    std::string plain = "it ended with status " + std::to_string(ended.status);
    try {
      const Value last = doc::parse_json(line_, "point", {max_line_bytes, 8}, Exit::failure);
      doc::Fields fields(last, point_source);
      if (fields.has("message")) {
        return Error(Exit::failure, fields.string("message"), {}, fields.string("cause")).text();
      }
      return "the program ended with status " + std::to_string(fields.integer("status", 1, 255));
    } catch (const Error&) {
      return plain;
    }
  }

 private:
  std::size_t point_;
  Clock::time_point begin_ = Clock::now();
  host::Child child_;
  host::Fd answer_;
  std::string line_;
  bool ended_ = false;
};

class SweepRun {
 public:
  SweepRun(const JobFile& file, const SweepOptions& options, Sink& sink, const Interrupt& interrupt)
      : file_(file), sweep_(*file.sweep), options_(options), sink_(sink), interrupt_(interrupt) {
    outcome_.folder = options.folder.empty() ? usual_folder(file) : options.folder;
    for (std::size_t i = 0; i < sweep_.size(); ++i) {
      outcome_.points.push_back({outcome_.folder / sweep_.label(i), State::missing, {}});
    }
  }

  SweepOutcome perform() {
    check();
    open_folder();
    look();
    note();
    follow();
    note();
    if (stopping_) throw Error(Exit::interrupted, "interrupted");
    return std::move(outcome_);
  }

 private:
  void refuse_stop() const {
    if (interrupt_.stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
  }

  /// Before anything runs: every point is a job, and what the chosen ones read is there.
  void check() {
    auto chosen = options_.points.begin();
    crypto::Sha256 digest;
    for (std::size_t i = 0; i < sweep_.size(); ++i) {
      refuse_stop();
      const auto job = options_.job(i);
      digest.update(identity_of(job).bytes);
      if (chosen == options_.points.end() || *chosen != i) continue;
      ++chosen;
      during("checking point " + sweep_.title(i),
             [&] { inputs::check_present(job, options_.places); });
    }
    identity_ = digest.finish();
  }

  void open_folder() {
    const auto& folder = outcome_.folder;
    host::make_own_folder(folder / ".volt");
    lock_ = host::Lock::take(folder / ".volt" / "lock");
    if (!lock_) {
      throw Error(Exit::conflict, "another process works in " + host::shown(folder),
                  "wait for it, or choose another folder with -o");
    }
    if (host::exists(folder / "receipt.json") || host::exists(folder / ".volt" / "journal.jsonl")) {
      throw Error(Exit::conflict, host::shown(folder) + " holds a run that is no sweep",
                  "choose another folder with -o");
    }
    if (host::exists(folder / "sweep.json") && !options_.force && earlier() != identity_) {
      throw Error(Exit::conflict, host::shown(folder) + " holds a sweep of another job",
                  "choose another folder with -o, or run all anew with --force");
    }
  }

  /// What the sweep that is there is one of; none when sweep.json is not ours.
  std::optional<Digest> earlier() const {
    const auto text = host::read_file(outcome_.folder / "sweep.json", max_sweep_bytes);
    try {
      const Value value = doc::parse_json(text, "sweep.json", {max_sweep_bytes, 40});
      return doc::Fields(value, sweep_source).digest("job");
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  /// Which points are complete already, and which are to be run.
  void look() {
    for (std::size_t i = 0; i < sweep_.size(); ++i) {
      refuse_stop();
      if (is_complete(i)) outcome_.points[i].state = State::complete;
    }
    for (const auto i : options_.points) {
      auto& state = outcome_.points[i].state;
      if (options_.force) state = State::missing;
      if (state == State::missing) waiting_.push_back(i);
    }
    done_ = options_.points.size() - waiting_.size();
    if (done_ == 0) return;
    sink_.send(Log{Log::Level::info, std::to_string(done_) + " of " +
                                         std::to_string(options_.points.size()) +
                                         " points are complete already"});
  }

  /// Whether a point's folder has the run of this very job with these very inputs.
  bool is_complete(std::size_t point) {
    const auto& folder = outcome_.points[point].folder;
    if (run::state_of(folder) != run::State::done) return false;
    const auto job = options_.job(point);
    const auto& files = files_of(job);
    try {
      const auto read = [&](const char* name) {
        return host::read_file(folder / name, schema::max_document_bytes);
      };
      const auto opened = schema::open_receipt(read("receipt.json"), "receipt.json");
      const auto& receipt = opened.receipt;
      // One that somebody else made is no reason not to run it.
      if (opened.signer.id() != options_.signer) return false;
      const auto text = read("job.json");
      if (crypto::sha256(as_bytes(text)) != receipt.job) return false;
      const auto earlier =
          schema::parse_job(doc::parse_json(text, "job.json"), {"job.json", Exit::usage}, "job");
      Files had;
      for (const auto& input : receipt.inputs) {
        if (input.sha256) had.emplace(input.name, *input.sha256);
      }
      return identity_of(earlier) == identity_of(job) && had == files &&
             proof::contradiction(receipt, earlier).empty() && has_outputs(folder, receipt);
    } catch (const Error&) {
      return false;
    }
  }

  bool has_outputs(const host::Path& folder, const schema::Receipt& receipt) {
    return std::ranges::all_of(receipt.outputs, [&](const schema::OutputRecord& output) {
      const host::Fd fd = host::open_file(folder / output.name);
      return inputs::digest_of(fd.get(), output.name, sink_, {}) == output.sha256;
    });
  }

  /// The input files of a job with their digests. Most points have the same.
  const Files& files_of(const schema::Job& job) {
    schema::Job named;
    named.workload = job.workload;
    named.matmul.a = job.matmul.a;
    named.matmul.b = job.matmul.b;
    named.command.inputs = job.command.inputs;
    for (auto& [name, input] : named.inputs()) {
      if (input->seeded() != nullptr) *input = {};
    }
    const auto [at, fresh] = files_.try_emplace(identity_of(named).hex());
    if (!fresh) return at->second;
    for (const auto& found : inputs::find(job, options_.places, sink_, interrupt_.stop)) {
      at->second.emplace(found.name, found.sha256);
    }
    return at->second;
  }

  void follow() {
    tell_progress();
    auto next = waiting_.begin();
    for (;;) {
      while (!stopping_ && running_.size() < options_.at_once && next != waiting_.end()) {
        start(*next++);
      }
      if (running_.empty()) return;
      wait();
    }
  }

  void wait() {
    std::vector<pollfd> polled{{stopping_ ? -1 : interrupt_.fd, POLLIN, 0}};
    for (const auto& one : running_) polled.push_back({one.fd(), POLLIN, 0});
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      throw_system(errno, "cannot wait for the points", {}, Exit::failure);
    }
    if (!stopping_ && interrupt_.stop.stop_requested()) {
      stopping_ = true;
      for (const auto& one : running_) one.ask_to_end();
    }
    auto entry = polled.begin();
    for (auto one = running_.begin(); one != running_.end();) {
      if ((++entry)->revents == 0 || one->take()) {
        ++one;
      } else {
        finish(*one);
        one = running_.erase(one);
      }
    }
  }

  void start(std::size_t point) {
    const host::Fd job = holding(doc::to_canonical_json(schema::to_value(options_.job(point))));
    const auto folder = std::filesystem::absolute(outcome_.points[point].folder);
    host::Pipe answer;
    host::Child::Options options;
    options.program = host::own_program();
    options.argv = {"gpu-run", "-", "--json", "--output=" + folder.string()};
    options.argv.insert(options.argv.end(), options_.arguments.begin(), options_.arguments.end());
    options.fds = {{job.get(), 0}, {answer.write.get(), 1}, {STDERR_FILENO, 2}};
    options.folder = file_.folder;
    options.session = true;  // Ctrl-C is for this process, which asks its children once
    running_.emplace_back(point, options, std::move(answer));
  }

  void finish(Running& one) {
    const auto i = one.point();
    auto& point = outcome_.points[i];
    point.error = one.wait();
    if (stopping_ && !point.error.empty()) {
      point.error.clear();  // it is missing, and nobody's fault
      return;
    }
    point.state = point.error.empty() ? State::complete : State::failed;
    ++done_;
    failed_ += point.state == State::failed ? 1 : 0;
    const auto how = point.error.empty() ? "done in " + format_duration(one.elapsed())
                                         : "failed: " + point.error;
    sink_.send(Log{Log::Level::info, sweep_.title(i) + ": " + how});
    tell_progress();
    if (Clock::now() - noted_ >= note_every) note();
  }

  void tell_progress() const {
    const std::string failed = failed_ == 0 ? "" : ", " + std::to_string(failed_) + " failed";
    sink_.send(Progress{"sweep" + failed, done_, options_.points.size(), "points"});
  }

  /// sweep.json: for people and scripts; of what it says only the digest is ever read.
  void note() {
    Value::Array points;
    for (std::size_t i = 0; i < sweep_.size(); ++i) {
      const auto& point = outcome_.points[i];
      Value::Object members{{"index", static_cast<std::int64_t>(i)},
                            {"folder", sweep_.label(i)},
                            {"settings", sweep_.settings(i)},
                            {"state", name_of(point.state)}};
      if (!point.error.empty()) members.emplace_back("error", printable(point.error, 4000));
      points.emplace_back(std::move(members));
    }
    const Value document = Value::Object{{"schema", sweep_schema},
                                         {"name", file_.job.name},
                                         {"job", identity_.hex()},
                                         {"points", std::move(points)}};
    host::write_file(outcome_.folder / "sweep.json", doc::to_json(document) + "\n");
    noted_ = Clock::now();
  }

  const JobFile& file_;
  const schema::Sweep& sweep_;
  const SweepOptions& options_;
  Sink& sink_;
  const Interrupt& interrupt_;
  SweepOutcome outcome_;
  Digest identity_;
  std::optional<host::Lock> lock_;
  std::map<std::string, Files> files_;  ///< by what names them
  std::vector<std::size_t> waiting_;
  std::list<Running> running_;
  std::size_t done_ = 0, failed_ = 0;
  bool stopping_ = false;
  Clock::time_point noted_;
};

}  // namespace

SweepOutcome run_sweep(const JobFile& file, const SweepOptions& options, Sink& sink,
                       const Interrupt& interrupt) {
  return SweepRun(file, options, sink, interrupt).perform();
}

}  // namespace volt::run
