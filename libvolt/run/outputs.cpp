// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/outputs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>

#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/pattern.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::run {
namespace {

using schema::max_depth;
using schema::Pattern;

/// Names to choose from when one looks mistyped.
constexpr std::size_t max_others = 1000;

constexpr int safely = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, CloseFolder>;

[[noreturn]] void throw_unopened(int errno_value, std::string_view path) {
  throw_system(errno_value, "cannot open " + printable(path), {},
               errno_value == EACCES ? Exit::answer_is_no : Exit::local_io);
}

/// `path` is for messages.
OpenFolder open_folder(int parent, const char* name, std::string_view path) {
  const int fd = ::openat(parent, name, safely | O_DIRECTORY);
  OpenFolder folder(fd < 0 ? nullptr : ::fdopendir(fd));
  if (!folder) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    throw_unopened(error, path);
  }
  return folder;
}

/// Looks for what patterns name, without recursion: the program chose the depth.
class Walk {
 public:
  enum class Kind { none, folder, file };
  struct Match {
    std::string path;
    bool regular;
  };

  explicit Walk(const std::vector<std::string>& patterns)
      : patterns_(patterns.begin(), patterns.end()), named_(patterns.size()) {}

  /// Ends early when there are too many matches.
  void go(OpenFolder top, std::stop_token stop) {
    std::vector<Pattern::Reached> start;
    for (const auto& pattern : patterns_) start.push_back(pattern.start());
    levels_.push_back({std::move(top), {}, std::move(start)});
    while (!levels_.empty() && matches_.size() <= schema::max_entries) {
      if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
      errno = 0;
      const dirent* entry = ::readdir(levels_.back().folder.get());
      if (entry == nullptr && errno != 0) {
        throw_system(errno, "cannot read folder " + printable(levels_.back().path));
      }
      if (entry == nullptr) {
        levels_.pop_back();
      } else if (entry->d_name != std::string_view(".") &&
                 entry->d_name != std::string_view("..")) {
        visit(entry->d_name);
      }
    }
  }

  std::vector<Match>& matches() { return matches_; }
  Kind named(std::size_t pattern) const { return named_[pattern]; }   ///< the most that it named
  const std::vector<std::string>& others() const { return others_; }  ///< some of them

 private:
  struct Level {
    OpenFolder folder;
    std::string path;  ///< with '/' at its end, but for the top
    std::vector<Pattern::Reached> reached;
  };

  void visit(const char* name) {
    const int folder = ::dirfd(levels_.back().folder.get());
    std::string path = levels_.back().path + name;
    struct stat facts {};
    if (::fstatat(folder, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) throw_unopened(errno, path);
    const Kind kind = S_ISDIR(facts.st_mode) ? Kind::folder : Kind::file;
    bool is_named = false, may_go_on = false;
    std::vector<Pattern::Reached> reached;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      reached.push_back(patterns_[i].after(levels_.back().reached[i], name));
      may_go_on = may_go_on || Pattern::may_go_on(reached[i]);
      if (!Pattern::is_named(reached[i])) continue;
      is_named = true;
      named_[i] = std::max(named_[i], kind);
    }
    if (kind == Kind::folder) {
      if (!may_go_on || levels_.size() == max_depth) return;
      OpenFolder below = open_folder(folder, name, path);
      levels_.push_back({std::move(below), path + '/', std::move(reached)});
    } else if (is_named) {
      matches_.push_back({std::move(path), S_ISREG(facts.st_mode)});
    } else if (others_.size() < max_others && S_ISREG(facts.st_mode)) {
      others_.push_back(std::move(path));
    }
  }

  std::vector<Pattern> patterns_;
  std::vector<Kind> named_;
  std::vector<Level> levels_;
  std::vector<Match> matches_;
  std::vector<std::string> others_;
};

[[noreturn]] void throw_missing(const std::string& pattern, const Walk& walk, Walk::Kind named) {
  std::string hint;
  if (named == Walk::Kind::folder) {
    hint = "it names a folder: \"" + printable(pattern) + "/**\" names the files in it";
  } else {
    std::vector<std::string_view> names;
    for (const auto& name : walk.others()) {
      if (schema::why_no_output(name).empty()) names.push_back(name);
    }
    hint = suggestion(pattern, names);
  }
  if (hint.empty()) hint = "a pattern of \"optional\" may match nothing";
  throw Error(Exit::answer_is_no,
              "the program made no file that matches \"" + printable(pattern) + "\"", hint);
}

void check(const Walk::Match& match) {
  const auto refuse = [&](const std::string& why, std::string hint) {
    throw Error(Exit::answer_is_no,
                "the program made \"" + printable(match.path) + "\", which " + why,
                std::move(hint));
  };
  const auto why = schema::why_no_output(match.path);
  if (!why.empty()) refuse(why, "an output needs another name");
  if (!match.regular) refuse("is no regular file", "links are not followed");
}

