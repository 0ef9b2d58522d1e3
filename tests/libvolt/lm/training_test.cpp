// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/training.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/network_memory.hpp"

namespace volt::lm {
namespace {

/// Made-up samples with a pattern to learn, of uneven length; of some only the end is trained.
TokenSamples made_up() {
  TokenSamples samples(24);
  for (std::uint32_t i = 0; i < 17; ++i) {
    TokenSample sample;
    for (std::uint32_t j = 0; j < 5 + i * 7 % 19; ++j) {
      sample.tokens.push_back((i + 3 * j) % 40);
      sample.trained.push_back(i % 3 != 0 || j > 2);
    }
    samples.add(sample, Sample::Kind::text);
  }
  return samples;
}

/// A small model with adapters and everything that training it takes.
struct Fixture {
  explicit Fixture(TrainingSettings s = {}, const Capacity& capacity = {64, 2, true},
                   unsigned threads = 2, const std::optional<FlyLora>& fly = std::nullopt)
      : lora{4, 8, {}, fly},
        device(device::wanted("cpu", threads)),
        folder(std::filesystem::path(__FILE__).parent_path() / "../../vectors/lm/llama"),
        architecture(read_architecture(folder.files())),
        weights(find_weights(folder.files(), architecture)),
        trained(device, lora_tensors(architecture, lora), fly),
        network(device, architecture, weights, trained, Profile::i8x, lora.scale(), capacity),
        samples(made_up()) {
    if (fly) initialise(device, architecture, 5, trained);
    for (const auto& tensor : trained.tensors()) {
      if (tensor.role != TrainedTensor::Role::lora_a) continue;
      std::vector<float> values(tensor.elements());
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = 0.1F * static_cast<float>(i * 7919 % 101) / 101 - 0.05F;
      }
      trained.set(tensor, values);
    }
    s.rate = 1e-2F;
    s.rows_per_step = 2;
    std::vector<std::uint32_t> all(samples.size());
    std::iota(all.begin(), all.end(), 0U);
    training = std::make_unique<Training>(network, trained, samples, all, s, capacity.rows);
  }

  Lora lora;
  device::Device device;
  Folder folder;
  Architecture architecture;
  Weights weights;
  Trained trained;
  Network network;
  TokenSamples samples;
  std::unique_ptr<Training> training;
};

TrainingSettings settings(std::uint64_t steps) {
  TrainingSettings s;
  s.steps = steps;
  s.warmup = 2;
  s.dropout = 0.1F;
  s.decay = 0.01F;
  return s;
}

TrainingSettings velvet(std::uint64_t steps, Velvet::Parts parts = {}) {
  auto s = settings(steps);
  s.velvet = parts;
  return s;
}

}  // namespace

TEST_CASE("a training learns, and takes as many steps as its epochs have") {
  TrainingSettings s;
  s.epochs = 12;
  Fixture f(s);
  const auto first = f.training->step();
  StepTold last;
  while (!f.training->done()) last = f.training->step();
  CHECK(last.step + 1 == f.training->steps());
  CHECK(f.training->steps() % 12 == 0);
  CHECK(last.loss < 0.7F * first.loss);
  CHECK(last.rate < 1e-4F);
}

TEST_CASE("a training that was interrupted anywhere ends as one that was not") {
  for (const auto& given : {settings(7), velvet(7)}) {
    Fixture whole(given);
    std::vector<StepTold> told;
    std::vector<Bytes> states{whole.training->state()};
    while (!whole.training->done()) {
      told.push_back(whole.training->step());
      states.push_back(whole.training->state());
    }
    for (const std::size_t stopped : {0, 1, 3, 6}) {
      CAPTURE(stopped);
      Fixture again(given);
      again.training->restore(states[stopped]);
      for (std::size_t i = stopped; i < told.size(); ++i) {
        CHECK(again.training->step() == told[i]);
      }
      CHECK(again.training->state() == states.back());
    }
  }
}

