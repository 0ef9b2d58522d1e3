// SPDX-License-Identifier: Apache-2.0
#include "libvolt/host/files.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using namespace volt::host;

namespace {

/// Runs `f` in a child process and gives its exit status; 99 when it throws.
int in_child(const std::function<int()>& f) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    int status = 99;
    try {
      status = f();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::optional<Exit> exit_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

/// Runs `f` as one who owns all that is in `folder` and is not root; gives its exit status.
int as_owner_without_privileges(const Path& folder, const std::function<int()>& f) {
  if (::geteuid() != 0) return in_child(f);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    REQUIRE(::lchown(entry.path().c_str(), 65534, 65534) == 0);
  }
  REQUIRE(::chown(folder.c_str(), 65534, 65534) == 0);
  return in_child([&] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 98;
    return f();
  });
}

unsigned mode_of(const Path& path) {
  struct stat facts {};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777;
}

}  // namespace

TEST_CASE("a file is written whole, with its mode, and nothing is left beside it") {
  const TempFolder folder;
  const auto old_mask = ::umask(022);
  write_file(folder / "key", "secret", 0600);
  write_file(folder / "a", "one");
  write_file(folder / "a", "");
  ::umask(old_mask);
  CHECK(folder.read("key") == "secret");
  CHECK(mode_of(folder / "key") == 0600);
  CHECK(mode_of(folder / "a") == 0644);
  CHECK(folder.read("a").empty());
  CHECK(folder.names() == std::vector<std::string>{"a", "key"});
}

TEST_CASE("a file that cannot be written to its end is left as it was") {
  const TempFolder folder;
  folder.write("a", "old");
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    const auto code = exit_of([&] { write_file(folder / "a", std::string(5000, 'x')); });
    return code == Exit::local_io ? 0 : 2;
  });
  CHECK(status == 0);
  CHECK(folder.read("a") == "old");
  CHECK(folder.names() == std::vector<std::string>{"a"});
}

TEST_CASE("a file is not written over a folder, nor into one that is not there") {
  const TempFolder folder;
  folder.write("a/b", "kept");
  CHECK(exit_of([&] { write_file(folder / "a", "text"); }) == Exit::local_io);
  CHECK(folder.read("a/b") == "kept");
  CHECK(exit_of([&] { write_file(folder / "none/a", "text"); }) == Exit::local_io);
  CHECK(folder.names() == std::vector<std::string>{"a"});
}

TEST_CASE("a link under the name is replaced, not followed") {
  const TempFolder folder;
  folder.write("target", "kept");
  std::filesystem::create_symlink("target", folder / "link");
  write_file(folder / "link", "new");
  CHECK(folder.read("target") == "kept");
  CHECK(folder.read("link") == "new");
  CHECK_FALSE(std::filesystem::is_symlink(folder / "link"));
}

TEST_CASE("what is no regular file is refused without waiting for it") {
  const TempFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  ::alarm(60);  // a hang would be the death of the test
  CHECK(exit_of([&] { open_file(folder / "pipe"); }) == Exit::usage);
  CHECK(message_of([&] { read_file(folder / "pipe", 10); }) ==
        (folder / "pipe").string() + " is not a regular file");
  ::alarm(0);
  CHECK(exit_of([&] { open_file(folder.path()); }) == Exit::usage);
  CHECK(exit_of([&] { open_file("/dev/null"); }) == Exit::usage);
  CHECK(exit_of([&] { open_file(folder / "none"); }) == Exit::not_found);
  folder.write("a", "x");
  CHECK(exit_of([&] { open_file(folder / "a/b"); }) == Exit::not_found);
  CHECK(message_of([&] { open_file(folder / "a\x1b[31m"); }).find('\x1b') == std::string::npos);
}

TEST_CASE("a file's text is read up to a length") {
  const TempFolder folder;
  const std::string text("a\0b\n", 4);
  folder.write("a", text);
  CHECK(read_file(folder / "a", 4) == text);
  CHECK(exit_of([&] { read_file(folder / "a", 3); }) == Exit::usage);
  folder.write("empty", "");
  CHECK(read_file(folder / "empty", 0).empty());
}

