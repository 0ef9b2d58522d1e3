// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/npy.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::tensor {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t max_header = 10000;  // as numpy.load's max_header_size
constexpr std::size_t alignment = 64;
constexpr std::size_t growth_digits = 21;  // numpy.lib.format's GROWTH_AXIS_MAX_DIGITS

constexpr std::string_view save_again = "save it again with numpy.save";
constexpr std::string_view dtypes_read = "volt reads b1, i1 to i8, u1 to u8, f2, f4 and f8";

struct Spelling {
  std::string_view descr;
  Dtype dtype;
};

// The first spelling of a dtype is the one that NumPy writes.
constexpr std::array<Spelling, 14> spellings{{{"|b1", Dtype::boolean},
                                              {"|u1", Dtype::u8},
                                              {"<u1", Dtype::u8},
                                              {"|i1", Dtype::i8},
                                              {"<i1", Dtype::i8},
                                              {"<u2", Dtype::u16},
                                              {"<i2", Dtype::i16},
                                              {"<u4", Dtype::u32},
                                              {"<i4", Dtype::i32},
                                              {"<u8", Dtype::u64},
                                              {"<i8", Dtype::i64},
                                              {"<f2", Dtype::f16},
                                              {"<f4", Dtype::f32},
                                              {"<f8", Dtype::f64}}};

[[noreturn]] void fail(std::string_view origin, const std::string& what, std::string_view hint) {
  throw Error(Exit::usage, std::string(origin) + ": " + what, std::string(hint));
}

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::uint64_t>> shape;
};

/// Reads the one dict that a header is. Of Python's grammar it knows what such a dict needs:
/// strings without escapes, True, False, whole numbers, tuples of them, and a comma after the last.
class Reader {
 public:
  Reader(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {}

  Header dict() {
    Header header;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      member(header, key);
      if (accept(',')) continue;
      expect('}');
      break;
    }
    skip();
    if (at_ != text_.size()) syntax("nothing but padding");
    if (!header.descr) lacks("descr");
    if (!header.fortran_order) lacks("fortran_order");
    if (!header.shape) lacks("shape");
    return header;
  }

 private:
  void member(Header& header, const std::string& key) {
    const auto once = [&](bool seen) {
      if (seen) fail(origin_, "header has \"" + key + "\" twice", save_again);
    };
    if (key == "descr") {
      once(header.descr.has_value());
      skip();
      if (peek() == '[' || peek() == '(' || peek() == '{')
        fail(origin_, "dtype is structured", "save each field on its own, as a[\"field\"]");
      header.descr = string();
    } else if (key == "fortran_order") {
      once(header.fortran_order.has_value());
      header.fortran_order = boolean();
    } else if (key == "shape") {
      once(header.shape.has_value());
      header.shape = tuple();
    } else {
      fail(origin_, "header has the unknown key \"" + printable(key) + "\"", save_again);
    }
  }

  std::string string() {
    skip();
    const char quote = peek();
    if (quote != '\'' && quote != '"') syntax("a string");
    const auto end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) syntax("a string that ends");
    const auto content = text_.substr(at_ + 1, end - at_ - 1);
    if (content.find_first_of("\\\n") != std::string_view::npos) syntax("a string without escapes");
    at_ = end + 1;
    return std::string(content);
  }

  bool boolean() {
    skip();
    for (const std::string_view word : {"True", "False"}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return word == "True";
    }
    syntax("True or False");
  }

  std::uint64_t whole() {
    skip();
    const auto end = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
    const auto value = parse_unsigned(text_.substr(at_, end - at_));
    if (!value) syntax("a whole number below 2^64");
    at_ = end;
    return *value;
  }

  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> values;
    expect('(');
    while (!accept(')')) {
      values.push_back(whole());
      if (accept(',')) continue;
      if (values.size() == 1) syntax("\",\"");  // (3) is a number in brackets, not a tuple
      expect(')');
      break;
    }
    return values;
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip() { at_ = std::min(text_.find_first_not_of(" \n", at_), text_.size()); }
  bool accept(char wanted) {
    skip();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) syntax(std::string("\"") + wanted + "\"");
  }

  [[noreturn]] void syntax(const std::string& wanted) const {
    const std::string found = at_ == text_.size()
                                  ? std::string("its end")
                                  : "\"" + printable(text_.substr(at_, 12), 48) + "\"";
    fail(origin_,
         "header has " + found + " at byte " + std::to_string(at_) + " instead of " + wanted,
         save_again);
  }
  [[noreturn]] void lacks(const std::string& key) const {
    fail(origin_, "header lacks \"" + key + "\"", save_again);
  }

  std::string_view text_, origin_;
  std::size_t at_ = 0;
};

