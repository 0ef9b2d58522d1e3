// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/consistency.hpp"

#include <vector>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/workload/matmul.hpp"

namespace volt::proof {
namespace {

/// The job's own outputs, in the order in which receipts name them.
std::vector<std::string> output_names(const schema::Job& job) {
  std::vector<std::string> names{job.matmul.out};
  if (!job.matmul.image.empty()) names.push_back(job.matmul.image);
  return names;
}

}  // namespace

std::string contradiction(const schema::Receipt& receipt, const schema::Job& job) {
  if (receipt.workload != workload::matmul_version) {
    return "the workload " + printable(receipt.workload) + " is not matmul/1";
  }
  if (receipt.profile != job.matmul.profile + "/1") {
    return "the profile is " + printable(receipt.profile) + ", but the job says " +
           job.matmul.profile;
  }
  const auto names = output_names(job);
  if (receipt.outputs.size() != names.size()) return "it has not the job's outputs";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (receipt.outputs[i].name != names[i]) return "it has not the job's outputs";
    if (receipt.outputs[i].tensor.has_value() != (i == 0)) {
      return "its first output, and no other, is a tensor";
    }
  }
  if (receipt.inputs.size() != 2 || receipt.inputs[0].name != "a" ||
      receipt.inputs[1].name != "b") {
    return "it has not the job's inputs";
  }
  for (const auto& [name, input] : job.inputs()) {
    const auto& record = *receipt.input(name);
    const auto* seeded = input->seeded();
    if ((seeded != nullptr) != record.seed.has_value() ||
        (seeded != nullptr && seeded->seed != *record.seed)) {
      return "input " + std::string(name) + " is not made as the job says";
    }
    if (seeded != nullptr &&
        record.tensor.description != workload::seeded_description(job.matmul, *seeded)) {
      return "input " + std::string(name) + " has not the job's shape";
    }
    if (input->sha256 && record.sha256 != input->sha256) {
      return "input " + std::string(name) + " is not the file that the job pins";
    }
    if (std::holds_alternative<schema::RunOutput>(input->from) && !record.receipt) {
      return "input " + std::string(name) + " does not name the receipt of the run it comes from";
    }
  }
  try {
    const auto geometry = workload::geometry(job.matmul, receipt.inputs[0].tensor.description,
                                             receipt.inputs[1].tensor.description);
    const auto& output = *receipt.outputs[0].tensor;
    if (output.description != geometry.output())
      return "its output is not a tensor as the job gives";
    if (receipt.units != geometry.units()) {
      return "it counts " + std::to_string(receipt.units) + " units, but the job has " +
             std::to_string(geometry.units());
    }
    if (receipt.trace_root != output.pages) return "its trace is not that of its output";
  } catch (const Error& error) {
    return error.message();
  }
  if (receipt.attempt == 0) return "attempts count from 1";
  return {};
}

namespace {

std::string difference(const doc::Value& one, const doc::Value& other, const std::string& path) {
  using Object = doc::Value::Object;
  const auto below = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  const auto *a = one.get_if<Object>(), *b = other.get_if<Object>();
  if (a == nullptr || b == nullptr) {
    return doc::to_canonical_json(one) == doc::to_canonical_json(other) ? "" : path;
  }
  for (const auto& [key, value] : *a) {
    const auto* same = other.find(key);
    if (same == nullptr) return below(key);
    if (auto found = difference(value, *same, below(key)); !found.empty()) return found;
  }
  for (const auto& [key, value] : *b) {
    if (one.find(key) == nullptr) return below(key);
  }
  return {};
}

}  // namespace

std::string difference(const schema::Job& one, const schema::Job& other) {
  return difference(schema::to_value(one), schema::to_value(other), {});
}

}  // namespace volt::proof
