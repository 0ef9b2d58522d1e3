// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/finetune.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "libvolt/base/error.hpp"
#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/adapter.hpp"
#include "libvolt/lm/language.hpp"
#include "libvolt/lm/new_model.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::workload {
namespace {

constexpr std::uint64_t step_bytes = 56, eval_bytes = 24;
constexpr std::string_view leaf_name = "volt.finetune/1\n";

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

std::uint64_t padded(std::uint64_t bytes) { return tensor::page_count(bytes) * tensor::page_bytes; }

/// The least whole number whose square is at least `value`.
std::uint64_t root_above(std::uint64_t value) {
  std::uint64_t root = 1;
  while (root * root < value) ++root;
  return root;
}

/// Little-endian fields, one after the other.
class Writer {
 public:
  explicit Writer(std::uint8_t* to) : to_(to) {}
  void u64(std::uint64_t value) { put(&value, 8); }
  void u32(std::uint32_t value) { put(&value, 4); }
  void f32(float value) { put(&value, 4); }

 private:
  void put(const void* value, std::size_t size) {
    std::memcpy(to_, value, size);
    to_ += size;
  }
  std::uint8_t* to_;
};

class Reader {
 public:
  explicit Reader(const std::uint8_t* from) : from_(from) {}
  std::uint64_t u64() { return get<std::uint64_t>(); }
  std::uint32_t u32() { return get<std::uint32_t>(); }
  float f32() { return get<float>(); }

 private:
  template <class T>
  T get() {
    T value;
    std::memcpy(&value, from_, sizeof value);
    from_ += sizeof value;
    return value;
  }
  const std::uint8_t* from_;
};

void write(const lm::StepTold& t, std::uint8_t* to) {
  Writer writer(to);
  writer.u64(t.step);
  writer.u64(t.tokens);
  writer.u64(t.predicted);
  for (const float value : {t.loss, t.entropy, t.norm, t.clip, t.rate, t.beta1}) {
    writer.f32(value);
  }
  writer.u32(t.skipped);
  writer.u32(0);
}

lm::StepTold read_step(const std::uint8_t* from) {
  Reader reader(from);
  lm::StepTold t;
  t.step = reader.u64();
  t.tokens = reader.u64();
  t.predicted = reader.u64();
  t.loss = reader.f32();
  t.entropy = reader.f32();
  t.norm = reader.f32();
  t.clip = reader.f32();
  t.rate = reader.f32();
  t.beta1 = reader.f32();
  t.skipped = reader.u32() != 0;
  return t;
}

void write(const lm::EvalTold& t, std::uint8_t* to) {
  Writer writer(to);
  writer.u64(t.predicted);
  for (const float value : {t.loss, t.confidence, t.entropy}) writer.f32(value);
  writer.u32(0);
}

lm::EvalTold read_eval(const std::uint8_t* from) {
  Reader reader(from);
  lm::EvalTold t;
  t.predicted = reader.u64();
  t.loss = reader.f32();
  t.confidence = reader.f32();
  t.entropy = reader.f32();
  t.finite = std::isfinite(t.loss);
  return t;
}

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
  const std::uint64_t most = architecture.window == 0
                                 ? architecture.context
                                 : std::min(architecture.context, architecture.window);
  if (context <= most) return;
  throw Error(Exit::usage,
              "batch.context is " + std::to_string(context) + ", but the model sees " +
                  std::to_string(most) + " tokens",
              "set batch = { context = " + std::to_string(most) + " }");
}

lm::Profile profile_of(const schema::Finetune& job) {
  return job.profile == "i8x" ? lm::Profile::i8x : lm::Profile::f32x;
}

lm::Format format_of(const schema::Finetune& job) {
  return job.base_format == "nf4"    ? lm::Format::nf4
         : job.base_format == "bf16" ? lm::Format::bf16
                                     : lm::Format::fp32;
}

