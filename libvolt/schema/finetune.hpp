// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libvolt/schema/input.hpp"

namespace volt::schema {

/// What of a model is trained.
struct Method {
  enum class Kind { lora, flylora, full };
  Kind kind = Kind::lora;
  // Of an adapter:
  std::uint64_t rank = 16;
  double alpha = 32;
  double dropout = 0;        ///< of lora
  std::uint64_t active = 8;  ///< of flylora: how many of the ranks each token uses
  double balance = 1e-3;     ///< of flylora: what a step adds to a rank used too little
  std::vector<std::string>
      targets;  ///< names of matrices ("q_proj"), sorted; empty: all of every layer

  bool adapts() const { return kind != Kind::full; }
};

/// A model of the Llama family, made from the seed alone.
struct NewModel {
  std::uint64_t layers = 4, width = 256, heads = 4, kv_heads = 4;
  std::uint64_t ff_width = 0;
  std::uint64_t context = 512;
  std::string activation = "silu";       ///< or gelu, era
  double temperature = 1, lambda = 0.1;  ///< of era
};

/// When a training ends before its last step. Looked at after each unit.
struct StopRule {
  std::uint64_t patience = 0;        ///< units without a better held-out loss, 0: any number
  double min_delta = 0;              ///< by how much a better one is less
  std::optional<double> confidence;  ///< mean confidence on the held-out samples that is enough

  bool any() const { return patience != 0 || confidence.has_value(); }
};

/// Trains a language model, or an adapter of one. A batch is `batch_tokens / context` rows, a whole
/// number, of at most 2^31 tokens; steps are at most 10^7.
struct Finetune {
  Input base;                         ///< a model's folder; without `model`
  std::string base_format = "fp32";   ///< how its matrices are kept: or bf16, nf4
  std::optional<NewModel> model;      ///< instead of a base
  std::optional<Input> tokenizer;     ///< of `model`; none: bytes
  Input data;                         ///< .jsonl or .txt
  std::uint64_t eval_millionths = 0;  ///< samples held out of every million
  Method method;
  std::uint64_t epochs = 1;
  std::uint64_t steps = 0;  ///< 0: as many as the epochs have
  std::uint64_t batch_tokens = 16'384, context = 2048;
  std::string optimizer = "adamw";  ///< or velvet
  double rate = 2e-4;
  std::string schedule = "cosine";  ///< or linear, constant
  std::uint64_t warmup = 0;         ///< steps
  double weight_decay = 0;
  double clip = 1;  ///< the largest norm of a gradient, 0: any
  StopRule stop_when;
  std::string profile = "i8x";  ///< or i8x2, f32x, native
  std::uint64_t seed = 1;
  bool skip_bad_lines = false;
  bool answers_apart = false;  ///< of conversations: a sample for each answer
  std::uint64_t span = 0;    ///< steps between states that are kept, 0: the root of all, rounded up
  bool merged = false;       ///< whether base and adapter are also written as one model
  bool tensorboard = false;  ///< whether TensorBoard's event file is written too

  /// The names of what is made, in the order of a receipt: states.bin, then an adapter, a whole
  /// model, or both.
  std::vector<std::string> outputs() const;
  std::vector<std::string> results() const;  ///< those beside the states
  /// How messages call the data, "train.jsonl", and its ending says what it is.
  std::string data_name() const;
  /// How the adapter calls the base.
  std::string base_name() const;
};

}  // namespace volt::schema
