// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::run {

/// What makes two runs the same run: it may go on where the other stopped.
struct Identity {
  Digest job;
  std::vector<Digest> inputs;  ///< of the files, in the job's order
  bool operator==(const Identity&) const = default;
};

/// A run folder, locked. Until the end all is kept below `.volt/`; finished outputs get their
/// names, and the receipt last: a folder with receipt.json is complete, whatever was killed when.
class Folder {
 public:
  /// Opens or makes the folder for a run of `identity` whose outputs are `names`; when they are not
  /// known yet (none), nothing else may lie in it. Throws Error (conflict) when another process has
  /// it, when it is complete or holds another job's run and not `force`, or when files in the way
  /// are not ours. `secret` authenticates the journal: one that a stranger planted, with results of
  /// his own, would otherwise be signed as ours.
  Folder(host::Path path, const Identity& identity, const std::vector<std::string>& names,
         bool force, const Digest& secret);

  const host::Path& path() const { return path_; }
  std::uint64_t attempt() const { return attempt_; }
  const std::string& started() const { return started_; }
  std::uint64_t earlier_ns() const { return earlier_ns_; }  ///< time of the run before it stopped

  /// What is to be thrown away at the end, or when a run starts anew.
  host::Path work() const { return hidden("work"); }
  /// Where what a person may want to read of the run is added.
  int log() const { return log_.get(); }
  /// Writes one of the files that say how a run goes or went, and vouch for nothing: run.json,
  /// metrics.jsonl, loss.svg. While a complete run is there, which this one is to replace, its own
  /// stay. Returns where it is.
  host::Path note(const std::string& name, const std::string& text) const;
  /// One of these to add to, open for reading and writing: as an earlier start left it if this one
  /// goes on from there, otherwise empty.
  host::Fd noted_file(const std::string& name) const;

  /// The outputs, once they are known: name, and where it is below work().
  void set_outputs(const std::vector<std::pair<std::string, host::Path>>& outputs);

  /// The unfinished output, open for reading and writing.
  host::Fd work_file(const std::string& name) const;

  /// The main output's place in its file, and its length or more; must equal what the journal says
  /// of an earlier start.
  void begin(std::uint64_t offset, std::uint64_t bytes);
  /// Journals the leaf digests of the next pages.
  void add_pages(const std::vector<Digest>& leaves, std::uint64_t elapsed_ns);
  /// Journals that these are all, where the output may be shorter than begin() said.
  void end_pages();
  /// Takes back all but the first `count` of the leaves that earlier starts journalled.
  void keep_pages(std::uint64_t count);
  /// Leaf digests so far: of earlier starts, as far as the file still has those pages, and of this.
  const std::vector<Digest>& leaves() const { return leaves_; }

  /// Gives everything its name; `receipt` last.
  void complete(const std::string& job, const std::string& run, const std::string& receipt);

 private:
  std::string tagged(const std::string& line);
  void resume(bool force);
  void refuse_in_the_way() const;
  void refuse(const std::string& name) const;
  bool is_noted(const std::string& name) const;
  void check_way(const host::Path& name) const;
  void drop_outputs(const std::vector<std::string>& names) const;
  void start_journal();
  void open_log(bool anew);
  host::Path hidden(const std::string& name) const { return path_ / ".volt" / name; }

  host::Path path_;
  Identity identity_;
  std::vector<std::string> names_;
  std::map<std::string, host::Path> sources_;  ///< of outputs that do not lie in work() by name
  std::optional<host::Lock> lock_;
  Digest secret_, chain_;                     ///< each line is tied to all before it
  std::vector<std::string> earlier_outputs_;  ///< of the run that this one replaces
  bool ours_ = false;                         ///< an earlier start of ours was here
  std::vector<std::string> begun_outputs_;    ///< which it may have put into place
  host::Fd journal_, log_;
  std::uint64_t attempt_ = 1;
  std::uint64_t earlier_ns_ = 0;
  std::string started_;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> extent_;  ///< offset, bytes
  std::vector<Digest> leaves_;
  bool all_pages_ = false;  ///< no leaf follows
};

/// TensorBoard knows its files by the word in the middle.
inline constexpr std::string_view event_file_name = "events.out.tfevents.volt";

/// How many of `leaves`, from the first on, are the digests of the pages of bytes [offset, offset +
/// bytes) of an open file.
std::size_t matching_pages(int fd, std::uint64_t offset, std::uint64_t bytes,
                           const std::vector<Digest>& leaves);

}  // namespace volt::run
