// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "libvolt/doc/read.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/lm/tokenizer.hpp"

namespace volt::lm {

/// tokenizers/NAME.json, which tests/oracle/tokenizer.py wrote.
inline doc::Value tokenizer_file(const std::string& name) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "tokenizers" / (name + ".json");
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file, path.string());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return doc::parse_json(text, name, tokenizer_limits);
}

inline Tokenizer tokenizer_named(const std::string& name) {
  return parse_tokenizer(tokenizer_file(name), name);
}

}  // namespace volt::lm