/// Of activations, for each token that is in the network at a time.
std::uint64_t bytes_per_token(const lm::Architecture& a, const lm::Trained& trained) {
  const std::uint64_t qkv = a.query_width() + 2 * a.kv_width();
  const std::uint64_t layer = 6 * a.width + 2 * qkv + a.query_width() + 4 * a.ff_width;
  std::uint64_t ranks = 0, rank = 0;
  for (const auto& tensor : trained.tensors()) {
    if (tensor.role != lm::TrainedTensor::Role::lora_a) continue;
    ranks += tensor.rows;
    rank = std::max(rank, tensor.rows);
  }
  const std::uint64_t widest = std::max({a.vocabulary, a.ff_width, qkv, a.width, rank});
  return 4 * (a.layers * layer + ranks + 8 * widest);
}

}  // namespace

std::uint64_t Records::told_bytes() const {
  return span * step_bytes + (evaluates ? eval_bytes : 0);
}
std::uint64_t Records::state_room() const { return padded(state_bytes); }
std::uint64_t Records::record_bytes() const { return state_room() + padded(told_bytes()); }
std::uint64_t Records::steps_of(std::uint64_t unit) const {
  return std::min(span, steps - first_step(unit));
}

Records Records::until(std::uint64_t unit) const {
  Records ended = *this;
  ended.units = unit;
  ended.steps = std::min(steps, unit * span);
  return ended;
}

RecordRoots roots_of(const Records& records, std::uint64_t index, std::span<const Digest> pages) {
  const std::uint64_t state = records.state_room() / tensor::page_bytes;
  const std::uint64_t all = records.record_bytes() / tensor::page_bytes;
  const auto of_record = pages.subspan(index * all, all);
  return {crypto::merkle_root(of_record.first(state)),
          crypto::merkle_root(of_record.subspan(state))};
}

std::vector<Digest> trace_leaves(const Records& records, std::span<const Digest> pages) {
  std::vector<Digest> leaves;
  RecordRoots before = roots_of(records, 0, pages);
  for (std::uint64_t unit = 1; unit <= records.units; ++unit) {
    const RecordRoots after = roots_of(records, unit, pages);
    Bytes leaf(leaf_name.begin(), leaf_name.end());
    leaf.resize(leaf.size() + 8);
    std::memcpy(leaf.data() + leaf_name.size(), &unit, 8);
    for (const Digest& digest : {before.state, after.state, after.told}) {
      leaf.insert(leaf.end(), digest.bytes.begin(), digest.bytes.end());
    }
    leaves.push_back(crypto::leaf_digest(leaf));
    before = after;
  }
  return leaves;
}

