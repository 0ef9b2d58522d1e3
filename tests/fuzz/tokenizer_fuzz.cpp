// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes are a tokenizer whose ids have tokens and are texts again, or an Error of
// usage.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/tokenizer.hpp"

using namespace volt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto tokenizer =
        lm::parse_tokenizer(doc::parse_json(text, "t.json", lm::tokenizer_limits), "t.json");
    // Every character of the file, its added tokens among them.
    for (const auto special : {lm::Tokenizer::Special::token, lm::Tokenizer::Special::text}) {
      const auto ids = tokenizer.encode(text, true, special);
      for (const std::uint32_t id : ids) {
        if (id >= tokenizer.vocabulary_size()) std::abort();
        if (tokenizer.id_of(tokenizer.token(id)) != id) std::abort();
      }
      tokenizer.decode(ids, false);
      tokenizer.decode(ids, true);
    }
  } catch (const Error& error) {
    if (error.code() != Exit::usage || error.message().empty()) std::abort();
  }
  return 0;
}
