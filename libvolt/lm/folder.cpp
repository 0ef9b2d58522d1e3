// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/folder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <utility>

#include "kernels/exact.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/tensor/finite.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

using doc::Value;
using tensor::Description;
using tensor::Dtype;

constexpr std::string_view config_name = "config.json";
constexpr std::string_view whole_name = "model.safetensors";
constexpr std::string_view index_name = "model.safetensors.index.json";

constexpr std::size_t max_index_bytes = 16'000'000;
// Four times what the largest architecture has, for the sake of buffers.
constexpr std::size_t max_tensors = std::size_t{1} << 17;
constexpr std::size_t max_shards = 4096;

constexpr std::string_view save_again = "save the model again with save_pretrained of transformers";

[[noreturn]] void fail(const std::string& what, std::string_view hint = save_again,
                       Exit code = Exit::usage) {
  throw Error(code, what, std::string(hint));
}

std::string in_quotes(std::string_view name) { return "\"" + printable(name) + "\""; }

/// A name that stays in its folder, wherever that is.
bool is_plain(std::string_view name) {
  return name.size() <= 255 && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos && name.ends_with(".safetensors") &&
         !name.starts_with('.');
}

ByteView file_of(const Files& files, std::string_view name) {
  const auto found = files.find(std::string(name));
  if (found == files.end())
    fail("the model has no file " + printable(name), save_again, Exit::not_found);
  return found->second;
}

/// Tensors by name, of all files.
using Found = std::map<std::string, Weight, std::less<>>;

void add_tensors(Found& found, const std::string& file, ByteView bytes) {
  for (auto& [name, located] : tensor::parse_safetensors(bytes, file)) {
    const auto data = bytes.subspan(located.offset, located.description.bytes());
    const auto [at, fresh] =
        found.try_emplace(name, Weight{name, file, std::move(located.description), data});
    if (!fresh)
      fail("the tensor " + in_quotes(name) + " is in " + printable(at->second.file) + " and in " +
           printable(file));
    if (found.size() > max_tensors)
      fail(printable(file) + ": the model has more than " + std::to_string(max_tensors) +
           " tensors");
  }
}

Found find_all(const Files& files) {
  Found found;
  if (files.contains(std::string(whole_name)) || !files.contains(std::string(index_name))) {
    add_tensors(found, std::string(whole_name), file_of(files, whole_name));
    return found;
  }
  const auto index = parse_index(as_text(file_of(files, index_name)), index_name);
  std::set<std::string> shards;
  for (const auto& [name, shard] : index) shards.insert(shard);
  for (const auto& shard : shards) add_tensors(found, shard, file_of(files, shard));
  for (const auto& [name, shard] : index) {
    const auto at = found.find(name);
    if (at == found.end() || at->second.file != shard)
      fail(std::string(index_name) + ": the tensor " + in_quotes(name) + " is not in " +
           printable(shard));
  }
  return found;
}

std::string to_text(const std::vector<std::uint64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

void check(const Weight& weight, const Parameter& parameter) {
  const auto& [dtype, shape] = weight.description;
  const std::string named = printable(weight.name);
  if (shape != parameter.shape)
    fail("config.json says that " + named + " is " + to_text(parameter.shape) + ", but " +
             printable(weight.file) + " has " + to_text(shape),
         "config.json and the weights are of different models");
  if (dtype != Dtype::f32 && dtype != Dtype::bf16 && dtype != Dtype::f16)
    fail(printable(weight.file) + ": tensor " + in_quotes(weight.name) + " is " +
             std::string(name_of(dtype)) + ", not f32, bf16 or f16",
         "save the model again in bf16, without quantisation");
}

/// Where checkpoints that leave out the prefix are told from others: by the token embedding.
std::string prefix_in(const Found& found, const Parameter& embedding, std::string_view prefix) {
  const bool left_out =
      !found.contains(embedding.name) && found.contains(embedding.name.substr(prefix.size()));
  return left_out ? "" : std::string(prefix);
}

void refuse_missing(const std::vector<std::string>& missing, const std::string& where) {
  if (missing.empty()) return;
  const bool head = missing.front() == "lm_head.weight";
  fail(where + " lacks the tensor " + in_quotes(missing.front()) +
           (missing.size() > 1 ? " and " + std::to_string(missing.size() - 1) + " more" : ""),
       head ? "config.json says that the head is not tied to the embedding: tie_word_embeddings"
            : "config.json and the weights are of different models, or a part was left out");
}

void refuse_surplus(const Found& left, const Architecture& a) {
  for (const auto& [name, weight] : left) {
    if (is_buffer(a.family, name)) continue;
    fail(printable(weight.file) + " has the tensor " + in_quotes(name) + ", of which the " +
             std::string(name_of(a.family)) + " that config.json describes has no use",
         "config.json and the weights are of different models");
  }
}

/// A tied head may be stored all the same; one that differs was not tied.
void drop_tied_head(Found& found, const Weight& embedding) {
  const auto head = found.find("lm_head.weight");
  if (head == found.end()) return;
  const bool same = head->second.description == embedding.description &&
                    std::ranges::equal(head->second.bytes, embedding.bytes);
  if (!same)
    fail(printable(head->second.file) + ": tensor \"lm_head.weight\" is another than " +
             in_quotes(embedding.name) + ", but config.json says that they are tied",
         "set tie_word_embeddings to false in config.json if the head was trained on its own");
  found.erase(head);
}

}  // namespace

