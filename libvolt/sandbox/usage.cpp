// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/usage.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "libvolt/base/error.hpp"

namespace volt::sandbox {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using FileId = std::pair<dev_t, ino_t>;

/// Descriptors looked at in one call, and how long memory is counted exactly: a program with a
/// million open files, or thousands of processes that share much, must not stall its watcher.
constexpr std::size_t max_descriptors = 16'384;
constexpr auto max_counting = 2s;
/// Numbers of processes that are followed in one pass; others may fork as fast.
constexpr int max_chase = 10'000;
/// Folders within folders that are entered, each with an open descriptor.
constexpr std::size_t max_depth = 128;
constexpr std::uint64_t page = 4096;

struct Close {
  void operator()(DIR* folder) const { ::closedir(folder); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Folder = std::unique_ptr<DIR, Close>;
using File = std::unique_ptr<std::FILE, Close>;

/// Null, with errno set, when that fails.
Folder open_folder(int at, const char* name) {
  const int fd = ::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return nullptr;
  Folder folder(::fdopendir(fd));
  if (!folder) ::close(fd);
  return folder;
}

/// The number that `text` starts with, after spaces and a sign; 0 for none. `text` goes on behind.
std::uint64_t take_number(std::string_view& text, int base = 10) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t:-"), text.size()));
  std::uint64_t number = 0;
  const char* end = std::from_chars(text.data(), text.data() + text.size(), number, base).ptr;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// The process or thread that an entry below /proc stands for; 0 for none.
pid_t number_of(const dirent& entry) {
  std::string_view name = entry.d_name;
  return static_cast<pid_t>(take_number(name));
}

/// The name of a process's file below /proc.
std::string name_of(pid_t pid, const char* file) { return std::to_string(pid) + '/' + file; }

struct Process {
  pid_t pid = 0, parent = 0;
  bool leader_ended = false;  ///< its first thread did; others may go on
  std::uint64_t threads = 0, ticks = 0, start = 0;

  /// Nothing is left of it but what its parent may ask.
  bool ended() const { return leader_ended && threads <= 1; }
};

/// Reads /proc/PID/stat. The second field, "(name)", is anything that the program likes; what comes
/// after it never holds a ')'.
std::optional<Process> parse_stat(std::string_view text) {
  Process process;
  process.pid = static_cast<pid_t>(take_number(text));
  const auto name_end = text.rfind(") ");
  if (name_end == text.npos) return std::nullopt;
  text.remove_prefix(name_end + 2);
  process.leader_ended = text.starts_with('Z') || text.starts_with('X');
  text.remove_prefix(1);
  for (int field = 4; field <= 22; ++field) {
    const std::uint64_t number = take_number(text);
    if (field == 4) process.parent = static_cast<pid_t>(number);
    if (field >= 14 && field <= 17) process.ticks += number;
    if (field == 20) process.threads = number;
    if (field == 22) process.start = number;
  }
  return process;
}

/// /proc, and room to read its files in.
class Proc {
 public:
  Proc() : folder_(open_folder(AT_FDCWD, "/proc")) {
    if (!folder_) throw_system(errno, "cannot list /proc", {}, Exit::sandbox);
  }

  int fd() const { return ::dirfd(folder_.get()); }

  /// A file at one go, so that it tells of one moment; empty when that fails.
  std::string_view read(const std::string& name) {
    const host::Fd opened(::openat(fd(), name.c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t count = opened ? ::read(opened.get(), buffer_.get(), size) : 0;
    return {buffer_.get(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }

  std::optional<Process> process(pid_t pid) { return parse_stat(read(name_of(pid, "stat"))); }

  /// The number that a process or thread was given last; they rise, up to a limit.
  pid_t newest() {
    std::string_view text = read("loadavg");
    text.remove_prefix(text.rfind(' ') + 1);
    return static_cast<pid_t>(take_number(text));
  }

  /// Hands every process of the system to `use`, right after it was read.
  template <class Use>
  void each_process(Use&& use) {
    ::rewinddir(folder_.get());
    while (const dirent* entry = ::readdir(folder_.get())) {
      const pid_t pid = number_of(*entry);
      const auto found = pid != 0 ? process(pid) : std::nullopt;
      if (found) use(*found);
    }
  }

 private:
  /// PID/status lists all groups of a process, up to 65536, before its memory.
  static constexpr std::size_t size = 1 << 20;
  Folder folder_;
  std::unique_ptr<char[]> buffer_ = std::make_unique_for_overwrite<char[]>(size);
};

/// One scan of all processes, not a walk from parent to child: whoever loses its parent meanwhile
/// goes to the reaper, which a walk has left behind.
std::vector<Process> tree_below(Proc& proc, pid_t root) {
  std::vector<Process> all, below;
  proc.each_process([&](const Process& process) { all.push_back(process); });
  std::ranges::sort(all, {}, &Process::parent);
  Process parent;
  parent.pid = root;
  for (std::size_t next = 0;; parent = below[next++]) {
    auto child = std::ranges::lower_bound(all, parent.pid, {}, &Process::parent);
    for (; child != all.end() && child->parent == parent.pid; ++child) {
      // A child older than its parent is not: the number went to another process during the scan.
      if (child->pid != root && child->start >= parent.start) below.push_back(*child);
    }
    if (next == below.size()) return below;
  }
}

/// Open files without a name, each counted once.
/// What may lie unread in a socket, which nothing tells: net.core.wmem_default.
constexpr std::uint64_t socket_bytes = 212'992;

struct Nameless {
  std::set<FileId> seen, in_memory;
  std::uint64_t memory_bytes = 0, disk_bytes = 0;

  void add(int folder, const char* name);
};

/// `name` is that of a descriptor in an open /proc/PID/fd. Nothing here opens the file itself or
/// asks a remote file system for it, which might wait for ever.
void Nameless::add(int folder, const char* name) {
  struct statx file {};
  if (::statx(folder, name, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_TYPE | STATX_NLINK | STATX_INO | STATX_BLOCKS, &file) != 0) {
    return;
  }
  const bool socket = S_ISSOCK(file.stx_mode);
  if (!socket && (!S_ISREG(file.stx_mode) || file.stx_nlink != 0)) return;
  const FileId id(::makedev(file.stx_dev_major, file.stx_dev_minor), file.stx_ino);
  if (!seen.insert(id).second) return;
  if (socket) {
    memory_bytes += socket_bytes;
    return;
  }
  struct statfs system {};
  const host::Fd handle(::openat(folder, name, O_PATH | O_CLOEXEC));
  if (handle && ::fstatfs(handle.get(), &system) == 0 &&
      (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC ||
       system.f_type == HUGETLBFS_MAGIC)) {
    in_memory.insert(id);
    memory_bytes += file.stx_blocks * 512;
  } else {
    disk_bytes += file.stx_blocks * 512;
  }
}

/// Adds what a process has open, at most `left` descriptors, of which those looked at are taken
/// off. Returns whether that was all.
bool add_open_files(int proc, pid_t pid, std::size_t& left, Nameless& nameless) {
  const Folder folder = open_folder(proc, name_of(pid, "fd").c_str());
  if (!folder) return false;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    if (left == 0) return false;
    --left;
    nameless.add(::dirfd(folder.get()), entry->d_name);
  }
  return true;
}

/// A process that holds memory.
struct Holder {
  pid_t pid = 0, parent = 0;
  std::uint64_t pages_bytes = 0, tables_bytes = 0;
};

/// The first number of a line "NAME:  123 ..." of /proc/PID/status, where a process's name has its
/// line feeds escaped; nullopt when there is no such line.
std::optional<std::uint64_t> field(std::string_view status, std::string_view name) {
  const auto at = status.find(name);
  if (at == status.npos) return std::nullopt;
  status.remove_prefix(at + name.size());
  return take_number(status);
}

/// False for a process without memory, one that is about to end.
bool read_memory(std::string_view status, Holder& holder) {
  const auto resident = field(status, "\nVmRSS:");
  if (!resident) return false;
  holder.pages_bytes = (*resident + field(status, "\nVmSwap:").value_or(0)) * 1024;
  // Pages of nothing but zeros cost a program no memory, their tables do.
  holder.tables_bytes = field(status, "\nVmPTE:").value_or(0) * 1024;
  return true;
}

/// The file that a line of /proc/PID/smaps "from-to rwxp offset major:minor inode path" maps.
FileId mapped_file(std::string_view line) {
  for (int i = 0; i < 3; ++i) line.remove_prefix(std::min(line.find(' ') + 1, line.size()));
  const auto major = static_cast<unsigned>(take_number(line, 16));
  const auto minor = static_cast<unsigned>(take_number(line, 16));
  return {::makedev(major, minor), take_number(line)};
}

/// Of each page the part that falls to this process when it is divided by all that map it. Pages
/// of the files `counted` are left out; only for that every mapping is looked at by itself.
std::uint64_t share_of(const Holder& holder, const std::set<FileId>& counted) {
  const std::string name =
      "/proc/" + std::to_string(holder.pid) + (counted.empty() ? "/smaps_rollup" : "/smaps");
  const File file(std::fopen(name.c_str(), "re"));
  if (!file) return errno == EACCES || errno == EPERM ? holder.pages_bytes : 0;
  std::uint64_t bytes = 0;
  bool left_out = false;
  char* line = nullptr;
  std::size_t room = 0;
  for (ssize_t size; (size = ::getline(&line, &room, file.get())) > 0;) {
    std::string_view text(line, static_cast<std::size_t>(size));
    // Fields start with a capital, the line of a mapping with an address in small letters.
    if (text[0] < 'A' || text[0] > 'Z') {
      left_out = !counted.empty() && counted.contains(mapped_file(text));
    } else if (!left_out && (text.starts_with("Pss:") || text.starts_with("SwapPss:"))) {
      text.remove_prefix(text.find(':'));
      bytes += take_number(text) * 1024;
    }
  }
  std::free(line);
  return bytes;
}

/// Whether a process runs in its parent's memory, as between vfork and exec; each of them would be
/// told to own all of it.
bool borrows_memory(const Holder& holder) {
  return ::syscall(SYS_kcmp, holder.pid, holder.parent, KCMP_VM, 0, 0) == 0;
}

std::uint64_t exact_memory(const std::vector<Holder>& holders, const Nameless& nameless,
                           std::uint64_t enough) {
  const auto deadline = Clock::now() + max_counting;
  std::uint64_t bytes = nameless.memory_bytes;
  for (const Holder& holder : holders) {
    if (bytes > enough) break;
    if (borrows_memory(holder)) continue;
    bytes += holder.tables_bytes +
             (Clock::now() < deadline ? share_of(holder, nameless.in_memory) : holder.pages_bytes);
  }
  return bytes;
}

/// A thread of a process whose first one ended: /proc/PID then knows neither memory nor files, but
/// /proc/TID does.
pid_t living_thread(int proc, pid_t pid) {
  const Folder threads = open_folder(proc, name_of(pid, "task").c_str());
  while (const dirent* entry = threads ? ::readdir(threads.get()) : nullptr) {
    const pid_t thread = number_of(*entry);
    if (thread != 0 && thread != pid) return thread;
  }
  return pid;
}

/// Processes by number and start.
using Known = std::set<std::pair<pid_t, std::uint64_t>>;

/// Sends a signal to each process below `root` as soon as it is seen, since one that forks and
/// exits is another one a moment later. Returns whether one of those alive was not known before.
bool signal_pass(Proc& proc, pid_t root, int signal, Known& known) {
  std::map<pid_t, bool> is_below = {{0, false}, {root, true}};
  // Goes up to one whose parent is known: a parent may not have been listed yet, or have come
  // behind the scan.
  const auto topmost = [&](std::optional<Process> process) {
    while (process && !is_below.contains(process->parent)) process = proc.process(process->parent);
    return process;
  };
  bool news = false;
  const auto look_at = [&](const Process& process) {
    auto top = topmost(process);
    // Where that ended with one that has just gone, there is another parent now.
    if (!top) top = topmost(proc.process(process.pid));
    if (!top) return;
    const bool below = is_below.emplace(process.pid, is_below[top->parent]).first->second;
    if (!below || process.pid == root || process.ended()) return;
    ::kill(process.pid, signal);
    if (known.emplace(process.pid, process.start).second) news = true;
  };
  pid_t last = proc.newest();
  proc.each_process(look_at);
  // Then those that came meanwhile. One that forks and exits all the time is in no list any more
  // when its turn comes, and has to be caught up with.
  for (int i = 0; i < max_chase && last < proc.newest(); ++i) {
    const auto process = proc.process(++last);
    if (process) look_at(*process);
  }
  return news;
}

/// Reaps what has ended and returns whether the calling process has no child at all any more.
bool reap_all() {
  pid_t reaped = 0;
  do {
    reaped = ::waitpid(-1, nullptr, WNOHANG | __WALL);
  } while (reaped > 0);
  return reaped < 0 && errno == ECHILD;
}

/// Whether an entry of a folder could not be looked at because it is no more what it was.
bool gone(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

/// What an entry of a folder takes.
std::uint64_t bytes_of(const struct stat& facts) {
  return std::max(page, static_cast<std::uint64_t>(facts.st_blocks) * 512);
}

}  // namespace

std::vector<pid_t> processes_below(pid_t root) {
  Proc proc;
  std::vector<pid_t> pids;
  for (const Process& process : tree_below(proc, root)) pids.push_back(process.pid);
  return pids;
}

Usage usage_below(pid_t root, std::uint64_t memory_limit) {
  Proc proc;
  Usage usage;
  std::uint64_t ticks = 0;
  Nameless nameless;
  std::vector<Holder> holders;
  std::size_t descriptors = max_descriptors;
  const auto below = tree_below(proc, root);
  for (std::size_t i = 0; i < below.size(); ++i) {
    const Process& process = below[i];
    usage.tasks += process.threads;
    ticks += process.ticks;
    if (process.ended()) continue;
    const pid_t pid = process.leader_ended ? living_thread(proc.fd(), process.pid) : process.pid;
    // Each gets an equal part of what the others left over, so that none hides behind another.
    std::size_t part = descriptors / (below.size() - i);
    descriptors -= part;
    const bool all = add_open_files(proc.fd(), pid, part, nameless);
    descriptors += part;
    Holder holder{pid, process.parent};
    // Asked last: one that is about to end does not let its files be seen either.
    if (!read_memory(proc.read(name_of(pid, "status")), holder)) continue;
    if (!all) ++usage.unseen;
    usage.memory_bytes += holder.pages_bytes + holder.tables_bytes;
    holders.push_back(holder);
  }
  usage.memory_bytes += nameless.memory_bytes;
  usage.nameless_bytes = nameless.disk_bytes;
  usage.cpu = std::chrono::nanoseconds(1'000'000'000 / ::sysconf(_SC_CLK_TCK)) * ticks;
  if (memory_limit != 0 && usage.memory_bytes > memory_limit) {
    usage.memory_bytes = exact_memory(holders, nameless, memory_limit);
  }
  return usage;
}

bool kill_below(pid_t root, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  Proc proc;
  Known stopped;
  for (int quiet = 0;;) {
    const auto begun = Clock::now();
    // All are stopped before any is killed. Neither can fork then, but one that is killed makes
    // room for another, so that many who fork would go on for ever below a limit of processes.
    const bool more = signal_pass(proc, root, SIGSTOP, stopped);
    if (more) quiet = 0;
    if (!more || begun >= deadline - patience / 2) {
      Known alive;
      quiet = signal_pass(proc, root, SIGKILL, alive) ? 0 : quiet + 1;
      // A process can slip through a scan, by being another one at every look; but nothing is below
      // a process without children. Of another one only its absence from scans can be known.
      if (root == ::getpid() ? reap_all() : quiet == 3) return true;
    }
    if (Clock::now() >= deadline) return false;
    // They need the processor too, to stop and to end.
    std::this_thread::sleep_for(std::max<Clock::duration>(1ms, Clock::now() - begun));
  }
}

std::uint64_t tasks_of_user() {
  Proc proc;
  std::uint64_t tasks = 0;
  proc.each_process([&](const Process& process) {
    // Not by the folder's owner: that is root where a process does not let itself be looked at.
    const auto status = proc.read(name_of(process.pid, "status"));
    if (field(status, "\nUid:") == ::getuid()) tasks += process.threads;
  });
  return tasks;
}

std::uint64_t disk_usage(const host::Path& folder, std::uint64_t enough) {
  const std::uint64_t beyond = std::max(enough, enough + 1);
  std::vector<Folder> open;
  open.push_back(open_folder(AT_FDCWD, folder.c_str()));
  struct stat facts {};
  if (!open.back()) return gone(errno) ? 0 : beyond;
  if (::fstat(::dirfd(open.back().get()), &facts) != 0) return beyond;
  const dev_t disk = facts.st_dev;
  std::uint64_t bytes = bytes_of(facts);
  std::set<ino_t> linked;
  while (!open.empty() && bytes <= enough) {
    const dirent* entry = ::readdir(open.back().get());
    if (entry == nullptr) {
      open.pop_back();
      continue;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const int at = ::dirfd(open.back().get());
    if (::fstatat(at, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
      if (!gone(errno)) return beyond;
      continue;
    }
    if (facts.st_dev != disk) continue;
    const bool is_folder = S_ISDIR(facts.st_mode);
    if (is_folder || facts.st_nlink < 2 || linked.insert(facts.st_ino).second) {
      bytes += bytes_of(facts);
    }
    if (!is_folder) continue;
    if (open.size() == max_depth) return beyond;
    Folder inner = open_folder(at, entry->d_name);
    if (!inner && !gone(errno)) return beyond;
    if (inner) open.push_back(std::move(inner));
  }
  return bytes;
}

}  // namespace volt::sandbox
