// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/usage.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using namespace volt::sandbox;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;
using host::Fd;
constexpr std::uint64_t megabyte = 1'000'000, size = 100 * megabyte;

/// What a test and all its children share.
struct Shared {
  std::atomic<int> done = 0;
  std::atomic<bool> stop = false;
  std::array<std::atomic<pid_t>, 3> pids{};
};

/// This process as a reaper of orphans; none of its children outlives the test.
class Reaper {
 public:
  Reaper() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    void* memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    shared_ = new (memory) Shared;
  }
  ~Reaper() {
    shared_->stop = true;
    CHECK(kill_below(::getpid(), 60s));
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
    ::munmap(shared_, sizeof(Shared));
  }
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  Shared* operator->() const { return shared_; }

  /// Waits until children have added so much to `done`.
  void await(int done) const {
    const auto deadline = Clock::now() + 60s;
    while (shared_->done < done && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
    REQUIRE(shared_->done >= done);
  }

 private:
  Shared* shared_;
};

/// A child that does `work` and then waits to be killed.
template <class Work>
pid_t start(Work&& work) {
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid > 0) return pid;
  work();
  for (;;) ::pause();
}

void allocate(int sharing = MAP_PRIVATE) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ::_exit(1);
  std::memset(memory, 1, size);
}

void fill(int fd) {
  static char block[megabyte];
  for (std::uint64_t done = 0; done < size; done += megabyte) {
    if (::write(fd, block, megabyte) != megabyte) ::_exit(1);
  }
}

int filled_memfd() {
  const int fd = ::memfd_create("test", MFD_CLOEXEC);
  if (fd < 0) ::_exit(1);
  fill(fd);
  return fd;
}

void map_all(int fd) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) ::_exit(1);
  std::memset(memory, 1, size);
}

void spin(std::chrono::nanoseconds much) {
  timespec used{};
  do {
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec) < much);
}

std::uint64_t cheap_memory() { return usage_below(::getpid(), 0).memory_bytes; }
std::uint64_t exact_memory(std::uint64_t limit) {
  return usage_below(::getpid(), limit).memory_bytes;
}

/// Within what a few processes need besides.
bool about(std::uint64_t bytes, std::uint64_t expected) {
  return bytes > expected - 5 * megabyte && bytes < expected + 25 * megabyte;
}

bool contains(const std::vector<pid_t>& pids, pid_t pid) {
  return std::ranges::find(pids, pid) != pids.end();
}

/// A folder that is not kept in memory; empty when there is none.
std::string folder_on_disk() {
  for (const char* folder : {"/tmp", "/var/tmp", "."}) {
    struct statfs facts {};
    if (::statfs(folder, &facts) == 0 && facts.f_type != TMPFS_MAGIC) return folder;
  }
  return {};
}

/// Ever more processes, or ever other ones.
enum class Bomb { many, daemons, hopping };

[[noreturn]] void explode(Bomb bomb, const Reaper& reaper) {
  const auto deadline = Clock::now() + 60s;
  while (!reaper->stop && Clock::now() < deadline) {
    ++reaper->done;
    if (bomb == Bomb::many) {
      if (::fork() < 0) continue;
    } else if (bomb == Bomb::hopping) {
      if (::fork() > 0) ::_exit(0);
    } else if (::fork() == 0) {
      ::setsid();
      if (::fork() > 0) ::_exit(0);
    }
  }
  ::_exit(0);
}

/// As a user without privileges, who has no other processes.
void become_other(uid_t user) {
  if (::setgroups(0, nullptr) != 0 || ::setgid(user) != 0 || ::setuid(user) != 0) ::_exit(1);
  ::prctl(PR_SET_DUMPABLE, 1);
}

