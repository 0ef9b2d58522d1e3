// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/doc/value.hpp"

namespace volt::doc {

/// Where a document came from and what a mistake in it means.
struct Source {
  std::string origin;       ///< "job.toml", "receipt"
  Exit code = Exit::usage;  ///< of the errors thrown
};

/// Reads the members of one table and refuses what nobody asked for. Every getter throws an Error
/// like `job.toml:4:5: matmul.profile is "f23x", not one of "f32x", "i8x", "i8"` with the hint
/// `did you mean "f32x"?`. The Value and the Source must outlive it.
class Fields {
 public:
  /// `path` is the dotted name of the table, empty at the root. Throws if `table` is no object.
  Fields(const Value& table, const Source& source, std::string path = {});

  /// The member, noted as known; null when absent.
  const Value* find(std::string_view key);
  /// The member; absent is an error, about a mistyped key if there is one.
  const Value& get(std::string_view key);
  Fields table(std::string_view key);

  const std::string& string(std::string_view key);
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high);
  double number(std::string_view key, double low, double high);
  bool boolean(std::string_view key);
  Digest digest(std::string_view key);
  const Value::Array& array(std::string_view key);
  /// One of `choices`.
  const std::string& choice(std::string_view key, std::span<const std::string_view> choices);

  bool has(std::string_view key) { return find(key) != nullptr; }

  /// Call last: any member that was never asked for is an error, with the known name that is
  /// nearest to it as a hint.
  void refuse_others() const;

  /// Throws about `value` (of this table): "<origin>:<line>:<column>: <path.key> <what>".
  [[noreturn]] void fail(std::string_view key, const Value& value, std::string_view what,
                         std::string hint = {}) const;

  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void refuse(const std::string& key, const Value& value) const;
  std::string name_of(std::string_view key) const;

  const Value& table_;
  const Source& source_;
  std::string path_;
  std::vector<std::string> known_;
};

}  // namespace volt::doc
