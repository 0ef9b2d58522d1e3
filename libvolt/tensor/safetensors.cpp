// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/doc/value.hpp"

namespace volt::tensor {
namespace {

using doc::Value;

constexpr std::size_t length_bytes = 8;
// The format allows six times as much; as a tree in memory that would be gigabytes.
constexpr std::uint64_t max_header = 16'000'000;
constexpr std::size_t max_depth = 8;
constexpr std::uint64_t max_data = std::uint64_t{1} << 62;
constexpr std::string_view metadata_key = "__metadata__";

constexpr std::string_view save_again = "save it again with the safetensors library";
constexpr std::string_view copy_again = "the file was cut short: copy it again";

struct Spelling {
  std::string_view name;
  Dtype dtype;
};

// In the order of the library's own enumeration, which is that of its files, backwards.
constexpr std::array<Spelling, 13> spellings{{{"BOOL", Dtype::boolean},
                                              {"U8", Dtype::u8},
                                              {"I8", Dtype::i8},
                                              {"I16", Dtype::i16},
                                              {"U16", Dtype::u16},
                                              {"F16", Dtype::f16},
                                              {"BF16", Dtype::bf16},
                                              {"I32", Dtype::i32},
                                              {"U32", Dtype::u32},
                                              {"F32", Dtype::f32},
                                              {"F64", Dtype::f64},
                                              {"I64", Dtype::i64},
                                              {"U64", Dtype::u64}}};

[[noreturn]] void fail(const std::string& who, const std::string& what,
                       std::string_view hint = save_again) {
  throw Error(Exit::usage, who + what, std::string(hint));
}

struct Entry {
  std::string name;
  Located located;
  std::uint64_t begin = 0, end = 0;  // in the data, which follows the header
};

std::optional<std::uint64_t> whole(const Value& value) {
  const auto* number = value.get_if<std::int64_t>();
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

/// The member `key` of `table`, of the alternative T.
template <class T>
const T& member(const Value& table, std::string_view key, std::string_view kind,
                const std::string& who) {
  const Value* value = table.find(key);
  if (value == nullptr) fail(who, " lacks \"" + std::string(key) + "\"");
  const T* found = value->get_if<T>();
  if (found == nullptr)
    fail(who, " has " + std::string(value->kind()) + " as " + std::string(key) + ", not " +
                  std::string(kind));
  return *found;
}

Dtype dtype_named(const std::string& name, const std::string& who) {
  const auto* found = std::find_if(spellings.begin(), spellings.end(),
                                   [&](const Spelling& one) { return one.name == name; });
  if (found == spellings.end())
    fail(who, " has the dtype \"" + printable(name) + "\", which volt does not read",
         "volt reads BOOL, U8 to U64, I8 to I64, F16, BF16, F32 and F64");
  return found->dtype;
}

Entry entry(const std::string& name, const Value& value, const std::string& origin) {
  const std::string who = origin + ": tensor \"" + printable(name) + "\"";
  const auto* object = value.get_if<Value::Object>();
  if (object == nullptr) fail(who, " is " + std::string(value.kind()) + ", not a table");
  for (const auto& one : *object)
    if (one.first != "dtype" && one.first != "shape" && one.first != "data_offsets")
      fail(who, " has the unknown key \"" + printable(one.first) + "\"");

  Entry result;
  result.name = name;
  auto& description = result.located.description;
  description.dtype = dtype_named(member<std::string>(value, "dtype", "a string", who), who);
  for (const auto& extent : member<Value::Array>(value, "shape", "an array", who)) {
    const auto number = whole(extent);
    if (!number) fail(who, " has an extent that is not a whole number of 0 or more");
    description.shape.push_back(*number);
  }
  check(description, who);

  const auto& offsets = member<Value::Array>(value, "data_offsets", "an array", who);
  const auto begin = offsets.size() == 2 ? whole(offsets[0]) : std::nullopt;
  const auto end = offsets.size() == 2 ? whole(offsets[1]) : std::nullopt;
  if (!begin || !end) fail(who, " has data_offsets that are not two whole numbers of 0 or more");
  if (*begin > *end) fail(who, " ends before it begins");
  if (*end - *begin != description.bytes())
    fail(who, " has " + std::to_string(*end - *begin) + " bytes, but " + to_text(description) +
                  " takes " + std::to_string(description.bytes()));
  result.begin = *begin;
  result.end = *end;
  return result;
}

const Spelling* spelling_of(Dtype dtype) {
  return std::find_if(spellings.begin(), spellings.end(),
                      [&](const Spelling& one) { return one.dtype == dtype; });
}

std::string in_json(std::string_view text) { return doc::to_canonical_json(Value(text)); }

std::string entry_text(const std::string& name, const Description& description,
                       std::uint64_t begin) {
  std::string text = in_json(name) + ":{\"dtype\":\"";
  text += spelling_of(description.dtype)->name;
  text += "\",\"shape\":[";
  for (std::size_t i = 0; i < description.shape.size(); ++i)
    text += (i == 0 ? "" : ",") + std::to_string(description.shape[i]);
  return text + "],\"data_offsets\":[" + std::to_string(begin) + "," +
         std::to_string(begin + description.bytes()) + "]}";
}

void check_names(const std::vector<Named>& tensors) {
  std::set<std::string_view> names{metadata_key};
  for (const auto& [name, description] : tensors) {
    const std::string who = "tensor \"" + printable(name) + "\"";
    if (!names.insert(name).second) fail(who, " is there twice, or means metadata", "");
    check(description, who);
  }
}

void check_metadata(const Value& value, const std::string& origin) {
  const auto* object = value.get_if<Value::Object>();
  if (object == nullptr)
    fail(origin, ": __metadata__ is " + std::string(value.kind()) + ", not a table");
  for (const auto& [key, text] : *object)
    if (text.get_if<std::string>() == nullptr)
      fail(origin, ": __metadata__ has " + std::string(text.kind()) + " as \"" + printable(key) +
                       "\", not a string");
}

}  // namespace

std::vector<std::pair<std::string, Located>> parse_safetensors(ByteView file,
                                                               std::string_view origin_given) {
  const std::string origin = printable(origin_given);
  if (file.size() < length_bytes) fail(origin, ": file ends within its header", copy_again);
  std::uint64_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) length = length << 8 | file[i];
  // The length of anything else, read as one of a header, is nearly always too large; that, and
  // the brace the format demands, tell a wrong file from a broken one.
  if (length > max_header || length == 0 ||
      (file.size() > length_bytes && file[length_bytes] != '{'))
    fail(origin, ": not a safetensors file", "save the tensors with the safetensors library");
  if (file.size() - length_bytes < length)
    fail(origin, ": file ends within its header", copy_again);