bool write_to(const std::string& path, const std::string& text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// Keeps a bomb from taking the machine down: a cgroup for root, which no other limit binds.
class Cage {
 public:
  Cage() {
    if (::geteuid() != 0) return;
    for (const std::string all : {"/sys/fs/cgroup/pids", "/sys/fs/cgroup"}) {
      folder_ = all + "/volt-test-" + std::to_string(::getpid());
      if (::mkdir(folder_.c_str(), 0700) != 0) continue;
      if (write_to(folder_ + "/pids.max", std::to_string(most))) return;
      ::rmdir(folder_.c_str());
    }
    usable_ = false;
  }
  ~Cage() {
    if (!usable_ || folder_.empty()) return;
    for (int i = 0; i < 1000 && ::rmdir(folder_.c_str()) != 0 && errno == EBUSY; ++i) {
      std::this_thread::sleep_for(1ms);
    }
    CHECK(::access(folder_.c_str(), F_OK) != 0);
  }
  Cage(const Cage&) = delete;
  Cage& operator=(const Cage&) = delete;

  bool usable() const {
    if (!usable_) MESSAGE("skipped: no cgroup can be made that limits processes");
    return usable_;
  }

  /// Puts the calling process into it.
  void enter() const {
    const auto limit = static_cast<rlim_t>(tasks_of_user() + most);
    const rlimit both{limit, limit};
    if (::geteuid() == 0 ? !write_to(folder_ + "/cgroup.procs", "0")
                         : ::setrlimit(RLIMIT_NPROC, &both) != 0) {
      ::_exit(1);
    }
  }

 private:
  static constexpr int most = 300;
  std::string folder_;
  bool usable_ = true;
};

}  // namespace

TEST_CASE("below are children, theirs, and orphans; not the root, nor what is beside it") {
  const Reaper reaper;
  const pid_t beside = start([] {});
  const pid_t root = start([&] {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    reaper->pids[0] = start([&] { reaper->pids[1] = start([&] { ++reaper->done; }); });
    start([&] {
      // A daemon: in a session of its own, without the parent that it had.
      const pid_t parent = ::getpid();
      if (::fork() != 0) ::_exit(0);
      ::setsid();
      while (::getppid() == parent) std::this_thread::sleep_for(1ms);
      reaper->pids[2] = ::getpid();
      ++reaper->done;
    });
  });
  reaper.await(2);
  const auto below = processes_below(root);
  for (const pid_t pid : reaper->pids) CHECK(contains(below, pid));
  CHECK(!contains(below, root));
  CHECK(!contains(below, beside));
  CHECK(processes_below(beside).empty());
  const auto ours = processes_below(::getpid());
  for (const pid_t pid : reaper->pids) CHECK(contains(ours, pid));
  CHECK(contains(ours, root));
  CHECK(contains(ours, beside));

  CHECK(kill_below(root, 60s));
  // What the root does not reap is still there, but only as a number.
  CHECK(usage_below(root, 0).memory_bytes == 0);
  int status = 0;
  CHECK(::waitpid(root, &status, WNOHANG) == 0);
  CHECK(::waitpid(beside, &status, WNOHANG) == 0);
}

TEST_CASE("a program's name is whatever it likes") {
  const Reaper reaper;
  for (const char* name : {") R 1 (", "a\n1 (b) S 1 1", "))))) Z 1 1 1 1", ""}) {
    start([&] {
      ::prctl(PR_SET_NAME, name);
      start([&] {
        ::prctl(PR_SET_NAME, name);
        ++reaper->done;
      });
    });
  }
  reaper.await(4);
  CHECK(processes_below(::getpid()).size() == 8);
  const auto usage = usage_below(::getpid(), 0);
  CHECK(usage.tasks == 8);
  CHECK(usage.memory_bytes > 0);
}

