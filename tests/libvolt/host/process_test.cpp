// SPDX-License-Identifier: Apache-2.0
#include "libvolt/host/process.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <sstream>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using namespace volt::host;

namespace {

std::string read_to_end(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

Child::Options shell(const std::string& script, std::vector<std::pair<int, int>> fds = {}) {
  return {{"sh", "-c", script}, "/bin/sh", std::move(fds)};
}

/// The descriptors above 2 that a child has when `fds` are handed over.
std::set<int> descriptors_of_child(std::vector<std::pair<int, int>> fds) {
  Pipe pipe;
  fds.emplace_back(pipe.write.get(), 1);
  Child child = Child::start(shell("ls /proc/$$/fd; :", std::move(fds)));
  pipe.write = Fd();
  std::istringstream words(read_to_end(pipe.read.get()));
  child.wait();
  std::set<int> numbers;
  for (int number; words >> number;) {
    if (number > 2) numbers.insert(number);
  }
  return numbers;
}

}  // namespace

TEST_CASE("a child's exit status and signal are told apart") {
  CHECK(Child::start(shell("exit 0")).wait().status == 0);
  const auto seven = Child::start(shell("exit 7")).wait();
  CHECK(seven.status == 7);
  CHECK(seven.signal == 0);
  CHECK(Child::start(shell("kill -TERM $$")).wait().signal == SIGTERM);
  Child sleeper = Child::start(shell("exec sleep 1000"));
  sleeper.kill(SIGKILL);
  CHECK(sleeper.wait().signal == SIGKILL);
}

TEST_CASE("a child gets its arguments as they are") {
  Pipe pipe;
  Child child = Child::start({{"sh", "-c", "printf '%s|' \"$0\" \"$@\"", "name", "a b", "", "*"},
                              "/bin/sh",
                              {{pipe.write.get(), 1}}});
  pipe.write = Fd();
  CHECK(read_to_end(pipe.read.get()) == "name|a b||*|");
  CHECK(child.wait().status == 0);
}

TEST_CASE("descriptors arrive under their numbers, even where ours and the child's cross") {
  const TempFolder folder;
  const Fd a = open_file(folder.write("a", "text of a")), b = open_file(folder.write("b", "b's"));
  Pipe pipe;
  // a under b's number and the other way round.
  const std::string na = std::to_string(a.get()), nb = std::to_string(b.get());
  Child child =
      Child::start(shell("cat <&" + nb + "; echo; cat <&" + na,
                         {{a.get(), b.get()}, {b.get(), a.get()}, {pipe.write.get(), 1}}));
  pipe.write = Fd();
  CHECK(read_to_end(pipe.read.get()) == "text of a\nb's");
  CHECK(child.wait().status == 0);
}

TEST_CASE("one descriptor may be handed over twice, and under its own number") {
  Pipe pipe;
  const int own = pipe.write.get();
  Child child = Child::start(shell("echo out; echo err >&2; echo own >&" + std::to_string(own),
                                   {{own, 1}, {own, 2}, {own, own}}));
  pipe.write = Fd();
  CHECK(read_to_end(pipe.read.get()) == "out\nerr\nown\n");
  CHECK(child.wait().status == 0);
}

TEST_CASE("a child has no descriptor of volt's that was not named") {
  const TempFolder folder;
  const Fd secret = open_file(folder.write("key", "secret"));
  const Fd named = open_file(folder / "key");
  const Pipe pipe;
  const auto numbers = descriptors_of_child({{named.get(), 90}});
  CHECK(numbers.count(90) == 1);
  for (const int fd : {secret.get(), named.get(), pipe.read.get(), pipe.write.get()}) {
    CHECK(numbers.count(fd) == 0);
  }
}

TEST_CASE("a child has no descriptor that this process was itself handed, unless it is named") {
  const int inherited = ::open("/dev/null", O_RDONLY);  // not close-on-exec, as from a parent
  REQUIRE(inherited > 2);
  const auto numbers = descriptors_of_child({});
  ::close(inherited);
  CHECK(numbers.count(inherited) == 0);
}

TEST_CASE("a program that cannot be started is an error that says why") {
  const TempFolder folder;
  CHECK(message_of([&] {
          Child::start({{"x"}, folder / "none", {}});
        }) == "cannot start " + (folder / "none").string() + ": No such file or directory");
  folder.write("text", "no program");
  CHECK(message_of([&] {
          Child::start({{"x"}, folder / "text", {}});
        }) == "cannot start " + (folder / "text").string() +
                  ": Permission denied [check who owns the file and its mode]");
}

TEST_CASE("a failed start is reported wherever the named descriptors go, and writes into none") {
  const TempFolder folder;
  const Fd file(::open((folder / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(file);
  std::vector<std::pair<int, int>> fds;
  for (int number = 3; number < 40; ++number) fds.emplace_back(file.get(), number);
  const std::string message = message_of([&] {
    Child::start({{"x"}, folder / "none", fds}).wait();
  });
  CHECK(message.starts_with("cannot start "));
  CHECK(folder.read("out").empty());
}

TEST_CASE("a descriptor that is not open cannot be handed over") {
  CHECK(message_of([] { Child::start(shell("true", {{-1, 5}})); }).starts_with("cannot start "));
}

TEST_CASE("a child's peak memory is told") {
  // The shell reads 64 MiB into one variable.
  const auto ended =
      Child::start(shell("x=$(head -c 67108864 /dev/zero | tr '\\0' x); test ${#x} = 67108864"))
          .wait();
  CHECK(ended.status == 0);
  CHECK(ended.peak_memory_bytes >= std::uint64_t{64} << 20);
  CHECK(ended.peak_memory_bytes < std::uint64_t{4} << 30);
}

TEST_CASE("a child that is dropped is killed and reaped") {
  pid_t pid = 0;
  {
    const Child child = Child::start(shell("exec sleep 1000"));
    pid = child.pid();
    CHECK(::kill(pid, 0) == 0);
  }
  CHECK(::kill(pid, 0) != 0);
}

TEST_CASE("a child dies with its parent, however that dies") {
  // The grandchild holds the pipe's end open as long as it lives.
  Pipe alive, started;
  const pid_t parent = ::fork();
  REQUIRE(parent >= 0);
  if (parent == 0) {
    const Child child = Child::start(
        shell("echo >&4; exec sleep 1000", {{alive.write.get(), 3}, {started.write.get(), 4}}));
    for (;;) ::pause();
  }
  alive.write = Fd();
  started.write = Fd();
  char byte = 0;
  CHECK(::read(started.read.get(), &byte, 1) == 1);
  pollfd wait{alive.read.get(), POLLIN, 0};
  CHECK(::poll(&wait, 1, 0) == 0);  // it lives
  ::kill(parent, SIGKILL);
  REQUIRE(::waitpid(parent, nullptr, 0) == parent);
  REQUIRE(::poll(&wait, 1, 60'000) == 1);
  CHECK(::read(alive.read.get(), &byte, 1) == 0);
}

TEST_CASE("a child starts with no signal blocked and with SIGPIPE as it was by default") {
  sigset_t some, before;
  sigemptyset(&some);
  sigaddset(&some, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &some, &before);
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  const auto terminated = Child::start(shell("kill -TERM $$; exit 0")).wait();
  const auto broken = Child::start(shell("kill -PIPE $$; exit 0")).wait();
  ::signal(SIGPIPE, old);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  CHECK(terminated.signal == SIGTERM);
  CHECK(broken.signal == SIGPIPE);
}

TEST_CASE("a process is opened by its name, and no other that has its number") {
  const auto own = own_name();
  CHECK(own.pid == ::getpid());
  CHECK(own == own_name());
  CHECK(open_process(own));
  for (const auto& other : {ProcessName{own.pid, own.started + 1, own.boot},
                            ProcessName{own.pid, own.started, "another"}, ProcessName{},
                            ProcessName{-1, own.started, own.boot}}) {
    CHECK_FALSE(open_process(other));
  }
}

TEST_CASE("a process is signalled through its descriptor as long as it is there") {
  Pipe names;
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const auto name = own_name();
    [[maybe_unused]] const auto sent =
        ::write(names.write.get(), &name.started, sizeof name.started);
    for (;;) ::pause();
  }
  ProcessName name{pid, 0, own_name().boot};
  REQUIRE(::read(names.read.get(), &name.started, sizeof name.started) == sizeof name.started);
  const auto process = open_process(name);
  REQUIRE(process);
  CHECK(signal_process(process, SIGKILL));
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  CHECK_FALSE(signal_process(process, SIGKILL));
  CHECK_FALSE(open_process(name));
}
