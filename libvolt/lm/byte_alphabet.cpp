// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/byte_alphabet.hpp"

#include <array>
#include <cstdint>

#include "libvolt/lm/unicode.hpp"

namespace volt::lm {
namespace {

constexpr std::size_t characters = 0x144;

struct Alphabet {
  std::array<std::string, 256> spelled;
  std::array<int, characters> bytes{};  // -1: not in the alphabet

  Alphabet() {
    bytes.fill(-1);
    char32_t other = 0x100;
    for (unsigned byte = 0; byte < spelled.size(); ++byte) {
      const bool itself = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
      const char32_t code = itself ? byte : other++;
      append_utf8(spelled[byte], code);
      bytes[code] = static_cast<int>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet one;
  return one;
}

}  // namespace

void append_in_byte_alphabet(std::string& text, std::string_view bytes) {
  const Alphabet& letters = alphabet();
  for (const char byte : bytes) text += letters.spelled[static_cast<unsigned char>(byte)];
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  const Alphabet& letters = alphabet();
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const Character one = character_at(text, at);
    if (one.code >= characters || letters.bytes[one.code] < 0) return std::nullopt;
    bytes += static_cast<char>(letters.bytes[one.code]);
    at += one.length;
  }
  return bytes;
}

}  // namespace volt::lm
