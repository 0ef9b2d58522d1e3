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

/// Trains for a batch of `rows` rows on a device that has so much memory.
void take_a_step(const Files& files, bool adapts, Profile profile, std::uint64_t memory_bytes) {
  const Architecture architecture = read_architecture(files);
  const Weights weights = find_weights(files, architecture);
  device::Device device({"cpu", 1, memory_bytes});
  const Lora lora{4, 8, {}};
  Trained trained(device, adapts ? lora_tensors(architecture, lora) : all_tensors(architecture));
  initialise(device, architecture, 1, trained);
  Network network(device, architecture, weights, trained, profile, lora.scale(), rows);
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

bool fits(const Files& files, bool adapts, Profile profile, std::uint64_t memory_bytes) {
  try {
    take_a_step(files, adapts, profile, memory_bytes);
    return true;
  } catch (const Error& error) {
    CHECK(error.code() == Exit::no_device);
    return false;
  }
}

}  // namespace

TEST_CASE("a training takes the memory that is counted for it, to the byte") {
  for (const std::string name : {"llama", "llama_tied", "mistral", "qwen2", "qwen3", "gpt2"}) {
    for (const bool adapts : {true, false}) {
      for (const auto profile : {Profile::i8x, Profile::f32x}) {
        CAPTURE(name);
        CAPTURE(adapts);
        CAPTURE(static_cast<int>(profile));
        const Folder folder(vectors / name);
        const Architecture architecture = read_architecture(folder.files());
        const auto tensors =
            adapts ? lora_tensors(architecture, {4, 8, {}}) : all_tensors(architecture);
        const NetworkMemory memory = network_memory(architecture, tensors, profile);
        const std::uint64_t bytes = memory.fixed() + rows * memory.per_row();
        CHECK(fits(folder.files(), adapts, profile, bytes));
        CHECK_FALSE(fits(folder.files(), adapts, profile, bytes - 1));
      }
    }
  }
}

}  // namespace volt::lm
