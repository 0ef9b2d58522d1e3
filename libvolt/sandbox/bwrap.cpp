// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/bwrap.hpp"

#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>

#include "libvolt/base/error.hpp"
#include "libvolt/host/places.hpp"
#include "libvolt/sandbox/layout.hpp"
#include "libvolt/sandbox/remedy.hpp"
#include "libvolt/sandbox/supervisor.hpp"

namespace volt::sandbox {
namespace {

constexpr std::uint64_t most_copied_bytes = std::uint64_t{4} << 20;

/// An unnamed file with this text.
host::Fd file_with(const std::string& text) {
  host::Fd fd(::memfd_create("volt", MFD_CLOEXEC));
  if (!fd) throw_system(errno, "cannot make a file in memory", {}, Exit::sandbox);
  host::write_all(fd.get(), text);
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

bool below(const host::Path& path, const host::Path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

/// The libraries that this process runs with, which the supervisor will ask for again.
std::vector<host::Path> own_libraries() {
  std::vector<host::Path> all;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* list) {
        if (info->dlpi_name != nullptr && info->dlpi_name[0] == '/') {
          static_cast<std::vector<host::Path>*>(list)->emplace_back(info->dlpi_name);
        }
        return 0;
      },
      &all);
  return all;
}

class Line {
 public:
  void add(std::initializer_list<std::string> words) {
    arguments.insert(arguments.end(), words.begin(), words.end());
  }
  void show(const host::Path& path) {
    if (!host::exists(path)) return;
    make_way(path);
    add({"--ro-bind-try", path.string(), path.string()});
  }
  /// The folders above a path, open to whomever the program runs as.
  void make_way(const host::Path& path) {
    if (!path.has_parent_path() || path.parent_path() == path.root_path()) return;
    make_way(path.parent_path());
    if (!made_.insert(path.parent_path()).second) return;
    add({"--perms", "0755", "--dir", path.parent_path().string()});
  }
  /// A copy, in the memory that the view is made in: every mount takes its time, a file takes none.
  void text(const std::string& path, const std::string& content) {
    make_way(path);
    add({"--perms", "0644", "--file",
         std::to_string(first_view_fd + static_cast<int>(files.size())), path});
    files.push_back(file_with(content));
  }
  void copy(const std::string& path) {
    try {
      text(path, host::read_file(path, most_copied_bytes));
    } catch (const Error&) {
      // Not there, or not for this user: then the program does without as well.
    }
  }

  std::vector<std::string> arguments;
  std::vector<host::Fd> files;

 private:
  std::set<host::Path> made_;
};

void show_system(Line& line, const Program& program) {
  for (const host::Path folder : system_folders) {
    std::error_code error;
    // /bin is a link to usr/bin on most systems, and stays one.
    if (std::filesystem::is_symlink(folder, error)) {
      line.add({"--symlink", std::filesystem::read_symlink(folder, error).string(), folder});
    } else {
      line.show(folder);
    }
  }
  for (const auto* folder : etc_folders) line.show(folder);
  for (const auto* file : etc_files) line.copy(file);
  const auto user = std::to_string(program.user != 0 ? program.user : ::getuid());
  const auto group = std::to_string(program.user != 0 ? program.user : ::getgid());
  line.text("/etc/passwd", "volt:x:" + user + ":" + group + "::/home/volt:/bin/sh\n");
  line.text("/etc/group", "volt:x:" + group + ":\n");
  if (program.network) {
    for (const auto* file : network_files) line.copy(file);
  } else {
    line.text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
  }
}

void show_devices(Line& line, const Program& program) {
  line.add({"--proc", "/proc", "--dev", "/dev"});
  for (const auto& node : program.devices) line.add({"--dev-bind-try", node, node});
  if (program.shared_bytes != 0) line.add({"--size", std::to_string(program.shared_bytes)});
  line.add({"--perms", "1777", "--tmpfs", "/dev/shm"});
  for (const auto* file : processor_files) line.show(file);
  if (!program.devices.empty()) {
    for (const auto* file : gpu_files) line.show(file);
  }
}

void show_own(Line& line, const Program& program) {
  const auto here = layout_in(program.scratch), there = own_layout();
  line.make_way(there.home);
  line.add({"--bind", here.work, there.work, "--bind", here.tmp, there.tmp, "--bind", here.home,
            there.home, "--ro-bind", here.inputs, there.inputs});
  for (const auto& path : program.shown) {
    line.make_way(path);
    line.add({"--ro-bind", path, path});
  }
}

void show_supervisor(Line& line, const Program& program, const host::Path& supervisor) {
  line.make_way(supervisor_path);
  line.add({"--ro-bind", supervisor, supervisor_path});
  if (const auto carried = host::carried_libraries()) {
    line.make_way(supervisor_libraries);
    line.add({"--ro-bind", *carried, supervisor_libraries});
    return;
  }
  for (const auto& library : own_libraries()) {
    const auto seen = [&](const host::Path& folder) { return below(library, folder); };
    if (std::ranges::none_of(system_folders, seen) && std::ranges::none_of(program.shown, seen)) {
      line.show(library);
    }
  }
}

/// Started by the loader that lies beside it: its own name for one is the system's.
std::optional<Bwrap> carried_bwrap() {
  const auto folder = host::carried_libraries();
  if (!folder || !host::exists(*folder / "bwrap")) return std::nullopt;
  return Bwrap{*folder / host::carried_loader,
               {"bwrap", "--library-path", *folder, *folder / "bwrap"}};
}

}  // namespace

Bwrap find_bwrap() {
  const auto carried = carried_bwrap();
  if (carried && !only_with_profile()) return *carried;
  for (const std::string path : {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"}) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) continue;
    if ((facts.st_mode & (S_ISUID | S_ISGID)) != 0) {
      throw Error(Exit::sandbox, path + " is setuid, which is refused",
                  "sudo chmod u-s,g-s " + path);
    }
    return {path, {"bwrap"}};
  }
  if (carried) return *carried;
  throw Error(Exit::sandbox, "bubblewrap is not installed", "sudo apt-get install bubblewrap");
}

View view_for(const Program& program, const host::Path& supervisor) {
  Line line;
  line.add({"--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--hostname",
            "volt", "--new-session", "--clearenv", "--cap-drop", "ALL"});
  if (program.user == 0) {
    line.add({"--unshare-user", "--disable-userns"});
  } else {
    // For the supervisor alone, to make the program another user's and to end it.
    for (const char* capability : {"CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"}) {
      line.add({"--cap-add", capability});
    }
  }
  if (!program.network) line.add({"--unshare-net"});
  show_system(line, program);
  show_devices(line, program);
  show_own(line, program);
  show_supervisor(line, program, supervisor);
  // What bubblewrap made itself to hang all this on: nobody shall fill it.
  line.add({"--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"});
  return {std::move(line.arguments), std::move(line.files)};
}

}  // namespace volt::sandbox