TEST_CASE("tasks are threads, those of a process whose first one ended as well") {
  const Reaper reaper;
  const auto work = [&] {
    for (int i = 0; i < 3; ++i) {
      std::thread([] {
        for (;;) ::pause();
      }).detach();
    }
    ++reaper->done;
  };
  start(work);
  reaper.await(1);
  CHECK(usage_below(::getpid(), 0).tasks == 4);
  const pid_t leaderless = start([&] {
    work();
    allocate();
    const Fd nameless(filled_memfd());
    ++reaper->done;
    ::syscall(SYS_exit, 0);
  });
  reaper.await(3);
  while (::access(("/proc/" + std::to_string(leaderless) + "/cwd").c_str(), F_OK) == 0) {
    std::this_thread::sleep_for(1ms);
  }
  const auto usage = usage_below(::getpid(), 0);
  CHECK(usage.tasks == 8);
  CHECK(about(usage.memory_bytes, 2 * size));
  // Counted exactly: the first process's stacks are all that the limit leaves out.
  CHECK(about(exact_memory(usage.memory_bytes - 1), 2 * size));
}

TEST_CASE("tasks of a user are threads of all its processes, whether they are looked at or not") {
  const Reaper reaper;
  const bool alone = ::geteuid() == 0;
  start([&] {
    if (alone) become_other(54321);
    ::prctl(PR_SET_DUMPABLE, 0);
    start([&] {
      std::thread([] {
        for (;;) ::pause();
      }).detach();
      ++reaper->done;
    });
    reaper.await(1);
    reaper->pids[0] = static_cast<pid_t>(tasks_of_user());
    ++reaper->done;
  });
  reaper.await(2);
  CHECK(reaper->pids[0] >= 3);
  if (alone) CHECK(reaper->pids[0] == 3);
}

TEST_CASE("memory that processes share is counted once when it is counted exactly") {
  const Reaper reaper;
  for (const int sharing : {MAP_PRIVATE, MAP_SHARED}) {
    reaper->done = 0;
    start([&] {
      allocate(sharing);
      for (int i = 0; i < 3; ++i) start([&] { ++reaper->done; });
      ++reaper->done;
    });
    reaper.await(4);
    CHECK(about(exact_memory(2 * size), size));
    // Not exactly without need.
    if (sharing == MAP_PRIVATE) CHECK(exact_memory(1'000'000 * megabyte) > 4 * size);
    CHECK(kill_below(::getpid(), 60s));
  }
}

TEST_CASE("a process between vfork and exec does not count its parent's memory again") {
  const Reaper reaper;
  start([&] {
    allocate();
    // As vfork() does, with a stack of its own.
    static char stack[65536];
    const auto child = [](void* done) -> int {
      ++*static_cast<std::atomic<int>*>(done);
      for (;;) ::pause();
    };
    ::clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &reaper->done);
  });
  reaper.await(1);
  CHECK(cheap_memory() > 2 * size);
  CHECK(about(exact_memory(2 * size), size));
}

TEST_CASE("a file in memory without a name counts once, written or mapped, open here or there") {
  const Reaper reaper;
  start([&] {
    const Fd file(filled_memfd()), again(::dup(file.get()));
    for (int i = 0; i < 2; ++i) start([&] { ++reaper->done; });
    reaper.await(2);
    ++reaper->done;
    while (reaper->done < 4) std::this_thread::sleep_for(1ms);
    map_all(file.get());
    start([&] {
      map_all(file.get());
      ++reaper->done;
    });
    ++reaper->done;
    for (;;) ::pause();
  });
  reaper.await(3);
  CHECK(about(cheap_memory(), size));
  CHECK(about(exact_memory(2 * size), size));
  CHECK(usage_below(::getpid(), 0).nameless_bytes == 0);
  ++reaper->done;
  reaper.await(6);
  CHECK(cheap_memory() > 3 * size);
  CHECK(about(exact_memory(2 * size), size));
}

