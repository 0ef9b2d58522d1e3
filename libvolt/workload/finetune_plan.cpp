// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/finetune_plan.hpp"

#include <algorithm>
#include <bit>

#include "libvolt/base/error.hpp"
#include "libvolt/base/quantities.hpp"

namespace volt::workload {
namespace {

/// More rows at a time make a step no faster.
constexpr std::uint64_t most_tokens_at_a_time = 8192;
/// With fewer, a matrix is read more often than it is multiplied with.
constexpr std::uint64_t enough_tokens_at_a_time = 512;
/// A context below this is none that one would want.
constexpr std::uint64_t least_context = 32;

/// The least whole number whose square is at least `value`.
std::uint64_t root_above(std::uint64_t value) {
  std::uint64_t root = 1;
  while (root * root < value) ++root;
  return root;
}

/// Of those with a gradient.
std::uint64_t elements_of(std::span<const lm::TrainedTensor> tensors) {
  std::uint64_t elements = 0;
  for (const auto& tensor : tensors) elements += tensor.has_gradient() ? tensor.elements() : 0;
  return elements;
}

/// Training::state(): its name and two counters, then that of Trained, and velvet's averages.
std::uint64_t state_bytes(std::span<const lm::TrainedTensor> tensors, bool velvet) {
  std::uint64_t elements = 2 + 3 * elements_of(tensors);
  for (const auto& tensor : tensors) {
    if (tensor.role == lm::TrainedTensor::Role::fly_d) elements += tensor.elements();
  }
  return 32 + 4 * elements + (velvet ? sizeof(lm::VelvetAverages) : 0);
}

std::uint64_t longest(const lm::TokenSamples& samples) {
  std::uint64_t most = 0;
  for (std::uint32_t i = 0; i < samples.size(); ++i) {
    most = std::max<std::uint64_t>(most, samples.length(i));
  }
  return most;
}

/// How much memory there is, and what has room in it.
struct Room {
  std::uint64_t limit = 0;
  std::uint64_t host_bytes = 0;  ///< that are taken of it, too
  bool shared = false;           ///< with others, who need memory as well

