// SPDX-License-Identifier: Apache-2.0

// The emulator itself: it must do what a GPU does, and must not overlook what a GPU would.

#define VOLT_EMULATED 80
#define VOLT_ISA emulator_test
#include "kernels/device_cuda.cuh"
//
#include <algorithm>

#include "support.hpp"

namespace volt::kernels::test {
namespace {

struct Nothing {};

template <class Body, class Memory = Nothing, unsigned count = 64>
struct Kernel {
  static constexpr unsigned threads = count, resident = 1;
  using Shared = Memory;
  void operator()(Shared& shared) const { body(shared); }
  Body body;
};

template <class Memory = Nothing, unsigned threads = 64, class Body>
Status run(std::uint64_t blocks, Body body) {
  return launch(nullptr, blocks, Kernel<Body, Memory, threads>{body});
}

struct Words {
  std::uint32_t word[64];
};

}  // namespace

TEST_CASE("every thread of every block runs once") {
  std::vector<int> runs(5 * 64);
  VOLT_OK(run(5, [&](auto&) { ++runs[block_index() * 64 + thread_index()]; }));
  CHECK(std::all_of(runs.begin(), runs.end(), [](int n) { return n == 1; }));
  VOLT_OK(run(0, [&](auto&) { runs.clear(); }));
}

TEST_CASE("blocks do not run in order") {
  std::vector<std::uint32_t> order;
  VOLT_OK(run(20, [&](auto&) {
    if (thread_index() == 0) order.push_back(block_index());
  }));
  CHECK(order.size() == 20);
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a barrier lets threads see what others have left in shared memory") {
  std::vector<std::uint32_t> got(64);
  const auto reverse = [&](bool wait) {
    return run<Words>(1, [&got, wait](Words& shared) {
      shared.word[thread_index()] = thread_index();
      if (wait) sync_block();
      got[thread_index()] = shared.word[63 - thread_index()];
    });
  };
  VOLT_OK(reverse(true));
  for (std::uint32_t i = 0; i < 64; ++i) CHECK(got[i] == 63 - i);
  VOLT_OK(reverse(false));  // some come too early and read garbage
  CHECK(std::count(got.begin(), got.end(), 0xfbfbfbfbu) > 0);
}

TEST_CASE("a thread that returns while others wait is reported") {
  VOLT_REFUSED(failed, "block 0: thread 6 waits in sync_block, thread 7 has returned",
               run(1, [](auto&) {
                 if (thread_index() != 7) sync_block();
               }));
}

TEST_CASE("threads that wait at different places are reported") {
  VOLT_REFUSED(failed, "block 0: thread 30 waits for its warp, thread 31 waits in sync_block",
               run(1, [](auto&) {
                 if (thread_index() < 31) return sync_warp();
                 sync_block();
               }));
  CHECK(text_of(run<Nothing, 32>(1, [](auto&) {
          thread_index() == 9 ? (void)shuffle(1, 0) : sync_warp();
        })).find("while its warp calls") != std::string::npos);
}

TEST_CASE("memory beyond a block's own is reported") {
  const auto write = [](std::uint32_t at) {
    return run<Words>(1, [at](Words& shared) {
      volatile std::uint32_t* words = shared.word;
      if (thread_index() == 0) words[at] = 1;
    });
  };
  VOLT_OK(write(63));
  VOLT_REFUSED(failed, "block 0: shared memory is overrun at byte 256", write(64));
  struct Much {
    char bytes[164 * 1024];
  };
  VOLT_REFUSED(invalid, "a block asks for more shared memory than there is",
               run<Much>(1, [](Much&) {}));
}

TEST_CASE("an asynchronous copy is there after its wait and not before") {
  alignas(16) const std::uint32_t from[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::uint32_t got[3][4];
  VOLT_OK((run<Words, 32>(1, [&](Words& shared) {
    if (thread_index() != 0) return;
    shared.word[0] = 9;
    copy_async_16(SharedAddress(&shared.word[0]), from, 16);
    commit_copies();
    copy_async_16(SharedAddress(&shared.word[0]).after(16), from + 4, 6);
    copy_async_4(SharedAddress(&shared.word[8]), from + 3);
    commit_copies();
    std::copy_n(&shared.word[0], 4, got[0]);
    wait_for_copies<1>();
    std::copy_n(&shared.word[0], 4, got[1]);
    const bool second = shared.word[4] == 5;
    wait_for_copies<0>();
    std::copy_n(&shared.word[4], 4, got[2]);
    if (second || shared.word[8] != 4) got[0][0] = 0;
  })));
  CHECK(got[0][0] == 0xfbfbfbfbu);  // neither the copy nor what was there before
  CHECK(std::equal(from, from + 4, got[1]));
  CHECK(got[2][0] == 5);
  CHECK(got[2][1] == 6);  // two of its four bytes were asked for, and the others are 0 as well
  CHECK(got[2][2] == 0);
  CHECK(got[2][3] == 0);
}

TEST_CASE("copies to wrong places, or that nobody waits for, are reported") {
  alignas(16) static const std::uint32_t from[8] = {};
  const auto copy = [](std::uint32_t to, std::uint32_t at) {
    return run<Words, 32>(1, [=](Words& shared) {
      if (thread_index() == 5) copy_async_16(SharedAddress(&shared.word[to]), from + at, 16);
    });
  };
  VOLT_REFUSED(failed, "block 0: thread 5 returns before its copies arrive", copy(0, 0));
  VOLT_REFUSED(failed, "block 0: thread 5: copies outside of shared memory", copy(61, 0));
  VOLT_REFUSED(failed, "block 0: thread 5: copies not aligned to 16 bytes", copy(2, 0));
  VOLT_REFUSED(
      failed, "block 0: thread 5 copies 16 of 16 bytes from an address that is not aligned to them",
      copy(0, 1));
}

TEST_CASE("lanes of a warp exchange values") {
  std::vector<std::uint64_t> sums(64);
  std::vector<int> first(64), any(64);
  VOLT_OK(run(1, [&](auto&) {
    const std::uint32_t i = thread_index();
    std::uint64_t sum = std::uint64_t{i} << 32;
    for (std::uint32_t mask = 16; mask != 0; mask /= 2) sum += shuffle_xor(sum, mask);
    sums[i] = sum >> 32;
    first[i] = shuffle(static_cast<int>(i), 0);
    any[i] = any_in_warp(i == 40);
  }));
  for (std::uint32_t i = 0; i < 64; ++i) {
    CHECK(sums[i] == (i < 32 ? 496 : 496 + 32 * 32));
    CHECK(first[i] == (i < 32 ? 0 : 32));
    CHECK(any[i] == (i >= 32));
  }
}

// The fragments as the PTX ISA draws them, from and to whole matrices.
TEST_CASE("a warp multiplies 16 x 32 by 32 x 8") {
  std::mt19937 random(1);
  std::int8_t a[16][32], b[32][8];
  std::int32_t c[16][8], got[16][8];
  for (auto& row : a)
    for (std::int8_t& x : row) x = static_cast<std::int8_t>(random());
  for (auto& row : b)
    for (std::int8_t& x : row) x = static_cast<std::int8_t>(random());
  for (auto& row : c)
    for (std::int32_t& x : row) x = static_cast<std::int32_t>(random());

  for (bool halves : {false, true}) {
    VOLT_OK((run<Nothing, 32>(1, [&](auto&) {
      const std::uint32_t r = thread_index() / 4, q = thread_index() % 4;
      std::uint32_t fa[4] = {}, fb[2] = {};
      for (std::uint32_t i = 0; i < 16; ++i) {
        const auto word = [&](std::int8_t x) {
          return static_cast<std::uint32_t>(static_cast<std::uint8_t>(x)) << (8 * (i % 4));
        };
        fa[i / 4] |= word(a[r + i / 4 % 2 * 8][i / 8 * 16 + 4 * q + i % 4]);
        if (i < 8) fb[i / 4] |= word(b[i / 4 * 16 + 4 * q + i % 4][r]);
      }
      const std::int32_t fc[4] = {c[r][2 * q], c[r][2 * q + 1], c[r + 8][2 * q],
                                  c[r + 8][2 * q + 1]};
      std::int32_t fd[4];
      if (halves) {  // as compute capability 7.5 does it
        multiply_8x8x16(fd, fa[0], fb[0], fc);
        multiply_8x8x16(fd, fa[2], fb[1], fd);
        multiply_8x8x16(fd + 2, fa[1], fb[0], fc + 2);
        multiply_8x8x16(fd + 2, fa[3], fb[1], fd + 2);
      } else {
        multiply_16x8x32(fd, fa, fb, fc);
      }
      for (std::uint32_t i = 0; i < 4; ++i) got[r + i / 2 * 8][2 * q + i % 2] = fd[i];
    })));
    int wrong = 0;
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 8; ++j) {
        std::uint32_t sum = static_cast<std::uint32_t>(c[i][j]);
        for (int k = 0; k < 32; ++k) sum += static_cast<std::uint32_t>(a[i][k] * b[k][j]);
        wrong += got[i][j] != static_cast<std::int32_t>(sum);
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("matrices are loaded in the fragments of products") {
  struct Rows {
    std::uint32_t word[32][4];
  };
  int wrong = 0;
  VOLT_OK((run<Rows, 32>(1, [&](Rows& shared) {
    const std::uint32_t lane = thread_index();
    for (std::uint32_t i = 0; i < 4; ++i) shared.word[lane][i] = 4 * lane + i;
    sync_warp();
    std::uint32_t got[4];
    load_matrices(got, SharedAddress(shared.word[31 - lane]));  // row 31 is the first of matrix 0
    for (std::uint32_t i = 0; i < 4; ++i) {
      wrong += got[i] != 4 * (31 - (8 * i + lane / 4)) + lane % 4;
    }
  })));
  CHECK(wrong == 0);
  VOLT_REFUSED(failed, "block 0: thread 0: load_matrices not aligned to 16 bytes",
               (run<Rows, 32>(1, [&](Rows& shared) {
                 std::uint32_t got[4];
                 if (thread_index() == 0) load_matrices(got, SharedAddress(&shared.word[0][1]));
               })));
}

}  // namespace volt::kernels::test
