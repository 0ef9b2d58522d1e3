// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

/// The samples of a pack in batches of about one length, so that few kinds of batch occur: their
/// plans are kept, and what is filled up is little.
namespace volt::kernels {

struct SampleBatch {
  static constexpr std::uint32_t most_samples = 32;

  std::uint32_t rows;                  ///< of each sample, of which the last may be nobody's
  std::uint32_t samples;               ///< as many for all batches of these rows
  std::uint32_t first[most_samples];   ///< row of the pack
  std::uint32_t length[most_samples];  ///< at most `rows`; 0: there is no such sample
};

/// `first` says for each row of the pack where its sample begins. The rows of a batch are 64, 128,
/// 192, 256, 384, 512, 768 and so on, and all of its rows together at most 2048, unless it is one
/// sample. Shorter samples come first. None: the samples do not lie one after the other.
std::optional<std::vector<SampleBatch>> batches_of(const std::uint32_t* first, std::uint64_t rows,
                                                   std::uint64_t stride);

}  // namespace volt::kernels
