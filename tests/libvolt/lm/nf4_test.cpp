// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/nf4.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "kernels/network_functions.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

const std::filesystem::path vectors =
    std::filesystem::path(__FILE__).parent_path() / "../../vectors/lm/nf4.safetensors";

/// The known answers of tests/oracle/nf4.py, by name.
class Answers {
 public:
  template <class T>
  std::vector<T> get(const std::string& name) const {
    const Weight found = weight(name);
    REQUIRE(found.bytes.size() == found.description.elements() * sizeof(T));
    std::vector<T> values(found.description.elements());
    std::memcpy(values.data(), found.bytes.data(), found.bytes.size());
    return values;
  }
  Weight weight(const std::string& name) const {
    for (const auto& [key, located] : tensor::parse_safetensors(mapping_.bytes(), "nf4")) {
      if (key != name) continue;
      return {name, "nf4", located.description,
              mapping_.bytes().subspan(located.offset, located.description.bytes())};
    }
    FAIL("no tensor " << name);
    return {};
  }

 private:
  host::Mapping mapping_{host::open_file(vectors).get()};
};

template <class T>
device::Buffer put(device::Device& device, const std::vector<T>& values) {
  device::Buffer buffer = device.create(sizeof(T) * values.size());
  device.call(&kernels::Backend::upload, buffer.get(), std::uint64_t{0}, values.data(),
              std::uint64_t{sizeof(T) * values.size()});
  return buffer;
}

std::vector<float> expanded(const Nf4& nf4, std::uint64_t elements) {
  device::Device device(device::wanted("cpu", 2));
  const auto row = [](const device::Buffer& buffer, std::uint64_t count) {
    return kernels::Matrix{buffer.get(), 0, 1, count, count};
  };
  const auto nibbles = put(device, nf4.nibbles), codes = put(device, nf4.codes),
             scales = put(device, nf4.scales);
  const auto y = device.create(4 * elements);
  device.call(&kernels::Network::expand_nf4,
              kernels::ExpandNf4<kernels::Given>{row(y, elements), row(nibbles, nf4.nibbles.size()),
                                                 row(codes, nf4.codes.size()),
                                                 row(scales, nf4.scales.size()), nf4.offset, 0});
  std::vector<float> values(elements);
  device.download(y, reinterpret_cast<std::uint8_t*>(values.data()), 4 * elements);
  return values;
}

/// A row of f32.
Weight weight_of(const std::vector<float>& values) {
  return {"w",
          "w.safetensors",
          {tensor::Dtype::f32, {1, values.size()}},
          {reinterpret_cast<const std::uint8_t*>(values.data()), 4 * values.size()}};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

}  // namespace

TEST_CASE("the map of codes is that of the known answers") {
  const auto map = Answers().get<float>("code");
  REQUIRE(map.size() == 256);
  for (std::uint32_t i = 0; i < 256; ++i) CHECK(kernels::dynamic_value(i) == map[i]);
}

TEST_CASE("NF4 there and back has the bits of the known answers") {
  const Answers answers;
  for (const std::string block : {"", "one."}) {
    CAPTURE(block);
    const Weight input = answers.weight(block + "input");
    const Nf4 nf4 = quantise_nf4(input);
    CHECK(nf4.nibbles == answers.get<std::uint8_t>(block + "packed"));
    CHECK(nf4.codes == answers.get<std::uint8_t>(block + "absmax_code"));
    CHECK(same_bits(nf4.scales, answers.get<float>(block + "absmax2")));
    CHECK(same_bits({nf4.offset}, answers.get<float>(block + "offset")));
    const std::uint64_t elements = input.description.elements();
    CHECK(same_bits(expanded(nf4, elements), answers.get<float>(block + "dequantized")));
    CHECK(Nf4::bytes(elements) == nf4.nibbles.size() + nf4.codes.size() + 4 * nf4.scales.size());
  }
}

// The sum of the known answers is exact in any order; that of other numbers is not.
TEST_CASE("the mean of the magnitudes is as near to the exact one as sum128 promises") {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(64 * 20'000);
  for (float& value : values) value = 0.02F * normal(random);
  const Nf4 nf4 = quantise_nf4(weight_of(values));
  double sum = 0;
  for (std::size_t first = 0; first < values.size(); first += 64) {
    float largest = 0;
    for (std::size_t i = first; i < first + 64; ++i)
      largest = std::max(largest, std::abs(values[i]));
    sum += double{largest};
  }
  const double mean = sum / 20'000, apart = std::abs(double{nf4.offset} - mean) / mean;
  CHECK(apart <= (20'000.0 / 128 + 8) * 0x1p-24);
}

TEST_CASE("an odd number of elements, and weights of 16 bits, are quantised alike") {
  std::mt19937 random(4);
  std::vector<float> values(64 * 3 + 7);
  std::vector<std::uint16_t> halves;
  for (float& value : values) {
    halves.push_back(static_cast<std::uint16_t>(0x3c00 + random() % 0x400 + random() % 2 * 0x8000));
    value = kernels::from_bf16(halves.back());
  }
  const Weight narrow = {"w",
                         "w",
                         {tensor::Dtype::bf16, {1, halves.size()}},
                         {reinterpret_cast<const std::uint8_t*>(halves.data()), 2 * halves.size()}};
  const Nf4 nf4 = quantise_nf4(narrow), wide = quantise_nf4(weight_of(values));
  CHECK(nf4.nibbles == wide.nibbles);
  CHECK(nf4.codes == wide.codes);
  CHECK(nf4.nibbles.size() == 100);
  CHECK((nf4.nibbles.back() & 15) == 0);  // what no element has
  const auto back = expanded(nf4, values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(std::abs(back[i] - values[i]) <= 0.17F * 2.0F);
}

}  // namespace volt::lm
