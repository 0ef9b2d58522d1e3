// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/npy.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "libvolt/base/error.hpp"

namespace volt::tensor {
namespace {

using Shape = std::vector<std::uint64_t>;
using std::string_literals::operator""s;

/// A file that NumPy wrote; see generate.py beside it.
std::string vector_file(const std::string& name) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "../../vectors/npy" / name;
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file, path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

Located parse(const std::string& file) { return parse_npy(as_bytes(file), "a.npy"); }

/// A version 1.0 file with this header, unpadded.
std::string with_header(const std::string& dict, const std::string& data = {}) {
  std::string file = "\x93NUMPY\x01\x00"s;
  file += static_cast<char>(dict.size() & 0xff);
  file += static_cast<char>(dict.size() >> 8);
  return file + dict + data;
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

std::string refusal_of_header(const std::string& dict) { return refusal(with_header(dict)); }
std::string refusal_of_dtype(const std::string& descr) {
  return refusal_of_header("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (3,), }\n");
}

TEST_CASE("arrays that numpy wrote are located") {
  const std::vector<std::pair<std::string, Description>> files{
      {"f4.npy", {Dtype::f32, {3, 4}}},       {"f4_v2.npy", {Dtype::f32, {3, 4}}},
      {"f4_v3.npy", {Dtype::f32, {3, 4}}},    {"scalar.npy", {Dtype::i64, {}}},
      {"empty.npy", {Dtype::f64, {0, 3}}},    {"vector.npy", {Dtype::i8, {3}}},
      {"bool.npy", {Dtype::boolean, {1, 2}}}, {"f2_4d.npy", {Dtype::f16, {1, 2, 1, 3}}},
      {"u2_long.npy", {Dtype::u16, {100}}},
  };
  for (const auto& [name, description] : files) {
    const auto shown_name = name;
    CAPTURE(shown_name);
    const auto file = vector_file(name);
    const auto located = parse(file);
    CHECK(located.description == description);
    CHECK(located.offset == 128);
    CHECK(located.offset + description.bytes() == file.size());
  }
}

TEST_CASE("a header is what numpy writes for the same array, to the byte") {
  for (const std::string name : {"f4.npy", "scalar.npy", "empty.npy", "vector.npy", "bool.npy",
                                 "f2_4d.npy", "u2_long.npy"}) {
    CAPTURE(name);
    const auto file = vector_file(name);
    const auto located = parse(file);
    CHECK(npy_header(located.description) == file.substr(0, located.offset));
  }
}

TEST_CASE("a header of any shape is a multiple of 64 and reads back") {
  for (int i = 0; i <= static_cast<int>(Dtype::f64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    if (dtype == Dtype::bf16) continue;
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{0, 1234567890123}, Shape{1, 0, 3, 4},
                               Shape{0, 1, 2, 3, 4, 5, 6, 7}}) {
      const Description description{dtype, shape};
      auto file = npy_header(description);
      CHECK(file.size() % 64 == 0);
      CHECK(file.back() == '\n');
      file.resize(file.size() + description.bytes());
      CHECK(parse(file).description == description);
    }
  }
}

TEST_CASE("a header for bf16 is refused, as numpy has no such dtype") {
  CHECK_THROWS_WITH_AS(npy_header({Dtype::bf16, {2}}), "NumPy has no dtype for bf16", Error);
}

TEST_CASE("keys come in any order, with either quote, and int8 in two spellings") {
  const auto located =
      parse(with_header(R"({"shape":(2, 1,),"descr":"<i1" , 'fortran_order':False})", "ab"));
  CHECK(located.description == Description{Dtype::i8, {2, 1}});
  CHECK(parse(with_header("{'descr':'|i1','fortran_order':False,'shape':(0,)}")).description ==
        Description{Dtype::i8, {0}});
}

TEST_CASE("what numpy writes and volt does not read is refused by name") {
  CHECK(refusal(vector_file("fortran.npy")) ==
        "a.npy: array is in Fortran order / save it with numpy.ascontiguousarray(a)");
  CHECK(refusal(vector_file("big_endian.npy")) ==
        "a.npy: dtype \">f4\" is big-endian / save it with a.astype(\"<f4\")");
  CHECK(refusal(vector_file("object.npy")) ==
        "a.npy: dtype \"|O\" is pickled python objects / save it with a.astype(\"<f4\"), or as "
        "another dtype of numbers");
  CHECK(refusal(vector_file("structured.npy")) ==
        "a.npy: dtype is structured / save each field on its own, as a[\"field\"]");
  CHECK(refusal(vector_file("unicode.npy")) ==
        "a.npy: dtype \"<U3\" is text / volt reads b1, i1 to i8, u1 to u8, f2, f4 and f8");
  CHECK(refusal(vector_file("complex.npy")) ==
        "a.npy: dtype \"<c8\" is complex / save a.real and a.imag");
  CHECK(refusal(vector_file("date.npy")) ==
        "a.npy: dtype \"<M8[D]\" is dates or times / save it with a.astype(\"<i8\")");
}

TEST_CASE("other dtypes are refused by name") {
  CHECK(
      refusal_of_dtype("|V2") ==
      "a.npy: dtype \"|V2\" is raw bytes / save bf16 as safetensors, or structured data by field");
  CHECK(refusal_of_dtype("|S3").starts_with("a.npy: dtype \"|S3\" is text"));
  for (const std::string descr : {"<f16", "f4", "=f4", "|f4", "", "<", "<f4 ", "\x1b[31m", ">x9"}) {
    CAPTURE(descr);
    CHECK(refusal_of_dtype(descr).find("is not one that volt reads / volt reads b1") !=
          std::string::npos);
  }
  CHECK(refusal_of_dtype("\x1b[31m").starts_with("a.npy: dtype \"\\x1b[31m\" is"));
}

TEST_CASE("files that are cut short or too long are refused") {
  const auto file = vector_file("f4.npy");
  CHECK(refusal("") == "a.npy: not a NumPy file / save the array with numpy.save");
  CHECK(refusal("\x93NUMPX\x01\x00"s).starts_with("a.npy: not a NumPy file"));
  for (const std::size_t size : {6, 7, 8, 9, 10, 127}) {
    CAPTURE(size);
    CHECK(refusal(file.substr(0, size)) ==
          "a.npy: file ends within its header / the file was cut short: copy it again");
  }
  CHECK(refusal(file.substr(0, 128)) ==
        "a.npy: file has 128 bytes, but f32 [3, 4] takes 176 / the file was cut short: copy it "
        "again");
  CHECK(refusal(file + "x") ==
        "a.npy: file has 177 bytes, but f32 [3, 4] takes 176 / one array in a file, without "
        "anything behind it");
}

TEST_CASE("other versions and headers too long are refused") {
  CHECK(refusal("\x93NUMPY\x04\x00......"s) ==
        "a.npy: format version is 4.0, not 1.0, 2.0 or 3.0 / save it again with numpy.save");
  CHECK(refusal("\x93NUMPY\x01\x01......"s)
            .starts_with("a.npy: format version is 1.1, not 1.0, 2.0 or 3.0"));
  CHECK(refusal("\x93NUMPY\x02\x00\xff\xff\xff\xff{}"s) ==
        "a.npy: header takes 4294967295 bytes, more than 10000 / save a plain array of numbers");
}

TEST_CASE("a header that is not the dict of an array is refused with its place") {
  const auto again = " / save it again with numpy.save"s;
  const std::vector<std::pair<std::string, std::string>> headers{
      {"", "header has its end at byte 0 instead of \"{\""},
      {"[]", "header has \"[]\" at byte 0 instead of \"{\""},
      {"{'descr'", "header has its end at byte 8 instead of \":\""},
      {"{,}", "header has \",}\" at byte 1 instead of a string"},
      {"{'descr", "header has \"'descr\" at byte 1 instead of a string that ends"},
      {"{'a\\n':", "header has \"'a\\n':\" at byte 1 instead of a string without escapes"},
      {"{}", "header lacks \"descr\""},
      {"{'descr':'<f4'}", "header lacks \"fortran_order\""},
      {"{'descr':'<f4','fortran_order':True,}", "header lacks \"shape\""},
      {"{'descr':'<f4',,}", "header has \",}\" at byte 15 instead of a string"},
      {"{'descr':'<f4','descr':'<f4'}", "header has \"descr\" twice"},
      {"{'shape':(),'shape':()}", "header has \"shape\" twice"},
      {"{'fortran_order':True,'fortran_order':True}", "header has \"fortran_order\" twice"},
      {"{'x\x07':1}", "header has the unknown key \"x\\x07\""},
      {"{'fortran_order':'True'}", "header has \"'True'}\" at byte 17 instead of True or False"},
      {"{'fortran_order':0}", "header has \"0}\" at byte 17 instead of True or False"},
      {"{'fortran_order':Truest}", "header has \"st}\" at byte 21 instead of \"}\""},
      {"{'descr':4}", "header has \"4}\" at byte 9 instead of a string"},
      {"{'shape':3}", "header has \"3}\" at byte 9 instead of \"(\""},
      {"{'shape':(3)}", "header has \")}\" at byte 11 instead of \",\""},
      {"{'shape':(3L,)}", "header has \"L,)}\" at byte 11 instead of \",\""},
      {"{'shape':(3,4L)}", "header has \"L)}\" at byte 13 instead of \")\""},
      {"{'shape':(,)}", "header has \",)}\" at byte 10 instead of a whole number below 2^64"},
      {"{'shape':(-1,)}", "header has \"-1,)}\" at byte 10 instead of a whole number below 2^64"},
      {"{'shape':(03,)}", "header has \"03,)}\" at byte 10 instead of a whole number below 2^64"},
      {"{'shape':(18446744073709551616,)}",
       "header has \"184467440737\" at byte 10 instead of a whole number below 2^64"},
      {"{'shape':()} x", "header has \"x\" at byte 13 instead of nothing but padding"},
      {"{'shape':()}\t", "header has \"\\x09\" at byte 12 instead of nothing but padding"},
      {"{'shape':()}\n"s + '\0', "header has \"\\x00\" at byte 13 instead of nothing but padding"},
  };
  for (const auto& [header, message] : headers) {
    const auto shown_header = header;
    CAPTURE(shown_header);
    CHECK(refusal_of_header(header) == "a.npy: " + message + again);
  }
}

TEST_CASE("a shape too large is refused before it is multiplied out") {
  const auto file = [](const std::string& shape) {
    return with_header("{'descr':'<f8','fortran_order':False,'shape':" + shape + "}");
  };
  CHECK(refusal(file("(4294967296,4294967296)"))
            .starts_with("a.npy: shape of f64 [4294967296, 4294967296] takes more than 2^62"));
  CHECK(refusal(file("(0,1,1,1,1,1,1,1,1)")) ==
        "a.npy: array has 9 dimensions, more than 8 / save it with a.reshape(...)");
}

}  // namespace
}  // namespace volt::tensor
