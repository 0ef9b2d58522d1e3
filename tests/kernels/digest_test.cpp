// SPDX-License-Identifier: Apache-2.0

#include <string_view>

#include "kernels/sha256_cpu.hpp"
#include "support.hpp"

namespace volt::kernels::test {
namespace {

std::string hex(const std::uint8_t* digest) {
  std::string text;
  for (int i = 0; i < 32; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

std::string hash(Sha256Compress compress, std::string_view text, std::size_t prefix = 0) {
  std::uint8_t digest[32];
  const auto* data = reinterpret_cast<const std::uint8_t*>(text.data());
  sha256(compress, data, prefix, data + prefix, text.size() - prefix, digest);
  return hex(digest);
}

}  // namespace

TEST_CASE("SHA-256 gives the digests of FIPS 180-4") {
  for (Sha256Compress compress : {sha256_compress_scalar, sha256_compress_best()}) {
    CHECK(hash(compress, "") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hash(compress, "abc") ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hash(compress, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(hash(compress, std::string(1'000'000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

TEST_CASE("both ways to hash agree at every length around the block size, with any prefix") {
  std::string text;
  for (int length = 0; length < 260; ++length) {
    const std::string expected = hash(sha256_compress_scalar, text);
    for (std::size_t prefix : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}}) {
      if (prefix > text.size()) continue;
      CHECK(hash(sha256_compress_scalar, text, prefix) == expected);
      CHECK(hash(sha256_compress_best(), text, prefix) == expected);
    }
    text += static_cast<char>(length * 37);
  }
}

TEST_CASE("page digests are RFC 9162 leaves of 4 KiB pages, the last one short") {
  std::vector<std::uint8_t> data(4096 * 40 + 5);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i % 251);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    for (std::uint32_t threads : {1u, 3u}) {
      Session s(backend, threads);
      Buffer* buffer = s.put(data);
      std::vector<std::uint8_t> digests(41 * 32);
      VOLT_OK(backend.page_digests(s.context, buffer, 0, data.size(), digests.data()));
      // Python: hashlib.sha256(b'\0' + bytes(i % 251 for i in range(a, b))).hexdigest()
      CHECK(hex(&digests[0]) == "c46b7e9f32bd7ac69139854bf809012fd58ea09765b26f84425175557b080a31");
      CHECK(hex(&digests[32 * 39]) ==
            "16e8b1bd93469fe3176b021c7f496f4a9651f777b9dc83ba267150f503737fe0");
      CHECK(hex(&digests[32 * 40]) ==
            "91888f80c64ed20871379954c48ab0a73c9de903a5ac973dea3bc2b0d50b121f");
      VOLT_OK(backend.page_digests(s.context, buffer, 3, 1, digests.data()));
      CHECK(hex(&digests[0]) == "583c7dfb7b3055d99465544032a571e10a134b1b6f769422bbb71fd7fa167a5d");
      VOLT_OK(backend.page_digests(s.context, buffer, data.size(), 0, nullptr));
    }
  }
}

}  // namespace volt::kernels::test
