// SPDX-License-Identifier: Apache-2.0

// Attention by cuDNN. The samples of a pack are gathered into batches of about one length, rounded
// to bf16 and filled up with zeros on the way; what comes of them is scattered to where it belongs.

#include <algorithm>
#include <type_traits>

#include "each_cuda.cuh"
#include "libraries_cuda.hpp"
#include "network_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

// A row of the pack has heads of d columns side by side, its copy in a batch heads of `width`.
struct Heads {
  std::uint32_t count, d, width;

  VOLT_DEVICE std::uint64_t copied(std::uint64_t column) const {
    const auto own = static_cast<std::uint32_t>(column);
    return d == width ? own : own / d * width + own % d;
  }
  VOLT_DEVICE bool original(std::uint64_t& column) const {
    if (d == width) return true;
    const auto own = static_cast<std::uint32_t>(column);
    column = own / width * d + own % width;
    return own % width < d;
  }
};

// Row `row` of all samples of the batch, one after the other.
struct Place {
  std::uint32_t sample, row;
  bool taken;
  std::uint64_t source;
};

VOLT_DEVICE Place place_of(const SampleBatch& batch, std::uint64_t row) {
  const auto all = static_cast<std::uint32_t>(row);
  const std::uint32_t sample = all / batch.rows, own = all % batch.rows;
  return {sample, own, own < batch.length[sample], std::uint64_t{batch.first[sample]} + own};
}

struct Gathered {
  using Taken = float;
  VOLT_DEVICE float take(ElementAt at) const {
    const Place place = place_of(batch, at.row);
    std::uint64_t column = at.col;
    if (!place.taken || !heads.original(column)) return 0.0f;
    return x.data[place.source * x.stride + column];
  }
  VOLT_DEVICE void give(ElementAt at, float value) const {
    to[at.row * heads.count * heads.width + at.col] = to_bf16(value);
  }
  SampleBatch batch;
  Heads heads;
  View<const float> x;
  std::uint16_t* to;
};

template <bool add>
struct Scattered {
  using Taken = float;
  VOLT_DEVICE float take(ElementAt at) const {
    return from_bf16(from[at.row * heads.count * heads.width + heads.copied(at.col)]);
  }
  VOLT_DEVICE void give(ElementAt at, float value) const {
    const Place place = place_of(batch, at.row);
    if (!place.taken) return;
    float& there = x.data[place.source * x.stride + at.col];
    there = canonical(add ? there + value : value);
  }
  SampleBatch batch;
  Heads heads;
  const std::uint16_t* from;
  View<float> x;
};

// Of element (row, head): ln of the sum of e^s.
struct GatheredStatistics {
  using Taken = float;
  VOLT_DEVICE float take(ElementAt at) const {
    const Place place = place_of(batch, at.row);
    if (!place.taken) return 0.0f;
    return m.data[place.source * m.stride + at.col] + log(l.data[place.source * l.stride + at.col]);
  }
  VOLT_DEVICE void give(ElementAt at, float value) const {
    const Place place = place_of(batch, at.row);
    to[(place.sample * heads + at.col) * batch.rows + place.row] = value;
  }
  SampleBatch batch;
  std::uint64_t heads;
  View<const float> m, l;
  float* to;
};

struct ScatteredStatistics {
  using Taken = float;
  VOLT_DEVICE float take(ElementAt at) const {
    const Place place = place_of(batch, at.row);
    return from[(place.sample * heads + at.col) * batch.rows + place.row];
  }
  VOLT_DEVICE void give(ElementAt at, float value) const {
    const Place place = place_of(batch, at.row);
    if (!place.taken) return;
    m.data[place.source * m.stride + at.col] = canonical(value);
    l.data[place.source * l.stride + at.col] = 1.0f;
  }
  SampleBatch batch;
  std::uint64_t heads;
  const float* from;
  View<float> m, l;
};

// cuDNN knows no sample of no row; what has none has zeros, of which one is as good.
struct Lengths {
  struct Taken {};
  VOLT_DEVICE Taken take(ElementAt) const { return {}; }
  VOLT_DEVICE void give(ElementAt at, Taken) const {
    const std::uint32_t length = batch.length[at.col];
    to[at.col] = static_cast<std::int32_t>(length == 0 ? 1 : length);
  }
  SampleBatch batch;
  std::int32_t* to;
};

// Device memory piece by piece, of which only the sizes matter before there is any.
struct Pieces {
  template <class T>
  T* take(std::uint64_t count) {
    T* const piece = base == nullptr ? nullptr : reinterpret_cast<T*>(base + bytes);
    bytes += (count * sizeof(T) + 255) / 256 * 256;
    return piece;
  }
  std::byte* base = nullptr;
  std::uint64_t bytes = 0;
};

template <class Job>
constexpr bool is_backward = std::is_same_v<Job, AttentionBackward<Checked>>;

template <class Job>
class Attend {
 public:
  Attend(CudaContext& cuda, const Job& job)
      : cuda_(cuda),
        job_(job),
        d_(static_cast<std::uint32_t>(job.q.cols / job.heads)),
        width_((d_ + 7) / 8 * 8) {}

