// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any file is samples, which are tokenised and packed without losing a token, or an
// Error of usage; or prompts, in which nothing is trained.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/data.hpp"
#include "libvolt/lm/pack.hpp"
#include "libvolt/lm/token_samples.hpp"

using namespace volt;

namespace {

const auto chatml = lm::ChatTemplate::parse(
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    "template");

std::vector<lm::TokenId> encode(std::string_view text, bool) {
  if (!is_utf8(text)) std::abort();
  return {text.begin(), text.end()};
}

void read(std::string_view file, lm::DataFormat format, bool apart) {
  lm::DataOptions options;
  options.chat_template = &chatml;
  options.skip_bad_lines = options.answers_apart = apart;
  const lm::TextEncoder encoder{encode, 1, true, {2}};
  lm::DataReader reader(file, "data", format, options);
  lm::TokenSamples samples(16);
  while (const auto* sample = reader.next())
    samples.add(lm::tokenise(*sample, encoder), sample->kind);
  const auto packing = lm::pack(samples, lm::shuffled(samples.size(), 1, 0));
  std::uint64_t tokens = 0, packed = 0;
  for (std::uint64_t row = 0; row < packing.rows(); ++row) {
    packed += packing.row(row).size();
    for (const auto sample : packing.row(row)) tokens += samples.length(sample);
  }
  if (packed != samples.size() || tokens != samples.counts().tokens || packing.tokens != tokens)
    std::abort();
}

void read_prompts(std::string_view file, lm::DataFormat format) {
  lm::DataOptions options;
  options.prompts = true;
  options.chat_template = &chatml;
  const lm::TextEncoder encoder{encode, 1, true, {2}};
  lm::DataReader reader(file, "data", format, options);
  while (const auto* sample = reader.next()) {
    for (const auto trained : lm::tokenise(*sample, encoder).trained) {
      if (trained != 0) std::abort();
    }
  }
}

void may_refuse(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() != Exit::usage || error.message().empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  for (const auto format : {lm::DataFormat::json_lines, lm::DataFormat::plain_text}) {
    for (const bool apart : {false, true}) may_refuse([&] { read(file, format, apart); });
    may_refuse([&] { read_prompts(file, format); });
  }
  return 0;
}
