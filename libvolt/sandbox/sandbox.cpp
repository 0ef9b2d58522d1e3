// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/sandbox.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/sandbox/bwrap.hpp"
#include "libvolt/sandbox/landlock.hpp"
#include "libvolt/sandbox/layout.hpp"
#include "libvolt/sandbox/remedy.hpp"
#include "libvolt/sandbox/supervisor.hpp"
#include "libvolt/sandbox/usage.hpp"
#include "libvolt/sandbox/user.hpp"

namespace volt::sandbox {
namespace {

using doc::Fields;
using doc::Value;

const doc::Source source{"supervisor", Exit::sandbox};
constexpr std::size_t max_line_bytes = std::size_t{1} << 16;
/// For a supervisor to end everything by itself, before it is done from here.
constexpr int patience_ms = 2'000;

/// The next line of the supervisor; empty when it is gone.
std::string next_line(int fd) {
  std::string line;
  for (char c = 0; line.size() < max_line_bytes;) {
    const auto count = ::read(fd, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return {};
    if (c == '\n') return line;
    line += c;
  }
  return {};
}

/// What somebody wrote into a pipe before he went.
std::string last_words(int fd) {
  std::string words(4096, '\0');
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  const auto count = ::read(fd, words.data(), words.size());
  words.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return std::string(trim(words));
}

struct Ends {
  host::Fd here, there;
  Ends() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
      throw_system(errno, "cannot make a socket", {}, Exit::sandbox);
    }
    here = host::Fd(fds[0]);
    there = host::Fd(fds[1]);
  }
};

host::Path own_file() {
  std::error_code error;
  auto path = std::filesystem::read_symlink(host::own_program(), error);
  if (error || !host::exists(path)) {
    throw Error(Exit::sandbox, "the program that runs is not on the disk any more",
                "it was replaced meanwhile: run the same command again");
  }
  return path;
}

/// Sets `options` to start bubblewrap, and in it the supervisor. What is returned must live until
/// it has started; `info` is where it says which process is the first of the namespace.
std::vector<host::Fd> enter_view(host::Child::Options& options, const Program& program, int info) {
  Bwrap bwrap = find_bwrap();
  options.program = std::move(bwrap.program);
  options.argv = std::move(bwrap.leading);
  View view = view_for(program, own_file());
  int number = first_view_fd;
  for (const auto& file : view.files) options.fds.emplace_back(file.get(), number++);
  options.fds.emplace_back(info, number);
  view.arguments.insert(view.arguments.end(), {"--info-fd", std::to_string(number++)});
  std::string joined;
  for (const auto& argument : view.arguments) (joined += argument) += '\0';
  host::Fd arguments(::memfd_create("bwrap", MFD_CLOEXEC));
  host::write_all(arguments.get(), joined);
  ::lseek(arguments.get(), 0, SEEK_SET);
  options.fds.emplace_back(arguments.get(), number);
  view.files.push_back(std::move(arguments));
  options.argv.insert(options.argv.end(),
                      {"--args", std::to_string(number), "--", supervisor_path});
  return std::move(view.files);
}

/// The process that bubblewrap has named: {"child-pid": 123, ...}.
host::Fd first_process(int info) {
  const auto bytes = host::read_whole(info);
  const auto text = as_text(bytes);
  const Value facts = doc::parse_json(text, "bubblewrap", {max_line_bytes, 4}, Exit::sandbox);
  const auto* pid = facts.find("child-pid");
  const auto* number = pid == nullptr ? nullptr : pid->get_if<std::int64_t>();
  if (number == nullptr) throw Error(Exit::sandbox, "bubblewrap does not say what it started");
  return host::Fd(static_cast<int>(::syscall(SYS_pidfd_open, *number, 0)));
}

/// A program of root's becomes another user's, with all that it may change.
Program with_user(Level level, Program program, int standard_output, int standard_error) {
  const bool able = level == Level::namespaces ? is_admin() : is_root();
  if (level == Level::none || !able) return program;
  program.user = fresh_user();
  const auto layout = layout_in(program.scratch);
  if (level == Level::landlock && !passable(program.scratch)) {
    throw Error(
        Exit::sandbox,
        "the program is to run as a user of its own, who cannot reach " +
            host::shown(program.scratch),
        "choose a place that others may enter: -o /var/tmp/NAME.run, or, to verify, another "
        "XDG_CACHE_HOME");
  }
  for (const auto& folder : {layout.work, layout.tmp, layout.home}) give(folder, program.user);
  // Opened again by name, as /dev/stdout, a pipe is a file of whoever made it.
  for (const int fd : {standard_output, standard_error}) {
    struct stat facts {};
    if (::fstat(fd, &facts) != 0 || !S_ISFIFO(facts.st_mode)) continue;
    static_cast<void>(::fchown(fd, program.user, program.user));
  }
  return program;
}

/// Where a program that the sandbox does not show lies here: a venv's python is a link to
/// elsewhere.
std::string where_it_is(const Program& program) {
  const host::Path name = program.argv.front();
  std::vector<host::Path> folders;
  for (const auto& shown : program.shown) folders.push_back(shown / "bin");
  for (const auto folder : split(host::environment("PATH").value_or(""), ':')) {
    folders.emplace_back(folder);
  }
  if (name.has_parent_path()) folders = {host::Path()};
  for (const auto& folder : folders) {
    std::error_code error;
    const auto real = std::filesystem::canonical(folder / name, error);
    if (error || host::is_folder(real)) continue;
    auto show = real.parent_path();
    if (show.filename() == "bin") show = show.parent_path();
    return "here it is " + host::shown(real) + ", which --host-path " + host::shown(show) +
           " would show";
  }
  return "it sees /usr, /bin, /opt, the job's inputs and what --host-path shows";
}

[[noreturn]] void throw_failed(const Value& message, const Program& program) {
  Fields fields(message, source);
  const auto& kind = fields.string("failed");
  const auto& why = fields.string("why");
  if (kind == "sandbox") throw Error(Exit::sandbox, why);
  const auto name = printable(program.argv.front());
  if (kind == "not found") {
    throw NotStarted(Exit::not_found, name + " is not found in the sandbox", where_it_is(program),
                     why);
  }
  throw NotStarted(Exit::answer_is_no, name + " cannot be executed", {}, why);
}

}  // namespace

