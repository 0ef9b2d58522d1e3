// SPDX-License-Identifier: Apache-2.0

// Drawing on a GPU: logits stay there, and of each row only a token leaves it. Without a
// temperature that is one kernel. With one, a row's tokens become the integers of place_of(), which
// are sorted whole; one thread then adds p by p, as the definition has it.

#include "lanes_cuda.cuh"
#include "network_cuda.hpp"
#include "network_functions.hpp"
#include "sort_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

struct Candidate {
  float logit;
  std::uint32_t token;
};

VOLT_DEVICE Candidate better(Candidate a, Candidate b) {
  if (a.token == no_token || b.token == no_token) return a.token == no_token ? b : a;
  if (a.logit != b.logit) return a.logit > b.logit ? a : b;
  return a.token < b.token ? a : b;
}

VOLT_DEVICE Candidate best_of_warp(Candidate mine) {
  for (std::uint32_t mask = 16; mask != 0; mask /= 2) {
    mine = better(mine, {shuffle_xor(mine.logit, mask), shuffle_xor(mine.token, mask)});
  }
  return mine;
}

// A block finds the token with the largest logit of a row.
struct Likeliest {
  static constexpr unsigned threads = 1024, resident = 1;
  struct Shared {
    Candidate of_warp[threads / 32];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const float* const logits = job.logits.data + block_index() * job.logits.stride;
    const auto n = static_cast<std::uint32_t>(job.logits.cols);
    Candidate mine = {0.0f, no_token};
    for (std::uint64_t j = thread_index(); j < n; j += threads) {
      const float logit = logits[j];
      if (logit == logit) mine = better(mine, {logit, static_cast<std::uint32_t>(j)});
    }
    mine = best_of_warp(mine);
    if (thread_index() % 32 == 0) shared.of_warp[thread_index() / 32] = mine;
    sync_block();
    if (thread_index() >= 32) return;
    mine = best_of_warp(shared.of_warp[thread_index()]);
    if (thread_index() == 0) job.tokens.data[block_index() * job.tokens.stride] = mine.token;
  }

  Draw<Checked> job;
};

/// A row whose token is drawn, once Likeliest has found the one with the largest logit.
struct Row {
  const float* logits;
  std::uint32_t* token;
  std::uint64_t n;
  float temperature;

  VOLT_DEVICE float m() const { return logits[*token] / temperature; }
  VOLT_DEVICE bool is_certain() const { return *token == no_token || !is_finite(m()); }
};

// An element a thread: e of each token, in the place of its p.
struct Weights {
  static constexpr unsigned threads = 256, resident = 4;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t j = std::uint64_t{block_index()} * threads + thread_index();
    if (j >= row.n || row.is_certain()) return;
    const float logit = row.logits[j];
    const float e = logit == logit ? exp(logit / row.temperature - row.m()) : 0.0f;
    places[j] = place_of(e, static_cast<std::uint32_t>(j));
  }

  Row row;
  std::uint64_t* places;
};

// One block: 1 / sum(e). A thread has several e on their way at once.
struct Inverse {
  static constexpr unsigned threads = lanes_of_sum, resident = 1;
  static constexpr std::uint32_t ahead = 8;
  using Shared = Team<threads>::Shared;

  VOLT_DEVICE void operator()(Shared& shared) const {
    float lane = 0.0f;
    for (std::uint64_t first = thread_index(); first < n; first += ahead * threads) {
      float e[ahead];
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < ahead; ++i) {
        const std::uint64_t j = first + i * threads;
        e[i] = j < n ? p_at(places[j]) : 0.0f;  // which changes no sum: none is -0
      }
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < ahead; ++i) lane = lane + e[i];
    }
    const float sum = Team<threads>::tree(shared, lane);
    if (thread_index() == 0) *inverse = 1.0f / sum;
  }

  const std::uint64_t* places;
  std::uint64_t n;
  float* inverse;
};

// An element a thread: p of e.
struct Probabilities {
  static constexpr unsigned threads = 256, resident = 4;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t j = std::uint64_t{block_index()} * threads + thread_index();
    if (j < n) places[j] = place_of(p_at(places[j]) * *inverse, static_cast<std::uint32_t>(j));
  }

  std::uint64_t* places;
  std::uint64_t n;
  const float* inverse;
};

