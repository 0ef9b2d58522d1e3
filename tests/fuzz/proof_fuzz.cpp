// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes after (or with) the header of a proof open just what the receipt's roots
// name, or are an Error of verification. The product has one wrong element among those drawn, which
// no proof that is accepted may hide.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "libvolt/base/error.hpp"
#include "libvolt/proof/openings.hpp"
#include "tests/libvolt/proof/small.hpp"

using namespace volt;

namespace {

/// A product of 20 x 70 by 70 x 90, of which elements 3 and 1000 are drawn and 1000 is wrong.
struct Fixed {
  Small s{"i8", 'b', 20, 90, 70};
  std::vector<std::uint64_t> units{3, 1000};
  schema::Receipt receipt;
  proof::Needed parts;

  Fixed() {
    s.c[4 * 1000] ^= 1;
    receipt = s.receipt();
    parts = proof::needed(s.geometry, s.about_a, s.about_b, units);
  }

  void check(const schema::ProofHeader& header, ByteView body) const {
    NullSink sink;
    const proof::Openings openings(receipt, header, parts, body, {}, {});
    const auto found = openings.check(s.geometry, units, Small::device(), sink, {});
    if (!found || found->row != 1000 / 90 || found->col != 1000 % 90) std::abort();
  }
};

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
  static const Fixed fixed;
  const ByteView file(data, size);
  run([&] {
    const auto end = std::find(file.begin(), file.end(), '\n') - file.begin();
    const auto line = file.first(std::min(size, static_cast<std::size_t>(end) + 1));
    const auto header = schema::parse_proof_header(as_text(line), "proof");
    if (schema::to_line(schema::parse_proof_header(schema::to_line(header), "again")) !=
        schema::to_line(header)) {
      std::abort();
    }
    fixed.check(header, file.subspan(line.size()));
  });
  for (const char* a : {"pages", "whole"}) {
    for (const char* b : {"pages", "whole"}) {
      schema::ProofHeader header;
      header.a = a;
      header.b = b;
      run([&] { fixed.check(header, file); });
    }
  }
  return 0;
}
