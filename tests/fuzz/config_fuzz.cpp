// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any text is an architecture that keeps its bounds and is the same when written and
// read again, with parameters that fit into 64 bits and turns that fall, or an Error of usage.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>

#include "libvolt/base/error.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/architecture.hpp"
#include "libvolt/lm/parameters.hpp"

using namespace volt;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_parameters(const lm::Architecture& a) {
  std::uint64_t elements = 0;
  for (const auto& parameter : lm::parameters_of(a)) {
    std::uint64_t product = 1;
    for (const auto extent : parameter.shape) {
      require(extent > 0 && extent <= (std::uint64_t{1} << 26));
      product *= extent;
    }
    require(product <= (std::uint64_t{1} << 42));
    elements += product;
  }
  require(elements > 0 && elements < (std::uint64_t{1} << 54));
}

void check_turns(const lm::Architecture& a) {
  if (!a.rope || a.head_width > 256) return;  // for the sake of speed
  const auto turns = lm::turns(*a.rope, a.head_width);
  require(turns.size() == a.head_width / 2 && turns.front() < (std::uint64_t{1} << 62));
  require(std::is_sorted(turns.begin(), turns.end(), std::greater<>()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lm::Architecture a;
  try {
    const auto text = as_text({data, size});
    a = lm::parse_architecture(doc::parse_json(text, "config.json"), "config.json");
  } catch (const Error& error) {
    require(error.code() == Exit::usage && !error.message().empty());
    return 0;
  }
  const auto again = doc::parse_json(doc::to_json(lm::to_config(a)), "again");
  require(lm::parse_architecture(again, "again") == a);
  check_parameters(a);
  check_turns(a);
  return 0;
}