  bool has(const lm::NetworkMemory& memory, const lm::Capacity& capacity) const {
    return memory.bytes(capacity) + host_bytes <= limit;
  }
  /// Of shared memory half of what is left beside the model.
  bool has_with_ease(const lm::NetworkMemory& memory, const lm::Capacity& capacity) const {
    const std::uint64_t rows = memory.activations(capacity) + memory.scratch(capacity);
    return memory.bytes(capacity) + host_bytes + (shared ? rows : 0) <= limit;
  }
};

/// The largest of [least, most] that does, or 0; what is larger than one that does not, does not.
template <class Does>
std::uint64_t largest(std::uint64_t least, std::uint64_t most, Does does) {
  if (least > most || !does(least)) return 0;
  while (least < most) {
    const std::uint64_t middle = least + (most - least + 1) / 2;
    does(middle) ? least = middle : most = middle - 1;
  }
  return least;
}

/// At least the longest sample at a time, and no more than helps. Few rows cost less than layers
/// that are computed again, but for very few.
lm::Capacity capacity_of(const Room& room, const lm::NetworkMemory& memory, const Planned& p,
                         std::uint64_t least) {
  const std::uint64_t layers = p.architecture.layers;
  const std::uint64_t most = std::max(least, std::min(p.job.batch_tokens, most_tokens_at_a_time));
  const std::uint64_t enough = std::clamp(enough_tokens_at_a_time, least, most);
  const bool dropout = p.job.method.dropout != 0;
  const auto rows_that_fit = [&](std::uint64_t from, std::uint64_t to, std::uint64_t kept_layers) {
    return largest(from, to, [&](std::uint64_t rows) {
      return room.has_with_ease(memory, {rows, kept_layers, dropout});
    });
  };
  if (const auto rows = rows_that_fit(enough, most, layers)) return {rows, layers, dropout};
  const std::uint64_t kept = largest(1, layers, [&](std::uint64_t some) {
    return room.has_with_ease(memory, {enough, some, dropout});
  });
  if (kept != 0) return {enough, kept, dropout};
  return {std::max(least, rows_that_fit(least, enough, 1)), 1, dropout};
}

/// Of each sample its end, of each token its id and whether it is trained; and the last record,
/// beside which a check has another. Of a tied embedding that is trained, a step's lookups
/// (lm::Network::forward_backward).
std::uint64_t host_bytes(const Plan& plan, const Planned& p,
                         std::span<const lm::TrainedTensor> tensors) {
  Records records = plan.records;
  records.state_bytes = state_bytes(tensors, p.job.optimizer == "velvet");
  const bool looked_up = p.architecture.tied && std::ranges::any_of(tensors, [](const auto& one) {
                           return one.role == lm::TrainedTensor::Role::whole &&
                                  one.slot.part == lm::Part::token_embedding;
                         });
  const std::uint64_t lookups =
      looked_up ? std::min(p.job.batch_tokens, plan.tokens) * 4 * (p.architecture.width + 1) : 0;
  return 8 * plan.samples + 5 * plan.tokens + 2 * records.record_bytes() + lookups;
}

/// A change of the job with which it would fit, the one that costs least.
std::string remedy_of(const Plan& plan, const Planned& p, Room room, std::uint64_t least) {
  const bool dropout = p.job.method.dropout != 0;
  const auto memory_of = [&](std::span<const lm::TrainedTensor> tensors, lm::Format format,
                             lm::Profile profile) {
    return lm::NetworkMemory(p.architecture, tensors, format, profile);
  };
  const auto fits = [&](std::span<const lm::TrainedTensor> tensors, lm::Format format,
                        lm::Profile profile) {
    room.host_bytes = p.on_host ? host_bytes(plan, p, tensors) : 0;
    return room.has(memory_of(tensors, format, profile), {least, 1, dropout});
  };
  const lm::Format format = lm::format_named(p.job.base_format);
  const lm::Profile profile = profile_of(p.job);
  const auto memory = memory_of(p.tensors, format, profile);
  const std::uint64_t rows = std::bit_floor(largest(1, least, [&](std::uint64_t some) {
    return room.has(memory, {some, 1, dropout});
  }));
  if (profile == lm::Profile::f32x && fits(p.tensors, format, lm::Profile::i8x)) {
    return "profile = \"i8x\" would fit";
  }
  if (rows >= least_context) {
    return "batch = { context = " + std::to_string(rows) + " } would fit";
  }
  if (!p.job.model && !p.job.method.adapts() &&
      fits(lm::lora_tensors(p.architecture, {}), format, profile)) {
    return "method = { lora = {} } would fit";
  }
  if (p.job.method.adapts() && fits(p.tensors, lm::Format::nf4, profile)) {
    return "base_format = \"nf4\" would fit";
  }
  return "give it more with [limits] memory, or use a device with more";
}

/// Matrices are multiplied with once forward and once backward, and where they are trained once
/// more for their gradient. A layer that is computed again is so up to its last one.
void count_work(Plan& plan, const Planned& p) {
  const auto again = [&](const lm::Slot& slot) {
    return lm::is_linear(slot.part) && slot.part != lm::Part::down &&
           slot.layer + plan.capacity.kept_layers < p.architecture.layers;
  };
  double forward = 0, step = 0;
  for (const auto& parameter : lm::parameters_of(p.architecture)) {
    const bool looked_up =
        parameter.slot.part == lm::Part::position_embedding ||
        (parameter.slot.part == lm::Part::token_embedding && !p.architecture.tied);
    if (parameter.shape.size() != 2 || looked_up) continue;
    const double elements =
        static_cast<double>(parameter.shape[0]) * static_cast<double>(parameter.shape[1]);
    forward += elements;
    step += (p.job.method.adapts() ? 2 : 3) * elements;
    if (again(parameter.slot)) plan.again_multiply_adds += elements;
  }
  if (p.job.method.adapts()) {
    for (const auto& tensor : p.tensors) {
      const auto elements = static_cast<double>(tensor.elements());
      forward += elements;
      step += (tensor.has_gradient() ? 3 : 2) * elements;
      if (tensor.role == lm::TrainedTensor::Role::lora_b && again(tensor.slot)) {
        plan.again_multiply_adds += elements;
      }
    }
  }
  plan.forward_multiply_adds = forward;
  plan.step_multiply_adds = step;
}

Records in_units(Records r, std::uint64_t units) {
  r.span = (r.steps + units - 1) / units;
  r.units = (r.steps + r.span - 1) / r.span;
  return r;
}

/// States at as many places as the root of the steps, or at fewer where the disk may not take so
/// many; without a limit 8 GiB are enough, unless a run that is stopped would lose an eighth.
Records with_usual_span(const Records& r, std::optional<std::uint64_t> disk_limit) {
  constexpr std::uint64_t usual_bytes = std::uint64_t{8} << 30, usual_units = 8;
  const std::uint64_t root = root_above(r.steps);
  std::uint64_t units = (r.steps + root - 1) / root;
  const std::uint64_t least = disk_limit ? 1 : usual_units;
  while (units > least && in_units(r, units).bytes() > disk_limit.value_or(usual_bytes)) --units;
  return in_units(r, units);
}

std::uint64_t output_bytes(const Plan& plan, const Planned& p) {
  std::uint64_t model = 0;
  for (const auto& [slot, weight] : p.weights) model += weight.bytes.size();
  const std::uint64_t trained = 4 * plan.trained;
  return p.job.method.adapts() && p.job.merged ? trained + model : trained;
}

void count_memory(Plan& plan, const Planned& p) {
  const lm::NetworkMemory memory(p.architecture, p.tensors, lm::format_named(p.job.base_format),
                                 profile_of(p.job));
  const Room room{p.memory_limit, p.on_host ? host_bytes(plan, p, p.tensors) : 0,
                  p.on_host && !p.limit_given};
  const std::uint64_t least = longest(p.samples);
  plan.capacity = capacity_of(room, memory, p, least);
  plan.memory = {memory.frozen(), memory.trained(), memory.activations(plan.capacity),
                 memory.scratch(plan.capacity), room.host_bytes};
  plan.memory_limit = p.memory_limit;
  if (room.has(memory, plan.capacity)) return;
  plan.too_large = "the training needs " + format_memory(plan.memory.total()) + " of memory with " +
                   std::to_string(least) + " tokens at a time, and " +
                   format_memory(plan.memory_limit) + " is what it may have";
  plan.remedy = remedy_of(plan, p, room, least);
}

}  // namespace

lm::Profile profile_of(const schema::Finetune& job) { return lm::profile_named(job.profile); }

double Plan::multiply_adds() const {
  return static_cast<double>(step_tokens) * (step_multiply_adds + again_multiply_adds) +
         static_cast<double>(records.units * eval_tokens) * forward_multiply_adds;
}

Plan plan_of(const Planned& p) {
  Plan plan;
  for (const auto& parameter : lm::parameters_of(p.architecture)) {
    std::uint64_t elements = 1;
    for (const auto extent : parameter.shape) elements *= extent;
    plan.parameters += elements;
  }
  plan.trained = elements_of(p.tensors);
  if (p.job.method.adapts()) plan.parameters += plan.trained;
  plan.samples = p.samples.size();
  plan.held_out = p.eval.size();
  plan.tokens = p.samples.counts().tokens;
  plan.predicted = p.samples.counts().predicted;
  for (const auto sample : p.eval) plan.eval_tokens += p.samples.length(sample);
  const lm::Course course = lm::course_of(p.samples, p.train, p.settings);
  plan.step_tokens = course.tokens;
  Records& r = plan.records;
  r.steps = course.steps;
  r.state_bytes = state_bytes(p.tensors, p.job.optimizer == "velvet");
  r.evaluates = !p.eval.empty();
  if (p.job.span == 0) {
    r = with_usual_span(r, p.disk_limit);
  } else {
    r.span = std::min(p.job.span, r.steps);
    r.units = (r.steps + r.span - 1) / r.span;
  }
  plan.layers = p.architecture.layers;
  count_memory(plan, p);
  count_work(plan, p);
  plan.output_bytes = output_bytes(plan, p);
  return plan;
}

void refuse_unfit(const Plan& plan) {
  if (!plan.too_large.empty()) throw Error(Exit::no_device, plan.too_large, plan.remedy);
}

}  // namespace volt::workload