TEST_CASE("velvet without its parts is AdamW, bit for bit") {
  Fixture adamw(settings(6)), off(velvet(6, {false, false})), on(velvet(6));
  bool other = false;
  while (!adamw.training->done()) {
    const auto told = adamw.training->step();
    CHECK(off.training->step() == told);
    other = !(on.training->step() == told);
  }
  const Bytes expected = adamw.training->state();
  Bytes state = off.training->state();
  REQUIRE(state.size() == expected.size() + sizeof(VelvetAverages));
  state.resize(expected.size());
  CHECK(state == expected);
  CHECK(other);
}

TEST_CASE("velvet takes the rate and beta1 that it tells, once, from steps before") {
  Fixture f(velvet(12));
  Velvet rule({}, 2, 12);
  bool moved = false;
  while (!f.training->done()) {
    // The same step by hand: the gradient is what the step left behind.
    Fixture by_hand;
    by_hand.trained.restore(ByteView(f.training->state()).subspan(32, f.trained.state_bytes()));
    const auto told = f.training->step();
    CHECK(told == [&] {
      auto right = told;
      right.rate = rule.rate(Schedule{Schedule::Kind::cosine, 2, 12}.rate(told.step, 1e-2F));
      right.beta1 = rule.beta1(0.9F);
      return right;
    }());
    const auto expected = f.training->expected(told.step, rule);
    CHECK(expected.rate == told.rate);
    CHECK(expected.beta1 == told.beta1);
    for (const auto& tensor : f.trained.tensors()) {
      const auto gradient = f.trained.get_gradient(tensor);
      by_hand.device.call(&kernels::Backend::upload, by_hand.trained.gradient(tensor).buffer,
                          4 * tensor.offset, gradient.data(), std::uint64_t{4 * gradient.size()});
    }
    by_hand.trained.step({told.rate, told.beta1, 0.999F, 1e-8F, 0.01F,
                          1.0F / static_cast<float>(told.predicted) * told.clip});
    for (const auto& tensor : f.trained.tensors()) {
      CHECK(f.trained.get(tensor) == by_hand.trained.get(tensor));
    }
    rule.take(told.loss, told.entropy);
    moved |= told.beta1 != 0.9F;
  }
  CHECK(moved);
}

TEST_CASE("under velvet B, which begins with 0, learns") {
  Fixture f(velvet(4));
  const auto& b = f.trained.tensors()[1];
  REQUIRE(b.role == TrainedTensor::Role::lora_b);
  for (const float value : f.trained.get(b)) REQUIRE(value == 0);
  f.training->step();
  const auto values = f.trained.get(b);
  CHECK(std::count(values.begin(), values.end(), 0.0F) == 0);
}

TEST_CASE("how much is computed at a time, again, and by how many threads changes no bit") {
  const auto trained = [](const Capacity& capacity, unsigned threads) {
    Fixture f(settings(4), capacity, threads);
    while (!f.training->done()) f.training->step();
    return f.training->state();
  };
  const auto expected = trained({200, 2, true}, 1);
  CHECK(trained({24, 2, true}, 3) == expected);
  CHECK(trained({50, 2, true}, 2) == expected);
  CHECK(trained({50, 1, true}, 2) == expected);
}

TEST_CASE("of a full training it changes no bit either, in any family") {
  for (const char* const name : {"llama", "mistral", "llama_tied", "qwen2", "qwen3", "gpt2"}) {
    CAPTURE(name);
    const auto trained = [&](const Capacity& capacity, Profile profile = Profile::f32x) {
      device::Device device(device::wanted("cpu", 2));
      const Folder folder(std::filesystem::path(__FILE__).parent_path() / "../../vectors/lm" /
                          name);
      const auto architecture = read_architecture(folder.files());
      const auto weights = find_weights(folder.files(), architecture);
      Trained all(device, all_tensors(architecture));
      for (const auto& tensor : all.tensors()) all.set(tensor, floats(weights.at(tensor.slot)));
      Network network(device, architecture, weights, all, profile, 1, capacity);
      const auto samples = made_up();
      std::vector<std::uint32_t> order(samples.size());
      std::iota(order.begin(), order.end(), 0u);
      auto s = settings(2);
      s.rows_per_step = 4;  // of 24 tokens: what has room for fewer takes several batches a step
      Training training(network, all, samples, order, s, capacity.rows);
      while (!training.done()) training.step();
      return training.state();
    };
    const auto expected = trained({200, 2, true});
    CHECK(trained({24, 2, true}) == expected);
    CHECK(trained({60, 1, true}) == expected);
    CHECK(trained({60, 1}, Profile::i8x2) == trained({200, 2}, Profile::i8x2));
  }
}

