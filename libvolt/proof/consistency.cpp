// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/consistency.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/schema/pattern.hpp"
#include "libvolt/workload/matmul.hpp"

namespace volt::proof {
namespace {

/// What must hold of every file that a job names, whatever the workload.
std::string input_contradiction(const schema::InputRecord& record, const schema::Input& input) {
  if (input.sha256 && record.sha256 != input.sha256) {
    return "input " + record.name + " is not the file that the job pins";
  }
  if (std::holds_alternative<schema::RunOutput>(input.from) && !record.receipt) {
    return "input " + record.name + " does not name the receipt of the run it comes from";
  }
  return {};
}

std::string matmul_contradiction(const schema::Receipt& receipt, const schema::Job& job) {
  if (receipt.profile != job.matmul.profile + "/1") {
    return "the profile is " + printable(receipt.profile) + ", but the job says " +
           job.matmul.profile;
  }
  const auto names = job.outputs();
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
    if (!record.tensor) return "input " + record.name + " is no tensor";
    if ((seeded != nullptr) != record.seed.has_value() ||
        (seeded != nullptr && seeded->seed != *record.seed)) {
      return "input " + std::string(name) + " is not made as the job says";
    }
    if (seeded != nullptr &&
        record.tensor->description != workload::seeded_description(job.matmul, *seeded)) {
      return "input " + std::string(name) + " has not the job's shape";
    }
    if (auto why = input_contradiction(record, *input); !why.empty()) return why;
  }
  const auto geometry = workload::geometry(job.matmul, receipt.inputs[0].tensor->description,
                                           receipt.inputs[1].tensor->description);
  const auto& output = *receipt.outputs[0].tensor;
  if (output.description != geometry.output()) return "its output is not a tensor as the job gives";
  if (receipt.units != geometry.units()) {
    return "it counts " + std::to_string(receipt.units) + " units, but the job has " +
           std::to_string(geometry.units());
  }
  if (receipt.trace_root != output.pages) return "its trace is not that of its output";
  return {};
}

/// The records of one input: one file, or all files of a folder.
std::string command_input_contradiction(const schema::Receipt& receipt, const std::string& name,
                                        const schema::Input& input) {
  std::map<std::string, Digest> files;
  for (const auto& record : receipt.inputs) {
    if (!record.name.starts_with(name + "/")) continue;
    files.emplace(record.name.substr(name.size() + 1), *record.sha256);
  }
  if (const auto* record = receipt.input(name)) {
    return files.empty() ? input_contradiction(*record, input)
                         : "input " + name + " is a file and a folder";
  }
  if (!std::holds_alternative<schema::File>(input.from)) return "input " + name + " is missing";
  if (input.sha256 && crypto::sha256(as_bytes(schema::manifest(files))) != *input.sha256) {
    return "input " + name + " is not the folder that the job pins";
  }
  return files.empty() && !input.sha256 ? "input " + name + " is missing" : "";
}

/// Of a workload with a language model.
std::string model_contradiction(const schema::Receipt& receipt, const schema::Job& job) {
  if (receipt.profile != job.profile() + "/1") {
    return "the profile is " + printable(receipt.profile) + ", but the job says " + job.profile();
  }
  for (const auto& record : receipt.inputs) {
    if (record.tensor || !record.sha256) return "input " + record.name + " is no file";
    const bool named = std::ranges::any_of(job.inputs(), [&](const auto& input) {
      const std::string folder = std::string(input.first) + "/";
      if (!job.needs_folder(input.first)) return record.name == input.first;
      return record.name.starts_with(folder) &&
             job.reads(input.first, record.name.substr(folder.size()));
    });
    if (!named) return "it has not the job's inputs";
  }
  for (const auto& [name, input] : job.inputs()) {
    if (auto why = command_input_contradiction(receipt, std::string(name), *input); !why.empty()) {
      return why;
    }
    if (!job.needs_folder(name) && receipt.input(name) == nullptr) {
      return "input " + std::string(name) + " is missing";
    }
  }
  const bool same = std::ranges::equal(
      receipt.outputs, job.outputs(),
      [](const auto& output, const auto& name) { return output.name == name && !output.tensor; });
  if (!same) return "it has not the job's outputs";
  if (receipt.units == 0) return "it counts no units";
  return {};
}

std::string command_contradiction(const schema::Receipt& receipt, const schema::Job& job) {
  if (receipt.profile != "none") return "a command has no profile";
  for (const auto& record : receipt.inputs) {
    if (record.tensor || !record.sha256) return "input " + record.name + " is no file";
  }
  for (const auto& [name, input] : job.command.inputs) {
    if (auto why = command_input_contradiction(receipt, name, input); !why.empty()) return why;
  }
  for (const auto& record : receipt.inputs) {
    const bool named = std::ranges::any_of(job.command.inputs, [&](const auto& input) {
      return record.name == input.first || record.name.starts_with(input.first + "/");
    });
    if (!named) return "it has not the job's inputs";
  }
  const auto& wanted = job.command;
  for (const auto& output : receipt.outputs) {
    const auto named = [&](const auto& pattern) { return schema::matches(pattern, output.name); };
    if (output.tensor || (std::ranges::none_of(wanted.outputs, named) &&
                          std::ranges::none_of(wanted.optional, named))) {
      return "no pattern of the job names its output " + output.name;
    }
  }
  for (const auto& pattern : wanted.outputs) {
    const auto names = [&](const auto& output) { return schema::matches(pattern, output.name); };
    if (std::ranges::none_of(receipt.outputs, names)) return "it has no output for " + pattern;
  }
  if (receipt.units != 1) return "a command is one unit";
  if (receipt.trace_root != command_trace(receipt.outputs))
    return "its trace is not of its outputs";
  return {};
}

}  // namespace

Digest command_trace(const std::vector<schema::OutputRecord>& outputs) {
  std::map<std::string, Digest> files;
  for (const auto& output : outputs) files.emplace(output.name, output.sha256);
  return crypto::leaf_digest(as_bytes(schema::manifest(files)));
}

std::string contradiction(const schema::Receipt& receipt, const schema::Job& job) {
  if (receipt.workload != job.workload + "/1") {
    return "the workload " + printable(receipt.workload) + " is not " + job.workload + "/1";
  }
  if (receipt.attempt == 0) return "attempts count from 1";
  try {
    if (job.has_model()) return model_contradiction(receipt, job);
    return job.is_command() ? command_contradiction(receipt, job)
                            : matmul_contradiction(receipt, job);
  } catch (const Error& error) {
    return error.message();
  }
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
