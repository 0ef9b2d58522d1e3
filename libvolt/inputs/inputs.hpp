// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/event.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/net/http.hpp"
#include "libvolt/schema/job.hpp"

/// Finds everything that a job or receipt names, and gives it back open and with its digest.
namespace volt::inputs {

/// A file in hand. Its descriptor is what later reads use, so that the name may change meanwhile.
struct Found {
  std::string name;  ///< "a"; of a file in a folder that is an input "src/model.py"
  host::Path path;
  host::Fd fd;
  host::Stamp stamp;
  Digest sha256;
  std::optional<Digest> receipt;  ///< of the run whose output it is

  /// Throws Error (conflict) when the file was changed since.
  void check_unchanged() const;
};

/// Where to look, and how to fetch.
struct Places {
  host::Path job_folder;
  std::map<std::string, std::string, std::less<>> bindings;  ///< --input NAME=PATH
  std::vector<host::Path> candidates;                        ///< --inputs: files, and folders
  host::Path cache;                                          ///< files by digest
  net::Http* http = nullptr;                                 ///< null: nothing is downloaded
};

/// SHA-256 of an open file; throws Error (interrupted) when asked to stop.
Digest digest_of(int fd, std::string_view shown, Sink& sink, std::stop_token stop);

/// What `path` of a job names: it must stay below `folder` after links are resolved.
host::Path path_below(const host::Path& folder, std::string_view path);

/// Finds all file inputs of a job; seeded ones are left out. Of a folder of a command every regular
/// file below it is found; links and special files in it are refused. Of one with a model or an
/// adapter it is what Job::reads() names, and links lead anywhere if the person bound it. Throws
/// Error: usage (not bound, no digest for a url, outside the folder), not_found,
/// verification_failed (not the pinned digest, or an earlier run's receipt that does not hold),
/// network.
std::vector<Found> find(const schema::Job& job, const Places& places, Sink& sink,
                        std::stop_token stop);

/// The same for a job that is about to be pinned: digests that it has are not looked at.
std::vector<Found> find_to_pin(schema::Job job, const Places& places, Sink& sink,
                               std::stop_token stop);

/// Whether the files that a job names are there, without reading them; throws like find().
void check_present(const schema::Job& job, const Places& places);

/// Looks for a file of this digest and length (if known) among the candidates (of a folder, each
/// file in it), then in the cache, then at the url. nullopt when it is nowhere.
std::optional<Found> find_by_digest(std::string_view name, const Digest& sha256,
                                    std::optional<std::uint64_t> bytes, const Places& places,
                                    const schema::Url* url, Sink& sink, std::stop_token stop);

/// The digest that pins an input: of its file, or of the manifest of its folder's files.
Digest pin_of(std::string_view name, const std::vector<Found>& found);

/// The text of a TOML job with every file input's digest written into it, all else left as it is.
std::string lock(std::string_view toml, const schema::Job& job, const std::vector<Found>& found);

}  // namespace volt::inputs
