// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/finetune.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/adapter.hpp"
#include "libvolt/lm/language.hpp"
#include "libvolt/lm/new_model.hpp"

namespace volt::workload {
namespace {

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

lm::Lora lora_of(const schema::Finetune& job, const lm::Architecture& architecture) {
  lm::Lora lora;
  lora.rank = job.method.rank;
  lora.alpha = static_cast<float>(job.method.alpha);
  if (job.method.kind == schema::Method::Kind::flylora) {
    lora.fly = lm::FlyLora{job.method.active, static_cast<float>(job.method.balance)};
  }
  const auto parameters = lm::parameters_of(architecture);
  for (const auto& target : job.method.targets) {
    const std::string end = "." + target + ".weight";
    const auto found =
        std::find_if(parameters.begin(), parameters.end(), [&](const lm::Parameter& parameter) {
          return parameter.shape.size() == 2 && parameter.name.ends_with(end);
        });
    if (found == parameters.end()) {
      throw Error(Exit::usage, "the model has no matrix called " + printable(target),
                  "its matrices are called " +
                      std::string(architecture.conv1d
                                      ? "c_attn, c_proj and c_fc"
                                      : "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj and "
                                        "down_proj"));
    }
    for (const auto& parameter : parameters) {
      const bool named = parameter.shape.size() == 2 && parameter.name.ends_with(end);
      if (named && !std::count(lora.targets.begin(), lora.targets.end(), parameter.slot.part)) {
        lora.targets.push_back(parameter.slot.part);
      }
    }
  }
  return lora;
}

lm::TrainingSettings settings_of(const schema::Finetune& job) {
  lm::TrainingSettings s;
  s.epochs = job.epochs;
  s.steps = job.steps;
  s.rows_per_step = job.batch_tokens / job.context;
  s.rate = static_cast<float>(job.rate);
  s.schedule = job.schedule == "cosine"   ? lm::Schedule::Kind::cosine
               : job.schedule == "linear" ? lm::Schedule::Kind::linear
                                          : lm::Schedule::Kind::constant;
  s.warmup = job.warmup;
  s.decay = static_cast<float>(job.weight_decay);
  if (job.optimizer == "velvet") s.velvet.emplace();
  s.clip = static_cast<float>(job.clip);
  s.dropout = static_cast<float>(job.method.dropout);
  s.seed = job.seed;
  return s;
}

void check_context(std::uint64_t context, const lm::Architecture& architecture) {
  const std::uint64_t most = architecture.sees();
  if (context <= most) return;
  throw Error(Exit::usage,
              "batch.context is " + std::to_string(context) + ", but the model sees " +
                  std::to_string(most) + " tokens",
              "set batch = { context = " + std::to_string(most) + " }");
}

}  // namespace

/// As Llama's are but for the size: RMSNorm's epsilon and RoPE's theta of Llama 2.
lm::Architecture architecture_of(const schema::NewModel& model) {
  lm::Architecture a;
  a.layers = model.layers;
  a.width = model.width;
  a.heads = model.heads;
  a.kv_heads = model.kv_heads;
  a.head_width = model.width / model.heads;
  a.ff_width = model.ff_width;
  a.context = model.context;
  a.norm_epsilon = 1e-5F;
  a.activation = model.activation == "silu"   ? lm::Activation::silu
                 : model.activation == "gelu" ? lm::Activation::gelu_tanh
                                              : lm::Activation::era;
  if (a.activation == lm::Activation::era) {
    a.era_temperature = static_cast<float>(model.temperature);
    a.era_lambda = static_cast<float>(model.lambda);
  }
  a.rope.emplace();
  a.tied = true;
  return a;
}

struct Finetune::Parts {
  Parts(const schema::Job& j, const lm::Files& folder, ByteView data, device::Device& d, Sink& sink)
      : job(j.finetune),
        device(d),
        made(job.model
                 ? std::optional<lm::NewModel>(std::in_place, architecture_of(*job.model), folder)
                 : std::nullopt),
        files(made ? made->files() : folder),
        architecture(lm::read_architecture(files)),
        language(files, architecture),
        lora(job.method.adapts() ? lora_of(job, architecture) : lm::Lora{}),
        weights(made ? lm::Weights() : lm::find_weights(files, architecture)),
        samples(static_cast<std::uint32_t>(job.context)) {
    check_context(job.context, architecture);
    read(data, sink);
    split = lm::split_samples(samples.size(), static_cast<std::uint32_t>(job.eval_millionths),
                              job.seed);
    tensors =
        job.method.adapts() ? lm::lora_tensors(architecture, lora) : lm::all_tensors(architecture);
    plan = plan_of({job, architecture, tensors, weights, samples, split.train, split.eval,
                    settings_of(job), device.memory_limit(), device.limit_given(),
                    device.facts().backend == "cpu", j.limits.disk_bytes});
    records = plan.records;
  }

