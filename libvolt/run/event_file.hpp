// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// The event files that TensorBoard reads. A file is a sequence of records, each
///   le64 length || le32 mask(crc of these 8 bytes) || data || le32 mask(crc of data)
/// with CRC-32C (RFC 3720, appendix B.4) and mask(c) = (c >> 15 | c << 17) + 0xa282ead8 mod 2^32
/// (TensorFlow, core/lib/io/record_writer.h). The data is a protocol buffer, `Event` of
/// TensorFlow's event.proto, with its fields in the order of their numbers: wall_time (1, double),
/// step (2, int64, absent when 0), and file_version (3) or summary (5). The first record's
/// file_version is "brain.Event:2".
namespace volt::run {

/// What TensorBoard draws a curve of. NaN is shown as such.
struct Scalar {
  std::string_view tag;  ///< "eval/loss"
  float value = 0;
};

/// The first record. `wall_time` is in seconds since 1970.
std::string event_file_head(double wall_time);
/// The record of what a step told.
std::string event_record(double wall_time, std::uint64_t step, std::span<const Scalar> scalars);

/// The wall time in a record that one of these made; 0 where it is none.
double wall_time_in(std::string_view record);

/// CRC-32C, Castagnoli's polynomial, of "123456789" 0xe3069283.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace volt::run
