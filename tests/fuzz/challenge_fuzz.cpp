// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes are a challenge (in its envelope, or its payload alone) that is written and
// read as the same, or an Error of verification.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/dsse.hpp"
#include "libvolt/schema/challenge.hpp"
#include "libvolt/schema/job.hpp"

using namespace volt;

namespace {

void check(std::string_view payload) {
  const auto challenge = schema::parse_challenge(payload, "challenge.json");
  if (challenge.draws == 0 || challenge.draws > schema::max_draws) std::abort();
  const std::string once = schema::to_payload(challenge);
  if (schema::to_payload(schema::parse_challenge(once, "again.json")) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const bool enveloped : {false, true}) {
    try {
      if (!enveloped) {
        check(text);
        continue;
      }
      const auto envelope =
          crypto::Envelope::parse(text, "challenge.json", Exit::verification_failed);
      if (crypto::Envelope::parse(envelope.json(), "again.json").json() != envelope.json()) {
        std::abort();
      }
      check(envelope.payload);
    } catch (const Error& error) {
      if (error.code() != Exit::verification_failed || error.message().empty()) std::abort();
    }
  }
  return 0;
}
