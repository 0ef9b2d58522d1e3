// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes are a receipt (signed, or its payload alone) that volt would write the same,
// or an Error of verification.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/schema/receipt.hpp"

using namespace volt;

namespace {

template <class F>
void run(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    if (error.code() != Exit::verification_failed || error.message().empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  run([&] {
    const auto opened = schema::open_receipt(text, "receipt.json");
    if (schema::to_payload(opened.receipt) != opened.payload) std::abort();
    if (opened.signer.der() != opened.receipt.signer) std::abort();
  });
  run([&] {
    const auto receipt = schema::parse_receipt(text, "receipt.json");
    if (schema::to_payload(receipt) != text) std::abort();
  });
  run([&] {  // the payload of an envelope, whoever signed it
    const auto envelope = crypto::Envelope::parse(text, "receipt.json", Exit::verification_failed);
    const auto receipt = schema::parse_receipt(envelope.payload, "receipt.json");
    if (schema::to_payload(receipt) != envelope.payload) std::abort();
  });
  return 0;
}