  const auto text = as_text(file).substr(length_bytes, length);
  const Value header = doc::parse_json(text, origin, {max_header, max_depth});
  const auto* object = header.get_if<Value::Object>();
  if (object == nullptr)
    fail(origin, ": header is " + std::string(header.kind()) + ", not a table");

  std::vector<Entry> entries;
  for (const auto& [name, value] : *object) {
    if (name == metadata_key)
      check_metadata(value, origin);
    else
      entries.push_back(entry(name, value, origin));
  }
  // By the end as well: an empty tensor comes before the one that begins where it lies.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });

  const std::uint64_t data = file.size() - length_bytes - length;
  std::uint64_t reached = 0;
  std::vector<std::pair<std::string, Located>> tensors;
  tensors.reserve(entries.size());
  for (auto& one : entries) {
    const std::string who = origin + ": tensor \"" + printable(one.name) + "\"";
    if (one.begin < reached)
      fail(who, " overlaps the one before it: it begins at " + std::to_string(one.begin) +
                    ", before " + std::to_string(reached));
    if (one.begin > reached)
      fail(who, " leaves a hole before it: it begins at " + std::to_string(one.begin) +
                    ", behind " + std::to_string(reached));
    if (one.end > data)
      fail(who,
           " ends at byte " + std::to_string(one.end) + " of the data, which has " +
               std::to_string(data),
           copy_again);
    reached = one.end;
    one.located.offset = length_bytes + length + one.begin;
    tensors.emplace_back(std::move(one.name), std::move(one.located));
  }
  if (reached != data)
    fail(origin, ": data has " + std::to_string(data) + " bytes, but the tensors take " +
                     std::to_string(reached));
  return tensors;
}

std::string safetensors_header(std::vector<Named>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  check_names(tensors);
  std::sort(tensors.begin(), tensors.end(), [](const Named& a, const Named& b) {
    const auto *left = spelling_of(a.second.dtype), *right = spelling_of(b.second.dtype);
    return left != right ? left > right : a.first < b.first;
  });
  std::string text;
  for (const auto& [key, value] : metadata)
    text += (text.empty() ? "\"__metadata__\":{" : ",") + in_json(key) + ":" + in_json(value);
  if (!text.empty()) text += "}";
  std::uint64_t begin = 0;
  for (const auto& [name, description] : tensors) {
    text += (text.empty() ? "" : ",") + entry_text(name, description, begin);
    begin += description.bytes();
    if (begin > max_data || text.size() > max_header - length_bytes)
      fail("the tensors",
           " take more than 2^62 bytes, or their header more than " + std::to_string(max_header),
           "write several files");
  }
  text = "{" + text + "}";
  // So that the data begins at a multiple of 8, as the library has it.
  text.append((length_bytes - text.size() % length_bytes) % length_bytes, ' ');
  std::string length;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length += static_cast<char>(text.size() >> (8 * i) & 0xff);
  return length + text;
}

}  // namespace volt::tensor