TEST_CASE("of a deep model any number of layers is kept") {
  const auto trained = [](Profile profile, std::uint64_t kept_layers) {
    device::Device device(device::wanted("cpu", 2));
    const Folder folder(std::filesystem::path(__FILE__).parent_path() / "../../vectors/lm/llama");
    auto architecture = read_architecture(folder.files());
    architecture.layers = 5;
    Trained all(device, all_tensors(architecture));
    initialise(device, architecture, 1, all);
    Network network(device, architecture, {}, all, profile, 1, {200, kept_layers, true});
    const auto samples = made_up();
    Training training(network, all, samples, {0, 1, 2, 3, 4}, settings(2), 200);
    while (!training.done()) training.step();
    return training.state();
  };
  for (const Profile profile : {Profile::f32x, Profile::i8x2}) {
    const auto expected = trained(profile, 5);
    for (const std::uint64_t kept : {1, 2, 3, 4}) CHECK(trained(profile, kept) == expected);
  }
}

TEST_CASE("a vocabulary so large that logits are there for a few rows at a time") {
  const auto trained = [](std::uint64_t rows) {
    device::Device device(device::wanted("cpu", 2));
    const Folder folder(std::filesystem::path(__FILE__).parent_path() / "../../vectors/lm/llama");
    auto architecture = read_architecture(folder.files());
    architecture.layers = 1;
    architecture.vocabulary = 1 << 17;
    CHECK(logit_rows(architecture, rows) == std::min<std::uint64_t>(rows, 128));
    Trained all(device, all_tensors(architecture));
    initialise(device, architecture, 1, all);
    Network network(device, architecture, {}, all, Profile::f32x, 1, {rows, 1});
    const auto samples = made_up();
    std::vector<std::uint32_t> order(samples.size());
    std::iota(order.begin(), order.end(), 0U);
    TrainingSettings s;
    s.steps = 1;
    s.rows_per_step = samples.size();
    Training training(network, all, samples, order, s, rows);
    CHECK(training.step().tokens > 200);
    return training.state();
  };
  CHECK(trained(240) == trained(100));
}

TEST_CASE("an evaluation changes nothing") {
  Fixture f(settings(4));
  f.training->step();
  const auto before = f.training->state();
  const std::vector<std::uint32_t> held_out{0, 5, 9};
  const auto told = f.training->evaluate(held_out);
  CHECK(told.finite);
  CHECK(told.predicted > 0);
  CHECK(told.confidence > 0);
  CHECK(told.confidence < 1);
  CHECK(f.training->state() == before);
  CHECK(f.training->evaluate(held_out).loss == told.loss);
}

TEST_CASE("a step that is not finite changes nothing, and is counted as one") {
  Fixture f(settings(4));
  const auto& tensor = f.trained.tensors().front();
  auto values = f.trained.get(tensor);
  values[0] = std::numeric_limits<float>::infinity();
  f.trained.set(tensor, values);
  const auto b = f.trained.get(f.trained.tensors()[1]);
  const auto told = f.training->step();
  CHECK(told.skipped);
  CHECK(f.training->next() == 1);
  CHECK(f.trained.get(f.trained.tensors()[1]) == b);
}

namespace {

/// All d, which training alone moves.
std::vector<float> all_d(const Trained& trained) {
  std::vector<float> all;
  for (const auto& tensor : trained.tensors()) {
    if (tensor.role != TrainedTensor::Role::fly_d) continue;
    const auto d = trained.get(tensor);
    all.insert(all.end(), d.begin(), d.end());
  }
  return all;
}

constexpr FlyLora fly{2, 0.125F};

}  // namespace

