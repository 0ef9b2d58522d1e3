// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/training.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/network.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/lm/sum.hpp"

namespace volt::lm {
namespace {

constexpr std::string_view state_name = "volt.training/1\n";

float mean(const std::vector<Told>& told, float Told::*member, float count) {
  return sum128(told.size(), [&](std::size_t i) { return told[i].*member; }) / count;
}

std::uint64_t predicted(const Batch& batch) {
  return static_cast<std::uint64_t>(
      std::count_if(batch.targets.begin(), batch.targets.end(),
                    [](std::uint32_t target) { return target != kernels::no_target; }));
}

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

Packing packing_of(const TokenSamples& samples, std::span<const std::uint32_t> train,
                   std::uint64_t seed, std::uint64_t epoch) {
  auto order =
      shuffled(static_cast<std::uint32_t>(train.size()), seed, static_cast<std::uint32_t>(epoch));
  for (auto& sample : order) sample = train[sample];
  return pack(samples, order);
}

}  // namespace

Course course_of(const TokenSamples& samples, std::span<const std::uint32_t> train,
                 const TrainingSettings& settings) {
  if (train.empty()) throw Error(Exit::usage, "there is nothing to train on");
  constexpr std::uint64_t most_packed = 1'000'000'000;  // samples, about a minute of work
  const std::uint64_t wanted = settings.steps;
  Course course;
  for (std::uint64_t epoch = 0; wanted != 0 ? course.steps < wanted : epoch < settings.epochs;
       ++epoch) {
    if ((epoch + 1) * train.size() > most_packed) {
      throw Error(Exit::usage, "the training has more than 1000000000 samples in all its epochs",
                  "give it fewer epochs or steps");
    }
    const Packing packing = packing_of(samples, train, settings.seed, epoch);
    const std::uint64_t before = course.steps;
    course.steps += ceil_div(packing.rows(), settings.rows_per_step);
    course.epoch_ends.push_back(course.steps);
    if (wanted != 0) course.steps = std::min(course.steps, wanted);
    // Of the last epoch perhaps not all rows.
    const std::uint64_t rows =
        std::min(packing.rows(), (course.steps - before) * settings.rows_per_step);
    for (std::uint64_t i = 0; i < packing.row_begin[rows]; ++i) {
      course.tokens += samples.length(packing.samples[i]);
    }
  }
  return course;
}

Training::Training(Network& network, Trained& trained, const TokenSamples& samples,
                   std::vector<std::uint32_t> train, const TrainingSettings& settings,
                   std::uint64_t most_tokens)
    : network_(network),
      trained_(trained),
      samples_(samples),
      train_(std::move(train)),
      settings_(settings),
      most_tokens_(most_tokens),
      course_(course_of(samples_, train_, settings_)) {
  if (settings_.velvet) velvet_.emplace(*settings_.velvet, settings_.warmup, course_.steps);
}

void Training::reach(std::uint64_t epoch) {
  if (epoch_ && epoch_->index == epoch) return;
  epoch_ = Epoch{epoch, packing_of(samples_, train_, settings_.seed, epoch), {}};
  std::uint64_t token = epoch * epoch_->packing.tokens;
  for (std::uint64_t row = 0; row < epoch_->packing.rows(); ++row) {
    epoch_->first_token.push_back(token);
    for (const auto sample : epoch_->packing.row(row)) token += samples_.length(sample);
  }
}

void Training::append(Batch& batch, std::uint32_t sample) const {
  const auto tokens = samples_.tokens(sample);
  const auto trained = samples_.trained(sample);
  const auto first = static_cast<std::uint32_t>(batch.tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool predicts = i + 1 < tokens.size() && trained[i + 1] != 0;
    batch.tokens.push_back(tokens[i]);
    batch.positions.push_back(static_cast<std::uint32_t>(i));
    batch.first.push_back(first);
    batch.targets.push_back(predicts ? tokens[i + 1] : kernels::no_target);
  }
}

template <class Run>
void Training::in_batches(std::span<const std::uint32_t> samples, Run run) const {
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < samples.size();) {
    Batch batch;
    do {
      append(batch, samples[i++]);
    } while (i < samples.size() &&
             batch.tokens.size() + samples_.length(samples[i]) <= most_tokens_);
    run(batch, before, i < samples.size());
    before += batch.tokens.size();
  }
}

Training::StepData Training::data_of(std::uint64_t step) {
  const auto end = std::upper_bound(course_.epoch_ends.begin(), course_.epoch_ends.end(), step);
  reach(static_cast<std::uint64_t>(end - course_.epoch_ends.begin()));
  const std::uint64_t first_step = end == course_.epoch_ends.begin() ? 0 : *(end - 1);
  const Packing& packing = epoch_->packing;
  const std::uint64_t row = (step - first_step) * settings_.rows_per_step;
  const std::uint64_t rows = std::min(settings_.rows_per_step, packing.rows() - row);
  const std::uint64_t first = packing.row_begin[row], count = packing.row_begin[row + rows] - first;
  return {std::span(packing.samples).subspan(first, count), epoch_->first_token[row]};
}

void Training::set_pace(StepTold& told, const std::optional<Velvet>& velvet) const {
  told.rate =
      Schedule{settings_.schedule, settings_.warmup, course_.steps}.rate(told.step, settings_.rate);
  told.beta1 = settings_.beta1;
  if (!velvet) return;
  told.rate = velvet->rate(told.rate);
  told.beta1 = velvet->beta1(told.beta1);
}

