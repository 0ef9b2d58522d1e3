// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/rope.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "libvolt/doc/read.hpp"
#include "libvolt/host/files.hpp"

namespace volt::lm {
namespace {

/// The cases that tests/oracle/rope.py wrote.
doc::Value vectors() {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "../../vectors/rope/turns.json";
  return doc::parse_json(host::read_file(path, 1 << 20), "turns.json");
}

double number(const doc::Value& value, const char* key, double absent) {
  const auto* found = value.find(key);
  return found == nullptr ? absent : *found->get_if<double>();
}

Rope rope_of(const doc::Value& value) {
  Rope rope;
  rope.theta = number(value, "theta", 0);
  rope.factor = number(value, "factor", 1);
  rope.low_freq_factor = number(value, "low_freq_factor", 1);
  rope.high_freq_factor = number(value, "high_freq_factor", 4);
  if (const auto* context = value.find("original_context"))
    rope.original_context = static_cast<std::uint64_t>(*context->get_if<std::int64_t>());
  if (const auto* scaling = value.find("scaling")) {
    rope.scaling =
        *scaling->get_if<std::string>() == "linear" ? Rope::Scaling::linear : Rope::Scaling::llama3;
  }
  return rope;
}

TEST_CASE("every turn is the exact number, rounded once") {
  const auto cases = vectors();
  REQUIRE(cases.get_if<doc::Value::Array>()->size() == 14);
  for (const auto& one : *cases.get_if<doc::Value::Array>()) {
    const auto width = *one.find("head_width")->get_if<std::int64_t>();
    std::vector<std::uint64_t> expected;
    for (const auto& turn : *one.find("turns")->get_if<doc::Value::Array>())
      expected.push_back(static_cast<std::uint64_t>(*turn.get_if<std::int64_t>()));
    CAPTURE(doc::to_json(one));
    CHECK(turns(rope_of(one), static_cast<std::uint64_t>(width)) == expected);
  }
}

TEST_CASE("the first pair turns by one radian a position, whatever theta") {
  // 2^64 / (2 pi) = 2935890503282001225.93...
  CHECK(turns({}, 2) == std::vector<std::uint64_t>{2935890503282001226});
  CHECK(turns({.theta = 1e12}, 4096).front() == 2935890503282001226);
}

TEST_CASE("llama3 leaves what turns fast, slows what turns slowly, and joins the two") {
  const Rope plain{.theta = 500000};
  Rope scaled = plain;
  scaled.scaling = Rope::Scaling::llama3;
  scaled.factor = 8;
  scaled.original_context = 8192;
  const auto before = turns(plain, 128), after = turns(scaled, 128);
  CHECK(after.front() == before.front());
  CHECK(after.back() == (before.back() + 4) / 8);
  std::size_t between = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(after[i] <= before[i]);
    CHECK(after[i] >= before[i] / 8);
    if (i > 0) CHECK(after[i] < after[i - 1]);
    between += after[i] < before[i] && after[i] > before[i] / 8 + 1;
  }
  CHECK(between == 6);
}

}  // namespace
}  // namespace volt::lm