TEST_CASE("FlyLoRA learns, and its d moves by a step's tokens together, and in training alone") {
  TrainingSettings s;
  s.epochs = 12;
  Fixture f(s, {200, 2, true}, 2, fly);
  const std::vector<std::uint32_t> held_out{0, 5, 9};
  f.training->evaluate(held_out);  // counts, too, but to no end
  CHECK(all_d(f.trained) == std::vector<float>(all_d(f.trained).size(), 0.0F));
  const auto first = f.training->step();
  const auto once = all_d(f.trained);
  bool moved = false;
  for (const float d : once) {
    CHECK((d == 0 || std::abs(d) == 0.125F));
    moved = moved || d != 0;
  }
  CHECK(moved);
  f.training->evaluate(held_out);
  CHECK(all_d(f.trained) == once);
  Fixture other(s, {24, 1, true}, 1, fly);  // a sample at a time, and a layer again
  other.training->step();
  CHECK(all_d(other.trained) == once);
  CHECK(other.training->state() == f.training->state());
  StepTold last;
  while (!f.training->done()) last = f.training->step();
  CHECK(last.loss < 0.8F * first.loss);
}

TEST_CASE("FlyLoRA ends the same wherever it was interrupted") {
  Fixture whole(settings(5), {64, 2, true}, 2, fly);
  whole.training->step();
  whole.training->step();
  const Bytes middle = whole.training->state();
  while (!whole.training->done()) whole.training->step();
  Fixture again(settings(5), {24, 2, true}, 3, fly);
  const auto a = again.trained.get(again.trained.tensors().front());
  again.training->restore(middle);
  while (!again.training->done()) again.training->step();
  CHECK(again.training->state() == whole.training->state());
  CHECK(again.trained.get(again.trained.tensors().front()) == a);
}

TEST_CASE("a step that is skipped leaves d as it was") {
  Fixture f(settings(4), {64, 2, true}, 2, fly);
  f.training->step();
  const auto before = all_d(f.trained);
  const auto& b = f.trained.tensors()[1];
  auto values = f.trained.get(b);
  values[0] = std::numeric_limits<float>::infinity();
  f.trained.set(b, values);
  CHECK(f.training->step().skipped);
  CHECK(all_d(f.trained) == before);
}

TEST_CASE("a step that is not finite changes none of velvet's averages") {
  Fixture f(velvet(4));
  f.training->step();
  const auto before = f.training->velvet_in(f.training->state())->averages;
  CHECK(before.taken == 1);
  const auto& tensor = f.trained.tensors().front();
  f.trained.set(tensor, std::vector<float>(tensor.elements(), 1e30F));
  CHECK(f.training->step().skipped);
  CHECK(f.training->velvet_in(f.training->state())->averages == before);
  CHECK(Training::skipped_in(f.training->state()) == 1);
}

TEST_CASE("what is no state of a training is refused") {
  Fixture f(settings(4));
  const auto refused = [&](Bytes state) { CHECK_THROWS_AS(f.training->restore(state), Error); };
  const Bytes state = f.training->state();
  refused({});
  refused(Bytes(state.begin(), state.end() - 1));
  Bytes other = state;
  other[0] ^= 1;
  refused(other);
  other = state;
  other[16] = 200;  // steps taken
  refused(other);
  refused(Fixture(velvet(4)).training->state());
  f.training->restore(state);
}

TEST_CASE("schedules begin and end where they should") {
  using Kind = Schedule::Kind;
  for (const Kind kind : {Kind::constant, Kind::linear, Kind::cosine}) {
    const Schedule schedule{kind, 4, 24};
    CHECK(schedule.rate(0, 1) == 0.25F);
    CHECK(schedule.rate(3, 1) == 1.0F);
    CHECK(schedule.rate(4, 1) == 1.0F);
    for (std::uint64_t step = 5; step < 24; ++step) {
      const double past = static_cast<double>(step - 4) / 20;
      const double right = kind == Kind::constant ? 1
                           : kind == Kind::linear ? 1 - past
                                                  : 0.5 * (1 + std::cos(past * 3.14159265358979));
      CHECK(schedule.rate(step, 1) == doctest::Approx(right).epsilon(1e-5));
    }
  }
  CHECK(Schedule{Kind::cosine, 0, 1}.rate(0, 2) == 2.0F);
}

}  // namespace volt::lm