/// What the job's words have and this version has not.
void refuse_unbuilt(const schema::Finetune& job) {
  const auto refuse = [](const std::string& what) {
    throw Error(Exit::usage, what + " is not built yet");
  };
  if (job.tensorboard) refuse("tensorboard = true");
}

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
  Parts(const schema::Finetune& j, const lm::Files& folder, ByteView data, device::Device& d,
        Sink& sink)
      : job(j),
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
    refuse_unbuilt(job);
    check_context(job.context, architecture);
    read(data, sink);
    for (const auto& [slot, weight] : weights) lm::refuse_non_finite(weight);
    trained.emplace(
        device,
        job.method.adapts() ? lm::lora_tensors(architecture, lora) : lm::all_tensors(architecture),
        lora.fly);
    start();
    const std::uint64_t most = tokens_at_a_time();
    network.emplace(device, architecture, weights, *trained, profile_of(job), lora.scale(), most,
                    format_of(job));
    const auto split = lm::split_samples(samples.size(),
                                         static_cast<std::uint32_t>(job.eval_millionths), job.seed);
    eval = split.eval;
    training.emplace(*network, *trained, samples, split.train, settings_of(job), most);
    records.steps = training->steps();
    records.span = std::min(job.span != 0 ? job.span : root_above(records.steps), records.steps);
    records.units = (records.steps + records.span - 1) / records.span;
    records.state_bytes = training->state().size();
    records.evaluates = !eval.empty();
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

  std::uint64_t tokens_at_a_time() const {
    const std::uint64_t limit = device.host_memory_limit();
    const std::uint64_t kept =
        trained->bytes() +
        lm::frozen_bytes(architecture, format_of(job), profile_of(job), trained->tensors());
    const std::uint64_t budget = (limit - std::min(limit, kept)) / 2;
    const std::uint64_t fit = budget / bytes_per_token(architecture, *trained);
    return std::clamp(fit, job.context,
                      std::max(job.context, std::min<std::uint64_t>(job.batch_tokens, 8192)));
  }

  Bytes record(const UnitTold& told) const {
    Bytes record(records.record_bytes());
    const Bytes state = training->state();
    std::copy(state.begin(), state.end(), record.begin());
    std::uint8_t* to = record.data() + records.state_room();
    for (const auto& step : told.steps) {
      write(step, to);
      to += step_bytes;
    }
    if (told.eval)
      write(*told.eval, record.data() + records.state_room() + records.span * step_bytes);
    return record;
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
  std::vector<std::uint32_t> eval;
  std::optional<lm::Trained> trained;
  std::optional<lm::Network> network;
  std::optional<lm::Training> training;
  Records records;
};

Finetune::Finetune(const schema::Finetune& job, const lm::Files& folder, ByteView data,
                   device::Device& device, Sink& sink)
    : parts_(std::make_unique<Parts>(job, folder, data, device, sink)) {}
Finetune::~Finetune() = default;

const Records& Finetune::records() const { return parts_->records; }

Bytes Finetune::begin() { return parts_->record({}); }

Bytes Finetune::run(std::uint64_t unit, const std::function<void(const lm::StepTold&)>& stepped) {
  UnitTold told;
  for (std::uint64_t i = 0; i < parts_->records.steps_of(unit); ++i) {
    told.steps.push_back(parts_->training->step());
    stepped(told.steps.back());
  }
  if (parts_->records.evaluates) told.eval = parts_->training->evaluate(parts_->eval);
  return parts_->record(told);
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
  const auto empty = [&](std::uint64_t from, std::uint64_t to) {
    return std::all_of(record.begin() + static_cast<std::ptrdiff_t>(from),
                       record.begin() + static_cast<std::ptrdiff_t>(to),
                       [](std::uint8_t byte) { return byte == 0; });
  };
  const std::uint64_t steps_end = r.state_room() + told.steps.size() * step_bytes;
  const std::uint64_t eval = r.state_room() + r.span * step_bytes;
  const std::uint64_t end = eval + (told.eval ? eval_bytes : 0);
  if (!empty(r.state_bytes, r.state_room()) || !empty(steps_end, eval) ||
      !empty(end, r.record_bytes())) {
    return "record " + std::to_string(unit) + " holds more than a unit tells";
  }
  return {};
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

std::uint64_t Finetune::trained_elements() const { return parts_->trained->elements(); }

/// Forward once, and backward to the inputs and, of what is trained, to the weights.
double Finetune::multiply_adds(std::uint64_t tokens) const {
  double frozen = 0;
  for (const auto& parameter : lm::parameters_of(parts_->architecture)) {
    if (parameter.shape.size() != 2) continue;
    if (parameter.slot.part == lm::Part::token_embedding && !parts_->architecture.tied) continue;
    frozen += static_cast<double>(parameter.shape[0]) * static_cast<double>(parameter.shape[1]);
  }
  double adapters = 0;
  for (const auto& tensor : parts_->trained->tensors()) {
    const int products = tensor.has_gradient() ? 3 : 2;  // FlyLoRA's d, which has none, is few
    adapters += products * static_cast<double>(tensor.elements());
  }
  return static_cast<double>(tokens) * (2 * frozen + adapters);
}

}  // namespace volt::workload
