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
void take_a_step(const Files& files, const Way& way, std::uint64_t memory_bytes) {
  const Architecture architecture = read_architecture(files);
  const Weights weights = find_weights(files, architecture);
  device::Device device({"cpu", 1, memory_bytes});
  Trained trained(device, way.tensors(architecture), way.lora ? way.lora->fly : std::nullopt);
  initialise(device, architecture, 1, trained);
  Network network(device, architecture, weights, trained, way.profile, 2, rows, way.format);
  Batch batch;
  batch.tokens.assign(rows, 1);
  batch.targets.assign(rows, 2);
  batch.first.assign(rows, 0);
  batch.positions.resize(rows);
  std::iota(batch.positions.begin(), batch.positions.end(), 0U);
  for (int pass = 0; pass < 2; ++pass) {
    network.forward(batch, {0.5F, 1, 0});
    network.backward();
  }
  trained.step({});
}

bool fits(const Files& files, const Way& way, std::uint64_t memory_bytes) {
  try {
    take_a_step(files, way, memory_bytes);
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
  for (const auto profile : {Profile::i8x, Profile::i8x2, Profile::f32x}) {
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
      const NetworkMemory memory =
          network_memory(architecture, way.tensors(architecture), way.format, way.profile);
      const std::uint64_t bytes = memory.fixed() + rows * memory.per_row();
      CHECK(fits(folder.files(), way, bytes));
      CHECK_FALSE(fits(folder.files(), way, bytes - 1));
    }
  }
}

}  // namespace volt::lm
