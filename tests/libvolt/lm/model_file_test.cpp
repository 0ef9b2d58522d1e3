// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/model_file.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "kernels/exact.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

using Role = TrainedTensor::Role;

struct Model {
  explicit Model(const std::string& name)
      : folder(std::filesystem::path(__FILE__).parent_path() / "../../vectors/lm" / name),
        architecture(read_architecture(folder.files())),
        weights(find_weights(folder.files(), architecture)),
        device(device::wanted("cpu", 2)) {}

  /// What a file of a model holds.
  Weights read(const Bytes& file) {
    Files files{{"model.safetensors", file}};
    return find_weights(files, architecture);
  }
  void train(std::vector<TrainedTensor> tensors) {
    trained = std::make_unique<Trained>(device, std::move(tensors));
    initialise(device, architecture, 7, *trained);
    for (const auto& tensor : trained->tensors()) {
      if (tensor.role != Role::lora_b) continue;
      std::vector<float> values(tensor.elements());
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = std::sin(0.1F * static_cast<float>(i));
      trained->set(tensor, values);
    }
  }

  Folder folder;
  Architecture architecture;
  Weights weights;
  device::Device device;
  std::unique_ptr<Trained> trained;
};

Put into(Bytes& file) {
  return [&file](ByteView bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); };
}

}  // namespace

TEST_CASE("a trained model is written as it is read") {
  for (const char* const name : {"llama_tied", "qwen3", "gpt2"}) {
    Model model(name);
    model.train(all_tensors(model.architecture));
    Bytes file;
    write_trained(model.architecture, *model.trained, into(file));
    for (const auto& [slot, weight] : model.read(file)) {
      CHECK(floats(weight) == model.trained->get(*model.trained->find(slot, Role::whole)));
    }
  }
}

TEST_CASE("a merged matrix is W + (scale B) A, a chain each; all else is the base's") {
  constexpr float scale = 1.5F;
  for (const char* const name : {"llama", "gpt2"}) {
    Model model(name);
    const auto& a = model.architecture;
    model.train(lora_tensors(a, {3, 4.5F, {Part::output}}));
    Bytes file;
    write_merged(model.device, a, model.weights, *model.trained, scale, into(file));
    std::size_t merged = 0;
    for (const auto& [slot, weight] : model.read(file)) {
      const Weight& base = model.weights.at(slot);
      CHECK(weight.name == base.name);
      if (model.trained->find(slot, Role::lora_a) == nullptr) {
        CHECK(std::equal(weight.bytes.begin(), weight.bytes.end(), base.bytes.begin()));
        continue;
      }
      ++merged;
      const auto left = model.trained->get(*model.trained->find(slot, Role::lora_b));
      const auto right = model.trained->get(*model.trained->find(slot, Role::lora_a));
      auto expected = floats(base);
      const std::uint64_t in = a.query_width(), out = a.width;
      for (std::uint64_t i = 0; i < out; ++i) {
        for (std::uint64_t j = 0; j < in; ++j) {
          float& w = expected[a.conv1d ? j * out + i : i * in + j];
          for (int r = 0; r < 3; ++r) w = std::fma(left[i * 3 + r] * scale, right[r * in + j], w);
        }
      }
      CHECK(floats(weight) == expected);
    }
    CHECK(merged == a.layers);
  }
}

TEST_CASE("a merged matrix is rounded to what the base has it in") {
  Model model("llama");
  const Slot slot{0, Part::output, false};
  const auto wide = floats(model.weights.at(slot));
  for (const auto dtype : {tensor::Dtype::bf16, tensor::Dtype::f16}) {
    std::vector<std::uint16_t> halves;
    for (const float value : wide) {
      halves.push_back(dtype == tensor::Dtype::bf16 ? kernels::to_bf16(value)
                                                    : kernels::to_fp16(value));
    }
    Weights weights = model.weights;
    weights.at(slot).description.dtype = dtype;
    weights.at(slot).bytes = {reinterpret_cast<const std::uint8_t*>(halves.data()),
                              2 * halves.size()};
    model.train(lora_tensors(model.architecture, {3, 4.5F, {Part::output}}));
    // An adapter that adds nothing leaves every bit.
    const auto& b = *model.trained->find(slot, Role::lora_b);
    model.trained->set(b, std::vector<float>(b.elements()));
    Bytes file;
    write_merged(model.device, model.architecture, weights, *model.trained, 1, into(file));
    const auto read = model.read(file);
    CHECK(read.at(slot).description.dtype == dtype);
    CHECK(std::memcmp(read.at(slot).bytes.data(), halves.data(), 2 * halves.size()) == 0);
  }
}

}  // namespace volt::lm
