// SPDX-License-Identifier: Apache-2.0
#include "libvolt/host/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::host {
std::string shown(const Path& path) { return printable(path.string()); }

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd open_file(const Path& path, Exit wrong) {
  // Without O_NONBLOCK a pipe under this name would make open() wait for a writer.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    const bool absent = errno == ENOENT || errno == ENOTDIR;
    throw_system(errno, "cannot open " + shown(path), {},
                 absent ? Exit::not_found : Exit::local_io);
  }
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) throw_system(errno, "cannot examine " + shown(path));
  if (!S_ISREG(facts.st_mode)) {
    throw Error(wrong, shown(path) + " is not a regular file");
  }
  return fd;
}

bool exists(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

bool is_folder(const Path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

Stamp stamp_of(int fd) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) throw_system(errno, "cannot examine a file");
  return {facts.st_dev, facts.st_ino, static_cast<std::uint64_t>(facts.st_size),
          facts.st_mtim.tv_sec * std::int64_t{1'000'000'000} + facts.st_mtim.tv_nsec,
          facts.st_ctim.tv_sec * std::int64_t{1'000'000'000} + facts.st_ctim.tv_nsec};
}

Mapping::Mapping(int fd) {
  const auto size = stamp_of(fd).bytes;
  if (size == 0) return;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) throw_system(errno, "cannot map a file into memory");
  bytes_ = {static_cast<const std::uint8_t*>(address), size};
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (!bytes_.empty()) ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

void Mapping::release() const {
  // Whether that worked is of no consequence.
  if (!bytes_.empty()) {
    ::madvise(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
  }
}

Bytes read_whole(int fd) {
  Bytes bytes(stamp_of(fd).bytes);
  bytes.resize(read_at(fd, 0, bytes.data(), bytes.size()));
  return bytes;
}

std::string read_file(const Path& path, std::uint64_t max_bytes, Exit wrong) {
  const Fd fd = open_file(path, wrong);
  const auto size = stamp_of(fd.get()).bytes;
  const auto refuse_beyond = [&](std::uint64_t bytes) {
    if (bytes <= max_bytes) return;
    throw Error(wrong, shown(path) + " has " + std::to_string(bytes) + " bytes, more than the " +
                           std::to_string(max_bytes) + " allowed");
  };
  refuse_beyond(size);
  std::string text(size, '\0');
  text.resize(read_at(fd.get(), 0, reinterpret_cast<std::uint8_t*>(text.data()), text.size()));
  // The kernel's own files claim to have no length.
  for (char more[4096];;) {
    const auto count =
        read_at(fd.get(), text.size(), reinterpret_cast<std::uint8_t*>(more), sizeof more);
    if (count == 0) return text;
    text.append(more, count);
    refuse_beyond(text.size());
  }
}

std::string read_all(int fd, std::uint64_t max_bytes, std::string_view name, std::stop_token stop) {
  std::string text;
  char buffer[65536];
  for (;;) {
    if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
    const auto count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system(errno, "cannot read " + std::string(name));
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > max_bytes) {
      throw Error(Exit::usage, std::string(name) + " has more than the " +
                                   std::to_string(max_bytes) + " bytes allowed");
    }
  }
}

std::size_t read_at(int fd, std::uint64_t offset, std::uint8_t* bytes, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const auto count = ::pread(fd, bytes + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system(errno, "cannot read a file");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

void write_at(int fd, std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const auto count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system(errno, "cannot write a file");
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system(errno, "cannot write");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

void write_file(const Path& path, std::string_view text, unsigned mode) {
  const Path beside = path.string() + ".part" + std::to_string(::getpid());
  try {
    Fd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!fd) throw_system(errno, "cannot create " + shown(beside));
    during("writing " + shown(path), [&] { write_all(fd.get(), text); });
    rename_into(beside, path);
  } catch (...) {
    ::unlink(beside.c_str());
    throw;
  }
}

void make_folder(const Path& path, unsigned mode) {
  if (path.has_parent_path() && !host::exists(path.parent_path())) {
    make_folder(path.parent_path());
  }
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    throw_system(errno, "cannot create folder " + shown(path));
  }
  if (!is_folder(path)) {
    throw Error(Exit::local_io, shown(path) + " is in the way: it is not a folder");
  }
}

void make_own_folder(const Path& path) {
  if (path.has_parent_path()) make_folder(path.parent_path());
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    throw_system(errno, "cannot create folder " + shown(path));
  }
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0) throw_system(errno, "cannot examine " + shown(path));
  if (!S_ISDIR(facts.st_mode) || facts.st_uid != ::geteuid()) {
    throw Error(Exit::conflict, shown(path) + " is not a folder of yours",
                "somebody else put it there: look at it, then remove it");
  }
}

void sync_folder(const Path& path) {
  const Fd fd(::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot flush a folder (EINVAL); there is nothing more to do on those.
  if (!fd || (::fsync(fd.get()) != 0 && errno != EINVAL)) {
    throw_system(errno, "cannot flush folder " + shown(path));
  }
}

void rename_into(const Path& from, const Path& to) {
  {
    const Fd fd = open_file(from);
    if (::fsync(fd.get()) != 0) throw_system(errno, "cannot flush " + shown(from));
  }
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw_system(errno, "cannot rename " + shown(from) + " to " + shown(to));
  }
  sync_folder(to.parent_path());
}

namespace {

/// Only the innermost folder is open, and no path is longer than a name: a stranger's program may
/// have nested folders deeper than descriptors, the stack or PATH_MAX would last.
class Removal {
 public:
  explicit Removal(const Path& path) : path_(path) {}

  void run() {
    if (remove(path_.c_str())) return;
    levels_.push_back({0, 0, {path_.string()}});
    while (levels_.size() > 1 || !levels_.back().folders.empty()) {
      if (levels_.back().folders.empty()) {
        leave();
      } else {
        enter(levels_.back().folders.back().c_str());
      }
    }
  }

 private:
  struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };
  using Folder = std::unique_ptr<DIR, Close>;

  /// A folder on the way, and what is left in it: folders that are not empty, the last one first.
  struct Level {
    dev_t device;
    ino_t inode;
    std::vector<std::string> folders;
  };

  int at() const { return folder_ ? ::dirfd(folder_.get()) : AT_FDCWD; }
  [[noreturn]] void fail() const { throw_system(errno, "cannot remove " + shown(path_)); }

  /// False for a folder that is not empty.
  bool remove(const char* name) const {
    if (::unlinkat(at(), name, 0) == 0 || errno == ENOENT || errno == ENOTDIR) return true;
    if (errno == EISDIR && ::unlinkat(at(), name, AT_REMOVEDIR) == 0) return true;
    if (errno == ENOENT) return true;
    if (errno != ENOTEMPTY && errno != EEXIST) fail();
    return false;
  }

  Folder open(const char* name) const {
    const int fd = ::openat(at(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    Folder folder(fd < 0 ? nullptr : ::fdopendir(fd));
    if (fd >= 0 && !folder) ::close(fd);
    return folder;
  }

  /// Goes into a folder and removes from it all but folders that are not empty.
  void enter(const char* name) {
    Folder inner = open(name);
    if (!inner && errno == EACCES) {
      // One without permissions may be ours; otherwise opening it says so again.
      ::fchmodat(at(), name, S_IRWXU, AT_SYMLINK_NOFOLLOW);
      inner = open(name);
    }
    if (!inner && errno == ENOENT) return levels_.back().folders.pop_back();
    struct stat facts {};
    if (!inner || ::fstat(::dirfd(inner.get()), &facts) != 0) fail();
    if ((facts.st_mode & S_IRWXU) != S_IRWXU) ::fchmod(::dirfd(inner.get()), S_IRWXU);
    folder_ = std::move(inner);
    Level level{facts.st_dev, facts.st_ino, {}};
    while (const dirent* entry = ::readdir(folder_.get())) {
      const std::string_view inside = entry->d_name;
      if (inside != "." && inside != ".." && !remove(entry->d_name)) {
        level.folders.emplace_back(inside);
      }
    }
    levels_.push_back(std::move(level));
  }

  /// Goes back up and removes the folder that is empty now.
  void leave() {
    levels_.pop_back();
    const Level& level = levels_.back();
    folder_ = levels_.size() > 1 ? open("..") : nullptr;
    if (levels_.size() > 1) {
      struct stat facts {};
      if (!folder_ || ::fstat(::dirfd(folder_.get()), &facts) != 0) fail();
      if (facts.st_dev != level.device || facts.st_ino != level.inode) {
        throw Error(Exit::conflict, shown(path_) + " was changed while it was removed");
      }
    }
    if (!remove(level.folders.back().c_str())) fail();
    levels_.back().folders.pop_back();
  }

  const Path& path_;
  Folder folder_;  ///< null for that where the path starts
  std::vector<Level> levels_;
};

}  // namespace

void remove_tree(const Path& path) { Removal(path).run(); }

TemporaryFolder::TemporaryFolder(const Path& place) {
  make_folder(place);
  std::string name = (place / "volt-XXXXXX").string();  // mkdtemp() fills the X in
  if (::mkdtemp(name.data()) == nullptr)
    throw_system(errno, "cannot make a folder in " + shown(place));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  try {
    remove_tree(path_);
  } catch (const Error&) {
    // It lies where anybody may clear away.
  }
}

namespace {

/// All of a file, for writing. Such locks are of the open file, as flock()'s are, and unlike those
/// can be asked for without being taken.
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

bool Lock::lock(const Fd& fd, const Path& path, bool waiting) {
  if (!fd) throw_system(errno, "cannot open lock " + shown(path));
  auto whole = whole_file();
  while (::fcntl(fd.get(), waiting ? F_OFD_SETLKW : F_OFD_SETLK, &whole) != 0) {
    if (errno == EAGAIN || errno == EACCES) return false;
    if (errno != EINTR) throw_system(errno, "cannot lock " + shown(path));
  }
  return true;
}

std::optional<Lock> Lock::take(const Path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock(fd, path, false)) return std::nullopt;
  return Lock(std::move(fd));
}

Lock Lock::wait(const Path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  lock(fd, path, true);
  return Lock(std::move(fd));
}

bool Lock::held(const Path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  // take() makes no link, so behind one there is no lock.
  if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return false;
  auto whole = whole_file();
  if (!fd || ::fcntl(fd.get(), F_OFD_GETLK, &whole) != 0) {
    throw_system(errno, "cannot examine lock " + shown(path));
  }
  return whole.l_type != F_UNLCK;
}

}  // namespace volt::host
