// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "libvolt/schema/job_tables.hpp"

namespace volt::schema {
namespace {

constexpr std::array<std::string_view, 3> profiles{"f32x", "i8x", "i8"};

}  // namespace

using doc::Fields;
using doc::Source;
using doc::Value;

Matmul parse_matmul(Fields fields, const Source& source) {
  Matmul matmul;
  matmul.a = parse_input(fields, source, "a");
  matmul.b = parse_input(fields, source, "b");
  if (fields.has("transpose_a")) matmul.transpose_a = fields.boolean("transpose_a");
  if (fields.has("transpose_b")) matmul.transpose_b = fields.boolean("transpose_b");
  if (matmul.transpose_a && matmul.transpose_b) {
    fields.fail("transpose_b", fields.get("transpose_b"), "and transpose_a cannot both be true",
                "the product of two transposed matrices is (B * A) transposed: swap a and b");
  }
  if (fields.has("out")) matmul.out = fields.string("out");
  const auto ends_with = [](std::string_view text, std::string_view tail) {
    return text.size() > tail.size() && text.substr(text.size() - tail.size()) == tail;
  };
  if (!ends_with(matmul.out, ".npy")) {
    fields.fail("out", fields.get("out"), "does not end in .npy");
  }
  if (fields.has("out")) check_output_name(matmul.out, fields, "out", fields.get("out"));
  if (fields.has("profile")) matmul.profile = fields.choice("profile", profiles);
  if (fields.has("image")) {
    matmul.image = fields.string("image");
    if (!ends_with(matmul.image, ".pgm")) {
      fields.fail("image", fields.get("image"), "does not end in .pgm",
                  "the picture is a portable graymap");
    }
    check_output_name(matmul.image, fields, "image", fields.get("image"));
  }
  fields.refuse_others();
  return matmul;
}

Value matmul_value(const Matmul& m) {
  Value::Object matmul{
      {"a", input_value(m.a)},        {"b", input_value(m.b)}, {"transpose_a", m.transpose_a},
      {"transpose_b", m.transpose_b}, {"out", m.out},          {"profile", m.profile}};
  if (!m.image.empty()) matmul.emplace_back("image", m.image);
  return matmul;
}

}  // namespace volt::schema