TEST_CASE("a removed file that is open still takes its place on the disk") {
  const std::string folder = folder_on_disk();
  if (folder.empty()) return;
  const Reaper reaper;
  const int named = 2;
  for (int i = 0; i <= named; ++i) {
    start([&] {
      std::string path = folder + "/volt-test-XXXXXX";
      const Fd file(::mkstemp(path.data()));
      fill(file.get());
      ::unlink(path.c_str());
      start([&] { ++reaper->done; });
      for (;;) ::pause();
    });
  }
  reaper.await(named + 1);
  const auto usage = usage_below(::getpid(), 0);
  CHECK(about(usage.nameless_bytes, 3 * size));
  CHECK(usage.memory_bytes < size);
  CHECK(usage.unseen == 0);
}

TEST_CASE("one with very many open files is not looked at for ever, and does not hide others") {
  const Reaper reaper;
  const auto many = [&] {
    for (int i = 0; i < 900; ++i) ::dup(0);
    ++reaper->done;
  };
  for (int i = 0; i < 30; ++i) start(many);
  start([&] {
    filled_memfd();
    ++reaper->done;
  });
  reaper.await(31);
  const auto usage = usage_below(::getpid(), 0);
  CHECK(usage.unseen > 0);
  CHECK(usage.unseen <= 30);
  CHECK(usage.memory_bytes > size);
}