/// Makes room for that many more open files, as far as the system lets us.
void make_room(std::size_t files) {
  constexpr rlim_t others = 256;  // that we have open besides, or will
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= files + others) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, files + others);
  ::setrlimit(RLIMIT_NOFILE, &limit);  // what it still refuses, open() reports
}

/// Copies [at, end).
void copy_piece(int from, int to, off_t at, off_t end, std::stop_token stop) {
  constexpr off_t piece = off_t{64} << 20;
  Bytes buffer;
  while (at < end) {
    if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
    off_t in = at, out = at;
    const auto size = static_cast<std::size_t>(std::min(end - at, piece));
    auto count = ::copy_file_range(from, &in, to, &out, size, 0);
    if (count <= 0) {  // by hand, which also finds the right words for what is wrong
      buffer.resize(std::size_t{1} << 20);
      const auto read = host::read_at(from, static_cast<std::uint64_t>(at), buffer.data(),
                                      std::min(size, buffer.size()));
      if (read == 0) return;
      host::write_at(to, static_cast<std::uint64_t>(at), ByteView(buffer).first(read));
      count = static_cast<ssize_t>(read);
    }
    at += count;
  }
}

/// Holes stay holes: they may be larger than the disk.
void copy_content(int from, int to, off_t bytes, std::stop_token stop) {
  if (::ftruncate(to, bytes) != 0) throw_system(errno, "cannot write a file");
  off_t end = 0;
  for (;;) {
    const off_t begin = ::lseek(from, end, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) return;
    end = begin < 0 ? begin : ::lseek(from, begin, SEEK_HOLE);
    if (end < 0) throw_system(errno, "cannot read a file");
    copy_piece(from, to, begin, end, stop);
  }
}

/// Puts a copy in the place of `name`; its other links keep the file.
void replace_by_copy(int folder, const char* name, int from, const struct stat& facts,
                     std::stop_token stop) {
  const std::string beside = "." + crypto::random_digest().hex();
  const host::Fd to(
      ::openat(folder, beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) throw_system(errno, "cannot create a file beside it");
  try {
    copy_content(from, to.get(), facts.st_size, stop);
    if (::fchmod(to.get(), facts.st_mode & 0777) != 0 ||
        ::renameat(folder, beside.c_str(), folder, name) != 0) {
      throw_system(errno, "cannot finish a copy");
    }
  } catch (...) {
    ::unlinkat(folder, beside.c_str(), 0);
    throw;
  }
}

struct stat facts_of(const host::Fd& fd, const std::string& path) {
  struct stat facts {};
  if (!fd) throw_unopened(errno, path);
  if (::fstat(fd.get(), &facts) != 0) throw_system(errno, "cannot examine " + printable(path));
  return facts;
}

Collected take(DIR* top, const std::string& path, std::stop_token stop) {
  const auto segments = split(path, '/');
  OpenFolder parent = open_folder(::dirfd(top), ".", path);
  for (const auto segment : std::span(segments).first(segments.size() - 1)) {
    parent = open_folder(::dirfd(parent.get()), std::string(segment).c_str(), path);
  }
  const int folder = ::dirfd(parent.get());
  const std::string name(segments.back());
  host::Fd fd(::openat(folder, name.c_str(), safely));
  auto facts = facts_of(fd, path);
  check({path, S_ISREG(facts.st_mode)});
  if (facts.st_nlink > 1) {
    during("copying " + printable(path) + ", which has several links",
           [&] { replace_by_copy(folder, name.c_str(), fd.get(), facts, stop); });
    fd = host::Fd(::openat(folder, name.c_str(), safely));
    facts = facts_of(fd, path);
  }
  const bool executable = (facts.st_mode & S_IXUSR) != 0;
  return {path, std::move(fd), static_cast<std::uint64_t>(facts.st_size), executable};
}

}  // namespace

std::vector<Collected> collect(const host::Path& folder, const Wanted& wanted,
                               std::stop_token stop) {
  std::vector<std::string> patterns = wanted.patterns;
  patterns.insert(patterns.end(), wanted.optional.begin(), wanted.optional.end());
  const OpenFolder top = open_folder(AT_FDCWD, folder.c_str(), folder.string());
  Walk walk(patterns);
  walk.go(open_folder(::dirfd(top.get()), ".", folder.string()), stop);

  auto& matched = walk.matches();
  if (matched.size() > schema::max_entries) {
    throw Error(Exit::answer_is_no,
                "the program made more than " + std::to_string(schema::max_entries) +
                    " files that the job wants kept",
                "have it pack them into one");
  }
  for (std::size_t i = 0; i < wanted.patterns.size(); ++i) {
    if (walk.named(i) != Walk::Kind::file) throw_missing(patterns[i], walk, walk.named(i));
  }
  std::sort(matched.begin(), matched.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  for (const auto& match : matched) check(match);
  make_room(matched.size());
  std::vector<Collected> collected;
  for (const auto& match : matched) collected.push_back(take(top.get(), match.path, stop));
  return collected;
}

}  // namespace volt::run
