// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/trained.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "libvolt/base/error.hpp"

namespace volt::lm {
namespace {

using Role = TrainedTensor::Role;

Architecture small(Family family = Family::llama) {
  Architecture a;
  a.family = family;
  a.layers = 2;
  a.width = 64;
  a.heads = 4;
  a.kv_heads = 2;
  a.head_width = 16;
  a.ff_width = 96;
  a.vocabulary = 50;
  a.context = 32;
  a.norm_epsilon = 1e-5F;
  a.rope = Rope{};
  return a;
}

double deviation(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

}  // namespace

TEST_CASE("LoRA has two matrices for each of the layers' linear maps") {
  Lora lora{4, 8, {}};
  const auto all = lora_tensors(small(), lora);
  CHECK(all.size() == 2 * 2 * 7);  // A and B, of two layers
  CHECK(all[0].rows == 4);
  CHECK(all[0].cols == 64);
  CHECK(all[1].rows == 64);
  CHECK(all[1].cols == 4);
  lora.targets = {Part::query, Part::value};
  const auto some = lora_tensors(small(), lora);
  CHECK(some.size() == 2 * 2 * 2);
  CHECK(some[3].rows == 32);  // of two heads
  lora.targets = {Part::qkv};
  CHECK_THROWS_AS(lora_tensors(small(), lora), Error);
}

TEST_CASE("tensors lie one behind the other, and are found") {
  device::Device device(device::wanted("cpu", 1));
  Trained trained(device, all_tensors(small()));
  std::uint64_t next = 0;
  for (const auto& tensor : trained.tensors()) {
    CHECK(tensor.offset == next);
    next += tensor.elements();
    CHECK(trained.find(tensor.slot, Role::whole) == &tensor);
    CHECK(trained.find(tensor.slot, Role::lora_a) == nullptr);
    CHECK(tensor.decays == (tensor.rows > 1));
  }
  CHECK(trained.elements() == next);
}

TEST_CASE("a training begins with what its seed says") {
  device::Device device(device::wanted("cpu", 2));
  const auto begin = [&](std::uint64_t seed) {
    Trained trained(device, all_tensors(small()));
    initialise(device, small(), seed, trained);
    std::vector<std::vector<float>> values;
    for (const auto& tensor : trained.tensors()) {
      values.push_back(trained.get(tensor));
      CAPTURE(static_cast<int>(tensor.slot.part));
      const auto [low, high] = std::minmax_element(values.back().begin(), values.back().end());
      if (tensor.rows == 1) {
        CHECK(*low == 1.0F);
        CHECK(*high == 1.0F);
        continue;
      }
      const bool residual = tensor.slot.part == Part::output || tensor.slot.part == Part::down;
      CHECK(deviation(values.back()) == doctest::Approx(residual ? 0.01 : 0.02).epsilon(0.05));
      CHECK(*high < 0.0347F);
    }
    return values;
  };
  const auto one = begin(1);
  CHECK(begin(1) == one);
  CHECK(begin(2) != one);
  // No two tensors of a shape are alike.
  std::set<std::vector<float>> different;
  std::size_t matrices = 0;
  for (const auto& values : one) {
    if (values.size() <= 64) continue;
    different.insert(values);
    ++matrices;
  }
  CHECK(different.size() == matrices);
}

TEST_CASE("adapters begin with A drawn and B 0, and B moves at the first step") {
  device::Device device(device::wanted("cpu", 1));
  Trained trained(device, lora_tensors(small(), {4, 8, {}}));
  initialise(device, small(), 3, trained);
  const auto &a = trained.tensors()[0], &b = trained.tensors()[1];
  CHECK(deviation(trained.get(a)) == doctest::Approx(1 / 8.0 / std::sqrt(3.0)).epsilon(0.1));
  CHECK(deviation(trained.get(b)) == 0);
  const std::vector<float> ones(b.elements(), 1.0F);
  device.call(&kernels::Backend::upload, trained.gradient(b).buffer, 4 * b.offset, ones.data(),
              std::uint64_t{4 * ones.size()});
  AdamStep step;
  step.rate = 0.5F;
  trained.step(step);
  for (const float value : trained.get(b)) CHECK(value == doctest::Approx(-0.5F));
  CHECK(trained.gradient_norm(2) ==
        doctest::Approx(2 * std::sqrt(static_cast<double>(b.elements()))));
  trained.clear_gradients();
  CHECK(trained.gradient_norm(1) == 0);
}

TEST_CASE("FlyLoRA begins with a sparse A, drawn once and for all, and moves B and d alone") {
  Lora lora{8, 16, {Part::query}};
  lora.fly = FlyLora{3, 0.25F};
  device::Device device(device::wanted("cpu", 1));
  Trained trained(device, lora_tensors(small(), lora), lora.fly);
  initialise(device, small(), 3, trained);
  REQUIRE(trained.tensors().size() == 2 * 3);
  const auto &a = trained.tensors()[0], &b = trained.tensors()[1], &d = trained.tensors()[2];
  const auto values = trained.get(a);
  for (std::size_t row = 0; row < 8; ++row) {
    const auto zeros = std::count(values.begin() + static_cast<std::ptrdiff_t>(64 * row),
                                  values.begin() + static_cast<std::ptrdiff_t>(64 * (row + 1)), 0);
    CHECK(zeros == 64 - 24);
  }
  CHECK(trained.get(trained.tensors()[3]) != values);
  CHECK(trained.get(b) == std::vector<float>(64 * 8, 0.0F));
  CHECK(trained.get(d) == std::vector<float>(8, 0.0F));
  // A is in no state; B with its two averages and d are.
  CHECK(trained.elements() == 2 * 64 * 8);
  CHECK(trained.state_bytes() == 4 * (2 + 3 * 2 * 64 * 8 + 2 * 8));

  // The mean of these counts is 3; the second matrix used all ranks the same.
  const std::vector<std::uint32_t> counts{3, 4, 2, 3, 0, 9, 3, 0};
  const auto count = trained.counts(d);
  device.call(&kernels::Backend::upload, count.buffer, 4 * count.offset, counts.data(),
              std::uint64_t{4 * counts.size()});
  trained.step({});
  CHECK(trained.get(d) == std::vector<float>{0, -0.25F, 0.25F, 0, 0.25F, -0.25F, 0, 0.25F});
  CHECK(trained.get(trained.tensors()[5]) == std::vector<float>(8, 0.0F));
  CHECK(trained.get(a) == values);

  Bytes state(trained.state_bytes());
  trained.save(state);
  trained.set(d, std::vector<float>(8, 7.0F));
  trained.restore(state);
  CHECK(trained.get(d)[5] == -0.25F);
  trained.clear_gradients();
  trained.step({});
  CHECK(trained.get(d)[5] == -0.25F);
}

TEST_CASE("with a beta1 that varies the first average is still a mean of gradients") {
  device::Device device(device::wanted("cpu", 1));
  Trained trained(device, lora_tensors(small(), {4, 8, {Part::query}}));
  const auto& b = trained.tensors()[1];
  const std::vector<float> ones(b.elements(), 1.0F);
  device.call(&kernels::Backend::upload, trained.gradient(b).buffer, 4 * b.offset, ones.data(),
              std::uint64_t{4 * ones.size()});
  float expected = 0;
  for (const float beta1 : {0.9F, 0.8F, 0.95F, 0.85F}) {
    AdamStep step;
    step.rate = 0.5F;
    step.beta1 = beta1;
    trained.step(step);
    expected -= 0.5F;  // the mean of equal gradients is the gradient, whatever the weights
    for (const float value : trained.get(b)) CHECK(value == doctest::Approx(expected));
  }
}

TEST_CASE("how far a state is from another is told part by part") {
  device::Device device(device::wanted("cpu", 1));
  const TrainedTensor a{{0, Part::query, false}, Role::lora_a, 1, 2};
  const TrainedTensor b{{0, Part::query, false}, Role::lora_b, 1, 2};
  const Trained trained(device, {a, b});
  // Both products of betas, four values, and as many of each average.
  using State = std::vector<float>;
  const auto bytes = [](const State& state) {
    return ByteView(reinterpret_cast<const std::uint8_t*>(state.data()), 4 * state.size());
  };
  const State before = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const State right = {1, 1, 3, 0, 0, 4, 1, 1, 1, 1, 2, 0, 0, 0};
  const auto drift = [&](const State& state) {
    return trained.drift(bytes(before), bytes(state), bytes(right));
  };
  CHECK(drift(right).values == 0);
  State state = right;
  state[3] = 0.5F;   // of a way of 5
  state[6] = 1.5F;   // of a length of 2
  state[10] = 1.5F;  // of 2
  CHECK(drift(state).values == doctest::Approx(0.1));
  CHECK(drift(state).m == doctest::Approx(0.25));
  CHECK(drift(state).v == doctest::Approx(0.25));
  // Where nothing should have moved, nothing may.
  CHECK(trained.drift(bytes(right), bytes(state), bytes(right)).values > 1e300);
  state[4] = std::nanf("");
  CHECK_FALSE(drift(state).values <= 1e300);
}

TEST_CASE("weight decay is for matrices, and does not depend on the gradient") {
  device::Device device(device::wanted("cpu", 1));
  Trained trained(device, all_tensors(small()));
  initialise(device, small(), 3, trained);
  std::vector<std::vector<float>> before;
  for (const auto& tensor : trained.tensors()) before.push_back(trained.get(tensor));
  AdamStep step;
  step.rate = 0.5F;
  step.decay = 0.1F;
  trained.step(step);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto after = trained.get(trained.tensors()[i]);
    const float kept = trained.tensors()[i].decays ? 0.95F : 1.0F;
    for (std::size_t j = 0; j < after.size(); ++j) {
      CHECK(after[j] == doctest::Approx(kept * before[i][j]));
    }
  }
}

}  // namespace volt::lm
