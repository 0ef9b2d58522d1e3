// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/finetune_plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "libvolt/base/error.hpp"
#include "libvolt/workload/finetune.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::workload;

namespace {

const std::filesystem::path tests = std::filesystem::path(__FILE__).parent_path() / "../..";
constexpr std::uint64_t plenty = std::uint64_t{1} << 30;

std::string made_up() {
  std::string lines;
  for (int i = 0; i < 40; ++i) {
    lines += R"({"text": ")" + std::string(static_cast<std::size_t>(5 + i * 7 % 30), 'a') + "\"}\n";
  }
  return lines;
}

/// A job for the small Llama of the vectors, and a device with so much memory.
struct Small {
  explicit Small(std::uint64_t memory_bytes = plenty) : memory(memory_bytes) {
    job.data.from = schema::File{"train.jsonl"};
    job.batch_tokens = 128;
    job.context = 64;
    job.method.rank = 4;
    files["tokenizer.json"] = tokenizer.bytes();
  }
  Finetune made() {
    device.emplace(device::Wanted{"cpu", 1, memory}, backend);
    schema::Job whole;
    whole.workload = "finetune";
    whole.finetune = job;
    whole.limits.disk_bytes = disk_limit;
    return Finetune(whole, files, as_bytes(data), *device, sink);
  }
  Plan plan() { return made().plan(); }
  lm::NetworkMemory memory_of() const {
    const auto architecture = lm::read_architecture(files);
    lm::Lora lora;
    lora.rank = job.method.rank;
    return {architecture, lm::lora_tensors(architecture, lora), lm::format_named(job.base_format),
            profile_of(job)};
  }

  std::uint64_t memory;
  std::optional<std::uint64_t> disk_limit;
  schema::Finetune job;
  std::string data = made_up();
  lm::Folder folder{tests / "vectors/lm/llama"};
  lm::Files files = folder.files();
  host::Mapping tokenizer{host::open_file(tests / "libvolt/lm/tokenizers/bytes.json").get()};
  kernels::Backend backend = kernels::cpu();
  std::optional<device::Device> device;
  NullSink sink;
};

}  // namespace

