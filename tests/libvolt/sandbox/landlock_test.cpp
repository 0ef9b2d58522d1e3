// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/landlock.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/random.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <csignal>
#include <cstring>
#include <string>

#include "tests/libvolt/host/temp_folder.hpp"
#include "tests/libvolt/sandbox/child.hpp"

using namespace volt;
using namespace volt::sandbox;

namespace {

/// Whether the kernel can do what a test is about.
bool has_version(int needed) {
  if (landlock_version() >= needed) return true;
  MESSAGE("skipped: needs version " << needed << " of Landlock, here is " << landlock_version());
  return false;
}

const std::vector<host::Path> system_folders{"/bin", "/etc", "/lib", "/lib64", "/usr"};

/// Folders to be read, to be written, and neither.
struct Folders {
  Folders() {
    for (const char* name : {"read", "write/a", "write/b", "outside"}) {
      const std::string below = name;
      folder.write(below + "/file", "text\n");
      std::filesystem::copy("/bin/true", folder / (below + "/true"));
    }
  }

  std::string operator()(const char* name) const { return (folder / name).string(); }

  std::function<void()> confined() const {
    Reach reach{system_folders, {folder / "write"}, {"/dev/null"}, false};
    reach.read.push_back(folder / "read");
    return [reach] { restrict_files(reach); };
  }

  TempFolder folder;
};

long opened(const std::string& path, int flags) { return ::open(path.c_str(), flags, 0600); }

long executed(const std::string& path) { return ::execl(path.c_str(), "true", nullptr); }

sockaddr_in loopback(in_port_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = port;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  return address;
}

template <class Address>
const sockaddr* generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

long bound_tcp() {
  const auto address = loopback(0);
  return ::bind(::socket(AF_INET, SOCK_STREAM, 0), generic(address), sizeof address);
}

}  // namespace

TEST_CASE("what is not listed can be neither read, listed nor run") {
  if (!has_version(1)) return;
  const Folders in;
  const std::function<long()> calls[]{
      [&] { return opened(in("outside/file"), O_RDONLY); },
      [&] { return opened(in("outside/new"), O_WRONLY | O_CREAT); },
      [&] { return opened(in("outside"), O_RDONLY | O_DIRECTORY); },
      [&] { return executed(in("outside/true")); },
      [&] { return opened(in("read/../outside/file"), O_RDONLY); },
      [&] { return opened("/dev/zero", O_RDONLY); },
      [&] { return opened("/proc/self/status", O_RDONLY); },
  };
  for (const auto& call : calls) {
    CAPTURE(&call - calls);
    CHECK(tried(in.confined(), call) == EACCES);
    CHECK(tried(as_it_is, call) == 0);
  }
}

TEST_CASE("what is to be read can be read, listed and run, and not changed") {
  if (!has_version(1)) return;
  const Folders in;
  CHECK(tried(in.confined(), [&] { return opened(in("read/file"), O_RDONLY); }) == 0);
  CHECK(tried(in.confined(), [&] { return opened(in("read"), O_RDONLY | O_DIRECTORY); }) == 0);
  CHECK(tried(in.confined(), [&] { return executed(in("read/true")); }) == 0);
  // The last ones move things away: their control comes after all else.
  const std::function<long()> calls[]{
      [&] { return opened(in("read/file"), O_WRONLY); },
      [&] { return opened(in("read/file"), O_RDWR | O_APPEND); },
      [&] { return opened(in("read/new"), O_WRONLY | O_CREAT); },
      [&] { return ::mkdir(in("read/folder").c_str(), 0700); },
      [&] { return ::symlink("file", in("read/symlink").c_str()); },
      [&] { return ::mkfifo(in("read/pipe").c_str(), 0600); },
      [&] { return ::link(in("read/file").c_str(), in("read/link").c_str()); },
      [&] { return ::rename(in("read/file").c_str(), in("read/renamed").c_str()); },
      [&] { return ::unlink(in("read/renamed").c_str()); },
      [&] { return ::rmdir(in("read/folder").c_str()); },
  };
  for (const auto& call : calls) {
    CAPTURE(&call - calls);
    const int outcome = tried(in.confined(), call);
    CHECK((outcome == EACCES || outcome == ENOENT));
    CHECK(tried(as_it_is, call) == 0);
    CHECK(tried(in.confined(), call) != 0);
  }
}

