// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::schema {

/// One job in many variants: the table [sweep] of a job file. A point is the job with some of its
/// values set anew.
class Sweep {
 public:
  static constexpr std::size_t max_points = 10'000;

  /// Takes [sweep] out of `job`; nullopt when it has none. Throws Error (source.code) with file,
  /// line and column.
  static std::optional<Sweep> take(doc::Value& job, const doc::Source& source,
                                   std::string_view stem);

  std::size_t size() const { return size_; }
  /// Of a product the last key varies fastest.
  doc::Value::Object settings(std::size_t point) const;
  /// "007": all points' labels are equally long, and sort as the points do.
  std::string label(std::size_t point) const;
  /// "007 command.env.LR=0.1 limits.time=20m"
  std::string title(std::size_t point) const;

  /// The point as a job of its own, named NAME-007. Throws Error (source.code) that names the
  /// point: a setting that leads nowhere, or whatever parse_job() refuses.
  Job job(std::size_t point) const;

  /// The points, in order, that each of `only` chooses: indices and ranges such as "0,3-5", or the
  /// value of a setting such as "command.env.LR=0.1". Throws Error: usage, not_found when there is
  /// no such point.
  std::vector<std::size_t> choose(const std::vector<std::string>& only) const;

 private:
  Sweep(doc::Value job, const doc::Source& source, std::string_view stem)
      : job_(std::move(job)), source_(source), stem_(stem) {}
  void take_product(doc::Fields& sweep);
  void take_list(doc::Fields& sweep);
  doc::Value applied(std::size_t point) const;
  std::vector<bool> with(std::string_view key, std::string_view text) const;

  doc::Value job_;  ///< without [sweep]
  doc::Source source_;
  std::string stem_;
  std::string path_;   ///< "sweep.product" or "sweep.list"
  doc::Value points_;  ///< of a product: keys and their values; of a list: a table each
  std::size_t size_ = 1;
};

}  // namespace volt::schema
