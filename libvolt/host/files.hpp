// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/hex.hpp"

namespace volt::host {

using Path = std::filesystem::path;

/// A path for messages, safe for a terminal.
std::string shown(const Path& path);

/// An open file descriptor, closed with its owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Opens a regular file for reading; a pipe or device is refused without waiting for it. Throws
/// Error: not_found, local_io, `wrong` (no regular file).
Fd open_file(const Path& path, Exit wrong = Exit::usage);

/// Whether there is something under this name (a dangling link counts as nothing), and whether it
/// is a folder. What the system will not tell, such as a name too long for it, is not there.
bool exists(const Path& path);
bool is_folder(const Path& path);

/// Identity of an open file's content, as far as the system tells: to notice a change meanwhile.
struct Stamp {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;
  bool operator==(const Stamp&) const = default;
};
Stamp stamp_of(int fd);

/// A whole open file, read-only in memory. A file that is cut short meanwhile kills the process
/// with SIGBUS: map only in a worker, or what nobody else writes.
class Mapping {
 public:
  Mapping() = default;
  explicit Mapping(int fd);
  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  ByteView bytes() const { return bytes_; }
  /// Lets go of the memory that holds it; what is looked at again is read again.
  void release() const;

 private:
  ByteView bytes_;
};

/// A whole open file, copied: what is examined and then used must not change in between.
Bytes read_whole(int fd);

/// The text of a file of at most `max_bytes`. Throws Error: not_found, local_io, `wrong` (too long,
/// or no regular file).
std::string read_file(const Path& path, std::uint64_t max_bytes, Exit wrong = Exit::usage);

/// All that comes out of a pipe or standard input. Throws Error: usage beyond `max_bytes`,
/// interrupted; `name` is for messages.
std::string read_all(int fd, std::uint64_t max_bytes, std::string_view name,
                     std::stop_token stop = {});

/// Bytes [offset, offset + size) of an open file; short only at its end.
std::size_t read_at(int fd, std::uint64_t offset, std::uint8_t* bytes, std::size_t size);
void write_at(int fd, std::uint64_t offset, ByteView bytes);
void write_all(int fd, std::string_view text);

/// Makes `path` hold `text` with `mode`, or leaves it as it was: written beside it, flushed to the
/// disk, renamed, folder flushed.
void write_file(const Path& path, std::string_view text, unsigned mode = 0644);

void make_folder(const Path& path, unsigned mode = 0777);  ///< with its parents
/// The same for a folder that volt keeps to itself. Throws Error (conflict) on a link, or another
/// user's folder: a stranger may have put it there to have other files replaced or removed.
void make_own_folder(const Path& path);
void sync_folder(const Path& path);
/// Flushes a finished file and gives it its name, then flushes the folder.
void rename_into(const Path& from, const Path& to);
/// Removes a file or a folder with all that is in it, if there is something under this name:
/// however deep, also folders of ours without permissions. Links are not followed.
void remove_tree(const Path& path);

/// A folder of one's own with an unpredictable name below another; removed with all that is in it.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const Path& place);
  ~TemporaryFolder();  ///< what cannot be removed stays, and is no error
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const Path& path() const { return path_; }

 private:
  Path path_;
};

/// An advisory lock; the system frees it however its process ends. It belongs to this object: a
/// second one of the same process has to wait as any other.
class Lock {
 public:
  /// nullopt when somebody holds it.
  static std::optional<Lock> take(const Path& path);
  /// Waits until nobody holds it.
  static Lock wait(const Path& path);
  /// Whether somebody holds it, without taking it; false when there is no such file.
  static bool held(const Path& path);

 private:
  explicit Lock(Fd fd) : fd_(std::move(fd)) {}
  static bool lock(const Fd& fd, const Path& path, bool waiting);
  Fd fd_;
};

}  // namespace volt::host