std::string_view name_of(Level level) {
  if (level == Level::none) return "none";
  return level == Level::landlock ? "landlock" : "namespaces";
}

std::optional<Level> level_of(std::string_view name) {
  for (const auto level : levels) {
    if (name_of(level) == name) return level;
  }
  return std::nullopt;
}

Sandbox Sandbox::start(Level level, const Program& wanted, int standard_output,
                       int standard_error) {
  const Program program = with_user(level, wanted, standard_output, standard_error);
  Ends ends;
  host::Pipe talk;  // bubblewrap's own words, when it fails
  // Whom it started. No pipe: it would die of a reader that was killed, and leave a child that
  // waits for it for ever.
  const host::Fd info(::memfd_create("info", MFD_CLOEXEC));
  host::Child::Options options;
  options.environment.emplace();
  options.session = true;
  // The supervisor ends the program when this process is gone. Bubblewrap's own --die-with-parent
  // would kill it at a moment when its child waits for it, and would for ever.
  options.outlives = true;
  const host::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  options.fds = {{null.get(), 0},
                 {null.get(), 1},
                 {talk.write.get(), 2},
                 {ends.there.get(), channel_fd},
                 {standard_output, program_output_fd},
                 {standard_error, program_error_fd}};
  std::vector<host::Fd> files;
  if (level == Level::namespaces) {
    files = enter_view(options, program, info.get());
  } else {
    if (level == Level::landlock && landlock_version() == 0) {
      throw Error(Exit::sandbox, "this kernel has no Landlock", landlock_remedy());
    }
    options.program = host::own_program();
    options.argv = {"volt-sandbox"};
  }
  options.argv.emplace_back(supervisor_argument);
  options.argv.emplace_back(name_of(level));
  // What is left behind when one of those in between is killed becomes ours to end.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  Sandbox sandbox(level, host::Child::start(options), std::move(ends.here));
  ends.there = host::Fd();
  talk.write = host::Fd();
  try {
    host::write_all(sandbox.fd(), doc::to_canonical_json(to_value(program)) + "\n");
  } catch (const Error&) {
    // It is gone already, and has said why.
  }
  sandbox.await_start();
  const std::string line = next_line(sandbox.fd());
  if (line.empty()) {
    const auto words = last_words(talk.read.get());
    throw Error(Exit::sandbox, "cannot make the sandbox " + std::string(name_of(level)),
                level == Level::namespaces ? namespaces_remedy() : landlock_remedy(),
                printable(words, 400));
  }
  const Value message = doc::parse_json(line, "supervisor", {max_line_bytes, 4}, Exit::sandbox);
  if (level == Level::namespaces) sandbox.first_ = first_process(info.get());
  if (message.find("failed") != nullptr) throw_failed(message, program);
  return sandbox;
}