TEST_CASE("a plan counts what a training then has") {
  for (const auto kind : {schema::Method::Kind::lora, schema::Method::Kind::full}) {
    Small small;
    small.job.method.kind = kind;
    small.job.epochs = 3;
    small.job.eval_millionths = 100'000;
    Finetune finetune = small.made();
    const Plan plan = finetune.plan();
    CAPTURE(static_cast<int>(kind));
    CHECK(plan.too_large.empty());
    CHECK(plan.samples == 40);
    CHECK(plan.held_out == 4);
    finetune.build();
    ByteView record = finetune.begin();
    CHECK(record.size() == plan.records.record_bytes());
    std::uint64_t steps = 0, tokens = 0;
    for (std::uint64_t unit = 1; unit <= plan.records.units; ++unit) {
      record = finetune.run(unit, [&](const lm::StepTold& step) {
        ++steps;
        tokens += step.tokens;
      });
      CHECK(finetune.told_in(record, unit).eval.has_value());
    }
    CHECK(steps == plan.records.steps);
    CHECK(tokens == plan.step_tokens);
    std::uint64_t bytes = 0;
    for (const auto& name : small.job.outputs()) {
      if (!name.ends_with(".safetensors")) continue;
      finetune.put_output(name, [&](ByteView part) { bytes += part.size(); });
    }
    CHECK(bytes > plan.output_bytes);
    CHECK(bytes < plan.output_bytes + 16'384);  // the header
  }
}

TEST_CASE("what lookups in a tied embedding add to its gradient is counted, for they wait") {
  const auto host = [](bool tied, std::uint64_t tokens) {
    Small small;
    if (tied) {
      small.files.clear();
      small.job.model = schema::NewModel{.layers = 1, .width = 32, .ff_width = 64, .context = 64};
    }
    small.job.method.kind = schema::Method::Kind::full;
    small.job.steps = 1;
    small.job.batch_tokens = tokens;
    return small.plan().memory.host;
  };
  CHECK(host(true, 256) - host(true, 128) == 128 * 4 * (32 + 1));
  CHECK(host(false, 256) == host(false, 128));
}

TEST_CASE("of steps the last epoch has perhaps not all rows") {
  Small small;
  small.job.steps = 7;
  Finetune finetune = small.made();
  finetune.build();
  std::uint64_t tokens = 0;
  for (std::uint64_t unit = 1; unit <= finetune.records().units; ++unit) {
    finetune.run(unit, [&](const lm::StepTold& step) { tokens += step.tokens; });
  }
  CHECK(finetune.plan().step_tokens == tokens);
  CHECK(finetune.plan().records.steps == 7);
  CHECK(finetune.plan().records.span == 3);
  CHECK(finetune.plan().records.units == 3);
}

TEST_CASE("states are kept at the root of the steps, or at fewer places where the disk is small") {
  Small small;
  small.job.steps = 100;
  const Records usual = small.plan().records;
  CHECK(usual.span == 10);
  CHECK(usual.units == 10);
  small.disk_limit = usual.bytes();
  CHECK(small.plan().records.span == 10);
  small.disk_limit = usual.bytes() - 1;
  CHECK(small.plan().records.units == 9);
  CHECK(small.plan().records.bytes() <= *small.disk_limit);
  // Less than the first and the last there cannot be: a run is then refused.
  small.disk_limit = 1;
  CHECK(small.plan().records.span == 100);
  small.job.span = 7;
  CHECK(small.plan().records.span == 7);
}

TEST_CASE("a training that has just the memory that its plan says can be done in it") {
  Small small;
  const Plan plan = small.plan();
  CHECK(plan.capacity.rows == 128);
  CHECK(plan.capacity.kept_layers == 2);
  Small just(plan.memory.total()), tight(plan.memory.total() - 1);
  CHECK(just.plan().capacity.kept_layers == 2);
  CHECK(tight.plan().too_large.empty());
  // Less memory: layers are computed again, then fewer tokens at a time; the bits are the same.
  CHECK(tight.plan().capacity.kept_layers == 1);
  CHECK(tight.plan().again_multiply_adds > 0);
  CHECK(plan.again_multiply_adds == 0);
  Finetune a = just.made(), b = tight.made();
  a.build();
  b.build();
  CHECK(std::ranges::equal(a.run(1, [](const auto&) {}), b.run(1, [](const auto&) {})));
}

TEST_CASE("what does not fit is refused before work") {
  const Plan plan = Small().plan();
  constexpr std::uint64_t longest = 36;  // 34 bytes, BOS and EOS
  const std::uint64_t least = Small().memory_of().bytes({longest, 1}) + plan.memory.host;
  CHECK(Small(least).plan().too_large.empty());
  CHECK(Small(least).plan().capacity.rows == longest);
  CHECK(Small(least).plan().memory.total() == least);
  Small less(least - 1);
  Finetune finetune = less.made();
  CHECK(message_of([&] { finetune.build(); }) ==
        finetune.plan().too_large + " [batch = { context = 32 } would fit]");
  CHECK(finetune.plan().too_large.starts_with("the training needs "));
  CHECK(finetune.plan().too_large.find(" of memory with 36 tokens at a time, and ") !=
        std::string::npos);
  try {
    refuse_unfit(finetune.plan());
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::no_device);
  }
}

TEST_CASE("what would fit is said") {
  schema::Finetune job;
  job.context = 512;
  job.batch_tokens = 512;
  job.profile = "f32x";
  lm::Architecture architecture = lm::read_architecture(Small().files);
  architecture.width = 1024;
  architecture.ff_width = 2816;
  architecture.layers = 4;
  lm::TokenSamples samples(512);
  samples.add({std::vector<lm::TokenId>(512, 1), std::vector<std::uint8_t>(512, 1)},
              lm::Sample::Kind::text);
  const std::vector<std::uint32_t> train{0};
  const auto plan_within = [&](std::uint64_t memory_limit) {
    const auto tensors =
        job.method.adapts() ? lm::lora_tensors(architecture, {}) : lm::all_tensors(architecture);
    const lm::Weights none;
    const lm::TrainingSettings settings;
    return plan_of({job,
                    architecture,
                    tensors,
                    none,
                    samples,
                    train,
                    {},
                    settings,
                    memory_limit,
                    false,
                    true,
                    {}});
  };
  // The least memory in which so many tokens fit.
  const auto least_for = [&](std::uint64_t tokens) {
    const lm::NetworkMemory memory(architecture, lm::lora_tensors(architecture, {}),
                                   lm::Format::fp32, profile_of(job));
    return memory.bytes({tokens, 1}) + plan_within(plenty).memory.host;
  };
  CHECK(plan_within(plenty).too_large.empty());
  const std::uint64_t least = least_for(512);
  CHECK(plan_within(least).too_large.empty());
  CHECK(plan_within(least - 1).remedy == "profile = \"i8x\" would fit");
  job.profile = "i8x";
  CHECK(plan_within(least - 1).too_large.empty());
  CHECK(plan_within(least_for(200)).remedy == "batch = { context = 128 } would fit");
  CHECK(plan_within(least_for(31)).remedy ==
        "give it more with [limits] memory, or use a device with more");
  job.method.kind = schema::Method::Kind::full;
  CHECK(plan_within(least).remedy == "method = { lora = {} } would fit");
  CHECK(plan_within(1).remedy == "give it more with [limits] memory, or use a device with more");
  // What is told fits, indeed.
  job.method.kind = schema::Method::Kind::lora;
  CHECK(plan_within(least).too_large.empty());
}

