// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <random>
#include <string>

#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/schema/receipt.hpp"
#include "libvolt/workload/matmul.hpp"

/// A small product with everything that a proof of it needs.
struct Small {
  volt::workload::Geometry geometry;
  volt::tensor::Description about_a, about_b;
  volt::Bytes a, b, c;

  static volt::device::Device& device() {
    static volt::device::Device made([] {
      volt::device::Wanted wanted;
      wanted.threads = 1;
      return wanted;
    }());
    return made;
  }

  /// `form` is 'n' (plain), 'a' or 'b' (that operand is stored transposed).
  Small(const std::string& profile, char form, std::uint64_t m, std::uint64_t n, std::uint64_t k,
        unsigned seed = 1) {
    volt::schema::Matmul job;
    job.profile = profile;
    job.transpose_a = form == 'a';
    job.transpose_b = form == 'b';
    const auto dtype = profile == "i8" ? volt::tensor::Dtype::i8 : volt::tensor::Dtype::f32;
    about_a = {dtype, {m, k}};
    about_b = {dtype, {k, n}};
    if (form == 'a') about_a.shape = {k, m};
    if (form == 'b') about_b.shape = {n, k};
    geometry = volt::workload::geometry(job, about_a, about_b);
    a = elements(about_a, seed);
    b = elements(about_b, seed + 1000);
    multiply();
  }

  void multiply() {
    c = volt::Bytes(4 * geometry.units());
    volt::workload::Product(geometry, a, b, device()).tile(0, geometry.m, 0, geometry.n, c.data());
  }

  static volt::Bytes elements(const volt::tensor::Description& about, unsigned seed) {
    std::mt19937 random(seed);
    volt::Bytes bytes(about.bytes());
    if (about.dtype == volt::tensor::Dtype::i8) {
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
      return bytes;
    }
    for (std::uint64_t i = 0; i < about.elements(); ++i) {
      const float value = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 512.0f;
      std::memcpy(bytes.data() + 4 * i, &value, 4);
    }
    return bytes;
  }

  static std::vector<volt::Digest> leaves(volt::ByteView bytes) {
    std::vector<volt::Digest> leaves;
    for (std::size_t at = 0; at < bytes.size(); at += 4096) {
      leaves.push_back(volt::crypto::leaf_digest(
          bytes.subspan(at, std::min<std::size_t>(4096, bytes.size() - at))));
    }
    return leaves;
  }
  static volt::schema::TensorFacts facts(const volt::tensor::Description& about,
                                         volt::ByteView bytes) {
    return {about, volt::tensor::pages_root(about, leaves(bytes))};
  }

  /// What a receipt would say of it; operands named in `seeded` as made from a seed.
  volt::schema::Receipt receipt(const std::string& seeded = "") const {
    volt::schema::Receipt r;
    volt::schema::OutputRecord out;
    out.name = "c.npy";
    out.tensor = facts(geometry.output(), c);
    r.outputs.push_back(out);
    for (const char* name : {"a", "b"}) {
      volt::schema::InputRecord input;
      input.name = name;
      input.tensor = *name == 'a' ? facts(about_a, a) : facts(about_b, b);
      if (seeded.find(*name) != std::string::npos) {
        input.seed = 1;
      } else {
        input.sha256 = volt::Digest{};
      }
      r.inputs.push_back(input);
    }
    r.trace_root = r.outputs[0].tensor->pages;
    r.units = geometry.units();
    return r;
  }
};