  bool run(const std::vector<SampleBatch>& batches) {
    std::uint64_t bytes = 0;
    for (const SampleBatch& batch : batches) {
      const auto workspace = cuda_.libraries->attention_bytes(shape(batch));
      if (!workspace) return false;
      Pieces pieces;
      lay_out(batch, *workspace, pieces);
      bytes = std::max(bytes, pieces.bytes);
    }
    std::byte* const room = cuda_.room(bytes);
    if (room == nullptr) return false;
    for (const SampleBatch& batch : batches) {
      const auto workspace = cuda_.libraries->attention_bytes(shape(batch));
      Pieces pieces = {room};
      status_ = {};
      attend(batch, lay_out(batch, workspace.value_or(0), pieces));
      cuda_.keep(status_);
    }
    return true;
  }

 private:
  AttentionShape shape(const SampleBatch& batch) const {
    return {is_backward<Job>, batch.samples, batch.rows, job_.heads, job_.kv_heads, width_};
  }

  AttentionData lay_out(const SampleBatch& batch, std::uint64_t workspace, Pieces& pieces) const {
    const std::uint64_t rows = std::uint64_t{batch.samples} * batch.rows;
    const std::uint64_t of_q = rows * job_.heads * width_, of_k = rows * job_.kv_heads * width_;
    AttentionData data = {};
    data.scale = job_.scale;
    data.lengths = pieces.take<std::int32_t>(batch.samples);
    data.q = pieces.take<std::uint16_t>(of_q);
    data.k = pieces.take<std::uint16_t>(of_k);
    data.v = pieces.take<std::uint16_t>(of_k);
    data.out = pieces.take<std::uint16_t>(of_q);
    data.statistics = pieces.take<float>(rows * job_.heads);
    if (is_backward<Job>) {
      data.dout = pieces.take<std::uint16_t>(of_q);
      data.dq = pieces.take<std::uint16_t>(of_q);
      data.dk = pieces.take<std::uint16_t>(of_k);
      data.dv = pieces.take<std::uint16_t>(of_k);
    }
    data.workspace = pieces.take<std::byte>(workspace);
    return data;
  }

  void attend(const SampleBatch& batch, const AttentionData& data) {
    each_row(batch, 0, Lengths{batch, data.lengths});
    gather(batch, job_.q, job_.heads, data.q);
    gather(batch, job_.k, job_.kv_heads, data.k);
    gather(batch, job_.v, job_.kv_heads, data.v);
    if constexpr (is_backward<Job>) {
      gather(batch, job_.out, job_.heads, data.out);
      gather(batch, job_.dout, job_.heads, data.dout);
      each_row(batch, job_.heads,
               GatheredStatistics{batch, job_.heads, job_.m, job_.l, data.statistics});
    }
    then([&] { return cuda_.libraries->attend(shape(batch), data); });
    if constexpr (is_backward<Job>) {
      scatter<true>(batch, data.dq, job_.heads, job_.dq);
      scatter<true>(batch, data.dk, job_.kv_heads, job_.dk);
      scatter<true>(batch, data.dv, job_.kv_heads, job_.dv);
    } else {
      scatter<false>(batch, data.out, job_.heads, job_.out);
      each_row(batch, job_.heads,
               ScatteredStatistics{batch, job_.heads, data.statistics, job_.m, job_.l});
    }
  }

  template <class Step>
  void then(Step step) {
    if (status_.code == Status::ok) status_ = step();
  }

  // Over the rows of all samples, or over the samples where there are no columns.
  template <class Operation>
  void each_row(const SampleBatch& batch, std::uint64_t columns, const Operation& operation) {
    const std::uint64_t rows = std::uint64_t{batch.samples} * batch.rows;
    const Run run = columns == 0 ? Run{1, batch.samples} : Run{rows, columns};
    then([&] { return each(cuda_.stream, operation, run); });
  }

  void gather(const SampleBatch& batch, const View<const float>& x, std::uint32_t heads,
              std::uint16_t* to) {
    each_row(batch, std::uint64_t{heads} * width_, Gathered{batch, {heads, d_, width_}, x, to});
  }

  template <bool add>
  void scatter(const SampleBatch& batch, const std::uint16_t* from, std::uint32_t heads,
               const View<float>& x) {
    each_row(batch, std::uint64_t{heads} * d_, Scattered<add>{batch, {heads, d_, width_}, from, x});
  }

  CudaContext& cuda_;
  const Job& job_;
  const std::uint32_t d_, width_;
  Status status_;
};

template <class Job>
bool attend(CudaContext& cuda, const Job& job) {
  // Else a query sees more keys than there are queries before it, as when a text is gone on with.
  if (cuda.libraries == nullptr || job.q.rows != job.k.rows) return false;
  if (countable(job).code != Status::ok) return false;
  const std::vector<SampleBatch>* const batches = cuda.batches(job.first);
  return batches != nullptr && Attend<Job>(cuda, job).run(*batches);
}

}  // namespace

bool attend_by_library(CudaContext& cuda, const Attention<Checked>& job) {
  return attend(cuda, job);
}

bool attend_by_library(CudaContext& cuda, const AttentionBackward<Checked>& job) {
  return attend(cuda, job);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
