// SPDX-License-Identifier: Apache-2.0

#include "kernels/network.hpp"
#include "race.hpp"
#include "speed.hpp"
#include "values.hpp"

namespace volt::gpu {
namespace {

using kernels::Buffer;
using kernels::Matrix;
using kernels::Quantised;

// All of them work on `bytes` bytes of fp32, 2048 columns wide.
class Streams {
 public:
  Streams(Device& device, Peers& peers, Extent extent, std::vector<bench::Row>& rows)
      : device_(device),
        peers_(peers),
        extent_(extent),
        bytes_(extent == Extent::full ? 1 << 30 : 1 << 20),
        buffers_(device),
        x_(buffers_.room(bytes_)),
        y_(buffers_.room(bytes_)),
        rows_(rows) {
    check(table().fill_f32(context(), x_, 0, bytes_ / 4, 7, 0, 0));
    if (peers.driver()) {
      from_.emplace(peers.memory(bytes_));
      to_.emplace(peers.memory(bytes_));
      from_->upload(buffers_.get(x_, bytes_));
    }
  }

  void measure() {
    memory_rows();
    quantise_row("quantise cols", Quantised::along_cols);
    quantise_row("quantise rows", Quantised::along_rows);
    network_rows();
    frozen_rows();
    transfer_rows();
  }

 private:
  const kernels::Backend& table() const { return device_.table; }
  kernels::Context* context() const { return device_.context; }

  void memory_rows() {
    const auto size = static_cast<double>(bytes_);
    const std::uint64_t count = bytes_ / 4;
    row("copy", 2 * size, [&] { return table().copy(context(), x_, 0, y_, 0, bytes_); });
    row("fill f32", size, [&] { return table().fill_f32(context(), y_, 0, count, 7, 1, 0); });
    row("fill i8", size, [&] { return table().fill_i8(context(), y_, 0, bytes_, 7, 1, 0); });
    row("map exp", 2 * size,
        [&] { return table().map(context(), kernels::Function::exp, x_, 0, y_, 0, count); });
    check(table().copy(context(), x_, 0, y_, 0, bytes_));
    row("compare", 2 * size, [&] {
      std::uint64_t first = 0;
      return table().compare(context(), x_, 0, y_, 0, bytes_, &first);
    });
    Bytes digests(bytes_ / kernels::page_bytes * 32);
    row("page digests", size,
        [&] { return table().page_digests(context(), x_, 0, bytes_, digests.data()); });
  }

  void quantise_row(const char* what, Quantised::Axis axis) {
    const std::uint64_t cols = 2048, rows = bytes_ / 4 / cols;
    const bool along_cols = axis == Quantised::along_cols;
    const std::uint64_t scale_rows = along_cols ? rows : (rows + 127) / 128;
    const std::uint64_t scale_cols = along_cols ? cols / 128 : cols;
    Buffers more(device_);
    const Matrix x = {x_, 0, rows, cols, cols}, q = {y_, 0, rows, cols, cols};
    const Matrix scales = {more.room(4 * scale_rows * scale_cols), 0, scale_rows, scale_cols,
                           scale_cols};
    row(what, 1.25 * static_cast<double>(bytes_), [&] {
      return table().quantise(context(), x, {q, scales, axis});
    });
  }

  // An optimizer's step reads four arrays and writes three; cross-entropy at best reads its logits
  // once and writes them. Whatever both end on, a GPU is as fast with it.
  void network_rows() {
    const kernels::Network& net = *table().network;
    const std::uint64_t half = bytes_ / 8, vocabulary = 1 << 17, tokens = bytes_ / 4 / vocabulary;
    const auto part = [&](Buffer* buffer, std::uint64_t offset) {
      return Matrix{buffer, offset, 1, half, half};
    };
    row("adam", 3.5 * static_cast<double>(bytes_), [&] {
      return net.adam(context(), {part(x_, 0), part(x_, half), part(y_, half), part(y_, 0), 1e-3f,
                                  0.9f, 0.999f, 1e-8f, 0.01f, 0.1f, 0.001f, 1.0f});
    });
    Buffers more(device_);
    const Matrix targets = {more.room(4 * tokens), 0, tokens, 1, 1};
    const Matrix told = {more.room(12 * tokens), 0, tokens, 3, 3};
    check(table().fill_f32(context(), y_, 0, bytes_ / 4, 7, 2, 0));
    row("cross-entropy", 2 * static_cast<double>(bytes_), [&] {
      return net.cross_entropy(context(), {{y_, 0, tokens, vocabulary, vocabulary}, targets, told});
    });
    row("sum of squares", static_cast<double>(bytes_), [&] {
      float sum = 0;
      return net.square_sum(context(), {x_, 0, 1, bytes_ / 4, bytes_ / 4}, &sum);
    });
  }

