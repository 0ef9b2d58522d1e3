// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/outputs.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <random>
#include <span>

#include "libvolt/base/text.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using namespace volt::run;

namespace {

using Strings = std::vector<std::string>;

std::vector<Collected> collected(const TempFolder& folder, const Strings& patterns,
                                 const Strings& optional = {}) {
  return collect(folder.path(), {patterns, optional}, {});
}

Strings paths(const TempFolder& folder, const Strings& patterns, const Strings& optional = {}) {
  Strings paths;
  for (const auto& file : collected(folder, patterns, optional)) paths.push_back(file.path);
  return paths;
}

std::string complaint(const TempFolder& folder, const Strings& patterns) {
  return message_of([&] { collected(folder, patterns); });
}

struct stat facts_of(const std::filesystem::path& path) {
  struct stat facts {};
  REQUIRE(::lstat(path.c_str(), &facts) == 0);
  return facts;
}

std::string text_of(const Collected& file) {
  const auto bytes = host::read_whole(file.fd.get());
  return std::string(as_text(bytes));
}

/// A soft limit of this process, for a while.
class Lowered {
 public:
  using Resource = decltype(RLIMIT_NOFILE);
  Lowered(Resource resource, rlim_t limit) : resource_(resource) {
    REQUIRE(::getrlimit(resource, &before_) == 0);
    const rlimit lower{limit, before_.rlim_max};
    REQUIRE(::setrlimit(resource, &lower) == 0);
  }
  ~Lowered() { ::setrlimit(resource_, &before_); }
  Lowered(const Lowered&) = delete;
  Lowered& operator=(const Lowered&) = delete;

 private:
  Resource resource_;
  rlimit before_{};
};

const std::string no_file = " [links are not followed]";
const std::string rename_it = " [an output needs another name]";
const std::string optional_hint = " [a pattern of \"optional\" may match nothing]";

}  // namespace

TEST_CASE("what the patterns name is found once each, in bytewise order") {
  const TempFolder folder;
  for (const char* name : {"b", "a/z", "a.txt", "\xc3\xa9", "B", "a/.hidden", ".own", "a/b/c"}) {
    folder.write(name, name);
  }
  CHECK(paths(folder, {"*", "**/z", "b", "a/z"}) == Strings{"B", "a.txt", "a/z", "b", "\xc3\xa9"});
  CHECK(paths(folder, {"**"}) == Strings{"B", "a.txt", "a/b/c", "a/z", "b", "\xc3\xa9"});
  CHECK(paths(folder, {"a/.*"}) == Strings{"a/.hidden"});
  CHECK(paths(folder, {"b"}, {"none", "B", "b"}) == Strings{"B", "b"});
  CHECK(paths(folder, {}).empty());
}

