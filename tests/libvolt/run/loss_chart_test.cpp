// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/loss_chart.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "libvolt/base/hex.hpp"
#include "libvolt/crypto/digest.hpp"

using namespace volt;
using namespace volt::run;

namespace {

constexpr float gap = std::numeric_limits<float>::quiet_NaN();

/// The text between the first `begin` and the next `end` behind it.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const auto from = text.find(begin);
  if (from == std::string::npos) return {};
  const auto first = from + begin.size();
  return text.substr(first, text.find(end, first) - first);
}

std::string path_of(const std::string& svg, const std::string& kind) {
  return between(svg, "<path class=\"" + kind + "\" d=\"", "\"");
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

bool has_tick(const std::string& svg, const std::string& words) {
  return svg.find(">" + words + "</text>") != std::string::npos;
}

}  // namespace

TEST_CASE("a falling loss is drawn between round ticks, held-out points as dots") {
  Losses losses{{4, 3, 2, 1}, {{2, 3.5F}, {4, 1.5F}}};
  const std::string svg = loss_chart(losses);
  CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"400\""));
  CHECK(svg.ends_with("</svg>\n"));
  // Four steps from 0 to 4 taken, from the top of the plot to its bottom with 4 % of air.
  CHECK(path_of(svg, "train") == "M72.0 51.4h.1L207.0 146.5L342.0 241.5L477.0 336.6");
  CHECK(path_of(svg, "eval") == "M342.0 98.9h.1L612.0 289.1");
  CHECK(count(svg, "<circle class=\"eval\"") == 2);
  for (const std::string both : {"1", "2", "3", "4"}) {
    CAPTURE(both);
    CHECK(count(svg, ">" + both + "</text>") == 2);
  }
  for (const std::string words :
       {"0", "steps taken", "training", "held out", "loss (nats per token)"}) {
    CAPTURE(words);
    CHECK(has_tick(svg, words));
  }
  CHECK(svg.find("mean of") == std::string::npos);
  CHECK(svg.find("script") == std::string::npos);
  CHECK(svg.find("prefers-color-scheme: dark") != std::string::npos);
}

TEST_CASE("the bytes are a function of the losses") {
  Losses losses;
  for (int i = 0; i < 200; ++i) losses.train.push_back(3 / (1 + 0.1F * static_cast<float>(i)));
  losses.eval = {{100, 0.4F}, {200, 0.3F}};
  // Frozen: another digest is another picture, which one has to look at.
  CHECK(crypto::sha256(as_bytes(loss_chart(losses))).hex() ==
        "bc21f12288232d6caefc22ffc4e57fed0be0b228bfeb3f54645e3337650eb7e3");
}

TEST_CASE("one step is a dot") {
  const std::string svg = loss_chart({{3.5F}, {}});
  CHECK(svg.find("<circle class=\"train\" cx=\"72.0\" cy=\"194.0\"") != std::string::npos);
  CHECK(path_of(svg, "train") == "M72 22h24");  // of the legend
  CHECK(has_tick(svg, "1"));
  CHECK_FALSE(has_tick(svg, "held out"));
}

TEST_CASE("a constant loss lies in the middle, with a scale that tells its size") {
  const std::string svg = loss_chart({{2.5F, 2.5F, 2.5F}, {}});
  CHECK(path_of(svg, "train") == "M72.0 194.0h.1L252.0 194.0L432.0 194.0");
  CHECK(has_tick(svg, "2.500"));
  CHECK(has_tick(svg, "2.501"));
  CHECK(loss_chart({{0, 0}, {}}).find("nan") == std::string::npos);
}

TEST_CASE("what is not finite is a gap, and harms nothing else") {
  const std::string svg = loss_chart({{4, gap, 2, 1}, {{1, gap}, {4, 1}}});
  CHECK(path_of(svg, "train") == "M72.0 51.4h.1M342.0 241.5h.1L477.0 336.6");
  CHECK(count(svg, "<circle") == 1);
  const std::string nothing = loss_chart({{gap, gap}, {{2, gap}}});
  CHECK(path_of(nothing, "train") == "M72 22h24");
  CHECK(has_tick(nothing, "0.4"));
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto* text : {&svg, &nothing}) CHECK(text->find("nan") == std::string::npos);
  CHECK(loss_chart({{infinity, 1}, {}}).find("inf") == std::string::npos);
}

TEST_CASE("losses of any size have labels that fit") {
  for (const float size : {1e-30F, 1e-5F, 1.0F, 12345.0F, 3e38F}) {
    const std::string svg = loss_chart({{size, size / 2}, {}});
    CAPTURE(size);
    const std::string ticks = svg.substr(svg.find("text-anchor=\"end\""));
    for (std::size_t at = 0; (at = ticks.find("\"end\">", at)) != std::string::npos; ++at) {
      CHECK(ticks.find('<', at) - at - 6 <= 10);
    }
  }
}

TEST_CASE("from sixty steps on a mean is drawn, of those that are finite") {
  Losses losses;
  for (int i = 0; i < 75; ++i) losses.train.push_back(i % 3 == 0 ? 0.0F : 3.0F);
  std::string svg = loss_chart(losses);
  CHECK(has_tick(svg, "mean of 3 steps"));
  // All means of three are 2, two thirds of the way up.
  CHECK(path_of(svg, "mean").starts_with("M86.4 146.5h.1L93.6 146.5"));
  losses.train.resize(59);
  CHECK(path_of(loss_chart(losses), "mean").empty());
  for (int i = 0; i < 100; ++i) losses.train.push_back(gap);
  svg = loss_chart(losses);
  CHECK_FALSE(path_of(svg, "mean").empty());
  CHECK(svg.find("nan") == std::string::npos);
}

TEST_CASE("of a million steps the least and the greatest of each pixel are drawn") {
  Losses losses;
  for (int i = 0; i < 1'000'000; ++i) losses.train.push_back(i % 2 == 0 ? 2.0F : 1.0F);
  losses.train[500'000] = 9;
  losses.train[700'000] = 0;
  for (std::uint64_t i = 1; i <= 100'000; ++i) losses.eval.push_back({10 * i, 1.5F});
  const std::string svg = loss_chart(losses);
  CHECK(svg.size() < 100'000);
  const std::string train = path_of(svg, "train");
  // 9 and 0, each one step in a million, with 4 % of air above and below.
  CHECK(train.find(" 51.4") != std::string::npos);
  CHECK(train.find(" 336.6") != std::string::npos);
  CHECK(has_tick(svg, "1000000"));
  CHECK(count(svg, "<circle") == 0);  // more than could be told apart
}