/// Throws Error saying what is wrong with a dtype that volt does not read.
[[noreturn]] void refuse(std::string_view descr, std::string_view origin) {
  const std::string named = "dtype \"" + printable(descr) + "\" ";
  if (descr.starts_with('>')) {
    const std::string little = "<" + std::string(descr.substr(1));
    for (const auto& one : spellings)
      if (one.descr == little)
        fail(origin, named + "is big-endian", "save it with a.astype(\"" + little + "\")");
  }
  const auto letter = descr.find_first_not_of("<>|=");
  switch (letter == std::string_view::npos ? '\0' : descr[letter]) {
    case 'O':
      fail(origin, named + "is pickled python objects",
           "save it with a.astype(\"<f4\"), or as another dtype of numbers");
    case 'V':
      fail(origin, named + "is raw bytes", "save bf16 as safetensors, or structured data by field");
    case 'U':
    case 'S':
    case 'a':
      fail(origin, named + "is text", dtypes_read);
    case 'c':
      fail(origin, named + "is complex", "save a.real and a.imag");
    case 'M':
    case 'm':
      fail(origin, named + "is dates or times", "save it with a.astype(\"<i8\")");
    default:
      fail(origin, named + "is not one that volt reads", dtypes_read);
  }
}

std::uint64_t little_endian(ByteView bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

Located parse_npy(ByteView file, std::string_view origin_given) {
  const std::string origin = printable(origin_given);
  const std::string_view text = as_text(file);
  if (!text.starts_with(magic)) fail(origin, "not a NumPy file", "save the array with numpy.save");
  const auto cut_short = [&] {
    fail(origin, "file ends within its header", "the file was cut short: copy it again");
  };
  if (file.size() < magic.size() + 2) cut_short();
  const unsigned major = file[6], minor = file[7];
  if (major < 1 || major > 3 || minor != 0)
    fail(origin,
         "format version is " + std::to_string(major) + "." + std::to_string(minor) +
             ", not 1.0, 2.0 or 3.0",
         save_again);
  const std::size_t width = major == 1 ? 2 : 4;
  const std::size_t begin = magic.size() + 2 + width;
  if (file.size() < begin) cut_short();
  const std::uint64_t length = little_endian(file.subspan(begin - width, width));
  if (length > max_header)
    fail(origin,
         "header takes " + std::to_string(length) + " bytes, more than " +
             std::to_string(max_header),
         "save a plain array of numbers");
  if (file.size() - begin < length) cut_short();

  const Header header = Reader(text.substr(begin, length), origin).dict();
  const auto* spelling = std::find_if(spellings.begin(), spellings.end(), [&](const Spelling& one) {
    return one.descr == *header.descr;
  });
  if (spelling == spellings.end()) refuse(*header.descr, origin);
  if (*header.fortran_order)
    fail(origin, "array is in Fortran order", "save it with numpy.ascontiguousarray(a)");
  Located located{{spelling->dtype, *header.shape}, begin + length};
  check(located.description, origin);
  const std::uint64_t expected = located.offset + located.description.bytes();
  if (file.size() != expected)
    fail(origin,
         "file has " + std::to_string(file.size()) + " bytes, but " + to_text(located.description) +
             " takes " + std::to_string(expected),
         file.size() < expected ? "the file was cut short: copy it again"
                                : "one array in a file, without anything behind it");
  return located;
}

std::string npy_header(const Description& description) {
  const auto* spelling = std::find_if(spellings.begin(), spellings.end(), [&](const Spelling& one) {
    return one.dtype == description.dtype;
  });
  if (spelling == spellings.end())
    throw Error(Exit::usage, "NumPy has no dtype for " + std::string(name_of(description.dtype)),
                "write it as safetensors, or as f32");
  std::string dict =
      "{'descr': '" + std::string(spelling->descr) + "', 'fortran_order': False, 'shape': (";
  const auto& shape = description.shape;
  for (std::size_t i = 0; i < shape.size(); ++i)
    dict += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  dict += shape.size() == 1 ? ",), }" : "), }";
  // NumPy leaves room for the first extent to grow, and then pads by 1 to 64, never by 0. Followed
  // to the byte, so that volt's file and NumPy's of the same array are one file.
  if (!shape.empty()) dict.append(growth_digits - std::to_string(shape[0]).size(), ' ');
  const std::size_t prefix = magic.size() + 4;
  dict.append(alignment - (prefix + dict.size() + 1) % alignment, ' ');
  dict += '\n';

  std::string header(magic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(dict.size() & 0xff);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

}  // namespace volt::tensor
