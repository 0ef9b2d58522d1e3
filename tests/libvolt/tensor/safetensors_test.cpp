// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/safetensors.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "libvolt/base/error.hpp"

namespace volt::tensor {
namespace {

using std::string_literals::operator""s;

/// A file that the safetensors library wrote; see generate.py beside it.
std::string vector_file(const std::string& name) {
  const auto path =
      std::filesystem::path(__FILE__).parent_path() / "../../vectors/safetensors" / name;
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file, path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

auto parse(const std::string& file) { return parse_safetensors(as_bytes(file), "m.st"); }

std::string with_header(const std::string& header, std::size_t data = 0) {
  std::string file;
  for (unsigned i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return file + header + std::string(data, 'x');
}

/// "message / hint".
std::string refusal(const std::string& file) {
  try {
    parse(file);
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    return error.message() + " / " + error.hint();
  }
  return "none";
}

std::string refusal_of(const std::string& header, std::size_t data = 0) {
  return refusal(with_header(header, data));
}

std::string tensor(const std::string& name, const std::string& shape, const std::string& offsets,
                   const std::string& dtype = "U8") {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

const std::string again = " / save it again with the safetensors library";

TEST_CASE("tensors that the safetensors library wrote are located in the order of their offsets") {
  const auto file = vector_file("mixed.safetensors");
  const auto tensors = parse(file);
  REQUIRE(tensors.size() == 4);
  const std::uint64_t data = file.size() - 34;
  CHECK(tensors[0].first == "scalar");
  CHECK(tensors[0].second.description == Description{Dtype::f64, {}});
  CHECK(tensors[0].second.offset == data);
  CHECK(tensors[1].first == "w");
  CHECK(tensors[1].second.description == Description{Dtype::f32, {2, 3}});
  CHECK(tensors[1].second.offset == data + 8);
  CHECK(tensors[2].first == "none");
  CHECK(tensors[2].second.description == Description{Dtype::i32, {0, 4}});
  CHECK(tensors[3].first == "b");
  CHECK(tensors[3].second.description == Description{Dtype::i8, {2}});
  CHECK(file.substr(tensors[3].second.offset) == "\x01\xfe");
}

TEST_CASE("bf16 is read, and a file without tensors has none") {
  const auto tensors = parse(vector_file("bf16.safetensors"));
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].second.description == Description{Dtype::bf16, {2, 2}});
  CHECK(parse(vector_file("empty.safetensors")).empty());
}

TEST_CASE("every dtype of volt has its spelling") {
  const std::vector<std::pair<std::string, Dtype>> dtypes{
      {"BOOL", Dtype::boolean}, {"U8", Dtype::u8},   {"I8", Dtype::i8},     {"U16", Dtype::u16},
      {"I16", Dtype::i16},      {"U32", Dtype::u32}, {"I32", Dtype::i32},   {"U64", Dtype::u64},
      {"I64", Dtype::i64},      {"F16", Dtype::f16}, {"BF16", Dtype::bf16}, {"F32", Dtype::f32},
      {"F64", Dtype::f64}};
  for (const auto& [name, dtype] : dtypes) {
    const auto tensors = parse(with_header("{" + tensor("w", "[0]", "[0,0]", name) + "}"));
    CHECK(tensors.at(0).second.description.dtype == dtype);
  }
}

TEST_CASE("other dtypes are refused by name") {
  CHECK(refusal(vector_file("f8.safetensors")) ==
        "m.st: tensor \"w\" has the dtype \"F8_E4M3\", which volt does not read / volt reads BOOL, "
        "U8 to U64, I8 to I64, F16, BF16, F32 and F64");
}

TEST_CASE("the header may be out of order, and an empty tensor lie anywhere between") {
  const auto tensors =
      parse(with_header("{" + tensor("b", "[2]", "[1,3]") + "," + tensor("a", "[1]", "[0,1]") +
                            "," + tensor("e", "[0]", "[1,1]") + "}  ",
                        3));
  REQUIRE(tensors.size() == 3);
  CHECK(tensors[0].first == "a");
  CHECK(tensors[1].first == "e");
  CHECK(tensors[2].first == "b");
}

TEST_CASE("files that are no safetensors, or cut short, are refused") {
  const auto no = "m.st: not a safetensors file / save the tensors with the safetensors library"s;
  const auto cut = "m.st: file ends within its header / the file was cut short: copy it again"s;
  CHECK(refusal("") == cut);
  CHECK(refusal("1234567") == cut);
  CHECK(refusal("\x93NUMPY\x01\x00v\x00{'desc"s) == no);
  CHECK(refusal("\0\0\0\0\0\0\0\0"s) == no);
  CHECK(refusal("\x01\x24\xf4\x00\0\0\0\0{"s) == no);  // 16,000,001 bytes of header
  CHECK(refusal("\x00\x24\xf4\x00\0\0\0\0{"s) == cut);
  CHECK(refusal_of(" {}") == no);
  const auto file = vector_file("mixed.safetensors");
  CHECK(refusal(file.substr(0, 100)) == cut);
}

TEST_CASE("a header that is no json, or repeats a name, is refused by its reader") {
  CHECK(refusal_of("{]").starts_with("m.st:"));
  CHECK(refusal_of("{" + tensor("w", "[0]", "[0,0]") + "," + tensor("w", "[0]", "[0,0]") + "}")
            .find("twice") != std::string::npos);
  CHECK(refusal_of("{\"a\":" + std::string(20, '[') + std::string(20, ']') + "}").find("deeper") !=
        std::string::npos);
}

TEST_CASE("metadata is a table of strings") {
  CHECK(parse(with_header(R"({"__metadata__":{"a":"b"}})")).empty());
  CHECK(refusal_of(R"({"__metadata__":"x"})") ==
        "m.st: __metadata__ is a string, not a table" + again);
  CHECK(refusal_of(R"({"__metadata__":{"a":1}})") ==
        "m.st: __metadata__ has a whole number as \"a\", not a string" + again);
}

TEST_CASE("a tensor is a table of dtype, shape and data_offsets") {
  CHECK(refusal_of(R"({"w":"x"})") == "m.st: tensor \"w\" is a string, not a table" + again);
  CHECK(refusal_of(R"({"w":{}})") == "m.st: tensor \"w\" lacks \"dtype\"" + again);
  CHECK(refusal_of(R"({"w":{"dtype":"U8"}})") == "m.st: tensor \"w\" lacks \"shape\"" + again);
  CHECK(refusal_of(R"({"w":{"dtype":"U8","shape":[]}})") ==
        "m.st: tensor \"w\" lacks \"data_offsets\"" + again);
  CHECK(refusal_of(R"({"\u001b":{"dtype":"U8","shape":[],"size":1}})") ==
        "m.st: tensor \"\\x1b\" has the unknown key \"size\"" + again);
  CHECK(refusal_of(R"({"w":{"dtype":"U8","shape":"x"}})") ==
        "m.st: tensor \"w\" has a string as shape, not an array" + again);
}

TEST_CASE("extents and offsets are whole numbers of 0 or more") {
  const auto extent =
      "m.st: tensor \"w\" has an extent that is not a whole number of 0 or more" + again;
  CHECK(refusal_of("{" + tensor("w", "[-1]", "[0,0]") + "}") == extent);
  CHECK(refusal_of("{" + tensor("w", "[1.0]", "[0,1]") + "}", 1) == extent);
  const auto offsets =
      "m.st: tensor \"w\" has data_offsets that are not two whole numbers of 0 or more" + again;
  for (const std::string bad : {"[]", "[0]", "[0,1,2]", "[-1,0]", "[0,\"1\"]", "[0,1.0]"})
    CHECK(refusal_of("{" + tensor("w", "[1]", bad) + "}", 1) == offsets);
  CHECK(refusal_of("{" + tensor("w", "[1]", "[1,0]") + "}", 1) ==
        "m.st: tensor \"w\" ends before it begins" + again);
  CHECK(refusal_of("{" + tensor("w", "[3]", "[0,2]", "U16") + "}", 2) ==
        "m.st: tensor \"w\" has 2 bytes, but u16 [3] takes 6" + again);
  CHECK(refusal_of("{" + tensor("w", "[4294967296,4294967296]", "[0,0]") + "}")
            .starts_with("m.st: tensor \"w\": shape of u8 [4294967296, 4294967296] takes more"));
}

TEST_CASE("the data has no overlap and no hole, and ends with the file") {
  const auto two = [](const std::string& a, const std::string& b) {
    return "{" + tensor("a", "[2]", a) + "," + tensor("b", "[2]", b) + "}";
  };
  CHECK(refusal_of(two("[0,2]", "[1,3]"), 3) ==
        "m.st: tensor \"b\" overlaps the one before it: it begins at 1, before 2" + again);
  CHECK(refusal_of(two("[0,2]", "[3,5]"), 5) ==
        "m.st: tensor \"b\" leaves a hole before it: it begins at 3, behind 2" + again);
  CHECK(refusal_of(two("[0,2]", "[2,4]"), 3) ==
        "m.st: tensor \"b\" ends at byte 4 of the data, which has 3 / the file was cut short: copy "
        "it again");
  CHECK(refusal_of(two("[0,2]", "[2,4]"), 5) ==
        "m.st: data has 5 bytes, but the tensors take 4" + again);
}

std::vector<Named> described(const std::string& file) {
  std::vector<Named> tensors;
  for (const auto& [name, located] : parse(file)) tensors.emplace_back(name, located.description);
  return tensors;
}

TEST_CASE("a header is what the library writes for the same tensors, to the byte") {
  const auto check_written = [](const std::string& name,
                                const std::map<std::string, std::string>& metadata) {
    CAPTURE(name);
    const auto file = vector_file(name);
    auto tensors = described(file);
    const auto order = tensors;
    std::reverse(tensors.begin(), tensors.end());
    const auto header = safetensors_header(tensors, metadata);
    CHECK(header == file.substr(0, header.size()));
    CHECK(header.size() % 8 == 0);
    CHECK(tensors == order);
  };
  check_written("ordered.safetensors", {{"format", "pt"}});
  check_written("mixed.safetensors", {{"made by", "numpy"}});
  check_written("bf16.safetensors", {});
  check_written("empty.safetensors", {});
}

TEST_CASE("what has no header is refused") {
  const auto refused = [](std::vector<Named> tensors,
                          const std::map<std::string, std::string>& metadata = {}) {
    try {
      safetensors_header(tensors, metadata);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return error.message();
    }
    return "none"s;
  };
  const Description one{Dtype::u8, {1}}, wide{Dtype::f32, {1}};
  CHECK(refused({{"w", one}, {"v", one}, {"w", wide}}) ==
        "tensor \"w\" is there twice, or means metadata");
  CHECK(refused({{"__metadata__", one}}) ==
        "tensor \"__metadata__\" is there twice, or means metadata");
  CHECK(refused({{"w", {Dtype::u8, {1ULL << 40, 1ULL << 40}}}}).find("more than 2^62 bytes") !=
        std::string::npos);
  const Description half{Dtype::u8, {1ULL << 61}};
  const auto much = "the tensors take more than 2^62 bytes, or their header more than 16000000";
  CHECK(refused({{"a", half}, {"b", half}}) == "none");
  CHECK(refused({{"a", half}, {"b", half}, {"c", one}}) == much);
  CHECK(refused({{"a", one}}, {{"note", std::string(16'000'000, 'x')}}) == much);
}

}  // namespace
}  // namespace volt::tensor