/// Until the supervisor says something. If what leads to it was killed, what is left of it becomes
/// this process's, and is ended.
void Sandbox::await_start() {
  const host::Fd child(static_cast<int>(::syscall(SYS_pidfd_open, child_.pid(), 0)));
  pollfd polled[2] = {{channel_.get(), POLLIN, 0}, {child.get(), POLLIN, 0}};
  while (::poll(polled, 2, -1) < 0 && errno == EINTR) {
  }
  if (polled[0].revents != 0 || polled[1].revents == 0) return;
  child_.wait();
  kill_below(::getpid(), std::chrono::milliseconds(patience_ms));
}

Sandbox::~Sandbox() { end(); }

/// Ends all that still runs, without asking anybody who may be kept from answering.
void Sandbox::end() {
  if (child_.pid() <= 0) return;
  channel_ = host::Fd();  // by which the supervisor knows that nobody wants the program any more
  pollfd ended{-1, POLLIN, 0};
  if (first_) {
    // The kernel ends a namespace with its first process, whatever goes on in it.
    ::syscall(SYS_pidfd_send_signal, first_.get(), SIGKILL, nullptr, 0);
    ended.fd = first_.get();
    ::poll(&ended, 1, patience_ms);
    return;
  }
  const host::Fd supervisor(static_cast<int>(::syscall(SYS_pidfd_open, child_.pid(), 0)));
  ended.fd = supervisor.get();
  if (!supervisor || ::poll(&ended, 1, patience_ms) <= 0) {
    kill_below(child_.pid(), std::chrono::milliseconds(patience_ms));
  }
}

void Sandbox::signal(int number) {
  const auto byte = static_cast<unsigned char>(number);
  static_cast<void>(::send(channel_.get(), &byte, 1, MSG_NOSIGNAL));
}

Ended Sandbox::wait() {
  const std::string line = next_line(channel_.get());
  // Told or not, bubblewrap would wait for whatever is left in its namespace.
  end();
  child_.wait();
  if (line.empty()) {
    if (level_ != Level::namespaces) kill_below(::getpid(), std::chrono::seconds(10));
    throw Error(Exit::sandbox, "the sandbox was ended from outside, or by the program",
                "nothing of the program is left; run the same command again");
  }
  const Value message = doc::parse_json(line, "supervisor", {max_line_bytes, 4}, Exit::sandbox);
  Fields fields(message, source);
  Fields end = fields.table("ended");
  Ended ended;
  ended.status = static_cast<int>(end.integer("status", 0, 255));
  ended.signal = static_cast<int>(end.integer("signal", 0, 127));
  ended.peak_memory_bytes =
      static_cast<std::uint64_t>(end.integer("peak_memory_bytes", 0, INT64_MAX));
  ended.cpu = std::chrono::nanoseconds(end.integer("cpu_ns", 0, INT64_MAX));
  return ended;
}

Availability availability(Level level) {
  Availability found{level, true, {}, {}};
  const host::TemporaryFolder folder(host::environment("TMPDIR").value_or("/tmp"));
  // Root's programs run as somebody else, and must find their way.
  ::chmod(folder.path().c_str(), 0711);
  Program nothing;
  nothing.scratch = folder.path();
  const auto layout = layout_in(nothing.scratch);
  try {
    for (const auto& own : {layout.work, layout.inputs, layout.tmp, layout.home}) {
      host::make_folder(own);
    }
    const host::Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    Sandbox::start(level, nothing, null.get(), null.get()).wait();
  } catch (const Error& error) {
    found = {level, false, error.text(), error.hint()};
  }
  return found;
}

}  // namespace volt::sandbox