  // A frozen matrix on its way to a product.
  void frozen_rows() {
    const kernels::Network& net = *table().network;
    const std::uint64_t cols = 2048, rows = bytes_ / 4 / cols, elements = rows * cols;
    const auto line = [](Buffer* buffer, std::uint64_t offset, std::uint64_t count) {
      return Matrix{buffer, offset, 1, count, count};
    };
    Buffers more(device_);
    const Matrix x = {x_, 0, rows, cols, cols}, y = {y_, 0, rows, cols, cols};
    const std::uint64_t blocks = elements / 64, scales = blocks / 256;
    const Matrix absmax = line(more.room(4 * scales), 0, scales);
    row("expand nf4", 1.13 * static_cast<double>(bytes_), [&] {
      return net.expand_nf4(context(), {y, line(x_, 0, elements / 2),
                                        line(x_, elements / 2, blocks), absmax, 0.5f, 0});
    });
    const std::uint64_t across = cols / 128;
    const Matrix by_rows = {more.room(4 * rows * across), 0, rows, across, across};
    const Matrix by_columns = {more.room(rows / 32 * cols), 0, rows / 128, cols, cols};
    row("quantise rotated", 1.25 * static_cast<double>(bytes_), [&] {
      return net.quantise_rotated(context(), {x, false, y, by_rows, by_columns});
    });
  }

  // To and from pageable memory, as the tools have it.
  void transfer_rows() {
    Bytes host = buffers_.get(x_, bytes_);
    row(
        "upload", static_cast<double>(bytes_),
        [&] { return table().upload(context(), y_, 0, host.data(), bytes_); },
        [&] { from_->upload(host); });
    row(
        "download", static_cast<double>(bytes_),
        [&] { return table().download(context(), y_, 0, host.data(), bytes_); },
        [&] { from_->download(host); });
  }

  using Call = std::function<kernels::Status()>;

  void row(const char* what, double bytes, const Call& call, std::function<void()> peer = {}) {
    add_row(rows_, what, [&] { return measure(what, bytes, call, peer); });
  }

  // The peer is the driver's copy of bytes_, which are read and written, or `own`, which moves what
  // we move.
  bench::Row measure(const char* what, double bytes, const Call& call,
                     const std::function<void()>& own) {
    bench::Row row;
    row.what = what;
    row.shape = extent_ == Extent::full ? "1 GiB" : "1 MiB";
    row.unit = "GB/s";
    std::optional<Contestant> peer;
    if (peers_.driver()) {
      row.peer_name = own ? "driver's " + std::string(what) : "driver's copy";
      peer = {[&](unsigned) { own ? own() : peers_.copy(*from_, *to_); }, [&] { peers_.wait(); }};
    }
    race(row, 1e-9 * bytes, {[&](unsigned) { check(call()); }, [&] { wait(); }}, peer, extent_);
    if (row.peer && !own) *row.peer *= 2 * static_cast<double>(bytes_) / bytes;
    return row;
  }

  void wait() {
    std::uint8_t byte;
    check(table().download(context(), y_, bytes_ - 1, &byte, 1));
  }

  Device& device_;
  Peers& peers_;
  const Extent extent_;
  const std::uint64_t bytes_;
  Buffers buffers_;
  Buffer *const x_, *const y_;
  std::optional<PeerMemory> from_, to_;
  std::vector<bench::Row>& rows_;
};

}  // namespace

void measure_streams(Device& device, Peers& peers, Extent extent, std::vector<bench::Row>& rows) {
  try {
    Streams(device, peers, extent, rows).measure();
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "left out: streams: %s\n", error.what());
  }
}

}  // namespace volt::gpu