  void build() {
    refuse_unfit(plan);
    const lm::Format format = lm::format_named(job.base_format);
    for (const auto& [slot, weight] : weights)
      lm::refuse_non_finite(weight, slot.part, format, profile_of(job));
    trained.emplace(device, tensors, lora.fly);
    start();
    network.emplace(device, architecture, weights, *trained, profile_of(job), lora.scale(),
                    plan.capacity, format);
    training.emplace(*network, *trained, samples, split.train, settings_of(job),
                     plan.capacity.rows);
    if (training->state_bytes() != records.state_bytes) {
      throw Error(Exit::failure, "a state has not the size that was counted",
                  "this is a bug of volt: please report it");
    }
  }

  /// One step over some of the samples.
  std::chrono::nanoseconds time_of_step(const std::vector<std::uint32_t>& some) {
    lm::TrainingSettings settings = settings_of(job);
    settings.steps = 1;
    settings.rows_per_step = some.size();  // a row has at least one
    lm::Training step(*network, *trained, samples, some, settings, plan.capacity.rows);
    const auto began = std::chrono::steady_clock::now();
    step.step();
    return std::chrono::steady_clock::now() - began;
  }

  /// From random numbers, or where the base is.
  void start() {
    lm::initialise(device, architecture, job.seed, *trained);
    for (const auto& tensor : trained->tensors()) {
      const bool of_base = !made && tensor.role == lm::TrainedTensor::Role::whole;
      if (of_base) trained->set(tensor, lm::floats(weights.at(tensor.slot)));
    }
  }

  void read(ByteView data, Sink& sink) {
    const std::string name = job.data_name();
    lm::DataOptions options;
    options.skip_bad_lines = job.skip_bad_lines;
    options.answers_apart = job.answers_apart;
    options.chat_template = language.chat_template();
    options.special_tokens = language.special_tokens();
    lm::DataReader reader(as_text(data), name, lm::data_format(name), options);
    const lm::TextEncoder encoder = language.encoder();
    while (const lm::Sample* sample = reader.next()) {
      samples.add(lm::tokenise(*sample, encoder), sample->kind);
      sink.send(Progress{"reading " + name, samples.counts().given, 0, "samples"});
    }
    tell(reader.skipped(), sink);
  }

  void tell(const lm::DataReader::Skipped& skipped, Sink& sink) const {
    const auto& counts = samples.counts();
    const auto warn = [&](const std::string& text) { sink.send(Log{Log::Level::warning, text}); };
    sink.send(Log{Log::Level::info,
                  std::to_string(samples.size()) + " samples, " + std::to_string(counts.tokens) +
                      " tokens, " + std::to_string(counts.predicted) + " of them to be predicted"});
    if (skipped.lines != 0) {
      warn(std::to_string(skipped.lines) +
           " bad lines were skipped, the first: " + skipped.first.front());
    }
    if (counts.shortened != 0) {
      warn(std::to_string(counts.shortened) + " samples are longer than the context: " +
           std::to_string(counts.tokens_cut_off) + " tokens at their ends are cut off");
    }
    if (counts.all_masked != 0) {
      warn(std::to_string(counts.all_masked) +
           " samples have nothing to predict within the context and are left out");
    }
  }

  /// Into a record, behind its state.
  void put_told(const UnitTold& told, Bytes& record) const {
    std::uint8_t* to = record.data() + records.state_room();
    for (const auto& step : told.steps) {
      write(step, to);
      to += step_bytes;
    }
    if (told.eval) {
      write(*told.eval, record.data() + records.state_room() + records.span * step_bytes);
    }
  }

  ByteView make_record(const UnitTold& told) {
    made_record.resize(records.record_bytes());
    training->save(std::span(made_record).first(records.state_bytes));
    // The last unit may have fewer steps than the one before.
    std::fill(made_record.begin() + static_cast<std::ptrdiff_t>(records.state_room()),
              made_record.end(), 0);
    put_told(told, made_record);
    return made_record;
  }

  /// Tokens of the held-out samples that are to be predicted.
  std::uint64_t eval_predicted() const {
    std::uint64_t count = 0;
    for (const auto sample : split.eval) {
      const auto to_predict = samples.trained(sample);
      count += static_cast<std::uint64_t>(std::count_if(to_predict.begin() + 1, to_predict.end(),
                                                        [](auto one) { return one != 0; }));
    }
    return count;
  }

