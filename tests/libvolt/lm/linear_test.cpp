// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/linear.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

namespace volt::lm {
namespace {

constexpr std::uint64_t rows = 9, out = 150, in = 300, rank = 5;
constexpr Slot slot{0, Part::query, false};

std::vector<float> random_values(std::uint64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> value;
  std::vector<float> values(count);
  for (float& one : values) one = value(random);
  return values;
}

/// How far apart they are, of the length of b.
double apart(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, all = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    all += double{b[i]} * b[i];
  }
  return std::sqrt(squares / all);
}

/// y, dx and the gradients of what is trained, of random x and dy.
std::vector<std::vector<float>> results(const std::vector<TrainedTensor>& tensors, bool conv1d,
                                        Profile profile, float dropout = 0) {
  device::Device device(device::wanted("cpu", 2));
  std::optional<FlyLora> fly;
  for (const auto& tensor : tensors) {
    if (tensor.role == TrainedTensor::Role::fly_a) fly = FlyLora{3, 0};
  }
  Trained trained(device, tensors, fly);
  for (const auto& tensor : trained.tensors()) {
    if (tensor.role == TrainedTensor::Role::fly_d) continue;
    trained.set(tensor, random_values(tensor.elements(), 7));
  }
  Bands bands(device, padded(out) * padded(in), Format::fp32, Profile::f32x);
  RoomSize size;
  size.quants = rows * padded(std::max(out, in));
  for (auto& place : size.places) place = size.quants;
  size.limbs = limb_sizes(profile, tensors);
  for (auto& place : size.halves) place = std::max<std::uint64_t>(size.quants, out * in);
  Room room(device, size);
  // Beside an adapter, nothing: all that differs is its own.
  const std::vector<float> zeros(out * in);
  const Weight weight = {"w",
                         "w.safetensors",
                         {tensor::Dtype::f32, {out, in}},
                         {reinterpret_cast<const std::uint8_t*>(zeros.data()), 4 * zeros.size()}};
  std::shared_ptr<const FrozenMatrix> frozen;
  if (trained.find(slot, TrainedTensor::Role::whole) == nullptr) {
    frozen = std::make_shared<FrozenMatrix>(bands, weight, Format::fp32, Profile::f32x, false);
  }
  Linear linear(device, {slot, out, in, false, conv1d, first_dropout_stream, profile}, frozen, {},
                trained, 0.5F, rows);
  const auto put = [&](std::uint64_t cols, const std::vector<float>& values) {
    Tensor tensor = make_tensor(device, rows, cols);
    device.call(&kernels::Backend::upload, tensor.buffer.get(), std::uint64_t{0}, values.data(),
                std::uint64_t{4 * values.size()});
    return tensor;
  };
  const Tensor x = put(in, random_values(rows * in, 1)),
               dy = put(out, random_values(rows * out, 2));
  const Tensor y = put(out, std::vector<float>(rows * out)),
               dx = put(in, std::vector<float>(rows * in));
  linear.forward(room, x.matrix, y.matrix, {dropout, 3, 0});
  linear.backward(room, x.matrix, dy.matrix, dx.matrix);
  std::vector<std::vector<float>> all;
  for (const Tensor* tensor : {&y, &dx}) {
    auto& values = all.emplace_back(rows * tensor->matrix.cols);
    device.download(tensor->buffer, reinterpret_cast<std::uint8_t*>(values.data()),
                    4 * values.size());
  }
  for (const auto& tensor : trained.tensors()) {
    if (tensor.has_gradient()) all.push_back(trained.get_gradient(tensor));
  }
  return all;
}

}  // namespace

// i8x2 has 15 bits: about 1e-4 of what one product is, and twice that of two. A low limb that is
// lost is 1e-2; a row with another's scale, 1. bf16 has 8 bits.
TEST_CASE("products of limbs, and of bf16, are close to chains, and are not these") {
  using Role = TrainedTensor::Role;
  const TrainedTensor b = {slot, Role::lora_b, out, rank};
  const std::vector<TrainedTensor> lora = {{slot, Role::lora_a, rank, in}, b};
  const std::vector<TrainedTensor> fly = {
      {slot, Role::fly_a, rank, in}, b, {slot, Role::fly_d, 1, rank}};
  struct Way {
    const char* name;
    std::vector<TrainedTensor> tensors;
    bool conv1d;
    float dropout;
  };
  const Way ways[] = {{"lora", lora, false, 0},
                      {"lora with dropout", lora, false, 0.5F},
                      {"flylora", fly, false, 0},
                      {"whole", {{slot, Role::whole, out, in}}, false, 0},
                      {"whole, as GPT-2 stores it", {{slot, Role::whole, in, out}}, true, 0}};
  for (const Way& way : ways) {
    CAPTURE(way.name);
    const auto chains = results(way.tensors, way.conv1d, Profile::f32x, way.dropout);
    const auto limbs = results(way.tensors, way.conv1d, Profile::i8x2, way.dropout);
    const auto halves = results(way.tensors, way.conv1d, Profile::native, way.dropout);
    for (std::size_t i = 0; i < chains.size(); ++i) {
      CAPTURE(i);
      CHECK(apart(limbs[i], chains[i]) < 4e-4);
      CHECK(apart(halves[i], chains[i]) < 8e-3);
      CHECK(halves[i] != chains[i]);
    }
    CHECK(limbs[0] != chains[0]);  // y
    CHECK(limbs[1] != chains[1]);  // dx
    // Over rows, what is not a product of products is the same chain.
    if (way.tensors.size() == 1) CHECK(limbs[2] == chains[2]);
  }
}

}  // namespace volt::lm