TEST_CASE("a file to be read is not cut short") {
  if (!has_version(3)) return;
  const Folders in;
  const auto cut = [&] { return ::truncate(in("read/file").c_str(), 1); };
  CHECK(tried(in.confined(), cut) == EACCES);
  CHECK(in.folder.read("read/file") == "text\n");
  CHECK(tried(as_it_is, cut) == 0);
  CHECK(in.folder.read("read/file") == "t");
}

TEST_CASE("within what is to be written all ordinary work can be done") {
  if (!has_version(1)) return;
  const Folders in;
  const int status = in_child([&] {
    in.confined()();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    in("write/socket").copy(address.sun_path, sizeof address.sun_path - 1);
    const long results[]{
        opened(in("write/a/file"), O_RDWR | O_TRUNC),
        opened(in("write/new"), O_WRONLY | O_CREAT | O_EXCL),
        ::truncate(in("write/new").c_str(), 10),
        ::mkdir(in("write/folder").c_str(), 0700),
        ::rmdir(in("write/folder").c_str()),
        ::symlink("new", in("write/symlink").c_str()),
        ::mkfifo(in("write/pipe").c_str(), 0600),
        ::link(in("write/new").c_str(), in("write/link").c_str()),
        ::rename(in("write/link").c_str(), in("write/renamed").c_str()),
        ::unlink(in("write/renamed").c_str()),
        ::bind(::socket(AF_UNIX, SOCK_STREAM, 0), generic(address), sizeof address),
    };
    for (const long& result : results) {
      if (result == -1) return static_cast<int>(&result - results + 1);
    }
    return 0;
  });
  CHECK(status == 0);
  CHECK(tried(in.confined(), [&] { return executed(in("write/a/true")); }) == 0);
  CHECK(in.folder.read("write/a/file").empty());
}

TEST_CASE("files move between subfolders of what is to be written, and not out or in") {
  if (!has_version(2)) return;
  const Folders in;
  const auto move = [&](const char* from, const char* to) {
    return [&in, from, to] { return ::rename(in(from).c_str(), in(to).c_str()); };
  };
  CHECK(tried(in.confined(), move("write/a/file", "write/b/moved")) == 0);
  CHECK(tried(in.confined(), move("write/b/true", "outside/moved")) == EACCES);
  CHECK(tried(as_it_is, move("write/b/true", "outside/moved")) == 0);
  CHECK(tried(in.confined(), move("outside/file", "write/moved")) == EACCES);
  CHECK(tried(as_it_is, move("outside/file", "write/moved")) == 0);
}

TEST_CASE("devices are not made, even by root") {
  if (!has_version(1)) return;
  const Folders in;
  const auto make = [&](mode_t kind) {
    return [&in, kind] { return ::mknod(in("write/node").c_str(), kind | 0600, makedev(1, 3)); };
  };
  if (tried(as_it_is, make(S_IFCHR)) != 0) {
    MESSAGE("skipped: may not make devices anyway");
    return;
  }
  std::filesystem::remove(in.folder / "write/node");
  CHECK(tried(in.confined(), make(S_IFCHR)) == EACCES);
  CHECK(tried(in.confined(), make(S_IFBLK)) == EACCES);
  CHECK(tried(in.confined(), make(S_IFREG)) == 0);
}

TEST_CASE("a device that is listed is used as a shell does") {
  if (!has_version(1)) return;
  const Folders in;
  CHECK(tried(in.confined(), [] { return opened("/dev/null", O_RDWR | O_CREAT | O_TRUNC); }) == 0);
}

TEST_CASE("a device that is only to be read takes no commands") {
  if (!has_version(5)) return;
  const auto command = [] {
    int count = 0;
    return ::ioctl(::open("/dev/random", O_RDONLY), RNDGETENTCNT, &count);
  };
  CHECK(tried([] { restrict_files({{"/dev/random"}, {}, {}, false}); }, command) == EACCES);
  CHECK(tried([] { restrict_files({{}, {"/dev/random"}, {}, false}); }, command) == EACCES);
  CHECK(tried([] { restrict_files({{}, {}, {"/dev/random"}, false}); }, command) == 0);
}

