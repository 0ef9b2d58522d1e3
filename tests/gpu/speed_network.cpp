// SPDX-License-Identifier: Apache-2.0

#include "kernels/network.hpp"
#include "race.hpp"
#include "speed.hpp"

namespace volt::gpu {
namespace {

using kernels::Matrix;

// One sample of `rows` tokens in the shapes of an 8B Llama: 32 heads of 128 share 8.
class Attention {
 public:
  Attention(Device& device, std::uint64_t rows, std::uint32_t kv_heads)
      : device_(device), buffers_(device), rows_(rows), kv_heads_(kv_heads) {}

  void measure(Extent extent, std::vector<bench::Row>& rows) {
    const auto& net = *device_.table.network;
    // 2 d operations a pair for each product: 2 products forward, 5 backward.
    const double pairs = static_cast<double>(rows_) * static_cast<double>(rows_ + 1) / 2;
    const double product = 2e-9 * pairs * static_cast<double>(heads() * d);
    for (const auto by :
         {kernels::Products::chains, kernels::Products::limbs, kernels::Products::rounded}) {
      const std::string with = by == kernels::Products::limbs     ? ", i8x2"
                               : by == kernels::Products::rounded ? ", native"
                                                                  : "";
      row(rows, "attention" + with, 2 * product, extent,
          [&](unsigned) { check(forward(net, by)); });
      row(rows, "attention backward" + with, 5 * product, extent, [&](unsigned) {
        check(
            net.attention_backward(device_.context, {q_, k_, v_, first_, heads(), kv_heads_, scale,
                                                     out_, m_, l_, dout_, dq_, dk_, dv_, by}));
      });
    }
  }

 private:
  static constexpr std::uint64_t d = 128;
  static constexpr float scale = 0.088388346f;  // 1 / sqrt(d)

  std::uint32_t heads() const { return 4 * kv_heads_; }

  Matrix matrix(std::uint64_t cols) {
    kernels::Buffer* const buffer = buffers_.room(4 * rows_ * cols);
    check(device_.table.fill_f32(device_.context, buffer, 0, rows_ * cols, 7, ++stream_, 0));
    return {buffer, 0, rows_, cols, cols};
  }

  kernels::Status forward(const kernels::Network& net, kernels::Products by) {
    return net.attention(device_.context,
                         {q_, k_, v_, first_, heads(), kv_heads_, scale, out_, m_, l_, by});
  }

  void row(std::vector<bench::Row>& rows, const std::string& what, double work, Extent extent,
           const std::function<void(unsigned)>& start) {
    add_row(rows, what, [&] {
      bench::Row made;
      made.what = what;
      made.shape = std::to_string(rows_) + " tokens, " + std::to_string(heads()) + "/" +
                   std::to_string(kv_heads_) + " heads of 128";
      made.unit = "Gop/s";
      made.peer_name = what.ends_with("native") ? "by cuDNN itself, with all that is copied"
                                                : "no library has exact attention";
      const auto wait = [&] {
        std::uint8_t byte;
        check(device_.table.download(device_.context, out_.buffer, 0, &byte, 1));
      };
      race(made, work, {start, wait}, {}, extent);
      return made;
    });
  }

  Device& device_;
  Buffers buffers_;
  const std::uint64_t rows_;
  const std::uint32_t kv_heads_;
  std::uint32_t stream_ = 0;
  const Matrix q_ = matrix(heads() * d), k_ = matrix(kv_heads_ * d), v_ = matrix(kv_heads_ * d);
  const Matrix first_ = {buffers_.room(4 * rows_), 0, rows_, 1, 1};
  const Matrix out_ = matrix(heads() * d), m_ = matrix(heads()), l_ = matrix(heads());
  const Matrix dout_ = matrix(heads() * d), dq_ = matrix(heads() * d);
  const Matrix dk_ = matrix(kv_heads_ * d), dv_ = matrix(kv_heads_ * d);
};

// The next token of a vocabulary, beside what it takes to have it drawn on the host.
void measure_draw(Device& device, Peers& peers, std::uint64_t vocabulary, Extent extent,
                  std::vector<bench::Row>& rows) {
  Device host(kernels::cpu());
  Buffers there(device), here(host);
  const auto line = [&](kernels::Buffer* buffer, std::uint64_t cols) {
    return Matrix{buffer, 0, 1, cols, cols};
  };
  const Matrix logits = line(there.room(4 * vocabulary), vocabulary),
               token = line(there.room(4), 1);
  check(device.table.fill_f32(device.context, logits.buffer, 0, vocabulary, 7, 1, 0));
  check(device.table.network->scale(device.context, {logits, 12.0f}));
  Bytes values(4 * vocabulary), drawn(4);
  const Matrix copy = line(here.room(4 * vocabulary), vocabulary),
               its_token = line(here.room(4), 1);
  const auto draw = [](Device& on, const Matrix& from, const Matrix& to, unsigned turn) {
    check(on.table.network->draw(on.context, {from, 0.8f, 0.95f, 1, turn, 34, to}));
  };
  const Contestant ours = {
      [&](unsigned turn) { draw(device, logits, token, turn); },
      [&] { check(device.table.download(device.context, token.buffer, 0, drawn.data(), 4)); }};
  const Contestant on_host = {
      [&](unsigned turn) {
        check(
            device.table.download(device.context, logits.buffer, 0, values.data(), values.size()));
        check(host.table.upload(host.context, copy.buffer, 0, values.data(), values.size()));
        draw(host, copy, its_token, turn);
      },
      [] {}};
  add_row(rows, "draw", [&] {
    bench::Row made;
    made.what = "draw";
    made.shape = "1x" + std::to_string(vocabulary) + ", top_p 0.95";
    made.unit = "tokens/s";
    made.peer_name = "logits to the host, and the CPU's draw";
    race(made, 1, ours, peers.driver() ? std::optional(on_host) : std::nullopt, extent);
    return made;
  });
}

}  // namespace

void measure_network(Device& device, Peers& peers, Extent extent, std::vector<bench::Row>& rows) {
  try {
    const bool full = extent == Extent::full;
    Attention(device, full ? 2048 : 20, full ? 8 : 1).measure(extent, rows);
    measure_draw(device, peers, full ? 151'936 : 1000, extent, rows);
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "left out: of networks: %s\n", error.what());
  }
}

}  // namespace volt::gpu