TEST_CASE("a file in hand is that file, with its length and owner's x bit") {
  const TempFolder folder;
  std::filesystem::permissions(folder.write("bin/run", "#!"), std::filesystem::perms(0700));
  std::filesystem::permissions(folder.write("bin/data", ""), std::filesystem::perms(0677));
  const auto files = collected(folder, {"bin/*"});
  REQUIRE(files.size() == 2);
  CHECK(files[0].bytes == 0);
  CHECK_FALSE(files[0].executable);
  CHECK(files[1].bytes == 2);
  CHECK(files[1].executable);
  CHECK(text_of(files[1]) == "#!");
  CHECK(host::stamp_of(files[1].fd.get()).inode == facts_of(folder / "bin/run").st_ino);
  CHECK((::fcntl(files[1].fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a pattern that matches nothing is the program's failure") {
  const TempFolder folder;
  folder.write("modle.bin", "");
  folder.write("out/x", "");
  const std::string made = "the program made no file that matches ";
  CHECK(complaint(folder, {"model.bin"}) == made + "\"model.bin\" [did you mean \"modle.bin\"?]");
  CHECK(complaint(folder, {"modle.bin", "*.txt"}) == made + "\"*.txt\"" + optional_hint);
  CHECK(complaint(folder, {"out"}) ==
        made + "\"out\" [it names a folder: \"out/**\" names the files in it]");
  CHECK(complaint(folder, {"\x1b[2J"}) == made + "\"\\x1b[2J\"" + optional_hint);
  folder.write("x\x1b[2J.txt", "");  // no suggestion
  CHECK(complaint(folder, {"x[2J.txt"}) == made + "\"x[2J.txt\"" + optional_hint);
  try {
    collected(folder, {"none"});
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::answer_is_no);
  }
}

TEST_CASE("links are never followed, as a file or on the way") {
  const TempFolder folder, outside;
  outside.write("secret", "s");
  folder.write("real/a", "");
  std::filesystem::create_symlink(outside / "secret", folder / "link");
  std::filesystem::create_symlink(outside.path(), folder / "way");
  std::filesystem::create_symlink("real", folder / "near");
  std::filesystem::create_symlink("loop", folder / "loop");
  std::filesystem::create_symlink("none", folder / "dangling");
  for (const std::string name : {"link", "way", "near", "loop", "dangling"}) {
    CHECK(complaint(folder, {name}) ==
          "the program made \"" + name + "\", which is no regular file" + no_file);
  }
  CHECK(complaint(folder, {"way/secret"}) ==
        "the program made no file that matches \"way/secret\"" + optional_hint);
  CHECK(paths(folder, {"real/a"}, {"*/secret", "near/*"}) == Strings{"real/a"});
  CHECK(paths(folder, {"*/a"}, {"**/secret"}) == Strings{"real/a"});
  std::filesystem::create_symlink(folder.path(), outside / "folder");
  CHECK_THROWS_AS(collect(outside / "folder", {{"real/a"}, {}}, {}), Error);
}

TEST_CASE("pipes, sockets and devices are refused without waiting, and only when they are named") {
  const TempFolder folder;
  folder.write("a.txt", "");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const host::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  Strings odd{"pipe", "socket"};
  if (::mknod((folder / "device").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0) {
    odd.emplace_back("device");  // only root can
  }
  ::alarm(60);  // a hang would be the death of the test
  for (const auto& name : odd) {
    CHECK(complaint(folder, {"*.txt", name}) ==
          "the program made \"" + name + "\", which is no regular file" + no_file);
  }
  CHECK(paths(folder, {"*.txt"}) == Strings{"a.txt"});
  ::alarm(0);
}

TEST_CASE("what the program closed to us is refused when it is named") {
  const TempFolder folder;
  folder.write("a", "");
  folder.write("open", "");
  folder.write("shut/b", "");
  folder.write("listed/b", "");
  ::chmod(folder.path().c_str(), 0755);
  ::chmod((folder / "a").c_str(), 0);
  ::chmod((folder / "shut").c_str(), 0);
  ::chmod((folder / "listed").c_str(), 0444);
  const bool is_root = ::geteuid() == 0;
  if (is_root) REQUIRE(::seteuid(65534) == 0);
  for (const std::string path : {"a", "shut/b", "listed/b"}) {
    try {
      collected(folder, {path});
      FAIL("nothing thrown");
    } catch (const Error& error) {
      CHECK(error.code() == Exit::answer_is_no);
      CHECK(error.message() == "cannot open " + (path == "shut/b" ? "shut" : path));
    }
  }
  CHECK(paths(folder, {"o*"}) == Strings{"open"});
  if (is_root) REQUIRE(::seteuid(0) == 0);
  ::chmod((folder / "shut").c_str(), 0700);
  ::chmod((folder / "listed").c_str(), 0700);
}

TEST_CASE("names that cannot be printed are refused, and shown, when they are named") {
  const TempFolder folder;
  folder.write("a.txt", "");
  folder.write("line\n.log", "");
  CHECK(complaint(folder, {"*"}) ==
        "the program made \"line\\x0a.log\", which is no plain file name" + rename_it);
  folder.write("\x1b]0;x/y", "");
  CHECK(complaint(folder, {"*/y"}) ==
        "the program made \"\\x1b]0;x/y\", which is no plain file name" + rename_it);
  folder.write("\xff\xfe", "");
  CHECK(complaint(folder, {"\xff*"}) ==
        "the program made \"\\xff\\xfe\", which is no plain file name" + rename_it);
  CHECK(paths(folder, {"*.txt"}) == Strings{"a.txt"});
}

TEST_CASE("names of volt are refused at the top, and nowhere else") {
  const TempFolder folder;
  for (const std::string name :
       {"receipt.json", "job.json", "run.json", "metrics.jsonl", "loss.svg", ".a", ".volt/x"}) {
    folder.write(name, "");
    CHECK(complaint(folder, {name}) ==
          "the program made \"" + name + "\", which is a name that volt uses itself" + rename_it);
  }
  folder.write("d/receipt.json", "");
  CHECK(paths(folder, {"d/*"}) == Strings{"d/receipt.json"});
}

TEST_CASE("a path that is too long for a receipt is refused") {
  const TempFolder folder;
  const std::string name(250, 'n'), deep = name + "/" + name + "/" + name + "/" + name + "/";
  folder.write(deep + std::string(20, 'f'), "");
  CHECK(paths(folder, {"**/f*"}).size() == 1);
  folder.write(deep + std::string(21, 'f'), "");
  CHECK(complaint(folder, {"**/f*"}).starts_with("the program made \"nnn"));
}

TEST_CASE("a deep tree is looked at down to a depth") {
  const TempFolder folder;
  std::string path;
  for (int depth = 1; depth <= 1000; ++depth) {
    if (depth == 64 || depth == 65) folder.write(path + "f", "");
    path += "d/";
  }
  std::filesystem::create_directories(folder / path);
  CHECK(paths(folder, {"**"}).size() == 1);
  CHECK(paths(folder, {"**/d/f"}).size() == 1);
}

TEST_CASE("many files are no trouble, but not all can be kept") {
  const TempFolder folder;
  for (int i = 0; i < 20'000; ++i) {
    const host::Fd fd(::open((folder / std::to_string(i)).c_str(), O_CREAT | O_WRONLY, 0600));
  }
  const Lowered few(RLIMIT_NOFILE, 200);
  CHECK(paths(folder, {"1999?"}).size() == 10);
  CHECK(paths(folder, {"[1-9]??", "10??", "2?", "?"}, {"200[0-3]"}).size() == 1024);
  CHECK(complaint(folder, {"[1-9]??", "10??", "2?", "?", "200[0-4]"}) ==
        "the program made more than 1024 files that the job wants kept "
        "[have it pack them into one]");
}

TEST_CASE("a file with other links is copied, and the copy takes its place") {
  const TempFolder folder, outside;
  std::filesystem::permissions(outside.write("original", "content"), std::filesystem::perms(0750));
  std::filesystem::create_directory(folder / "d");
  std::filesystem::create_hard_link(outside / "original", folder / "d/a");
  const auto files = collected(folder, {"d/*"});
  REQUIRE(files.size() == 1);
  const auto stamp = host::stamp_of(files[0].fd.get());
  CHECK(stamp.inode == facts_of(folder / "d/a").st_ino);
  CHECK(stamp.inode != facts_of(outside / "original").st_ino);
  CHECK(facts_of(folder / "d/a").st_nlink == 1);
  CHECK((facts_of(folder / "d/a").st_mode & 07777) == 0750);
  CHECK(files[0].executable);
  CHECK(files[0].bytes == 7);
  outside.write("original", "CONTENT");
  CHECK(text_of(files[0]) == "content");
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "d"), {}) == 1);
}

