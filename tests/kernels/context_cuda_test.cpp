// SPDX-License-Identifier: Apache-2.0

#include "kernels/context_cuda.hpp"

#include "kernels/network.hpp"
#include "support.hpp"

namespace volt::kernels::test {

TEST_CASE("what went wrong on a GPU is told once, in CUDA's words, by the next call") {
  for (const Backend& backend : fast_backends()) {
    Session s(backend);
    Buffer* buffer = s.room(4);
    CudaContext& cuda = cuda_context(*s.context);
    cuda.keep({});
    cuda.keep({Status::failed, "an illegal memory access was encountered"});
    cuda.keep({Status::failed, "what came of that"});
    VOLT_REFUSED(failed, "CUDA: an illegal memory access was encountered",
                 backend.fill_f32(s.context, buffer, 0, 1, 0, 0, 0));
    VOLT_OK(backend.fill_f32(s.context, buffer, 0, 1, 0, 0, 0));
  }
}

TEST_CASE("the room for what operations need besides is kept, and counts towards no limit") {
  for (const Backend& backend : fast_backends()) {
    Session s(backend, 1, 1);
    CudaContext& cuda = cuda_context(*s.context);
    const std::byte* const room = cuda.room(1000);
    CHECK(room != nullptr);
    CHECK(cuda.room(10) == room);
    CHECK(cuda.room(~std::uint64_t{0}) == nullptr);
    CHECK(cuda.room(10) != nullptr);
    VOLT_OK(cuda.told());
    s.room(1);
  }
}

TEST_CASE("the second of two draws asks for no memory") {
  for (const Backend& backend : fast_backends()) {
    Session s(backend);
    CudaContext& cuda = cuda_context(*s.context);
    Buffer* const logits = s.room(4 * 1000);
    const Draw<Given> draw = {dense(logits, 2, 500), 0.5f, 0.9f, 1, 2, 3, dense(s.room(8), 2, 1)};
    VOLT_OK(backend.network->draw(s.context, draw));
    const std::byte* const room = cuda.room(1);
    VOLT_OK(backend.network->draw(s.context, draw));
    CHECK(cuda.room(1) == room);
  }
}

}  // namespace volt::kernels::test