// One block, of which one thread adds and the others fetch, over the sorted places of a row.
struct Take {
  static constexpr unsigned threads = 256, resident = 1;
  static constexpr std::uint32_t at_once = 8, tile = at_once * threads;
  struct Shared {
    float p[tile];
    float sum;
    std::uint64_t last;
    bool done;
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    if (row.is_certain()) return;
    const float top_p = job.top_p;
    take(shared, [=](float sum) { return sum >= top_p; });
    const float enough = drawn_by(job, index) * shared.sum;
    sync_block();  // or the next sum comes too early
    take(shared, [=](float sum) { return sum > enough; });
    if (thread_index() == 0) *row.token = token_at(places[shared.last]);
  }

  // Takes tokens until enough(sum). A p that leaves the sum as it is ends it, too: so do all after
  // it.
  template <class Enough>
  VOLT_DEVICE void take(Shared& shared, Enough enough) const {
    if (thread_index() == 0) shared.sum = 0.0f;
    for (std::uint64_t first = 0;; first += tile) {
      for (std::uint64_t i = thread_index(); i < tile; i += threads) {
        shared.p[i] = first + i < row.n ? p_at(places[first + i]) : 0.0f;
      }
      sync_block();
      if (thread_index() == 0) add(shared, first, enough);
      sync_block();
      if (shared.done) return;
    }
  }

  template <class Enough>
  VOLT_DEVICE void add(Shared& shared, std::uint64_t first, Enough enough) const {
    float sum = shared.sum;
    std::uint64_t last = shared.last;
    bool done = false;
    for (std::uint32_t i = 0; i < tile && !done; i += at_once) {
      float p[at_once];
      VOLT_UNROLL
      for (std::uint32_t j = 0; j < at_once; ++j) p[j] = shared.p[i + j];
      VOLT_UNROLL
      for (std::uint32_t j = 0; j < at_once; ++j) {
        const float next = sum + p[j];
        done = done || next == sum;
        if (done) continue;
        sum = next;
        last = first + i + j;
        done = enough(sum);
      }
    }
    shared.sum = sum;
    shared.last = last;
    shared.done = done;
  }

  Draw<Checked> job;
  std::uint64_t index;  // of the row
  Row row;
  const std::uint64_t* places;
};

/// What a row takes of the scratch, one part behind the other.
struct Parts {
  Parts(std::uint64_t n, Scratch scratch)
      : inverse(reinterpret_cast<float*>(scratch.data)),
        places(reinterpret_cast<std::uint64_t*>(scratch.data + aligned)),
        sorting{scratch.data + before_sorting(n), scratch.bytes - before_sorting(n)} {}

  static constexpr std::uint64_t aligned = 64;
  static std::uint64_t before_sorting(std::uint64_t n) {
    return aligned + (n * sizeof(std::uint64_t) + aligned - 1) / aligned * aligned;
  }

  float* inverse;
  std::uint64_t* places;
  Scratch sorting;
};

Status draw(CudaStream stream, const Draw<Checked>& job, std::uint64_t index, const Parts& parts) {
  const std::uint64_t n = job.logits.cols;
  const std::uint64_t blocks = (n - 1) / Weights::threads + 1;
  const Row row = {job.logits.data + index * job.logits.stride,
                   job.tokens.data + index * job.tokens.stride, n, job.temperature};
  Status status = launch(stream, blocks, Weights{row, parts.places});
  const auto next = [&](auto step) {
    if (status.code == Status::ok) status = step();
  };
  next([&] { return launch(stream, 1, Inverse{parts.places, n, parts.inverse}); });
  next([&] { return launch(stream, blocks, Probabilities{parts.places, n, parts.inverse}); });
  next([&] { return sort_keys(stream, parts.places, n, parts.sorting); });
  next([&] { return launch(stream, 1, Take{job, index, row, parts.places}); });
  return status;
}

}  // namespace

// Without a temperature there is nothing to sort.
std::uint64_t draw_bytes(CudaStream stream, const Draw<Checked>& job) {
  const std::uint64_t n = job.logits.cols;
  return job.temperature == 0.0f ? 0 : Parts::before_sorting(n) + sort_bytes(stream, n);
}

Status cuda_draw(CudaStream stream, const Draw<Checked>& job, Scratch scratch) {
  Status status = launch(stream, job.logits.rows, Likeliest{job});
  if (job.temperature == 0.0f) return status;
  const Parts parts(job.logits.cols, scratch);
  for (std::uint64_t i = 0; i < job.logits.rows && status.code == Status::ok; ++i) {
    status = draw(stream, job, i, parts);
  }
  return status;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