  /// Enough to see that a model is another one.
  lm::Batch probe() const {
    constexpr std::size_t most_tokens = 64;
    const auto& some = split.eval.empty() ? split.train : split.eval;
    const auto longest = std::ranges::max_element(
        some, {}, [&](std::uint32_t sample) { return samples.length(sample); });
    const auto tokens = samples.tokens(*longest);
    lm::Batch batch;
    batch.tokens.assign(tokens.begin(), tokens.begin() + std::min(tokens.size(), most_tokens));
    batch.first.resize(batch.tokens.size());
    batch.positions.resize(batch.tokens.size());
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    batch.targets.assign(batch.tokens.size(), kernels::no_target);
    return batch;
  }

  const schema::Finetune job;
  device::Device& device;
  const std::optional<lm::NewModel> made;
  const lm::Files files;
  const lm::Architecture architecture;
  const lm::Language language;
  const lm::Lora lora;
  const lm::Weights weights;
  lm::TokenSamples samples;
  lm::Split split;
  std::vector<lm::TrainedTensor> tensors;
  Plan plan;
  std::optional<lm::Trained> trained;
  std::optional<lm::Network> network;
  std::optional<lm::Training> training;
  Records records;
  Bytes made_record;  ///< the last one
};

Finetune::Finetune(const schema::Job& job, const lm::Files& folder, ByteView data,
                   device::Device& device, Sink& sink)
    : parts_(std::make_unique<Parts>(job, folder, data, device, sink)) {}
Finetune::~Finetune() = default;

const Plan& Finetune::plan() const { return parts_->plan; }
void Finetune::build() { parts_->build(); }

/// Larger steps say more; of the largest size the fastest, as others may work here, too.
Pace Finetune::measure(std::chrono::nanoseconds at_most) {
  constexpr std::uint64_t first_tokens = 256, growth = 4, of_one_size = 4;
  const auto& train = parts_->split.train;
  Pace pace;
  std::vector<std::uint32_t> some;
  std::uint64_t tried = 0;
  const auto grow_to = [&](std::uint64_t tokens) {
    while (some.size() < train.size() && pace.tokens < tokens) {
      some.push_back(train[some.size()]);
      pace.tokens += parts_->samples.length(some.back());
    }
    tried = 0;
  };
  grow_to(first_tokens);
  for (auto left = at_most; tried < of_one_size;) {
    const auto took = parts_->time_of_step(some);
    const double seconds = std::chrono::duration<double>(took).count();
    pace.seconds = tried == 0 ? seconds : std::min(seconds, pace.seconds);
    ++tried;
    ++pace.steps;
    left -= took;
    if (took > left) break;
    const bool largest = some.size() == train.size() || pace.tokens >= parts_->job.batch_tokens;
    if (!largest && took * growth <= left) grow_to(growth * pace.tokens);
  }
  return pace;
}

const Records& Finetune::records() const { return parts_->records; }

ByteView Finetune::begin() { return parts_->make_record({}); }

ByteView Finetune::run(std::uint64_t unit,
                       const std::function<void(const lm::StepTold&)>& stepped) {
  UnitTold told;
  for (std::uint64_t i = 0; i < parts_->records.steps_of(unit); ++i) {
    told.steps.push_back(parts_->training->step());
    stepped(told.steps.back());
  }
  if (parts_->records.evaluates) told.eval = parts_->training->evaluate(parts_->split.eval);
  return parts_->make_record(told);
}

void Finetune::go_on_from(ByteView record) {
  parts_->training->restore(record.first(parts_->records.state_bytes));
}

UnitTold Finetune::told_in(ByteView record, std::uint64_t unit) const {
  const Records& r = parts_->records;
  UnitTold told;
  const std::uint8_t* const from = record.data() + r.state_room();
  for (std::uint64_t i = 0; unit != 0 && i < r.steps_of(unit); ++i) {
    told.steps.push_back(read_step(from + i * step_bytes));
  }
  if (unit != 0 && r.evaluates) told.eval = read_eval(from + r.span * step_bytes);
  return told;
}

std::string Finetune::contradiction(ByteView before, ByteView record, std::uint64_t unit) {
  const Records& r = parts_->records;
  const auto told = told_in(record, unit);
  std::uint64_t step = unit == 0 ? 0 : r.first_step(unit);
  std::uint64_t skipped = unit == 0 ? 0 : lm::Training::skipped_in(before);
  auto velvet = parts_->training->velvet_in(before.first(r.state_bytes));
  for (const auto& claimed : told.steps) {
    const auto right = parts_->training->expected(step, velvet);
    const std::string where = "step " + std::to_string(step);
    if (claimed.step != step) return where + " is told as step " + std::to_string(claimed.step);
    if (claimed.tokens != right.tokens || claimed.predicted != right.predicted) {
      return where + " has " + std::to_string(claimed.tokens) + " tokens, " +
             std::to_string(claimed.predicted) + " to be predicted, not the " +
             std::to_string(right.tokens) + " and " + std::to_string(right.predicted) +
             " that the job gives it";
    }
    if (bits(claimed.rate) != bits(right.rate)) {
      return where + " has another learning rate than the job gives it";
    }
    if (bits(claimed.beta1) != bits(right.beta1)) {
      return where + " has another beta1 than the job gives it";
    }
    if (!parts_->training->agrees(claimed)) return where + " contradicts itself";
    skipped += claimed.skipped;
    if (velvet && !claimed.skipped) velvet->take(claimed.loss, claimed.entropy);
    ++step;
  }
  if (lm::Training::skipped_in(record) != skipped) {
    return "the state after unit " + std::to_string(unit) + " has not the skipped steps before it";
  }
  if (lm::Training::steps_in(record) != step) {
    return "the state after unit " + std::to_string(unit) + " has not the steps before it";
  }
  if (velvet &&
      !(velvet->averages == parts_->training->velvet_in(record.first(r.state_bytes))->averages)) {
    return "the state after unit " + std::to_string(unit) + " has not the averages of its steps";
  }
  if (told.eval && told.eval->predicted != parts_->eval_predicted()) {
    return "unit " + std::to_string(unit) + " tells of " + std::to_string(told.eval->predicted) +
           " predicted held-out tokens, not of " + std::to_string(parts_->eval_predicted());
  }
  // Nothing else may be in it: not behind a state, not in what is reserved.
  Bytes right(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(r.state_bytes));
  right.resize(r.record_bytes());
  parts_->put_told(told, right);
  if (!std::ranges::equal(right, record)) {
    return "record " + std::to_string(unit) + " holds more than a unit tells";
  }
  return {};
}

lm::Trained::Drift Finetune::drift(ByteView before, ByteView record, ByteView other) const {
  return parts_->training->drift(before, record, other);
}

double Finetune::furthest_d(std::uint64_t unit) const {
  constexpr double rounding = 1.001;
  return rounding * parts_->job.method.balance *
         static_cast<double>(parts_->records.steps_of(unit));
}

void Finetune::put_output(std::string_view output, const lm::Put& put) const {
  const Parts& p = *parts_;
  const auto text = [&](const std::string& all) { put(as_bytes(all)); };
  if (output == "adapter_config.json") {
    text(doc::to_json(
             lm::adapter_config(p.architecture, p.lora, p.job.method.dropout, p.job.base_name())) +
         "\n");
  } else if (output == "adapter_model.safetensors") {
    put(lm::adapter_file(p.architecture, *p.trained));
  } else if (output == "model/model.safetensors" && p.job.method.adapts()) {
    lm::write_merged(p.device, p.architecture, p.weights, *p.trained, p.lora.scale(), put);
  } else if (output == "model/model.safetensors") {
    lm::write_trained(p.architecture, *p.trained, put);
  } else if (output == "model/tokenizer_config.json") {
    text(lm::tokenizer_config(p.files));
  } else {
    put(p.files.at(std::string(output.substr(output.rfind('/') + 1))));
  }
}

namespace {

MergedTold compare(std::span<const float> a, std::span<const float> b, std::uint64_t vocabulary) {
  MergedTold told;
  for (; !a.empty(); a = a.subspan(vocabulary), b = b.subspan(vocabulary)) {
    const auto x = a.first(vocabulary), y = b.first(vocabulary);
    ++told.tokens;
    told.same_argmax +=
        std::ranges::max_element(x) - x.begin() == std::ranges::max_element(y) - y.begin();
    for (std::uint64_t i = 0; i < vocabulary; ++i) {
      const float apart = std::fabs(x[i] - y[i]);
      if (!(apart <= told.difference)) told.difference = apart;
    }
  }
  return told;
}

}  // namespace

std::optional<MergedTold> Finetune::compare_merged(ByteView model) try {
  Parts& p = *parts_;
  const lm::Batch probe = p.probe();
  const auto before = p.network->logits(probe);
  p.training.reset();
  p.network.reset();
  p.trained.reset();
  const auto weights = lm::find_weights({{"model.safetensors", model}}, p.architecture);
  const lm::Profile profile = profile_of(p.job);
  const lm::Capacity capacity{probe.tokens.size()};
  const lm::NetworkMemory memory(p.architecture, {}, lm::Format::fp32, profile);
  if (memory.bytes(capacity) > p.device.memory_limit()) return {};
  lm::Trained none(p.device, {});
  lm::Network merged(p.device, p.architecture, weights, none, profile, 1, capacity);
  return compare(before, merged.logits(probe), p.architecture.vocabulary);
} catch (const Error& error) {
  // Others may have taken what the limit allows: nothing that was trained shall be lost for that.
  if (error.code() != Exit::no_device) throw;
  return {};
}

}  // namespace volt::workload