TEST_CASE("two names of one file become two files") {
  const TempFolder folder;
  folder.write("a", "x");
  std::filesystem::create_hard_link(folder / "a", folder / "b");
  const auto files = collected(folder, {"*"});
  REQUIRE(files.size() == 2);
  CHECK(facts_of(folder / "a").st_nlink == 1);
  CHECK(facts_of(folder / "b").st_nlink == 1);
  CHECK(text_of(files[0]) + text_of(files[1]) == "xx");
  CHECK(folder.names() == Strings{"a", "b"});
}

TEST_CASE("a copy keeps holes") {
  const TempFolder folder;
  const std::string text(100'000, 'x');
  constexpr std::uint64_t far = std::uint64_t{1} << 33;
  {
    const host::Fd fd = host::Fd(::open((folder / "a").c_str(), O_CREAT | O_WRONLY, 0600));
    host::write_at(fd.get(), 0, as_bytes("begin"));
    host::write_at(fd.get(), far, as_bytes(text));
    REQUIRE(::ftruncate(fd.get(), 2 * far) == 0);
  }
  std::filesystem::create_hard_link(folder / "a", folder / "b");
  const auto files = collected(folder, {"a"});
  CHECK(files[0].bytes == 2 * far);
  Bytes bytes(text.size());
  CHECK(host::read_at(files[0].fd.get(), far, bytes.data(), bytes.size()) == bytes.size());
  CHECK(as_text(bytes) == text);
  CHECK(host::read_at(files[0].fd.get(), 0, bytes.data(), 6) == 6);
  CHECK(as_text(ByteView(bytes).first(6)) == std::string_view("begin\0", 6));
  CHECK(facts_of(folder / "a").st_blocks < 1000);
}

TEST_CASE("a copy that cannot be made leaves nothing behind") {
  const TempFolder folder;
  folder.write("d/a", std::string(5000, 'x'));
  std::filesystem::create_hard_link(folder / "d/a", folder / "b");
  ::signal(SIGXFSZ, SIG_IGN);
  {
    const Lowered small(RLIMIT_FSIZE, 1000);
    CHECK(complaint(folder, {"d/a"}) ==
          "cannot write a file: File too large, while copying d/a, which has several links");
  }
  ::signal(SIGXFSZ, SIG_DFL);
  CHECK(facts_of(folder / "d/a").st_nlink == 2);
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "d"), {}) == 1);
}

TEST_CASE("looking ends when it is interrupted") {
  const TempFolder folder;
  std::stop_source source;
  folder.write("a", "");
  source.request_stop();
  try {
    collect(folder.path(), {{"*"}, {}}, source.get_token());
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::interrupted);
  }
}
