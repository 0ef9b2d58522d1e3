// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/doc/value.hpp"

namespace volt::schema {

/// Elements made by Philox from a number: nothing to send, and anybody can make them again.
struct Seeded {
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> shape;
};

/// A file found by its path below the job's folder; by `--input` when there is no path.
struct File {
  std::string path;  ///< empty: bound by the person, or known by digest alone
};

/// A file to be fetched. Without a digest it is refused, after telling which one it has now.
struct Url {
  std::string url;
};

/// An output of an earlier run, whose receipt is verified first.
struct RunOutput {
  std::string folder;
  std::string file;
};

/// Where an operand comes from, and what it must be.
struct Input {
  std::variant<File, Url, RunOutput, Seeded> from;
  std::optional<Digest> sha256;  ///< pinned by the job; of the whole file
  std::string tensor;            ///< which one of a safetensors file
  doc::Mark mark, end;           ///< where the job says it, for --lock

  const Seeded* seeded() const { return std::get_if<Seeded>(&from); }
};

}  // namespace volt::schema
