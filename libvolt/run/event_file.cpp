// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/event_file.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace volt::run {
namespace {

/// For each byte the remainder of what it adds, bits reflected. No library that volt links has this
/// polynomial, and a few hundred bytes a step need no instruction for it.
constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0x82f63b78U : 0);
    }
    table[byte] = remainder;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> table = make_table();

constexpr std::size_t head_bytes = 12;  // length and its checksum

template <class T>
std::string little_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string checksum(std::string_view bytes) {
  return little_endian(std::rotr(crc32c(bytes), 15) + 0xa282ead8U);
}

std::string record(std::string_view data) {
  const std::string length = little_endian(std::uint64_t{data.size()});
  return length + checksum(length) + std::string(data) + checksum(data);
}

// Fields of a protocol buffer: number and kind in a byte, then the value.
constexpr char as_double(int field) { return static_cast<char>(field << 3 | 1); }
constexpr char as_varint(int field) { return static_cast<char>(field << 3); }
constexpr char as_bytes_of(int field) { return static_cast<char>(field << 3 | 2); }
constexpr char as_float(int field) { return static_cast<char>(field << 3 | 5); }

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string bytes_field(int field, std::string_view bytes) {
  return as_bytes_of(field) + varint(bytes.size()) + std::string(bytes);
}

std::string time_field(double wall_time) { return as_double(1) + little_endian(wall_time); }

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const char byte : bytes) {
    crc = crc >> 8 ^ table[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff];
  }
  return ~crc;
}

std::string event_file_head(double wall_time) {
  return record(time_field(wall_time) + bytes_field(3, "brain.Event:2"));
}

std::string event_record(double wall_time, std::uint64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const auto& scalar : scalars) {
    summary +=
        bytes_field(1, bytes_field(1, scalar.tag) + as_float(2) + little_endian(scalar.value));
  }
  std::string event = time_field(wall_time);
  if (step != 0) event += as_varint(2) + varint(step);
  return record(event + bytes_field(5, summary));
}

double wall_time_in(std::string_view record) {
  double time = 0;
  if (record.size() < head_bytes + 1 + sizeof time || record[head_bytes] != as_double(1)) return 0;
  std::memcpy(&time, record.data() + head_bytes + 1, sizeof time);
  return time;
}

}  // namespace volt::run