TEST_CASE("work is counted once forward, and backward once more for what is trained") {
  Small small;
  const Plan lora = small.plan();
  // Of the embedding no product is made, as the head is another matrix.
  const double frozen = lora.forward_multiply_adds - static_cast<double>(lora.trained);
  CHECK(lora.step_multiply_adds == 2 * frozen + 3 * static_cast<double>(lora.trained));
  small.job.method.kind = schema::Method::Kind::full;
  CHECK(small.plan().forward_multiply_adds == frozen);
  CHECK(small.plan().step_multiply_adds == 3 * frozen);
  CHECK(lora.multiply_adds() == static_cast<double>(lora.step_tokens) * lora.step_multiply_adds);
  small.job.eval_millionths = 100'000;
  const Plan looks = small.plan();
  CHECK(looks.multiply_adds() == static_cast<double>(looks.step_tokens) * looks.step_multiply_adds +
                                     static_cast<double>(looks.records.units * looks.eval_tokens) *
                                         looks.forward_multiply_adds);
}

TEST_CASE("a few small steps are timed, each of as many tokens as it says") {
  Small small;
  Finetune finetune = small.made();
  finetune.build();
  const Pace once = finetune.measure(std::chrono::nanoseconds(0));
  CHECK(once.steps == 1);
  CHECK(once.tokens >= 256);
  CHECK(once.seconds > 0);
  small.job.batch_tokens = 4096;
  Finetune larger = small.made();
  larger.build();
  const Pace pace = larger.measure(std::chrono::hours(1));
  CHECK(pace.steps > once.steps);
  CHECK(pace.tokens == larger.plan().tokens);  // all that there are
}

namespace {

/// What a run of `small` with one unit says of its merged model or, with `stale`, of the base.
std::optional<MergedTold> merged_told(Small& small, bool stale = false) {
  small.job.merged = true;
  small.job.rate = 0.02;
  Finetune finetune = small.made();
  finetune.build();
  finetune.run(1, [](const auto&) {});
  if (stale) return finetune.compare_merged(small.files.at("model.safetensors"));
  Bytes model;
  finetune.put_output("model/model.safetensors",
                      [&](ByteView part) { model.insert(model.end(), part.begin(), part.end()); });
  return finetune.compare_merged(model);
}

}  // namespace

TEST_CASE("a merged model is held against base and adapter") {
  // Of fp32 chains what remains is the rounding of sums; of rotated int8, and of a base in NF4
  // whose merged model is not, theirs. A model that lacks the adapter is another one.
  struct Case {
    const char *profile, *format;
    float at_most;
  };
  for (const Case& c : {Case{"f32x", "fp32", 1e-3F}, {"i8x", "fp32", 2}, {"f32x", "nf4", 4}}) {
    CAPTURE(c.profile);
    CAPTURE(c.format);
    Small small;
    small.job.profile = c.profile;
    small.job.base_format = c.format;
    const auto told = merged_told(small), stale = merged_told(small, true);
    REQUIRE((told && stale));
    CHECK(told->tokens == 36);  // of the longest sample
    CHECK(told->difference <= c.at_most);
    CHECK(told->same_argmax > 18);
    CHECK(stale->difference > 4);
    CHECK(stale->same_argmax < 18);
  }
}

TEST_CASE("a merged model that memory has no room for is not compared") {
  Small small;
  small.data = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
  small.job.method.rank = 1;
  small.job.profile = "f32x";
  small.job.base_format = "nf4";
  CHECK(merged_told(small));
  small.memory = small.memory_of().bytes({3, 1}) + small.plan().memory.host;
  CHECK_FALSE(merged_told(small));
}

namespace {

bool others_took_it = false;

kernels::Status create_if_left(kernels::Context* context, std::uint64_t bytes,
                               kernels::Buffer** buffer) {
  if (!others_took_it) return kernels::cpu().create(context, bytes, buffer);
  *buffer = nullptr;
  return {kernels::Status::out_of_memory, "no memory left"};
}

}  // namespace

TEST_CASE("a training that is done is not lost where others took the memory for that") {
  Small small;
  small.job.merged = true;
  small.backend.create = create_if_left;
  Finetune finetune = small.made();
  finetune.build();
  others_took_it = true;
  CHECK_FALSE(finetune.compare_merged(small.files.at("model.safetensors")));
  others_took_it = false;
}
