// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/sampler.hpp"

#include "libvolt/base/error.hpp"

namespace volt::lm {

kernels::Draw<kernels::Given> Sampler::draw(const kernels::Matrix& logits, std::uint64_t text,
                                            std::uint64_t position,
                                            const kernels::Matrix& tokens) const {
  const std::uint64_t first = (text << 34) + position;  // four words a block
  return {logits, temperature, top_p, seed, first, sampling_stream, tokens};
}

std::uint32_t some_token(std::uint32_t drawn) {
  if (drawn != kernels::no_token) return drawn;
  throw Error(Exit::answer_is_no, "the model gives no token a probability: its logits are NaN");
}

}  // namespace volt::lm
