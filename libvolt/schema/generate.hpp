// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libvolt/schema/input.hpp"

namespace volt::schema {

/// Has a language model, or an adapter of one, go on from prompts.
struct Generate {
  Input base;                        ///< a model's folder
  std::string base_format = "fp32";  ///< how its matrices are kept: or bf16, nf4
  std::optional<Input> adapter;      ///< a folder with an adapter in PEFT's format
  std::optional<std::string> prompt;
  std::optional<Input> prompts;  ///< instead of `prompt`: .jsonl or .txt
  std::uint64_t tokens = 200;    ///< new ones of each text, at most
  double temperature = 0;        ///< 0: always the likeliest token
  double top_p = 1;
  std::uint64_t seed = 1;
  std::string profile = "i8x";  ///< or i8x2, f32x

  /// How messages call the prompts, "prompts.jsonl", and its ending says what they are.
  std::string prompts_name() const;
};

}  // namespace volt::schema