StepTold Training::expected(std::uint64_t step, const std::optional<Velvet>& before) {
  StepTold told;
  told.step = step;
  set_pace(told, before);
  in_batches(data_of(step).samples, [&](const Batch& batch, std::uint64_t, bool) {
    told.tokens += batch.tokens.size();
    told.predicted += predicted(batch);
  });
  return told;
}

StepTold Training::step() {
  const StepData data = data_of(next_);
  StepTold told;
  told.step = next_;
  set_pace(told, velvet_);
  std::vector<Told> of_tokens;
  trained_.clear_gradients();
  in_batches(data.samples, [&](const Batch& batch, std::uint64_t before, bool more) {
    const DropoutPlace place{settings_.dropout, settings_.seed, data.first_token + before};
    const auto some = network_.forward_backward(batch, place, more);
    of_tokens.insert(of_tokens.end(), some.begin(), some.end());
    told.predicted += predicted(batch);
  });
  told.tokens = of_tokens.size();
  const auto count = static_cast<float>(told.predicted);
  told.loss = mean(of_tokens, &Told::loss, count);
  told.entropy = mean(of_tokens, &Told::entropy, count);
  AdamStep adam{told.rate,         told.beta1,      settings_.beta2,
                settings_.epsilon, settings_.decay, 1.0F / count};
  told.norm = trained_.gradient_norm(adam.factor);
  told.clip = clip_of(told.norm);
  adam.factor *= told.clip;
  told.skipped = !std::isfinite(told.loss) || !std::isfinite(told.norm);
  if (told.skipped) {
    ++skipped_;
  } else {
    trained_.step(adam);
    if (velvet_) velvet_->take(told.loss, told.entropy);
  }
  ++next_;
  return told;
}

EvalTold Training::evaluate(std::span<const std::uint32_t> samples) {
  std::vector<Told> of_tokens;
  EvalTold told;
  in_batches(samples, [&](const Batch& batch, std::uint64_t, bool) {
    const auto some = network_.forward(batch);
    of_tokens.insert(of_tokens.end(), some.begin(), some.end());
    told.predicted += predicted(batch);
  });
  const auto count = static_cast<float>(told.predicted);
  told.loss = mean(of_tokens, &Told::loss, count);
  told.confidence = mean(of_tokens, &Told::confidence, count);
  told.entropy = mean(of_tokens, &Told::entropy, count);
  told.finite = std::isfinite(told.loss);
  return told;
}

std::uint64_t Training::state_bytes() const {
  return state_name.size() + 16 + trained_.state_bytes() + (velvet_ ? sizeof(VelvetAverages) : 0);
}

Bytes Training::state() const {
  Bytes state(state_bytes());
  save(state);
  return state;
}

void Training::save(std::span<std::uint8_t> state) const {
  const std::size_t counters = state_name.size();
  std::memcpy(state.data(), state_name.data(), counters);
  std::memcpy(state.data() + counters, &next_, 8);
  std::memcpy(state.data() + counters + 8, &skipped_, 8);
  trained_.save(state.subspan(counters + 16, trained_.state_bytes()));
  if (velvet_) {
    std::memcpy(state.data() + counters + 16 + trained_.state_bytes(), &velvet_->averages,
                sizeof(VelvetAverages));
  }
}

std::optional<Velvet> Training::velvet_in(ByteView state) const {
  auto velvet = velvet_;
  if (velvet) {
    std::memcpy(&velvet->averages, state.data() + state_bytes() - sizeof(VelvetAverages),
                sizeof(VelvetAverages));
  }
  return velvet;
}

namespace {

std::uint64_t counter(ByteView state, std::size_t index) {
  std::uint64_t value = 0;
  std::memcpy(&value, state.data() + state_name.size() + 8 * index, sizeof value);
  return value;
}

}  // namespace

Trained::Drift Training::drift(ByteView before, ByteView state, ByteView other) const {
  const auto arrays = [&](ByteView of) {
    return of.subspan(state_name.size() + 16, trained_.state_bytes());
  };
  return trained_.drift(arrays(before), arrays(state), arrays(other));
}

std::uint64_t Training::steps_in(ByteView state) { return counter(state, 0); }
std::uint64_t Training::skipped_in(ByteView state) { return counter(state, 1); }

float Training::clip_of(float norm) const {
  return settings_.clip != 0 && norm > settings_.clip ? settings_.clip / norm : 1.0F;
}

bool Training::agrees(const StepTold& told) const {
  const bool finite = std::isfinite(told.loss) && std::isfinite(told.norm);
  return told.skipped != finite && told.clip == clip_of(told.norm);
}

void Training::restore(ByteView state) {
  const std::size_t counters = state_name.size();
  if (state.size() != state_bytes() ||
      std::memcmp(state.data(), state_name.data(), counters) != 0) {
    throw Error(Exit::usage, "this is no state of such a training");
  }
  std::uint64_t next = 0, skipped = 0;
  std::memcpy(&next, state.data() + counters, 8);
  std::memcpy(&skipped, state.data() + counters + 8, 8);
  if (next > course_.steps || skipped > next) {
    throw Error(Exit::usage, "the state is of step " + std::to_string(next) +
                                 ", but the training has " + std::to_string(course_.steps));
  }
  next_ = next;
  skipped_ = skipped;
  trained_.restore(state.subspan(counters + 16, trained_.state_bytes()));
  velvet_ = velvet_in(state);
}

}  // namespace volt::lm
