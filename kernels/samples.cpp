// SPDX-License-Identifier: Apache-2.0

#include "samples.hpp"

#include <algorithm>
#include <map>

namespace volt::kernels {
namespace {

constexpr std::uint32_t least_rows = 64, batch_rows = least_rows * SampleBatch::most_samples;

std::uint32_t rows_for(std::uint32_t length) {
  std::uint32_t rows = least_rows;
  while (rows < length) rows *= 2;
  const std::uint32_t less = rows / 4 * 3;  // 96 is no multiple of 64
  return less >= length && less > 2 * least_rows ? less : rows;
}

SampleBatch start(std::uint32_t rows) { return {rows, std::max(batch_rows / rows, 1u), {}, {}}; }

}  // namespace

std::optional<std::vector<SampleBatch>> batches_of(const std::uint32_t* first, std::uint64_t rows,
                                                   std::uint64_t stride) {
  if (rows >> 30 != 0) return {};
  std::map<std::uint32_t, std::vector<SampleBatch>> by_rows;
  std::map<std::uint32_t, std::uint32_t> filled;  // of the last batch
  const auto count = static_cast<std::uint32_t>(rows);
  for (std::uint32_t begin = 0, end = 0; begin < count; begin = end) {
    if (first[begin * stride] != begin) return {};
    while (end < count && first[end * stride] == begin) ++end;
    const std::uint32_t size = rows_for(end - begin);
    std::vector<SampleBatch>& batches = by_rows[size];
    std::uint32_t& place = filled[size];
    if (batches.empty() || place == batches.back().samples) {
      batches.push_back(start(size));
      place = 0;
    }
    batches.back().first[place] = begin;
    batches.back().length[place++] = end - begin;
  }
  std::vector<SampleBatch> all;
  for (const auto& [size, batches] : by_rows) all.insert(all.end(), batches.begin(), batches.end());
  return all;
}

}  // namespace volt::kernels