TEST_CASE("a mapping shows a file's bytes, and of an empty file none") {
  const TempFolder folder;
  const std::string text(10'000, 'm');
  Mapping mapping(open_file(folder.write("a", text)).get());  // outlives the descriptor
  CHECK(as_text(mapping.bytes()) == text);
  const Mapping empty(open_file(folder.write("b", "")).get());
  CHECK(empty.bytes().empty());
  Mapping moved(std::move(mapping));
  CHECK(as_text(moved.bytes()) == text);
  mapping = std::move(moved);
  CHECK(as_text(mapping.bytes()) == text);
  mapping.release();
  empty.release();
  CHECK(as_text(mapping.bytes()) == text);
}

TEST_CASE("a stamp changes with the content's time and the file") {
  const TempFolder folder;
  const Fd first = open_file(folder.write("a", "abc"));
  const auto stamp = stamp_of(first.get());
  CHECK(stamp.bytes == 3);
  CHECK(stamp_of(open_file(folder / "a").get()) == stamp);
  CHECK(stamp_of(open_file(folder.write("b", "abc")).get()) != stamp);
  std::filesystem::last_write_time(folder / "a", std::filesystem::file_time_type{});
  CHECK(stamp_of(first.get()) != stamp);
}

TEST_CASE("bytes are read and written at their places, short only at the end") {
  const TempFolder folder;
  const Fd fd(::open((folder / "a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(fd);
  write_at(fd.get(), 5, as_bytes("world"));
  write_at(fd.get(), 0, as_bytes("hello"));
  Bytes bytes(20);
  CHECK(read_at(fd.get(), 3, bytes.data(), 4) == 4);
  CHECK(as_text(ByteView(bytes).first(4)) == "lowo");
  CHECK(read_at(fd.get(), 8, bytes.data(), 20) == 2);
  CHECK(read_at(fd.get(), 10, bytes.data(), 20) == 0);
  CHECK(read_at(fd.get(), std::uint64_t{1} << 40, bytes.data(), 20) == 0);
  CHECK(exit_of([&] { write_at(-1, 0, as_bytes("x")); }) == Exit::local_io);
}

TEST_CASE("folders are made with their parents; what is in the way is named") {
  const TempFolder folder;
  make_folder(folder / "a/b/c");
  make_folder(folder / "a/b/c");
  CHECK(std::filesystem::is_directory(folder / "a/b/c"));
  folder.write("file", "");
  CHECK(message_of([&] { make_folder(folder / "file"); }) ==
        (folder / "file").string() + " is in the way: it is not a folder");
  CHECK(exit_of([&] { make_folder(folder / "file/sub"); }) == Exit::local_io);
  make_folder(folder / "private", 0700);
  CHECK((mode_of(folder / "private") & 077) == 0);
}

TEST_CASE("a folder whose name is too long is an error of volt's own") {
  const TempFolder folder;
  CHECK(exit_of([&] { make_folder(folder / std::string(300, 'n')); }) == Exit::local_io);
  CHECK(exit_of([&] { make_folder(folder / (std::string(300, 'n') + "/sub")); }) == Exit::local_io);
}

TEST_CASE("a finished file gets its name, over an older one, and only if it is a file") {
  const TempFolder folder;
  folder.write("part", "new");
  folder.write("name", "old");
  rename_into(folder / "part", folder / "name");
  CHECK(folder.read("name") == "new");
  CHECK_FALSE(folder.has("part"));
  CHECK(exit_of([&] { rename_into(folder / "part", folder / "name"); }) == Exit::not_found);
  CHECK(folder.read("name") == "new");
  folder.write("other/x", "");
  CHECK(exit_of([&] { rename_into(folder / "name", folder / "other"); }) == Exit::local_io);
  CHECK(folder.read("name") == "new");
}

TEST_CASE("a tree is removed with all in it, links not followed, and twice is no error") {
  const TempFolder folder;
  folder.write("kept/file", "x");
  folder.write("tree/a/b", "x");
  std::filesystem::create_symlink(folder / "kept", folder / "tree/link");
  remove_tree(folder / "tree");
  remove_tree(folder / "tree");
  CHECK(folder.names() == std::vector<std::string>{"kept"});
  CHECK(folder.has("kept/file"));
}

TEST_CASE("a file or a link is removed by itself, and what is not there is no error") {
  const TempFolder folder;
  folder.write("kept/file", "x");
  folder.write("file", "x");
  std::filesystem::create_symlink("kept", folder / "link");
  remove_tree(folder / "file");
  remove_tree(folder / "link");
  remove_tree(folder / "kept/file/none");
  remove_tree(folder / "none/none");
  remove_tree("");
  CHECK(folder.names() == std::vector<std::string>{"kept"});
  CHECK(folder.has("kept/file"));
}

TEST_CASE("an owner's folders without permissions are removed, and links keep what they lead to") {
  const TempFolder folder;
  folder.write("kept/file", "x");
  folder.write("tree/a/b/c/file", "x");
  folder.write("tree/read/file", "x");
  std::filesystem::create_symlink(folder / "kept", folder / "tree/a/link");
  for (const auto& [name, mode] : {std::pair("kept", 0500u),
                                   {"tree/a/b/c", 0u},
                                   {"tree/a/b", 0u},
                                   {"tree/a", 0u},
                                   {"tree/read", 0500u},
                                   {"tree", 0300u}}) {
    REQUIRE(::chmod((folder / name).c_str(), mode) == 0);
  }
  REQUIRE(as_owner_without_privileges(folder.path(), [&] {
            if (exit_of([&] { remove_tree(folder / "kept/file"); }) != Exit::local_io) return 1;
            remove_tree(folder / "tree");
            return 0;
          }) == 0);
  CHECK(folder.names() == std::vector<std::string>{"kept"});
  CHECK(mode_of(folder / "kept") == 0500);
  CHECK(folder.has("kept/file"));
  ::chmod((folder / "kept").c_str(), 0700);
}

TEST_CASE("a tree deeper than a path may be long is removed") {
  const TempFolder folder;
  make_folder(folder / "tree");
  Fd inner(::open((folder / "tree").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(::mkdirat(inner.get(), "d", 0700) == 0);
    if (i % 100 == 0) REQUIRE(::mkdirat(inner.get(), "e", 0700) == 0);
    inner = Fd(::openat(inner.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  remove_tree(folder / "tree");
  CHECK(folder.names().empty());
}

TEST_CASE("a tree of which others remove parts meanwhile is removed") {
  const TempFolder folder;
  for (int i = 0; i < 50; ++i) {
    for (int j = 0; j < 10; ++j) {
      folder.write("tree/" + std::to_string(i) + "/a/b" + std::to_string(j) + "/file", "x");
    }
  }
  const auto remove = [&] { return exit_of([&] { remove_tree(folder / "tree"); }) ? 1 : 0; };
  std::vector<std::thread> others;
  std::atomic<int> failed = 0;
  for (int i = 0; i < 4; ++i) others.emplace_back([&] { failed += remove(); });
  for (auto& other : others) other.join();
  CHECK(failed == 0);
  CHECK(folder.names().empty());
}

TEST_CASE("a lock is held by one process at a time and freed with it") {
  const TempFolder folder;
  const auto path = folder / "lock";
  const auto taken_elsewhere = [&] {
    return in_child([&] { return Lock::take(path).has_value() ? 1 : 0; }) == 1;
  };
  {
    const auto lock = Lock::take(path);
    REQUIRE(lock);
    CHECK_FALSE(taken_elsewhere());
    CHECK_FALSE(Lock::take(path).has_value());
  }
  CHECK(taken_elsewhere());
  CHECK(Lock::take(path).has_value());  // the other one has ended
}

TEST_CASE("whether a lock is held can be asked without taking it") {
  const TempFolder folder;
  const auto path = folder / "lock";
  CHECK_FALSE(Lock::held(path));
  CHECK_FALSE(Lock::held(folder / "nowhere/lock"));
  CHECK(folder.names().empty());
  {
    const auto lock = Lock::take(path);
    CHECK(Lock::held(path));
    CHECK(in_child([&] { return Lock::held(path) ? 1 : 0; }) == 1);
    CHECK(Lock::held(path));  // those who ask and go free nothing
  }
  CHECK_FALSE(Lock::held(path));
  CHECK(Lock::take(path).has_value());
  // What was put there instead is held by nobody, and nobody waits for it.
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_FALSE(Lock::held(folder / "pipe"));
  std::filesystem::create_symlink(path, folder / "link");
  const auto lock = Lock::take(path);
  CHECK_FALSE(Lock::held(folder / "link"));
}

TEST_CASE("a lock outlives no process, killed ones included") {
  const TempFolder folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const auto lock = Lock::take(folder / "lock");
    [[maybe_unused]] const auto sent = ::write(ready[1], lock ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char answer = 0;
  CHECK(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  CHECK_FALSE(Lock::take(folder / "lock").has_value());
  ::kill(pid, SIGKILL);
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  CHECK(Lock::take(folder / "lock").has_value());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a descriptor has one owner, who closes it") {
  int number = -1;
  {
    Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = fd.get();
    Fd other(std::move(fd));
    CHECK(other.get() == number);
    fd = std::move(other);
    CHECK(fd.get() == number);
    CHECK(::fcntl(number, F_GETFD) >= 0);
  }
  CHECK(::fcntl(number, F_GETFD) < 0);
}

TEST_CASE("a temporary folder is one's own, and goes with all that is in it") {
  const TempFolder folder;
  Path path, other;
  {
    const TemporaryFolder one(folder.path() / "new"), two(folder.path() / "new");
    path = one.path();
    other = two.path();
    CHECK(path != other);
    CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::others_all) ==
          std::filesystem::perms::none);
    make_folder(path / "deep" / "er");
    write_file(path / "deep" / "file", "content");
  }
  CHECK_FALSE(is_folder(path));
  CHECK_FALSE(is_folder(other));
}
