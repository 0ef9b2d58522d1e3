// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/finetune_records.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "libvolt/crypto/merkle.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::workload {
namespace {

constexpr std::string_view leaf_name = "volt.finetune/1\n";

std::uint64_t padded(std::uint64_t bytes) { return tensor::page_count(bytes) * tensor::page_bytes; }

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

}  // namespace volt::workload