TEST_CASE("single files are listed as well, and what is not there is left out") {
  if (!has_version(1)) return;
  const Folders in;
  const auto confined = [&] {
    restrict_files({{in("outside/file"), in("none"), in("outside/file/below")},
                    {in("write/a/file"), in("none/none")},
                    {"/dev/null", in("none")},
                    false});
  };
  CHECK(tried(confined, [&] { return opened(in("outside/file"), O_RDONLY); }) == 0);
  CHECK(tried(confined, [&] { return opened(in("outside/file"), O_WRONLY); }) == EACCES);
  CHECK(tried(confined, [&] { return opened(in("outside/true"), O_RDONLY); }) == EACCES);
  CHECK(tried(confined, [&] { return opened(in("write/a/file"), O_RDWR | O_TRUNC); }) == 0);
  CHECK(tried(confined, [&] { return opened(in("write/b/file"), O_RDWR); }) == EACCES);
}

TEST_CASE("a path that cannot be examined is an error") {
  if (!has_version(1)) return;
  const TempFolder folder;
  std::filesystem::create_symlink("loop", folder / "loop");
  const int status = in_child([&] {
    try {
      restrict_files({{folder / "loop"}, {}, {}, false});
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
    return 0;
  });
  CHECK(status == static_cast<int>(Exit::sandbox));
}

TEST_CASE("TCP is for those who have the network") {
  if (!has_version(4)) return;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = loopback(0);
  socklen_t size = sizeof address;
  REQUIRE(::bind(listener, generic(address), size) == 0);
  REQUIRE(::listen(listener, 10) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const auto connected = [&] {
    return ::connect(::socket(AF_INET, SOCK_STREAM, 0), generic(address), size);
  };
  const auto confined = [](bool network) {
    return [network] { restrict_files({system_folders, {}, {}, network}); };
  };
  CHECK(tried(confined(false), bound_tcp) == EACCES);
  CHECK(tried(confined(false), connected) == EACCES);
  CHECK(tried(confined(true), bound_tcp) == 0);
  CHECK(tried(confined(true), connected) == 0);
  ::close(listener);
}

TEST_CASE("signals and abstract sockets end at the sandbox") {
  if (!has_version(6)) return;
  const Folders in;
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t size = sizeof address;
  // A name of the kernel's choice.
  REQUIRE(::bind(listener, generic(address), sizeof address.sun_family) == 0);
  REQUIRE(::listen(listener, 10) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const auto connected = [&] {
    return ::connect(::socket(AF_UNIX, SOCK_STREAM, 0), generic(address), size);
  };
  const auto signalled = [] { return ::kill(::getppid(), 0); };
  CHECK(tried(in.confined(), connected) == EPERM);
  CHECK(tried(as_it_is, connected) == 0);
  CHECK(tried(in.confined(), signalled) == EPERM);
  CHECK(tried(as_it_is, signalled) == 0);
  CHECK(tried(in.confined(), [] {
          const pid_t child = ::fork();
          if (child == 0) ::pause();
          return ::kill(child, SIGKILL);
        }) == 0);
  ::close(listener);
}

TEST_CASE("what is run later is confined, too, and gains nothing from set-user-id programs") {
  if (!has_version(1)) return;
  const Folders in;
  const auto shell = [&](const std::function<void()>& confine, const std::string& script) {
    return in_child([&] {
      confine();
      ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
      return 127;
    });
  };
  const auto read_it =
      "exec 2> /dev/null; read line < '" + in("outside/file") + "' && test \"$line\" = text";
  CHECK(shell(in.confined(), read_it) != 0);
  CHECK(shell(as_it_is, read_it) == 0);
  CHECK(shell(in.confined(), "echo text > '" + in("write/made") + "'") == 0);
  CHECK(in.folder.read("write/made") == "text\n");
  CHECK(in_child([&] {
          in.confined()();
          return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
        }) == 1);
}
