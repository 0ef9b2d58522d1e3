// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/network_memory.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/network.hpp"

namespace volt::lm {
namespace {

const std::filesystem::path vectors =
    std::filesystem::path(__FILE__).parent_path() / "../../vectors/lm";
constexpr std::uint64_t rows = 40;

/// A way to train.
struct Way {
  std::optional<Lora> lora;  ///< none: all is trained
  Format format = Format::fp32;
  Profile profile = Profile::i8x;

  std::vector<TrainedTensor> tensors(const Architecture& architecture) const {
    return lora ? lora_tensors(architecture, *lora) : all_tensors(architecture);
  }
};

/// Trains for a batch of `rows` rows on a device that has so much memory.
void take_a_step(const Files& files, const Way& way, const Capacity& capacity,
                 std::uint64_t memory_bytes) {
  const Architecture architecture = read_architecture(files);
  const Weights weights = find_weights(files, architecture);
  device::Device device({"cpu", 1, memory_bytes});
  Trained trained(device, way.tensors(architecture), way.lora ? way.lora->fly : std::nullopt);
  initialise(device, architecture, 1, trained);
  Network network(device, architecture, weights, trained, way.profile, 2, capacity, way.format);
  Batch batch;
  batch.tokens.assign(rows, 1);
  batch.targets.assign(rows, 2);
  batch.first.assign(rows, 0);
  batch.positions.resize(rows);
  std::iota(batch.positions.begin(), batch.positions.end(), 0U);
  for (int pass = 0; pass < 2; ++pass) {
    network.forward_backward(batch, {capacity.dropout ? 0.5F : 0.0F, 1, 0});
  }
  trained.step({});
}

bool fits(const Files& files, const Way& way, const Capacity& capacity,
          std::uint64_t memory_bytes) {
  try {
    take_a_step(files, way, capacity, memory_bytes);
    return true;
  } catch (const Error& error) {
    CHECK(error.code() == Exit::no_device);
    return false;
  }
}

std::vector<Way> ways() {
  const Lora lora{4, 8, {}};
  Lora fly = lora;
  fly.fly = FlyLora{2, 0.125F};
  std::vector<Way> all;
  for (const auto profile : {Profile::i8x, Profile::i8x2, Profile::f32x, Profile::native}) {
    all.push_back({std::nullopt, Format::fp32, profile});
    all.push_back({fly, Format::fp32, profile});
    for (const auto format : {Format::fp32, Format::bf16, Format::nf4}) {
      all.push_back({lora, format, profile});
    }
  }
  return all;
}

}  // namespace

TEST_CASE("a training takes the memory that is counted for it, to the byte") {
  for (const std::string name : {"llama", "llama_tied", "mistral", "qwen2", "qwen3", "gpt2"}) {
    CAPTURE(name);
    const Folder folder(vectors / name);
    const Architecture architecture = read_architecture(folder.files());
    for (const Way& way : ways()) {
      CAPTURE(static_cast<int>(way.profile));
      CAPTURE(static_cast<int>(way.format));
      CAPTURE((way.lora ? way.lora->fly.has_value() : false));
      const NetworkMemory memory(architecture, way.tensors(architecture), way.format, way.profile);
      for (const std::uint64_t kept_layers : {1, 2}) {
        const Capacity capacity{rows, kept_layers, kept_layers == 1};
        const std::uint64_t bytes = memory.bytes(capacity);
        CHECK(fits(folder.files(), way, capacity, bytes));
        CHECK_FALSE(fits(folder.files(), way, capacity, bytes - 1));
      }
    }
  }
}

/// Of Llama 3.1.
Architecture llama_8b() {
  Architecture a;
  a.layers = 32;
  a.width = 4096;
  a.heads = 32;
  a.kv_heads = 8;
  a.head_width = 128;
  a.ff_width = 14'336;
  a.vocabulary = 128'256;
  a.context = 131'072;
  a.norm_epsilon = 1e-5F;
  a.rope.emplace();
  return a;
}

TEST_CASE("8B parameters in NF4 take no more than torchtune's peak, for one sample or two") {
  const Architecture architecture = llama_8b();
  const NetworkMemory memory(architecture, lora_tensors(architecture, {}), Format::nf4,
                             Profile::i8x);
  constexpr double gib = std::uint64_t{1} << 30;
  CHECK(static_cast<double>(memory.bytes({2048, 1})) < 7.4 * gib);
  CHECK(static_cast<double>(memory.bytes({4096, 1})) < 10.5 * gib);
}

}  // namespace volt::lm