TEST_CASE("processor time is that of the living and of those they waited for") {
  const Reaper reaper;
  start([&] {
    spin(300ms);
    const pid_t child = ::fork();
    if (child == 0) {
      spin(300ms);
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    ++reaper->done;
  });
  reaper.await(1);
  const auto cpu = usage_below(::getpid(), 0).cpu;
  CHECK(cpu >= 500ms);
  CHECK(cpu < 30s);
}

TEST_CASE("bombs are over, below the caller and below another process") {
  const Cage cage;
  if (!cage.usable()) return;
  for (const Bomb bomb : {Bomb::many, Bomb::daemons, Bomb::hopping}) {
    for (const bool other : {false, true}) {
      CAPTURE(static_cast<int>(bomb));
      CAPTURE(other);
      const Reaper reaper;
      const pid_t beside = start([] {});
      const auto light = [&] {
        return start([&] {
          cage.enter();
          explode(bomb, reaper);
        });
      };
      const pid_t root = !other ? ::getpid() : start([&] {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        ::signal(SIGCHLD, SIG_IGN);
        light();
      });
      if (!other) light();
      reaper.await(1000);
      CHECK(kill_below(root, 60s));
      const int done = reaper->done;
      std::this_thread::sleep_for(20ms);
      CHECK(reaper->done == done);
      CHECK(processes_below(root).empty());
      CHECK((::waitpid(beside, nullptr, WNOHANG) == 0) == other);
    }
  }
}

TEST_CASE("bombs are over where the one who kills has no privileges") {
  if (::geteuid() != 0) return;  // as above
  const Cage cage;
  if (!cage.usable()) return;
  for (const Bomb bomb : {Bomb::many, Bomb::daemons, Bomb::hopping}) {
    CAPTURE(static_cast<int>(bomb));
    const Reaper reaper;
    const pid_t watcher = ::fork();
    REQUIRE(watcher >= 0);
    if (watcher == 0) {
      ::prctl(PR_SET_CHILD_SUBREAPER, 1);
      cage.enter();
      become_other(54321);
      start([&] {
        cage.enter();
        explode(bomb, reaper);
      });
      while (reaper->done < 1000) std::this_thread::sleep_for(1ms);
      ::_exit(kill_below(::getpid(), 60s) && processes_below(::getpid()).empty() ? 0 : 2);
    }
    int status = 0;
    REQUIRE(::waitpid(watcher, &status, 0) == watcher);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

TEST_CASE("nothing to kill is nothing left, at once; no patience is one attempt") {
  CHECK(kill_below(::getpid(), 0s));
  const Reaper reaper;
  start([] {});
  kill_below(::getpid(), 0s);
  CHECK(kill_below(::getpid(), 60s));
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a folder takes what its files do, each at least a page and linked ones once") {
  const TempFolder folder;
  const std::uint64_t all = 1'000'000 * megabyte;
  const std::uint64_t empty = disk_usage(folder.path(), all);
  CHECK(empty >= 4096);
  CHECK(empty <= 16'384);
  folder.write("a/b/c", std::string(megabyte, 'x'));
  std::uint64_t before = disk_usage(folder.path(), all);
  CHECK(before >= empty + megabyte);
  CHECK(before <= empty + 2 * megabyte);
  SUBCASE("hard links") {
    for (int i = 0; i < 10; ++i) {
      std::filesystem::create_hard_link(folder / "a/b/c", folder / ("a/link" + std::to_string(i)));
    }
    CHECK(disk_usage(folder.path(), all) < before + megabyte);
  }
  SUBCASE("holes") {
    folder.write("sparse", "");
    std::filesystem::resize_file(folder / "sparse", std::uint64_t{1} << 40);
    CHECK(disk_usage(folder.path(), all) < before + megabyte);
  }
  SUBCASE("empty files") {
    for (int i = 0; i < 2000; ++i) folder.write("many/" + std::to_string(i), "");
    const std::uint64_t with = disk_usage(folder.path(), all);
    CHECK(with >= before + 2000 * 4096);
    CHECK(with <= before + 2000 * 4096 + megabyte);
    const std::uint64_t enough = before + 1000 * 4096;
    CHECK(disk_usage(folder.path(), enough) > enough);
    CHECK(disk_usage(folder.path(), enough) < with);
  }
  SUBCASE("links to elsewhere") {
    const TempFolder other;
    other.write("large", std::string(10 * megabyte, 'x'));
    std::filesystem::create_symlink(other.path(), folder / "folder");
    std::filesystem::create_symlink(other / "large", folder / "file");
    CHECK(disk_usage(folder.path(), all) < before + megabyte);
  }
  SUBCASE("not there") { CHECK(disk_usage(folder / "none", all) == 0); }
}

TEST_CASE("a folder that cannot be looked into counts as too much") {
  const TempFolder folder;
  folder.write("inner/file", "x");
  const std::uint64_t enough = 1'000'000 * megabyte;
  const Reaper reaper;
  for (const mode_t mode : {0u, 0400u, 0300u, 0500u}) {
    for (const auto& path : {folder.path(), folder / "inner"}) {
      CAPTURE(mode);
      REQUIRE(::chown(path.c_str(), 54321, 54321) == (::geteuid() == 0 ? 0 : -1));
      REQUIRE(::chmod(path.c_str(), mode) == 0);
      reaper->pids[0] = -1;
      reaper->done = 0;
      start([&] {
        if (::geteuid() == 0) become_other(54321);
        reaper->pids[0] = disk_usage(folder.path(), enough) == enough + 1;
        ++reaper->done;
      });
      reaper.await(1);
      CHECK(reaper->pids[0] == (mode != 0500));
      REQUIRE(::chmod(path.c_str(), 0700) == 0);
    }
  }
}

TEST_CASE("folders too deep to be entered count as too much") {
  const TempFolder folder;
  Fd inner(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int depth = 3000;  // beyond descriptors and PATH_MAX
  const auto make = [&] {
    if (::mkdirat(inner.get(), "d", 0700) != 0) throw std::runtime_error("mkdirat");
    inner = Fd(::openat(inner.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  };
  const std::uint64_t enough = 1'000'000 * megabyte;
  for (int i = 0; i < 100; ++i) make();
  CHECK(disk_usage(folder.path(), enough) < megabyte);
  for (int i = 100; i < depth; ++i) make();
  CHECK(disk_usage(folder.path(), enough) == enough + 1);
  CHECK(disk_usage(folder.path(), UINT64_MAX) == UINT64_MAX);
  for (int i = 0; i < depth; ++i) {
    inner = Fd(::openat(inner.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(::unlinkat(inner.get(), "d", AT_REMOVEDIR) == 0);
  }
}