std::map<std::string, std::string> parse_index(std::string_view text, std::string_view origin) {
  const doc::Source source{printable(origin), Exit::usage};
  const Value index = doc::parse_json(text, origin, {max_index_bytes, 8});
  doc::Fields fields(index, source);
  const Value& weights = fields.get("weight_map");
  const auto* table = weights.get_if<Value::Object>();
  if (table == nullptr)
    fields.fail("weight_map", weights, "is " + std::string(weights.kind()) + ", not a table");
  if (table->empty()) fields.fail("weight_map", weights, "is empty");
  std::map<std::string, std::string> files;
  std::set<std::string_view> shards;
  for (const auto& [name, value] : *table) {
    const auto* file = value.get_if<std::string>();
    if (file == nullptr || !is_plain(*file))
      fields.fail("weight_map", value,
                  "has " + (file ? in_quotes(*file) : std::string(value.kind())) + " for " +
                      in_quotes(name) + ", not the name of a .safetensors file beside it");
    files.emplace(name, *file);
    shards.insert(*file);
  }
  if (files.size() > max_tensors || shards.size() > max_shards)
    fields.fail("weight_map", weights,
                "has more than " + std::to_string(max_tensors) + " tensors or " +
                    std::to_string(max_shards) + " files");
  return files;
}

std::vector<std::string> model_files(const host::Path& folder) {
  std::vector<std::string> names{std::string(config_name)};
  if (!host::exists(folder / config_name))
    fail(host::shown(folder) + " has no config.json", "name the folder of a model",
         Exit::not_found);
  if (host::exists(folder / whole_name)) {
    names.emplace_back(whole_name);
    return names;
  }
  if (!host::exists(folder / index_name))
    fail(host::shown(folder) + " has neither model.safetensors nor model.safetensors.index.json",
         save_again, Exit::not_found);
  names.emplace_back(index_name);
  const auto text = host::read_file(folder / index_name, max_index_bytes);
  std::set<std::string> shards;
  for (const auto& [name, shard] : parse_index(text, index_name)) shards.insert(shard);
  names.insert(names.end(), shards.begin(), shards.end());
  return names;
}

Folder::Folder(const host::Path& folder) {
  for (const auto& name : model_files(folder))
    mappings_.emplace(name, host::Mapping(host::open_file(folder / name).get()));
}

Files Folder::files() const {
  Files files;
  for (const auto& [name, mapping] : mappings_) files.emplace(name, mapping.bytes());
  return files;
}

Architecture read_architecture(const Files& files) {
  const auto text = as_text(file_of(files, config_name));
  return parse_architecture(doc::parse_json(text, config_name), config_name);
}

Weights find_weights(const Files& files, const Architecture& a) {
  Found found = find_all(files);
  const auto parameters = parameters_of(a);
  const std::string_view prefix = prefix_of(a.family);
  const std::string prefix_there = prefix_in(found, parameters.front(), prefix);
  Weights weights;
  std::vector<std::string> missing;
  for (const auto& parameter : parameters) {
    std::string name = parameter.name;
    if (name.starts_with(prefix)) name.replace(0, prefix.size(), prefix_there);
    const auto at = found.find(name);
    if (at == found.end()) {
      missing.push_back(std::move(name));
      continue;
    }
    check(at->second, parameter);
    weights.emplace(parameter.slot, std::move(at->second));
    found.erase(at);
  }
  const bool whole = files.contains(std::string(whole_name));
  refuse_missing(missing, std::string(whole ? whole_name : index_name));
  if (a.tied) drop_tied_head(found, weights.at({0, Part::token_embedding, false}));
  refuse_surplus(found, a);
  return weights;
}

void read_floats(const Weight& weight, std::uint64_t first, std::span<float> to) {
  const Dtype dtype = weight.description.dtype;
  const auto bytes = weight.bytes.subspan(first * tensor::size_of(dtype));
  if (dtype == Dtype::f32) {
    std::memcpy(to.data(), bytes.data(), to.size_bytes());
    return;
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, bytes.data() + 2 * i, sizeof bits);
    to[i] = dtype == Dtype::bf16 ? kernels::from_bf16(bits) : kernels::from_fp16(bits);
  }
}

std::vector<float> floats(const Weight& weight) {
  std::vector<float> values(weight.description.elements());
  read_floats(weight, 0, values);
  return values;
}

void refuse_non_finite(const Weight& weight) {
  const auto at = tensor::first_non_finite(weight.description.dtype, weight.bytes);
  if (at)
    fail(printable(weight.file) + ": tensor " + in_quotes(weight.name) +
             " is not finite at element " + std::to_string(*at),
         "the weights were damaged, or their training diverged");
}

}  // namespace volt::lm
